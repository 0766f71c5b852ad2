"""main(): the one place where errors become a sentence on stderr and an exit status."""

from __future__ import annotations

import errno
import sys
from collections.abc import Sequence

import click
import typer

from alignment.errors import RequestError, WorkError
from app.cli import catalogue, demo, measure

cli = typer.Typer(
    name="accord",
    help="Measures how alike two models represent the world.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for module in (measure, catalogue, demo):
    module.register(cli)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs `accord` and exits: 0; 2 for what cannot be done as asked; 1 for a failure while working; 130 for Ctrl-C."""
    sys.exit(run(sys.argv[1:] if arguments is None else list(arguments)))


def run(arguments: list[str]) -> int:
    """Returns the exit status of one command line."""
    try:
        status = typer.main.get_command(cli)(arguments, prog_name="accord", standalone_mode=False)
    except RequestError as error:
        return _say(str(error), 2)
    except click.exceptions.NoArgsIsHelpError as error:
        sys.stdout.write(error.ctx.get_help() + "\n" if error.ctx else "")
        return 2
    except click.UsageError as error:
        return _say(error.format_message(), 2)
    except WorkError as error:
        return _say(str(error), 1)
    except (KeyboardInterrupt, click.Abort):
        return _say("stopped", 130)
    except BrokenPipeError:  # the reader of our output has left, as `head` does
        sys.stderr.close()
        return 0
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            return _say(f"the disk is full ({error}); nothing was kept: free some space and run it again", 1)
        raise
    return status if isinstance(status, int) else 0


def _say(sentence: str, status: int) -> int:
    sys.stderr.write(f"accord: {sentence}\n")
    return status
