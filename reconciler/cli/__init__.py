"""`orchest`: parse, call, print, exit code. The composition root of everything that runs on a person's machine.

Commands import what they need inside their function: `orchest --help` must answer in the blink of an eye.
"""

from __future__ import annotations

import os
import sys
from typing import NoReturn

import click

from reconciler.cli.above import Above
from reconciler.cli.completion import completion
from reconciler.cli.events import events
from reconciler.cli.exit_codes import ExitCode, exit_code_of
from reconciler.cli.history import history
from reconciler.cli.install import install
from reconciler.cli.options import NamedApi, api_options
from reconciler.cli.planning import apply, diff, plan, render
from reconciler.cli.snapshots import snapshot
from reconciler.cli.status import status
from reconciler.cli.webhook import webhook
from reconciler.cli.worker import worker


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@api_options
@click.pass_context
def orchest(context: click.Context, *, api: NamedApi | None) -> None:
    """Git says what an Orchest cluster should be; plan shows what will change and why; apply does exactly that.

    \b
    orchest plan  -f orchestcluster.yaml     what would change, and why
    orchest apply -f orchestcluster.yaml     change it
    orchest plan  --git . --revision main    the same from a Git revision
    """  # noqa: D301 - the backspace itself tells click to leave the lines as they are
    context.obj = api


for command in (render, plan, apply, diff, snapshot, history, status, install, webhook, events, worker, completion):
    orchest.add_command(command)

for above in (
    Above("api", "Run the HTTP API on this machine, until stopped."),
    Above("token", "Say who may call the API."),
):
    orchest.add_command(above)


def main() -> NoReturn:
    """The console script: every error a user can cause ends as one message and an exit code, never as a traceback."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """One command line, without the program's name: its exit code."""
    try:
        return int(orchest.main(arguments, prog_name="orchest", standalone_mode=False) or ExitCode.DONE)
    except click.UsageError as error:
        error.show()
        return ExitCode.USAGE
    except click.ClickException as error:
        error.show()
        return ExitCode.ERROR
    except (click.Abort, KeyboardInterrupt):
        click.echo("Interrupted.", err=True)
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        # The reader (`| head`) has seen enough. What Python still holds back for it must not fail once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.ERROR
    except Exception as error:
        if (code := exit_code_of(error)) is None:
            raise
        click.echo(f"Error: {error}", err=True)
        return code
