"""TextEncoder: text encoders and causal language models of the Hugging Face kind."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from alignment.errors import ModelError
from alignment.models.checkpoint import Checkpoint
from alignment.models.encoder import EncoderBase, Layer, Pooling
from alignment.models.fingerprint import fingerprint, weights_digest
from alignment.models.placement import Placement
from alignment.models.pooling import pool_text
from alignment.models.pretrained import depth_names, first_line, load_pretrained
from alignment.models.tokens import Tokenizer, Tokens, token_limit

TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "tokenizer.model",
    "spiece.model",
    "sentencepiece.bpe.model",
)


@dataclass(frozen=True, kw_only=True, eq=False)
class TextEncoder(EncoderBase):
    """An encoder of texts: see `Encoder`."""

    model: Any
    tokenizer: Tokenizer

    def encode(self, items: Sequence[Any], pooling: Pooling) -> list[Tensor]:
        """Returns one `[len(items), width]` float32 tensor a layer; see `Encoder.encode`."""
        self.check(items, pooling, str)
        if not items:
            return [torch.empty(0, layer.width, device=self.device) for layer in self.layers]
        tokens = self.tokenizer(*items)
        mask = tokens.mask.to(self.device)
        with torch.inference_mode():
            pooled = [pool_text(states, mask, pooling) for states in hidden_states(self.model, tokens, self.device)]
        # A copy made outside is an ordinary tensor: one made in inference mode could not be changed in place later.
        return [vectors.clone() for vectors in pooled]


def load_text(checkpoint: Checkpoint, config: Any, cls: Any, place: Placement) -> TextEncoder:
    """Returns the text encoder that a checkpoint holds.

    Raises:
        ModelError: if its tokenizer or its weights cannot be used.
    """
    dtype = place.dtype_for(checkpoint.dtype())
    model = load_pretrained(checkpoint, config, cls, place.device, dtype)
    backend = load_tokenizer(checkpoint.folder, checkpoint.reference)
    print_ = fingerprint(weights_digest(checkpoint.tensors()), checkpoint.facts(*TOKENIZER_FILES))
    return text_encoder(model, backend, checkpoint.reference, print_, place.device, dtype)


def load_tokenizer(folder: Any, reference: str) -> Any:
    """Returns the Hugging Face tokenizer in a folder.

    Raises:
        ModelError: if there is none that runs without code of its own.
    """
    from transformers import AutoTokenizer

    try:
        backend = AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ImportError) as error:
        raise ModelError(f"{reference}: its tokenizer cannot be loaded ({first_line(error)})") from error
    # Without its files a tokenizer of the model's class is made with an empty vocabulary: every word unknown.
    if len(backend) <= len(backend.all_special_tokens):
        raise ModelError(f"{reference} has no vocabulary; the folder must hold tokenizer.json or its vocabulary files")
    return backend


def text_encoder(
    model: Any, backend: Any, reference: str, print_: str, device: torch.device, dtype: torch.dtype
) -> TextEncoder:
    """Returns the encoder made of a loaded model and its tokenizer; its layers are learnt by one forward.

    Args:
        model: in evaluation mode, on the device.
        backend: the Hugging Face tokenizer.
        reference: how the model is named.
        print_: its fingerprint, which is completed by the token limit.
        device: where the model is.
        dtype: what it computes in.

    Raises:
        ModelError: if it gives no hidden states.
    """
    vocabulary = model.get_input_embeddings().num_embeddings
    limit = token_limit(backend, model.config, model)
    takes = inspect.signature(model.forward).parameters
    segmented = "token_type_ids" in takes and "token_type_ids" in backend.model_input_names
    tokenizer = Tokenizer(backend, reference, limit, vocabulary, segmented)
    # Two texts of two tokens, alike in the second: a state that is alike there too has seen no context.
    ids = torch.tensor([[vocabulary - 1, vocabulary - 2], [vocabulary - 3, vocabulary - 2]]).clamp(min=0)
    with torch.inference_mode():
        states = hidden_states(model, Tokens(ids, torch.ones_like(ids).bool(), None), device)
    if not states:
        raise ModelError(f"{reference} gives no hidden states, so there is nothing to compare")
    embedded = torch.allclose(states[0][0, 1].float(), states[0][1, 1].float(), rtol=1e-3)
    names = depth_names(len(states), model.config, embedded=embedded)
    return TextEncoder(
        reference=reference,
        modality="text",
        layers=tuple(Layer(name, state.shape[-1]) for name, state in zip(names, states, strict=True)),
        parameters=sum(p.numel() for p in model.parameters()),
        fingerprint=fingerprint(print_, {"limit": limit}),
        poolings=("mean", "last", "cls", "max") if tokenizer.has_class_token else ("mean", "last", "max"),
        device=device,
        dtype=dtype,
        model=model,
        tokenizer=tokenizer,
    )


def hidden_states(model: Any, tokens: Tokens, device: torch.device) -> list[Tensor]:
    """Returns a model's hidden states for a batch, `[b, t, width]` each, from the embeddings on."""
    extra = {} if tokens.segments is None else {"token_type_ids": tokens.segments.to(device)}
    output = model(
        input_ids=tokens.ids.to(device),
        attention_mask=tokens.mask.long().to(device),
        output_hidden_states=True,
        return_dict=True,
        **extra,
    )
    return list(getattr(output, "hidden_states", None) or ())
