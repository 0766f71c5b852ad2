"""Networks on vectors: saved to a folder, loaded by `path:`, encoded layer by layer."""

import json

import numpy as np
import pytest
import torch

from alignment.errors import ModelError
from alignment.models import DenseConfig, DenseNetwork, Encoder, dense_files, load_encoder, open_dense
from alignment.references import ModelRef


def saved(folder, config: DenseConfig, dtype: torch.dtype = torch.float64) -> DenseNetwork:
    network = DenseNetwork(config, dtype)
    random = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for value in network.state_dict().values():
            value.copy_(torch.randn(value.shape, generator=random, dtype=torch.float64))
    folder.mkdir(exist_ok=True)
    for name, content in dense_files(network).items():
        (folder / name).write_bytes(content)
    return network


CONFIGS = [
    DenseConfig((3, 5, 4, 2), "linear", bias=False, maps=True),
    DenseConfig((3, 5, 2), "relu"),
    DenseConfig((3, 4, 4, 2), "gelu"),
]


@pytest.mark.parametrize("config", CONFIGS, ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_saved_network_is_an_encoder(tmp_path, config: DenseConfig, dtype: torch.dtype) -> None:
    network = saved(tmp_path / "a", config, dtype)
    encoder = load_encoder(ModelRef.parse(f"path:{tmp_path / 'a'}"), dtype=dtype)
    assert isinstance(encoder, Encoder)
    assert (encoder.modality, encoder.poolings, encoder.dtype) == ("array", ("mean",), dtype)
    assert [layer.width for layer in encoder.layers] == list(config.widths[1:-1])
    assert encoder.parameters == sum(p.numel() for p in network.parameters())
    x = np.random.default_rng(0).normal(size=(6, 3))
    found = encoder.encode(list(x), "mean")
    for state, expected in zip(found, network.hidden(torch.from_numpy(x).to(dtype)), strict=True):
        assert state.dtype == torch.float32
        torch.testing.assert_close(state, expected.detach().float())
    assert [tuple(state.shape) for state in encoder.encode([], "mean")] == [(0, w) for w in config.widths[1:-1]]
    twin = open_dense(tmp_path / "a", "a")
    assert all(torch.equal(v, network.state_dict()[k]) for k, v in twin.state_dict().items())


def test_making_one_leaves_the_random_state_alone() -> None:
    before = torch.get_rng_state()
    DenseNetwork(DenseConfig((3, 5, 2)))
    assert torch.equal(before, torch.get_rng_state())


def test_the_fingerprint_is_of_weights_and_config(tmp_path) -> None:
    prints = []
    for name, activation in (("a", "relu"), ("b", "relu"), ("c", "tanh")):
        saved(tmp_path / name, DenseConfig((3, 5, 2), activation))  # type: ignore[arg-type]
        prints.append(load_encoder(ModelRef.parse(f"path:{tmp_path / name}")).fingerprint)
    assert prints[0] == prints[1] != prints[2]


def test_items_that_do_not_fit_are_refused(tmp_path) -> None:
    saved(tmp_path / "a", CONFIGS[1])
    encoder = load_encoder(ModelRef.parse(f"path:{tmp_path / 'a'}"))
    with pytest.raises(ModelError, match=r"takes vectors of width 3; item 1 has the shape \[4\]"):
        encoder.encode([np.zeros(3), np.zeros(4)], "mean")
    with pytest.raises(ModelError, match="cannot pool by 'cls'"):
        encoder.encode([np.zeros(3)], "cls")
    with pytest.raises(ModelError, match="item 0 is a str"):
        encoder.encode(["text"], "mean")


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"version": 2}, "version 2; this Accord reads 1"),
        ({"widths": [3]}, "at least two widths"),
        ({"widths": None}, "does not describe"),
        ({"activation": "swish"}, "'swish' is no activation"),
        ({"widths": [3, True, 2]}, "at least two widths"),
        (
            {"widths": [3, 6, 2]},
            r"not those of its config.json \(layers.0.weight is \[5, 3\], by the config \[6, 3\]\)",
        ),
        ({"widths": [3, 5, 5, 2]}, r"not those of its config.json \(layers.1.weight is \[2, 5\]"),
        ({"maps": True}, r"map_in is nothing, by the config \[3, 3\]"),
        ({"bias": False}, r"layers.0.bias is \[5\], by the config nothing"),
        ({"widths": [3, 10**9, 2]}, "not those of its config.json"),
        ({"widths": [10**30, 5, 2]}, "not those of its config.json"),
    ],
)
def test_a_config_that_does_not_fit_is_refused(tmp_path, change: dict, match: str) -> None:
    saved(tmp_path / "a", CONFIGS[1])
    path = tmp_path / "a" / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(ModelError, match=match):
        load_encoder(ModelRef.parse(f"path:{tmp_path / 'a'}"))


def test_one_without_hidden_layers_has_nothing_to_compare(tmp_path) -> None:
    saved(tmp_path / "a", DenseConfig((3, 2)))
    with pytest.raises(ModelError, match="no hidden layer"):
        load_encoder(ModelRef.parse(f"path:{tmp_path / 'a'}"))


def test_another_model_is_no_network_on_vectors(tmp_path) -> None:
    saved(tmp_path / "a", CONFIGS[1])
    path = tmp_path / "a" / "config.json"
    path.write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(ModelError, match="not a network on vectors"):
        open_dense(tmp_path / "a", "path:a")
