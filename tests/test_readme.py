"""The README does what it says: its Python runs, its metric table is the table's, its files and commands exist.

python -m tests.test_readme        writes the tables of metrics and of settings into the README
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from alignment.metrics import METRICS
from app.client.local import LocalService
from app.settings import Settings, variable

ADDRESS = "http://127.0.0.1:8321"
README = Path(__file__).parents[1] / "README.md"
_TABLE = re.compile(r"(<!-- metrics: .*? -->\n)(.*?)(<!-- end -->)", re.DOTALL)
_SETTINGS = re.compile(r"(<!-- settings: .*? -->\n)(.*?)(<!-- end -->)", re.DOTALL)


def table():
    """The metric table as Markdown."""
    rows = ["| metric | what it is | source |", "| --- | --- | --- |"]
    for metric in METRICS.values():
        what = metric.summary.replace("|", "\\|")
        rows.append(f"| `{metric.name}` | {what} | {metric.reference} |")
    return "\n".join(rows) + "\n"


def settings():
    """The table of settings as Markdown."""
    rows = ["| variable | default | what it is |", "| --- | --- | --- |"]
    for name, field in Settings.model_fields.items():
        made = {"data_dir": "the user's data folder", "cache_dir": "the user's cache folder"}
        value = field.default if field.default_factory is None else made.get(name, _made(field.default_factory()))
        shown = _made(value).replace("|", "\\|")
        rows.append(f"| `{variable(name)}` | {shown} | {field.description} |")
    return "\n".join(rows) + "\n"


def _made(value):
    if isinstance(value, list):
        return ",".join(map(str, value))
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def test_the_metric_table_is_the_tables():
    assert _TABLE.search(README.read_text()).group(2) == table()


def test_the_table_of_settings_is_the_settings():
    assert _SETTINGS.search(README.read_text()).group(2) == settings()


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README.read_text(), re.DOTALL)


def test_its_python_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (here,) = [block for block in blocks("python") if ADDRESS not in block]
    exec(compile(here, "README.md", "exec"), {})
    score = float(capsys.readouterr().out.split()[0])
    assert score > 0.3


@pytest.mark.weights
def test_its_requests_do_what_they_say_line_by_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shell, client = [next(b for b in blocks(language) if ADDRESS in b) for language in ("sh", "python")]
    with LocalService.start(tmp_path) as service:
        # Every answer that is an error ends the script, which as it stands in the README would go on.
        script = shell.replace(ADDRESS, service.url).replace("curl ", "curl --fail-with-body ")
        # No name is looked up where there is no network; the rest of the schedule is as it is.
        script = script.replace("https://example.org/hook", "https://93.184.215.14/hook")
        ran = subprocess.run(["bash", "-euo", "pipefail", "-c", script], capture_output=True, text=True, timeout=600)
        assert ran.returncode == 0, ran.stdout[-2000:] + ran.stderr
        assert ran.stdout.count("event: succeeded") == 2  # a comparison's, and a training's
        assert (tmp_path / "heatmap.png").read_bytes().startswith(b"\x89PNG")
        assert len([line for line in client.splitlines() if line]) <= 10

        made = [sys.executable, "-m", "app.cli", "keys", "create", "--team", "readers", "--role", "runner"]
        key = subprocess.run(made, env={**os.environ, "ACCORD_DATA_DIR": str(tmp_path)}, capture_output=True, text=True)
        command = [sys.executable, "-c", client.replace(ADDRESS, service.url)]
        with_key = {**os.environ, "ACCORD_KEY": key.stdout.strip()}
        ran = subprocess.run(command, env=with_key, capture_output=True, text=True, timeout=240)
        assert ran.returncode == 0, ran.stderr
    assert "<svg" in (tmp_path / "heatmap.svg").read_text()


def test_the_files_and_modules_it_names_exist():
    text, root = README.read_text(), README.parent
    for picture in re.findall(r"!\[.*?\]\((.*?)\)", text):
        assert (root / picture).is_file(), picture
    for module in re.findall(r"python -m (tests\.[\w.]+)", text):
        assert (root / (module.replace(".", "/") + ".py")).is_file(), module
    for target in re.findall(r"^make (\w+)", text, re.MULTILINE):
        assert re.search(rf"^{target}:", (root / "Makefile").read_text(), re.MULTILINE), target


def test_the_commands_it_shows_are_there():
    from typer.main import get_command

    from app.cli.main import cli

    known = get_command(cli).commands
    for command in re.findall(r"^accord (\w+)", README.read_text(), re.MULTILINE):
        assert command in known, command


if __name__ == "__main__":
    text = _TABLE.sub(lambda found: found[1] + table() + found[3], README.read_text())
    README.write_text(_SETTINGS.sub(lambda found: found[1] + settings() + found[3], text))
