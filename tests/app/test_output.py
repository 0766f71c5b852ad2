"""What a command prints and writes."""

import csv
import json
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from alignment.activations import read_activations
from alignment.comparison import score

Accord = Callable[[str], Any]
ALL = "--metric mutual_knn --metric cka:kernel=rbf --metric unbiased_cka"


def names_in(folder: str) -> list[str]:
    return sorted(entry.name for entry in Path(folder).iterdir())


@pytest.fixture(autouse=True)
def files(tmp_path: Path, noise: Callable[..., np.ndarray]) -> None:
    x = noise(0)
    np.savez(tmp_path / "x.npz", **{"layer.2": x, "layer.10": noise(1)})
    np.savez(tmp_path / "y.npz", **{"first": x + noise(2), "flat": np.ones((40, 3)), "last[/]": noise(3)})
    (tmp_path / "texts.txt").write_text("\n".join(f"text {i}" for i in range(40)))


def test_json_is_the_result_and_nothing_else(accord: Accord) -> None:
    answer = accord(f"score x.npz y.npz {ALL} --permutations 19 --json")
    assert answer.status == 0
    result = json.loads(answer.out)
    expected = score(read_activations("x.npz"), read_activations("y.npz")).to_dict()
    assert set(result) == set(expected)
    assert [metric["key"] for metric in result["metrics"]] == ["mutual_knn", "cka:kernel=rbf", "unbiased_cka"]
    assert result["metrics"][0]["grid"] == expected["metrics"][0]["grid"]
    assert "NaN" not in answer.out
    (warning,) = answer.err.splitlines()
    assert warning.startswith("accord: warning: b/flat: every item has the same activation")
    assert warning.endswith(" (constant_layer)")


def test_the_same_command_gives_the_same_bytes_and_files(accord: Accord) -> None:
    lines = [f"score x.npz y.npz {ALL} --permutations 19 --json --out {name}" for name in ("one", "two")]
    first, second = (accord(line) for line in lines)
    assert first == second
    for path in sorted(Path("one").iterdir()):
        assert path.read_bytes() == Path("two", path.name).read_bytes()


