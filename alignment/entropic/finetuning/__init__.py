"""Fine-tuning: a pretrained model trained further, with the entropy or without, beside another that stays as it is."""

from alignment.entropic.finetuning.request import FinetuneRequest
from alignment.entropic.finetuning.result import FinetuneResult
from alignment.entropic.finetuning.run import finetune

__all__ = ["FinetuneRequest", "FinetuneResult", "finetune"]
