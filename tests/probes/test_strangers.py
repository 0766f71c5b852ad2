"""Files made to do harm: paths that lead out, archives that swell, pickles."""

import os
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from alignment.errors import ProbeError
from alignment.probes import load_probe
from alignment.probes.readers import archive_root, folder_root, npz, parquet, tensors


@pytest.fixture
def secret(tmp_path: Path, picture: Callable[..., bytes]) -> Path:
    path = tmp_path / "elsewhere" / "secret.png"
    path.parent.mkdir()
    path.write_bytes(picture())
    return path


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
@pytest.mark.parametrize("how", ["dots", "inner dots", "absolute", "link", "linked folder"])
def test_a_path_in_a_table_stays_beside_the_file(tmp_path: Path, secret: Path, suffix: str, how: str) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "link.png").symlink_to(secret)
    (home / "folder").symlink_to(secret.parent)
    image = {
        "dots": "../elsewhere/secret.png",
        "inner dots": "folder/../../elsewhere/secret.png",
        "absolute": str(secret),
        "link": "link.png",
        "linked folder": "folder/secret.png",
    }[how]
    path = home / f"p{suffix}"
    if suffix == ".parquet":
        pq.write_table(pa.table({"image": [image]}), path)
    else:
        path.write_text(f'{{"image": "{image}"}}' if suffix == ".jsonl" else f"image\n{image}\n")
    with pytest.raises(ProbeError, match=r"(line 2|line 1|row 1): .* leads out of the folder"):
        load_probe(str(path))


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ("missing.png", "there is no image 'missing.png' in the folder"),
        ("p.csv", "'p.csv' does not end as an image does"),
        ("folder.png", "there is no image 'folder.png'"),
        ("circle.png", "circle.png"),
        ("a\0.png", "not a file's name"),
        ("n" * 300 + ".png", "cannot be found|there is no image"),
    ],
)
def test_what_is_no_image_is_named(tmp_path: Path, image: str, message: str) -> None:
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "circle.png").symlink_to("circle.png")
    (tmp_path / "p.csv").write_text(f"image\n{image}\n")
    with pytest.raises(ProbeError, match=message):
        load_probe(str(tmp_path / "p.csv"))


def test_a_link_inside_the_folder_is_followed(tmp_path: Path, picture: Callable[..., bytes]) -> None:
    (tmp_path / "1.png").write_bytes(picture())
    (tmp_path / "2.png").symlink_to("1.png")
    assert load_probe(str(tmp_path)).images[1].read() == picture()


def test_a_link_out_of_a_folder_of_images_is_refused(tmp_path: Path, secret: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "1.png").symlink_to(secret)
    with pytest.raises(ProbeError, match=r"'1\.png' leads out of the folder"):
        load_probe(str(home))


def test_a_name_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    try:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.png")).write_bytes(b"x")
    except OSError:
        pytest.skip("this file system takes no such name")
    with pytest.raises(ProbeError, match="not a file's name"):
        load_probe(str(tmp_path))


def test_a_pipe_is_no_probe_set(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "p.csv")
    with pytest.raises(ProbeError, match="is not one that can be read"):
        load_probe(str(tmp_path / "p.csv"))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("../1.png", "leads out of the archive"),
        ("a/../../1.png", "leads out of the archive"),
        ("..", "leads out of the archive"),
        ("/etc/1.png", "leads out of the archive"),
        ("a\\1.png", "is no plain path"),
        ("a//1.png", "is no plain path"),
        (".", "is no plain path|0 images"),
    ],
)
def test_a_member_that_leads_out_is_refused(name: str, message: str, pack: Callable[..., Path]) -> None:
    with pytest.raises(ProbeError, match=message):
        load_probe(str(pack({name: b"x"}, "zip")))


def zipped(path: Path, data: bytes = b"x" * 1000, method: int = zipfile.ZIP_DEFLATED) -> bytearray:
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("1.png", data)
    return bytearray(path.read_bytes())


def test_a_member_that_declares_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    zipped(tmp_path / "p.zip")
    monkeypatch.setattr(archive_root, "MAX_MEMBER", 999)
    with pytest.raises(ProbeError, match=r"'1\.png' unpacks to 1,000 bytes; at most 999"):
        load_probe(str(tmp_path / "p.zip"))


