"""What `accord train` leaves behind: two models, a report, a picture and a probe set; and what it prints."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from alignment.entropic.recipes.files import model_files, probe_file
from alignment.entropic.recipes.result import TrainingResult
from alignment.entropic.rows import FILE, rows_file
from alignment.report.history_figure import history_figure
from app.cli.output import write_files
from app.cli.training_table import MEASURES, print_training, warn
from app.trainings.work import finite


def write_training(result: TrainingResult, out: Path) -> None:
    """Writes a training's files; those of the models first, so that a report is never without them."""
    models = {name: str(out / name) for name in "ab"}
    last = result.history[-1].step
    curve = [(point.step / last, point.lowest, point.mean) for point in result.history]
    request = result.provenance["request"]
    title = f"{request['recipe']}, {request['objective']}, seed {request['seed']}"
    files = {
        "training.json": (json.dumps(finite(result.to_dict(models)), indent=2, allow_nan=False) + "\n").encode(),
        "alignment.svg": history_figure({request["objective"]: [curve]}, title, MEASURES[result.measure]),
    }
    if result.probe_name is None:
        files["probe.npz"] = probe_file(result)
    out.mkdir(exist_ok=True)
    for name, member in zip("ab", result.members, strict=True):
        write_files({**model_files(member), FILE: rows_file(member.rows)}, out / name)
    write_files(files, out)


def show_training(result: TrainingResult, out: Path, *, as_json: bool) -> None:
    """Prints the result on stdout, and the warnings on stderr."""
    models = {name: str(out / name) for name in "ab"}
    found = finite(result.to_dict(models))
    warn(found)
    if as_json:
        sys.stdout.write(json.dumps(found, indent=2, allow_nan=False) + "\n")
        return
    probe = result.probe_name or str(out / "probe.npz")
    print_training(
        found,
        f"{result.seconds:.1f} s of processor time",
        f"accord compare path:{models['a']} path:{models['b']} --probe {probe} --metric cka --no-clip --no-normalize",
    )
