"""The readers of text: .txt, .jsonl, .csv and .parquet."""

import csv
import io
import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alignment.errors import ProbeError
from alignment.probes import ProbeSet, load_probe

ROWS = [
    {"id": "a", "text": 'Ein "Text", mit Komma', "target": 1},
    {"id": "7", "text": "zwei\nZeilen", "target": -2.5},
    {"id": "c", "text": "日本語 👩‍🚀 \u2028", "target": 1e-3},
]


def write(path: Path, rows: list[dict[str, object]]) -> Path:
    columns = list(rows[0])
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    elif path.suffix == ".csv":
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, columns)
        writer.writeheader()
        writer.writerows(rows)
        path.write_bytes(text.getvalue().encode())
    else:
        pq.write_table(pa.table({column: [row[column] for row in rows] for column in columns}), path)
    return path


def load(path: Path, data: str | bytes, **options: object) -> ProbeSet:
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return load_probe(str(path), **options)


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_the_columns_are_read(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"probe{suffix}", ROWS)
    probe = load_probe(str(path))
    assert (probe.name, probe.kind) == (str(path), "text")
    assert probe.ids == ("a", "7", "c")
    assert probe.texts == tuple(row["text"] for row in ROWS)
    assert probe.targets == (1.0, -2.5, 0.001)


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_the_columns_can_be_named(tmp_path: Path, suffix: str) -> None:
    rows = [{"caption": row["text"], "text": "not this", "key": row["id"]} for row in ROWS]
    probe = load_probe(str(write(tmp_path / f"p{suffix}", rows)), columns={"text": "caption", "id": "key"}, name="mine")
    assert (probe.name, probe.ids, probe.texts) == ("mine", ("a", "7", "c"), tuple(row["text"] for row in ROWS))


CELLS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20).filter(str.strip)
TARGETS = st.one_of(
    st.lists(st.integers(-(10**6), 10**6), min_size=3, max_size=3),
    st.lists(st.floats(-1e9, 1e9, allow_nan=False), min_size=3, max_size=3),
    st.lists(st.sampled_from(["1", "cat", "1e3", "nan", "Inf", "0x1", "1_0", "-0.0"]), min_size=3, max_size=3),
)


@given(st.lists(CELLS, min_size=3, max_size=3), st.lists(CELLS, min_size=3, max_size=3, unique=True), TARGETS)
@settings(max_examples=60, deadline=None)
def test_the_same_items_have_the_same_fingerprint_in_every_format(
    texts: list[str], ids: list[str], targets: list[object]
) -> None:
    rows = [{"id": i, "text": t, "target": y} for i, t, y in zip(ids, texts, targets, strict=True)]
    with tempfile.TemporaryDirectory() as folder:
        paths = [write(Path(folder, f"p{suffix}"), rows) for suffix in (".jsonl", ".csv", ".parquet")]
        assert len({load_probe(str(path)).sha256 for path in paths}) == 1


def test_plain_lines_equal_the_same_texts_in_a_table(tmp_path: Path) -> None:
    lines = load(tmp_path / "p.txt", "\ufeffone\r\n\r\n  two words \n\x20\nthree\u2028same item")
    assert lines.texts == ("one", "two words", "three\u2028same item")
    assert lines.ids == ("0", "1", "2")
    assert lines.sha256 == load_probe(str(write(tmp_path / "p.csv", [{"text": text} for text in lines.texts]))).sha256


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_numbers_as_ids_are_written_in_digits(tmp_path: Path, suffix: str) -> None:
    rows = [{"id": 12, "text": "a"}, {"id": 3, "text": "b"}]
    assert load_probe(str(write(tmp_path / f"p{suffix}", rows))).ids == ("12", "3")


def test_one_label_makes_every_target_a_label(tmp_path: Path) -> None:
    assert load(tmp_path / "p.csv", "text,target\na,1\nb,dog\n").targets == ("1", "dog")
    assert load(tmp_path / "p.jsonl", '{"text":"a","target":true}\n{"text":"b","target":false}').targets == (
        "true",
        "false",
    )


