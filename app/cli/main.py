"""main(): the one place where errors become a sentence on stderr and an exit status."""

from __future__ import annotations

import errno
import os
import sys
import warnings
from collections.abc import Sequence
from importlib import metadata
from typing import Annotated

import typer

from alignment.errors import RequestError, WorkError
from app.cli import balance, catalogue, demo, finetune, keys, measure, remote, schedules, serve, study, train

cli = typer.Typer(
    name="accord",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # markup would take the square brackets out of hf:ORG/NAME[@REVISION]
    context_settings={"help_option_names": ["-h", "--help"]},
)
for module in (measure, study, train, finetune, balance, catalogue, demo, serve, keys, remote, schedules):
    module.register(cli)


@cli.callback(
    invoke_without_command=True,
    epilog="Begin with `accord demo`, or with `accord models`, `accord probes` and `accord compare --help`. "
    "Exit status: 0; 2 for what cannot be done as asked; 1 for a failure while working; 130 for Ctrl-C.",
)
def accord(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    """Measure how alike two neural networks represent the world."""
    if version:
        typer.echo(f"accord {metadata.version('accord')}")
    elif context.invoked_subcommand is None:
        typer.echo(context.get_help(), err=True)
        raise typer.Exit(2)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs `accord` and exits: 0; 2 for what cannot be done as asked; 1 for a failure while working; 130 for Ctrl-C."""
    if not sys.warnoptions:
        warnings.simplefilter("ignore")  # libraries speak to their developers; `python -W` brings them back
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # a name may not fit the terminal
    sys.exit(run(sys.argv[1:] if arguments is None else list(arguments)))


def run(arguments: list[str]) -> int:
    """Returns the exit status of one command line, having said on stderr what went wrong."""
    try:
        status = typer.main.get_command(cli)(arguments, prog_name="accord", standalone_mode=False)
        sys.stdout.flush()  # here, where a full disk or a reader that has left can still be answered
    except RequestError as error:
        return _say(str(error), 2)
    except typer.TyperException as error:
        return _say(_usage(error), 2)
    except WorkError as error:
        return _say(str(error), 1)
    except remote.LeftError as error:
        return _say(str(error), 130)
    except (KeyboardInterrupt, typer.Abort):
        return _say("stopped", 130)
    except OSError as error:
        _let_go_of_stdout()
        if isinstance(error, BrokenPipeError):  # the reader of our output has left, as `head` does: it knows
            return 1
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            return _say(f"the disk is full ({error}); nothing was kept: free some space and run it again", 1)
        return _say(f"a file could not be read or written ({error}); check it, and run it again", 1)
    except MemoryError:
        return _say("there is not enough memory; take fewer samples or layers, or lower ACCORD_BUDGET_MIB", 1)
    if status == 130:  # typer's own answer to Ctrl-C
        return _say("stopped", 130)
    return status if isinstance(status, int) else 0


def _usage(error: typer.TyperException) -> str:
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "accord"
    return f"{error.format_message().rstrip('.')}; see `{command} --help`"


def _say(sentence: str, status: int) -> int:
    sys.stderr.write(f"accord: {' '.join(sentence.split())}\n")  # one line, whatever a library put into it
    return status


def _let_go_of_stdout() -> None:
    """Points stdout nowhere if it cannot be written to, so that the interpreter does not complain of it at exit."""
    try:
        sys.stdout.flush()
    except OSError:
        with open(os.devnull, "w") as nothing:  # noqa: PTH123 - not a place in a folder
            os.dup2(nothing.fileno(), sys.stdout.fileno())
