"""The help says all that there is, in 80 columns, and costs no heavy import."""

import json
import subprocess
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import typer

from alignment.metrics import METRICS
from alignment.models import builtin_models
from alignment.probes import builtin_probes
from app.cli.main import cli
from app.settings import Settings, variable

Accord = Callable[[str], Any]
COMMANDS = {command.name: command for command in typer.main.get_command(cli).commands.values()}  # type: ignore[attr-defined]
# The contract's table of commands.
PROMISED = {
    "compare": "--probe --metric --layers --pooling --samples --seed --permutations --resamples --no-clip "
    "--no-normalize --device --dtype --json --out",
    "score": "--metric --layers --seed --permutations --resamples --no-clip --no-normalize --device --json --out",
    "extract": "--probe --out --layers --pooling --samples --seed --side --device --dtype",
    "train": "--recipe --objective --seed --out --json",
    "balance": "--data --json",
    "rebalance": "--out --json",
    "metrics": "--json",
    "models": "--json",
    "probes": "--json",
    "settings": "--json",
    "demo": "--out --seed",
    "study": "--probe --capability",
    "serve": "--host --port --workers",
    "api": "--host --port",
    "worker": "",
    "migrate": "",
    "keys": "",
    "submit": "--probe --metric --layers --pooling --samples --seed --permutations --resamples --watch --json",
    "watch": "--json",
    "schedule": "",
}


def test_every_command_has_a_line(accord: Accord) -> None:
    answer = accord("--help")
    assert (answer.status, answer.err) == (0, "")
    assert set(COMMANDS) >= set(PROMISED)
    listed = [line.split()[0] for line in answer.out.split("Commands:")[1].split("\n\n")[0].strip().splitlines()]
    assert set(listed) == set(COMMANDS)
    assert "..." not in answer.out.split("Commands:")[1]  # no summary is cut off
    assert accord("-h") == answer


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_listed_and_explained(accord: Accord, name: str) -> None:
    answer = accord(f"{name} --help")
    assert (answer.status, answer.err) == (0, "")
    words = answer.out.replace(",", " ").split()
    assert not [option for option in PROMISED.get(name, "").split() if option not in words]
    for parameter in COMMANDS[name].params:
        if getattr(parameter, "hidden", False):
            continue
        assert parameter.help, f"{name} {parameter.name} has no help"
        assert all(option in words for option in (*parameter.opts, *parameter.secondary_opts) if option[0] == "-")
    prose = answer.out.split("Examples:")[0]
    assert max(map(len, prose.splitlines())) <= 80


def test_brackets_are_shown_as_they_are_typed(accord: Accord) -> None:
    assert "hf:ORG/NAME[@REVISION]" in accord("compare --help").out
    assert "[items, width]" in " ".join(accord("score --help").out.split())


def test_no_command_is_answered_with_the_help(accord: Accord) -> None:
    answer = accord("")
    assert (answer.status, answer.out) == (2, "")
    assert answer.err == accord("--help").out


def test_the_version(accord: Accord) -> None:
    assert accord("--version") == (0, f"accord {metadata.version('accord')}\n", "")


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("metrics", list(METRICS)),
        ("models", [f"builtin:{model.name}" for model in builtin_models()]),
        ("probes", [f"builtin:{probe.name}" for probe in builtin_probes()]),
        ("settings", [variable(name) for name in Settings.model_fields]),
    ],
)
def test_a_list_names_everything_whole_and_json_says_the_same(accord: Accord, name: str, names: list[str]) -> None:
    answer = accord(name)
    assert (answer.status, answer.err) == (0, "")
    assert not [entry for entry in names if entry not in answer.out]
    assert max(map(len, answer.out.splitlines())) <= 80
    facts = json.loads(accord(f"{name} --json").out)
    assert [fact["name"] for fact in facts] == [entry.removeprefix("builtin:") for entry in names]
    assert all("" not in fact.values() for fact in facts)


def test_the_parameters_of_every_metric_are_explained(accord: Accord) -> None:
    said = accord("metrics").out
    for metric in METRICS.values():
        assert all(f"{parameter.name}={parameter.default}" in said for parameter in metric.parameters)


def test_every_view_is_told_with_an_example_that_can_be_taken(accord: Accord) -> None:
    from alignment.entropic.recipes import RECIPES
    from alignment.entropic.views import KINDS, View

    readme = (Path(__file__).parents[2] / "README.md").read_text().replace("`", "")
    told = [accord("train --help").out.partition("How A sees it")[2], readme.partition("Each side's\nview is")[2]]
    for text in told:
        for kind in {*KINDS, *(view for recipe in RECIPES.values() for view in recipe.facts.views)} - {"identity"}:
            assert kind in text[:700], kind
        for example in ("rotation:45", "noise:0.5"):
            assert example in text[:700]
            assert View.parse(example).amount > 0


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from app.cli.main import run; assert run(['compare', '--help']) == 0;"
        "print(sorted({'torch', 'transformers', 'numpy', 'matplotlib', 'pyarrow'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert done.stderr == ""