def test_a_byte_order_mark_and_blank_lines_are_skipped(tmp_path: Path) -> None:
    assert load(tmp_path / "p.csv", '\ufeff text ,x\r\n\r\n"a\r\nb",1\r\n').texts == ("a\r\nb",)
    assert load(tmp_path / "p.jsonl", '\ufeff{"text":"a"}\r\n\r\n').texts == ("a",)


BAD: list[tuple[str, str | bytes, str]] = [
    ("p.txt", "", "has no items"),
    ("p.txt", " \n\n", "has no items"),
    ("p.txt", b"ok\nok\n\xff\xfe\n", "is not UTF-8 text: line 3 has the byte 0xff; save it as UTF-8"),
    ("p.jsonl", "", "has no items"),
    ("p.jsonl", b'{"text":"\xe9"}', "is not UTF-8 text: line 1"),
    ("p.jsonl", '{"text":"a"}\n{"text":', r"line 2: not JSON \(Expecting value\)"),
    ("p.jsonl", '{"text":"a"}\n\n["b"]', "line 3: a JSON list, not an object"),
    ("p.jsonl", "null", "line 1: a JSON NoneType, not an object"),
    ("p.jsonl", "[" * 100_000, "line 1: not JSON"),
    ("p.jsonl", '{"text":"a","n":' + "1" * 5000 + "}", "line 1: not JSON"),
    (
        "p.jsonl",
        '{"caption":"a","n":1}',
        "neither a column 'text' nor a column 'image'; its columns are 'caption', 'n'",
    ),
    ("p.jsonl", '{"text":"a"}\n{"n":1}', "line 2: there is no text"),
    ("p.jsonl", '{"text":"a"}\n{"text":3}', "line 2: the text is of type int; it must be text"),
    ("p.jsonl", '{"text":"a"}\n{"text":"  "}', "line 2: the text is blank"),
    ("p.jsonl", '{"text":"\\ud800"}', "line 1: the text is not valid Unicode"),
    ("p.jsonl", '{"text":"a","id":1.5}', "line 1: the id is of type float"),
    ("p.jsonl", '{"text":"a","id":true}', "line 1: the id is of type bool"),
    ("p.jsonl", '{"text":"a","id":null}', "line 1: there is no id"),
    ("p.jsonl", '{"text":"a","target":NaN}', "line 1: the target is nan; give a finite number or a label"),
    ("p.jsonl", '{"text":"a","target":[1]}', "line 1: the target is of type list"),
    ("p.jsonl", '{"text":"a","id":"x"}\n{"text":"b","id":"x"}', "the id 'x' more than once"),
    ("p.jsonl", '{"text":"a","image":7}', "line 1: the image is of type int"),
    ("p.csv", "", "is empty; its first line must name the columns"),
    ("p.csv", "text\n", "has no items"),
    ("p.csv", b"text\n\x80\n", "is not UTF-8 text: line 2"),
    ("p.csv", "text;id\na;1\n", "its columns are 'text;id'"),
    ("p.csv", "text,text\na,b\n", "names the column 'text' twice"),
    ("p.csv", "id,text\n1,a\n2,b,c\n", "line 3: 3 cells where the header names 2 columns"),
    ("p.csv", 'id,text\n1,"a\nb"\n2,\n', "line 4: there is no text"),
    ("p.csv", 'text\n"a', r"line 2: not CSV \(unexpected end of data\)"),
    ("p.csv", 'text\n"a"b\n', "line 2: not CSV"),
    ("p.csv", "text\n" + "a" * 200_000, "line 2: not CSV"),
    ("p.csv", "id,text\n1,a\n1,b\n", "the id '1' more than once"),
    ("p.parquet", b"", "is not a readable Parquet file"),
    ("p.parquet", b"PAR1 and not much more PAR1", "is not a readable Parquet file"),
]


