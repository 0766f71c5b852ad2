"""Folders and archives of images, with captions and without."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alignment.errors import ProbeError
from alignment.probes import load_probe
from alignment.probes.readers.root import natural

FORMS = ["folder", "zip"]
Pack = Callable[..., Path]


@pytest.mark.parametrize("form", FORMS)
def test_images_come_in_the_natural_order_of_their_names(form: str, pack: Pack, picture: Callable[..., bytes]) -> None:
    names = ["b/10.png", "b/9.jpeg", "10.webp", "2.GIF", "a é👩‍🚀.bmp", "b/c/1.jpg"]
    files: dict[str, bytes | str] = {name: picture(size=(i + 1, 1)) for i, name in enumerate(names)}
    files |= {
        "README.txt": "about",
        ".hidden.png": b"",
        "__MACOSX/b/._9.jpeg": b"",
        ".git/x.png": b"",
        "d/.DS_Store": b"",
    }
    path = pack(files, form)
    probe = load_probe(str(path))
    assert probe.kind == "image"
    assert probe.ids == ("2.GIF", "10.webp", "a é👩‍🚀.bmp", "b/9.jpeg", "b/10.png", "b/c/1.jpg")
    assert [image.read() for image in probe.images] == [files[name] for name in probe.ids]
    assert probe.images[0].open().size == (4, 1)


def test_a_folder_and_its_archive_have_the_same_fingerprint(pack: Pack, picture: Callable[..., bytes]) -> None:
    files = {f"{i}.png": picture(size=(i + 1, 2)) for i in range(12)} | {
        "captions.txt": "".join(f"{i}.png\tno. {i}\n" for i in range(12))
    }
    assert load_probe(str(pack(files, "folder"))).sha256 == load_probe(str(pack(files, "zip"))).sha256


@given(st.lists(st.text("ab019/.é٣²", max_size=12)))
def test_natural_order_is_total(names: list[str]) -> None:
    assert sorted(names, key=natural) == sorted(reversed(names), key=natural)


def test_natural_order_reads_numbers_of_any_length() -> None:
    assert sorted(["1" * 9000 + ".png", "2.png"], key=natural)[0] == "2.png"


CAPTIONS = {
    "captions.csv": 'file_name,text,id,target\n10.png,ten,k10,1\n"2.png","two, or so",k2,0\n',
    "captions.jsonl": '{"file":"10.png","text":"ten","id":"k10","target":1}\n'
    '{"file":"./2.png","text":"two, or so","id":"k2","target":0}\n',
    "captions.txt": "10.png\tten\n\n2.png\ttwo, or so\n",
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("prefix", ["", "pictures/"])
@pytest.mark.parametrize("name", CAPTIONS)
def test_captions_make_pairs(form: str, prefix: str, name: str, pack: Pack, picture: Callable[..., bytes]) -> None:
    files = {"2.png": picture("red"), "10.png": picture("blue"), name: CAPTIONS[name]}
    probe = load_probe(str(pack({prefix + file: data for file, data in files.items()}, form)))
    assert (probe.kind, probe.texts) == ("paired", ("two, or so", "ten"))
    assert [image.name for image in probe.images] == [prefix + "2.png", prefix + "10.png"]
    assert [image.open().getpixel((0, 0)) for image in probe.images] == [(255, 0, 0), (0, 0, 255)]
    if name == "captions.txt":
        assert (probe.ids, probe.targets) == ((prefix + "2.png", prefix + "10.png"), None)
    else:
        assert (probe.ids, probe.targets) == (("k2", "k10"), (0.0, 1.0))


def test_the_columns_of_captions_can_be_named(pack: Pack, picture: Callable[..., bytes]) -> None:
    path = pack({"1.png": picture(), "captions.csv": "photo,words\n1.png,hello\n"}, "folder")
    assert load_probe(str(path), columns={"image": "photo", "text": "words"}).texts == ("hello",)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"readme.md": "x"}, r"has 0 images and 1 other files; give 1 to .* that end in \.png"),
        ({"1.png": "x", "captions.csv": "", "captions.txt": ""}, "more than one captions file"),
        ({"1.png": "x", "captions.csv": ""}, r"captions\.csv' is empty"),
        ({"1.png": "x", "captions.csv": "image,words\n1.png,a\n"}, "no column 'text' .* columns are 'image', 'words'"),
        ({"1.png": "x", "captions.csv": "name,text\n1.png,a\n"}, "no column 'image' .* columns are 'name', 'text'"),
        ({"1.png": "x", "captions.csv": "image,text\n1.png,\n"}, r"captions\.csv', line 2: there is no text"),
        ({"1.png": "x", "captions.csv": "image,text\n,a\n"}, "line 2: there is no image"),
        ({"1.png": "x", "captions.csv": "image,text\n2.png,a\n"}, "line 2: there is no image '2.png' beside it"),
        ({"1.png": "x", "captions.csv": "image,text\n../1.png,a\n"}, r"line 2: there is no image '\.\./1\.png'"),
        ({"1.png": "x", "captions.txt": "1.png\ta\n1.png\tb\n"}, "line 2: '1.png' has a caption already, at line 1"),
        ({"1.png": "x", "2.png": "x", "captions.txt": "1.png\ta"}, "no caption for the image '2.png'"),
        ({"1.png": "x", "captions.txt": "1.png a"}, "line 1: no tab"),
        ({"1.png": "x", "captions.txt": "1.png\t"}, "line 1: no tab"),
        ({"1.png": "x", "captions.txt": b"1.png\t\xff"}, "line 1 has the byte 0xff"),
        ({"1.png": "x", "captions.jsonl": "{"}, r"captions\.jsonl', line 1: not JSON"),
        ({"a\nb.png": "x"}, "plain path|not a file's name"),
    ],
)
def test_what_is_wrong_with_a_folder_is_said(
    form: str, files: dict[str, str | bytes], message: str, pack: Pack
) -> None:
    path = pack(files, form)
    with pytest.raises(ProbeError, match=message) as refusal:
        load_probe(str(path), name="photos")
    assert "'photos" in str(refusal.value)
    assert str(path.parent) not in str(refusal.value)


def test_images_alone_have_no_columns(pack: Pack) -> None:
    with pytest.raises(ProbeError, match="so no columns can be named"):
        load_probe(str(pack({"1.png": b"x"}, "zip")), columns={"text": "caption"})


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ProbeError, match="has 0 images and 0 other files"):
        load_probe(str(tmp_path))


def test_an_image_that_goes_away_is_named(pack: Pack, picture: Callable[..., bytes]) -> None:
    path = pack({"1.png": picture()}, "folder")
    probe = load_probe(str(path))
    (path / "1.png").unlink()
    with pytest.raises(ProbeError, match=r"'1\.png' cannot be read \(No such file or directory\)"):
        probe.check("image")
    with pytest.raises(ProbeError, match=r"'1\.png' cannot be read"):
        assert probe.sha256


@pytest.mark.parametrize("form", FORMS)
def test_an_image_that_is_none_is_found_by_check(form: str, pack: Pack, picture: Callable[..., bytes]) -> None:
    probe = load_probe(str(pack({"1.png": picture(), "2.png": b"none"}, form)))
    with pytest.raises(ProbeError, match=r"'2\.png' cannot be decoded"):
        probe.check("image")
