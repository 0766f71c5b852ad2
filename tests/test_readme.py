"""The README does what it says: its Python runs, its metric table is the table's, its files and commands exist.

python -m tests.test_readme        writes the metric table into the README
"""

import re
from pathlib import Path

from alignment.metrics import METRICS

README = Path(__file__).parents[1] / "README.md"
_TABLE = re.compile(r"(<!-- metrics: .*? -->\n)(.*?)(<!-- end -->)", re.DOTALL)


def table():
    """The metric table as Markdown."""
    rows = ["| metric | what it is | source |", "| --- | --- | --- |"]
    for metric in METRICS.values():
        what = metric.summary.replace("|", "\\|")
        rows.append(f"| `{metric.name}` | {what} | {metric.reference} |")
    return "\n".join(rows) + "\n"


def test_the_metric_table_is_the_tables():
    assert _TABLE.search(README.read_text()).group(2) == table()


def test_its_python_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert blocks
    for block in blocks:
        exec(compile(block, "README.md", "exec"), {})
    score = float(capsys.readouterr().out.split()[0])
    assert score > 0.3


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
    README.write_text(_TABLE.sub(lambda found: found[1] + table() + found[3], README.read_text()))
