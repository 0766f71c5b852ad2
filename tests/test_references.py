"""A model's name is parsed and printed without loss, and what is no name is refused with advice."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alignment.errors import ReferenceError
from alignment.references import SCHEMES, ModelRef

WORD = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,8}", fullmatch=True)
HUB = st.builds(
    ModelRef,
    st.sampled_from(("hf", "timm")),
    st.one_of(WORD, st.builds("{}/{}".format, WORD, WORD)),
    st.none() | WORD,
)
LOCAL = st.builds(ModelRef, st.sampled_from(("builtin", "path", "features")), st.text(min_size=1, max_size=20))


@settings(max_examples=100, deadline=None)
@given(st.one_of(HUB, LOCAL))
def test_what_is_printed_is_parsed_again(ref: ModelRef) -> None:
    assert ModelRef.parse(str(ref)) == ref


@pytest.mark.parametrize(
    ("text", "ref"),
    [
        ("hf:org/model@main", ModelRef("hf", "org/model", "main")),
        ("hf:gpt2", ModelRef("hf", "gpt2")),
        ("hf:org/model@refs/pr/1", ModelRef("hf", "org/model", "refs/pr/1")),
        ("timm:vit_base_patch16_224.mae", ModelRef("timm", "vit_base_patch16_224.mae")),
        ("path:a b@c:d", ModelRef("path", "a b@c:d")),
        ("features:/tmp/x@1.npz", ModelRef("features", "/tmp/x@1.npz")),
    ],
)
def test_forms(text: str, ref: ModelRef) -> None:
    assert ModelRef.parse(text) == ref


@pytest.mark.parametrize("text", ["", ":", "hf:", "hf", "HF:a/b", "gguf:x", "builtin", "https://hf.co/a", " builtin:x"])
def test_what_names_no_model_is_answered_with_every_form(text: str) -> None:
    with pytest.raises(ReferenceError, match="does not name a model") as refusal:
        ModelRef.parse(text)
    assert all(f"{scheme}:" in str(refusal.value) for scheme in SCHEMES)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("minilm-l6", "builtin:minilm-l6"),
        ("org/model", "hf:org/model"),
        ("layers.npz", "features:layers.npz"),
        ("builtn:minilm-l6", "builtin:…"),
        ("feature:x.npz", "features:…"),
    ],
)
def test_what_was_meant_is_guessed(text: str, meant: str) -> None:
    with pytest.raises(ReferenceError, match="did you mean") as refusal:
        ModelRef.parse(text)
    assert f"'{meant}'" in str(refusal.value)


@pytest.mark.parametrize(
    "rest", ["../x", "a/b/c", "a/../b", "a b/c", "/a", "a/", "org/model@", "org/model@../x", "a@b@c"]
)
@pytest.mark.parametrize("scheme", ["hf", "timm"])
def test_what_could_lead_out_of_the_hub_is_refused(scheme: str, rest: str) -> None:
    with pytest.raises(ReferenceError, match=f"write {scheme}:ORG/NAME"):
        ModelRef.parse(f"{scheme}:{rest}")
