"""Tokens: texts as numbers, padded on the right.

Accord pads by itself: on the right, whatever side the tokenizer prefers. Causal attention and recurrences then never
see padding before a token, position ids count from the first token, and a tokenizer without a padding token needs none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Int
from torch import Tensor, nn

from alignment.errors import ModelError

# Tokenizers that know no limit say 1e30, and a config may allow 131,072: a text is cut here at the latest.
MOST_TOKENS = 4096


@dataclass(frozen=True)
class Tokens:
    """A batch of texts: token ids, where they are real, and the segment ids if the model reads them."""

    ids: Int[Tensor, "b t"]
    mask: Bool[Tensor, "b t"]
    segments: Int[Tensor, "b t"] | None


@dataclass(frozen=True)
class Tokenizer:
    """A Hugging Face tokenizer, bounded by what the model can take.

    Attributes:
        backend: the Hugging Face tokenizer.
        reference: how messages name the model.
        limit: the most tokens a text may have; longer texts are cut there.
        vocabulary: how many token ids the model has vectors for.
        segmented: whether the model reads segment ids.
    """

    backend: Any
    reference: str
    limit: int
    vocabulary: int
    segmented: bool

    @property
    def has_class_token(self) -> bool:
        """Whether each text begins with the class token, as in the BERT family."""
        first = self.backend.cls_token_id
        return first is not None and self("a").ids[0, 0].item() == first

    def __call__(self, *texts: str) -> Tokens:
        """Returns the texts as tokens; a text without any is given the token that begins or ends a text.

        Raises:
            ModelError: if a text has no tokens and the tokenizer has no such token, or a token has no vector.
        """
        found = self.backend(
            list(texts),
            truncation=True,
            max_length=self.limit,
            padding=False,
            return_attention_mask=False,
            return_token_type_ids=self.segmented,
        )
        rows: list[list[int]] = [row or [self._filler(i)] for i, row in enumerate(found["input_ids"])]
        ids, mask = _padded(rows), _padded([[1] * len(row) for row in rows]).bool()
        if rows and int(ids.max()) >= self.vocabulary:
            raise ModelError(
                f"{self.reference}: its tokenizer gives token {int(ids.max())}, and the model has vectors for "
                f"{self.vocabulary}; give the tokenizer that it was trained with"
            )
        segments = _padded([row or [0] for row in found["token_type_ids"]]) if "token_type_ids" in found else None
        return Tokens(ids, mask, segments)

    def _filler(self, row: int) -> int:
        for token in (self.backend.bos_token_id, self.backend.eos_token_id, self.backend.unk_token_id):
            if token is not None:
                return int(token)
        raise ModelError(f"{self.reference}: item {row} of the batch has no tokens; leave empty texts out")


def token_limit(backend: Any, config: Any, model: nn.Module) -> int:
    """Returns the most tokens that both the tokenizer and the model take, at most `MOST_TOKENS`."""
    limits = [MOST_TOKENS, int(min(backend.model_max_length, MOST_TOKENS))]
    positions = getattr(config, "max_position_embeddings", None)
    if positions:
        # RoBERTa's kin count positions from the padding index on: that many of the table are never reached.
        tables = [m for n, m in model.named_modules() if n.endswith("position_embeddings")]
        offsets = [m.padding_idx + 1 for m in tables if isinstance(m, nn.Embedding) and m.padding_idx is not None]
        limits.append(positions - max(offsets, default=0))
    return min(limits)


def _padded(rows: Sequence[Sequence[int]]) -> Tensor:
    width = max(map(len, rows), default=0)
    return torch.tensor([[*row, *[0] * (width - len(row))] for row in rows], dtype=torch.long).reshape(len(rows), width)