@pytest.mark.parametrize(("name", "data", "message"), BAD)
def test_a_bad_file_is_refused_in_one_sentence(tmp_path: Path, name: str, data: str | bytes, message: str) -> None:
    with pytest.raises(ProbeError, match=message) as refusal:
        load(tmp_path / name, data, name="the upload")
    assert "'the upload'" in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert str(tmp_path) not in str(refusal.value)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"text": "body"}, "no column 'body' to take the text from; its columns are 'text', 'id'"),
        ({"label": "id"}, "no use for a column 'label'; the columns that can be named are text, image, id, target"),
    ],
)
def test_wrong_names_of_columns_are_refused(tmp_path: Path, columns: dict[str, str], message: str) -> None:
    with pytest.raises(ProbeError, match=message):
        load(tmp_path / "p.csv", "text,id\na,1\n", columns=columns)


def test_lines_have_no_columns(tmp_path: Path) -> None:
    with pytest.raises(ProbeError, match="one text a line, so no columns can be named"):
        load(tmp_path / "p.txt", "a\n", columns={"text": "a"})


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"text": pa.array([], pa.string())}, "has no items"),
        ({"words": ["a"]}, "its columns are 'words'"),
        ({"text": ["a", None]}, "row 2: there is no text"),
        ({"text": [1, 2]}, "row 1: the text is of type int"),
        ({"text": ["a"], "target": [float("inf")]}, "row 1: the target is inf"),
        ({"image": [b"x", None]}, "row 2: there is no image"),
        ({"image": [b"x", b""]}, "row 2: there is no image"),
        ({"image": [{"bytes": None, "path": None}]}, "row 1: there is no image"),
        ({"image": [[1.0]]}, "row 1: the image is of type list"),
    ],
)
def test_a_bad_parquet_row_is_named(tmp_path: Path, table: dict[str, object], message: str) -> None:
    pq.write_table(pa.table(table), tmp_path / "p.parquet")
    with pytest.raises(ProbeError, match=message):
        load_probe(str(tmp_path / "p.parquet"))


def test_parquet_that_names_a_column_twice_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"])], ["text", "text"]), tmp_path / "p.parquet")
    with pytest.raises(ProbeError, match="names the column 'text' twice"):
        load_probe(str(tmp_path / "p.parquet"))


@pytest.mark.parametrize("form", ["binary", "large_binary", "hub"])
def test_parquet_holds_images_as_bytes(tmp_path: Path, form: str, picture: Callable[..., bytes]) -> None:
    data = [picture((shade, 0, 0)) for shade in range(0, 250, 5)] * 50  # 2,500 rows: more than one batch
    column = (
        pa.array([{"bytes": one, "path": "photo.png"} for one in data])
        if form == "hub"
        else pa.array(data, getattr(pa, form)())
    )
    pq.write_table(pa.table({"image": column, "text": ["a"] * len(data)}), tmp_path / "p.parquet", row_group_size=900)
    probe = load_probe(str(tmp_path / "p.parquet"))
    assert probe.kind == "paired"
    assert probe.ids == tuple(map(str, range(2500)))
    assert [image.read() for image in probe.images] == data
    assert probe.images[1].open().getpixel((0, 0)) == (5, 0, 0)


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_the_path_of_an_image_starts_at_the_file(tmp_path: Path, suffix: str, picture: Callable[..., bytes]) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/10.PNG").write_bytes(picture("blue"))
    (tmp_path / "2.jpg").write_bytes(picture("red", "JPEG"))
    rows = [{"image": "./sub/10.PNG", "text": "blue"}, {"image": str(tmp_path / "2.jpg"), "text": "red"}]
    probe = load_probe(str(write(tmp_path / f"p{suffix}", rows)))
    assert (probe.kind, probe.ids, probe.texts) == ("paired", ("sub/10.PNG", "2.jpg"), ("blue", "red"))
    assert probe.images[0].open().getpixel((0, 0)) == (0, 0, 255)