@pytest.mark.parametrize("declared", [7, 5000])
def test_a_member_that_declares_another_size_is_refused(tmp_path: Path, declared: int) -> None:
    data = zipped(tmp_path / "p.zip")
    central = data.index(b"PK\1\2")
    data[central + 24 : central + 28] = declared.to_bytes(4, "little")
    (tmp_path / "p.zip").write_bytes(data)
    probe = load_probe(str(tmp_path / "p.zip"))
    with pytest.raises(ProbeError, match=r"'1\.png' (cannot be read|is cut off)"):
        probe.images[0].read()


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_compression_without_bounds_is_refused(tmp_path: Path, method: int) -> None:
    zipped(tmp_path / "p.zip", method=method)
    with pytest.raises(ProbeError, match="compressed in a rare way"):
        load_probe(str(tmp_path / "p.zip"))


def test_an_encrypted_member_is_refused(tmp_path: Path) -> None:
    data = zipped(tmp_path / "p.zip")
    data[data.index(b"PK\1\2") + 8] |= 1
    (tmp_path / "p.zip").write_bytes(data)
    with pytest.raises(ProbeError, match="is encrypted"):
        load_probe(str(tmp_path / "p.zip"))


def test_a_name_twice_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "p.zip", "w") as archive:
        archive.writestr("1.png", b"x")
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("1.png", b"y")
    with pytest.raises(ProbeError, match=r"holds '1\.png' twice"):
        load_probe(str(tmp_path / "p.zip"))


@pytest.mark.parametrize("data", [b"", b"no archive", b"PK\5\6" + b"\xff" * 18])
def test_what_is_no_archive_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "p.zip").write_bytes(data)
    with pytest.raises(ProbeError, match=r"is not a readable \.zip file"):
        load_probe(str(tmp_path / "p.zip"))


def test_a_link_in_an_archive_is_only_its_bytes(tmp_path: Path, secret: Path) -> None:
    link = zipfile.ZipInfo("1.png")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "p.zip", "w") as archive:
        archive.writestr(link, str(secret))
    with pytest.raises(ProbeError, match="cannot be decoded"):
        load_probe(str(tmp_path / "p.zip")).check("image")


def test_a_large_image_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "1.png").write_bytes(b"x" * 1000)
    monkeypatch.setattr(folder_root, "MAX_MEMBER", 999)
    with pytest.raises(ProbeError, match=r"'1\.png' has more than 999 bytes"):
        load_probe(str(tmp_path)).images[0].read()


class Harm:
    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, ("harm-was-done",)


@pytest.mark.parametrize("key", ["x", "ids", "target"])
def test_a_pickle_is_never_read(tmp_path: Path, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    arrays = {"x": np.ones((2, 2)), key: np.array([Harm(), Harm()], dtype=object)}
    np.savez("p.npz", **arrays)
    with pytest.raises(ProbeError, match=r"'p\.npz' has an array of Python objects, which is refused"):
        load_probe("p.npz")
    assert not Path("harm-was-done").exists()


@pytest.mark.parametrize("reader", [npz, tensors])
def test_too_many_bytes_of_vectors_are_refused(tmp_path: Path, reader: object, monkeypatch: pytest.MonkeyPatch) -> None:
    from safetensors.numpy import save_file

    path = tmp_path / ("p.npz" if reader is npz else "p.safetensors")
    (np.savez_compressed(path, x=np.zeros((99, 99))) if reader is npz else save_file({"x": np.zeros((99, 99))}, path))
    monkeypatch.setattr(reader, "MAX_BYTES", 10_000)
    with pytest.raises(ProbeError, match="at most 10,000"):
        load_probe(str(path))


def test_parquet_that_swells_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pq.write_table(pa.table({"text": ["a" * 1000] * 5000}), tmp_path / "p.parquet")
    assert (tmp_path / "p.parquet").stat().st_size < 10_000
    monkeypatch.setattr(parquet, "MAX_BYTES", 2_000_000)
    with pytest.raises(ProbeError, match="holds more than 2,000,000 bytes"):
        load_probe(str(tmp_path / "p.parquet"))
    monkeypatch.setattr(parquet, "MAX_ITEMS", 4999)
    with pytest.raises(ProbeError, match="has 5000 rows"):
        load_probe(str(tmp_path / "p.parquet"))
