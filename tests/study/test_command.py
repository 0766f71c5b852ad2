"""`accord study`."""

import csv
import json
import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest


@pytest.fixture
def models(plant, tmp_path):
    names = [plant(name, number // 2, seed=number) for number, name in enumerate(["a", "b", "c", "d"])]
    (tmp_path / "able.csv").write_text("model,score\n" + "".join(f"{m},{i}\n" for i, m in enumerate(names)))
    return names


@pytest.fixture
def line(models, probe):
    return f"study {' '.join(models)} --probe {probe} --metric mutual_knn:k=5 --permutations 39 --no-clip"


def test_a_table_of_80_columns(accord, line):
    answer = accord(f"{line} --metric cycle_knn:k=5 --capability able.csv")
    assert answer.status == 0, answer.err
    assert max(map(len, answer.out.splitlines())) <= 80
    assert "alike: a.npz, b.npz | " in answer.out
    assert "Spearman's rho" in answer.out
    assert "all 24 orders" in answer.out


def test_more_models_than_fit_are_shown_by_their_nearest(accord, plant, probe):
    names = " ".join(plant(f"m{number}", number % 3, seed=number) for number in range(10))
    answer = accord(f"study {names} --probe {probe} --permutations 19 --samples 40")
    assert answer.status == 0, answer.err
    assert max(map(len, answer.out.splitlines())) <= 80
    assert "nearest" in answer.out
    assert "interval" in answer.out
    assert re.search(r" 0\.\d\d–[01]\.\d\d ", answer.out)  # a study has intervals unless it asks for none


def test_json_is_the_report_and_files_are_the_same_each_time(accord, line, models, tmp_path):
    np.savez(tmp_path / "k.npz", kernel=np.eye(60) + 1)
    full = f"{line} --capability able.csv --kernel k.npz --layers last --layers {models[0]}=0"
    answer = accord(f"{full} --json --out one")
    assert answer.status == 0, answer.err
    report = json.loads(answer.out)
    assert report == json.loads((tmp_path / "one/study.json").read_text())
    assert [model["layers"] for model in report["models"]] == [["layer.0"]] + [["layer.1"]] * 3
    assert report["prediction"]["kernel"]["kind"] == "kernel"
    assert accord(f"{full} --out two").status == 0
    names = {path.name for path in (tmp_path / "one").iterdir()}
    assert names == {"study.json", "mutual_knn-k-5.csv", "mutual_knn-k-5.svg", "mutual_knn-k-5-trend.svg"}
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    rows = list(csv.reader((tmp_path / "one/mutual_knn-k-5.csv").read_text().splitlines()))
    order = report["metrics"][0]["clusters"]["order"]
    assert rows[0] == ["mutual_knn:k=5", *order]
    assert [row[0] for row in rows[1:]] == order
    assert float(rows[1][2]) == report["metrics"][0]["matrix"][models.index(order[0])][models.index(order[1])]
    matrix, trend = (
        "".join(ElementTree.parse(tmp_path / f"one/mutual_knn-k-5{end}.svg").getroot().itertext())
        for end in ("", "-trend")
    )
    assert f"{float(rows[1][2]):.2f}" in matrix
    assert "a.npz" in matrix
    assert "Spearman's ρ" in trend
    assert "d.npz" in trend


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ("--capability gone.csv", "gone.csv cannot be read"),
        ("--capability few.json", "no capability for features:"),
        ("--capability bad.csv", "line 2: 'much' is not a number"),
        ("--capability twice.json", "names 'm' twice"),
        ("--kernel k.npz --counts k.npz", "one reference kernel"),
        ("--kernel gone.npz", "gone.npz cannot be read"),
        ("--corpus gone.txt", "gone.txt cannot be read"),
        ("--counts few.json", "not an .npz file"),
        ("--corpus few.json --window 0", "window must be at least 1"),
        ("--counts few.json --smoothing -1", "0 or more pseudo-counts"),
        ("--pooling median", "no pooling 'median'"),
        ("--pooling mean --pooling max", "twice for all models"),
        ("--samples 4", "needs at least 6 items"),
        ("--layers 9", "no layer 9"),
        ("--out able.csv", "is a file; name a folder"),
    ],
)
def test_what_cannot_be_done_is_one_sentence_and_status_2(accord, line, tmp_path, more, sentence):
    (tmp_path / "few.json").write_text('{"m": 1}')
    (tmp_path / "twice.json").write_text('{"m": 1, "m": 2}')
    (tmp_path / "bad.csv").write_text("m,1\nn,much\n")
    answer = accord(f"{line} {more}")
    assert answer.status == 2
    assert sentence in answer.err
    assert len(answer.err.splitlines()) == 1
    assert not answer.out


def test_models_of_one_file_name_are_told_apart(accord, plant, probe, tmp_path):
    for folder in ("q", "qp"):
        (tmp_path / folder).mkdir()
    for number, name in enumerate(["q/a", "qp/a", "b"]):
        plant(name, number, seed=number)
    names = ["features:q/a.npz", "features:qp/a.npz", "features:b.npz"]
    table = f"study {' '.join(names)} --probe {probe} --metric cka --permutations 0 --resamples 0"
    answer = accord(f"{table} --out out")
    assert answer.status == 0, answer.err
    drawn = "".join(ElementTree.parse(tmp_path / "out/cka.svg").getroot().itertext())
    for shown in (answer.out, drawn):
        assert all(name in shown for name in names[:2])
        assert "b.npz" in shown
        assert names[2] not in shown


def test_a_kernel_of_the_theory_is_called_one(accord, tmp_path):
    for seed in (1, 2):
        assert accord(f"train --recipe linear --steps 5 --seed {seed} --out pair{seed}").status == 0
    with np.load("pair1/probe.npz") as arrays:
        np.savez("x.npz", x=arrays["a"])
    answer = accord(
        "study path:pair1/a path:pair2/a --probe x.npz --metric cka --theory pair1/a --permutations 0 --resamples 0"
    )
    assert answer.status == 0, answer.err
    assert "against the kernel: theory pair1/a" in answer.out
    assert "PMI" not in answer.out
    assert "path:pair1/a" in answer.out
    assert "path:pair2/a" in answer.out