def test_out_writes_a_report_and_a_table_and_a_picture_a_metric(accord: Accord) -> None:
    answer = accord(f"score x.npz y.npz {ALL} --permutations 9 --json --out out")
    names = ["cka-kernel-rbf.csv", "cka-kernel-rbf.svg", "mutual_knn.csv", "mutual_knn.svg", "report.json"]
    assert names_in("out") == [*names, "unbiased_cka.csv", "unbiased_cka.svg"]
    assert Path("out/report.json").read_text() == answer.out
    result = json.loads(answer.out)
    with Path("out/cka-kernel-rbf.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["cka:kernel=rbf", "first", "flat", "last[/]"]
    assert [row[0] for row in rows[1:]] == ["layer.2", "layer.10"]
    read = [[float(cell) if cell else None for cell in row[1:]] for row in rows[1:]]
    assert read == result["metrics"][1]["grid"]
    assert read[0][1] is None
    assert ET.fromstring(Path("out/mutual_knn.svg").read_bytes()).tag.endswith("svg")
    assert names_in(".") == ["out", "texts.txt", "x.npz", "y.npz"]


def test_a_folder_that_is_there_keeps_what_else_it_holds(accord: Accord) -> None:
    Path("out").mkdir()
    Path("out/notes.txt").write_text("mine")
    Path("out/report.json").write_text("old")
    assert accord("score x.npz y.npz --permutations 9 --out out/").status == 0
    assert names_in("out") == ["mutual_knn.csv", "mutual_knn.svg", "notes.txt", "report.json"]
    assert Path("out/notes.txt").read_text() == "mine"
    assert json.loads(Path("out/report.json").read_text())["samples"] == 40


@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize(("error", "status"), [(OSError(28, "No space left on device"), 1), (KeyboardInterrupt(), 130)])
def test_a_write_that_fails_leaves_what_there_was(
    accord: Accord, monkeypatch: pytest.MonkeyPatch, there: bool, error: BaseException, status: int
) -> None:
    if there:
        Path("out").mkdir()
        Path("out/report.json").write_text("old")
    before = sorted(Path.cwd().rglob("*"))
    write = Path.write_bytes

    def fail(path: Path, data: bytes) -> int:
        if path.suffix == ".svg":
            raise error
        return write(path, data)

    monkeypatch.setattr(Path, "write_bytes", fail)
    answer = accord("score x.npz x.npz --permutations 9 --out out")
    assert (answer.status, answer.out) == (status, "")
    assert answer.err in (
        "accord: --out out could not be written (No space left on device); free some space or name another folder\n",
        "accord: stopped\n",
    )
    assert sorted(Path.cwd().rglob("*")) == before
    assert not there or Path("out/report.json").read_text() == "old"


@pytest.mark.parametrize(
    "line", ["score x.npz x.npz --out {}", "extract features:x.npz --probe texts.txt --out {}/x.npz"]
)
def test_a_folder_that_cannot_be_written_to_is_refused_before_any_work(
    accord: Accord, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    import tempfile

    Path("out").mkdir()

    def refuse(*_: object, **__: object) -> str:
        raise PermissionError(13, "Permission denied")

    def work(*_: object, **__: object) -> None:
        raise AssertionError("work was begun")

    monkeypatch.setattr(tempfile, "mkdtemp", refuse)
    monkeypatch.setattr("alignment.activations.read_activations", work)
    monkeypatch.setattr("alignment.comparison.source.Items.of", work)
    answer = accord(line.format("out"))
    assert (answer.status, answer.out) == (2, "")
    assert "(Permission denied)" in answer.err
    assert "another folder" in answer.err
    assert answer.err.count("\n") == 1


def test_the_table_tells_the_best_pair_beside_its_null_in_80_columns(accord: Accord) -> None:
    answer = accord(f"score x.npz y.npz {ALL} --permutations 19 --out out")
    assert answer.status == 0
    assert max(map(len, answer.out.splitlines())) <= 80
    for part in (
        "features:x.npz (2 layers)",
        "features:y.npz (3 layers)",
        "40 items",
        "cka:kernel=rbf",
        "A layer.2",
        "B first",
    ):
        assert part in answer.out
    best = json.loads(Path("out/report.json").read_text())["metrics"][0]["best"]
    for name in ("score", "null_mean", "null_threshold", "calibrated"):
        assert f"{best[name]:.3f}" in answer.out
    assert "out/mutual_knn.svg" in answer.out


def test_a_table_with_nothing_in_it_and_with_no_null_is_drawn(accord: Accord) -> None:
    np.savez("flat.npz", h=np.ones((40, 2)))
    answer = accord("score flat.npz x.npz")
    assert "undefined in every cell" in answer.out
    assert answer.status == 0
    answer = accord("score x.npz y.npz --permutations 0 --resamples 0 --layers b=last")
    assert answer.status == 0
    assert "B last[/]" in answer.out
    assert "shuffled" not in answer.out  # no column for what was not made


def test_compare_reads_models_from_files_and_warns_on_stderr(accord: Accord) -> None:
    answer = accord("compare features:x.npz features:x.npz --probe texts.txt --json --permutations 19 --layers a=-1")
    result = json.loads(answer.out)
    assert result["layers_a"] == ["layer.10"]
    assert result["metrics"][0]["grid"][0][1] == 1.0
    assert [warning["code"] for warning in result["warnings"]] == ["fewer_samples"]
    assert answer.err.startswith("accord: warning: ")
    assert answer.err.endswith(" (fewer_samples)\n")


def test_extract_writes_a_file_that_score_reads(accord: Accord) -> None:
    answer = accord(
        "extract features:x.npz --probe texts.txt --out e.safetensors --samples 20 --seed 3 --layers layer.10"
    )
    assert (answer.status, answer.err) == (0, "")
    assert answer.out == "e.safetensors: 20 items, 1 layer of features:x.npz\n"
    read = read_activations("e.safetensors")
    assert read.layers == ("layer.10",)
    assert read.ids is not None
    assert len(read.ids) == 20
    assert accord("score e.safetensors e.safetensors --json").status == 0
    assert names_in(".") == ["e.safetensors", "texts.txt", "x.npz", "y.npz"]


@pytest.mark.weights
def test_compare_measures_real_models_without_chatter(accord: Accord) -> None:
    line = "compare builtin:minilm-l6 builtin:minilm-l3 --probe texts.txt --layers -1,-2 --permutations 9 --json"
    first, second = accord(line), accord(line)
    assert first == second
    assert first.status == 0
    assert [text[:16] for text in first.err.splitlines()] == ["accord: warning:"] * len(
        json.loads(first.out)["warnings"]
    )
    result = json.loads(first.out)
    assert result["layers_a"] == ["layer.5", "layer.4"]
    assert result["provenance"]["model_a"]["reference"] == "builtin:minilm-l6"
