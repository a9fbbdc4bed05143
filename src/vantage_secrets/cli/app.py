"""The command line put together."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from vantage_secrets.cli import (
    audit,
    baseline,
    completion,
    copy,
    cronjob,
    demo,
    doctor,
    init,
    migrate,
    read,
    rotate,
    run,
    scan_command,
    schedule,
    store,
    who,
    worker,
    write,
)
from vantage_secrets.cli.session import GlobalOptions

app = typer.Typer(
    name="vantage-secrets",
    help="Keep credentials in a secrets manager, rotate them without downtime, and prove the old ones dead.",
    epilog="Exit codes: 0 done, 1 the answer is no, 2 usage, 3 failed, 4 absent, 5 denied, 6 conflict, "
    "7 unavailable, 8 integrity, 130 interrupted. 'run' ends with the program's own.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich" if sys.stdout.isatty() else None,  # plain text when piped, and a third of the time
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from vantage_secrets import __version__

        print(f"vantage-secrets {__version__}")
        raise typer.Exit


@app.callback()
def options(
    context: typer.Context,
    manifest: Annotated[
        Path | None,
        typer.Option(
            envvar="VANTAGE_SECRETS_MANIFEST",
            help="The manifest; by default the nearest vantage-secrets.toml here or in a folder above.",
            show_default=False,
        ),
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show where an error came from.")] = False,
    version: Annotated[  # noqa: ARG001 - acts by its callback
        bool, typer.Option("--version", help="Print the version and end.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    """Take the options that stand before the command."""
    given = context.ensure_object(GlobalOptions)
    given.manifest, given.debug = manifest, debug


START, LOOK, CHANGE, USE, MORE = "Start", "Look", "Change", "Use", "More"
DRIVE, LEAKS = "Rotate by themselves", "Find leaks"

app.command("init", rich_help_panel=START)(init.init)
app.add_typer(migrate.app, name="migrate", rich_help_panel=START)
app.command("demo", rich_help_panel=START)(demo.demo)
app.command("list", rich_help_panel=LOOK)(read.list_)
app.command("status", rich_help_panel=LOOK)(read.status)
app.command("describe", rich_help_panel=LOOK)(read.describe)
app.command("history", rich_help_panel=LOOK)(read.history)
app.command("who", rich_help_panel=LOOK)(who.who)
app.command("get", rich_help_panel=USE)(read.get)
app.command(
    "run", rich_help_panel=USE, context_settings={"allow_interspersed_args": False, "ignore_unknown_options": True}
)(run.run)
app.command("set", rich_help_panel=CHANGE)(write.set_)
app.command("rotate", rich_help_panel=CHANGE)(rotate.rotate)
app.command("copy", rich_help_panel=CHANGE)(copy.copy)
app.command("delete", rich_help_panel=CHANGE)(write.delete)
app.add_typer(schedule.app, name="schedule", rich_help_panel=DRIVE)
app.command("scheduler", rich_help_panel=DRIVE)(schedule.scheduler)
app.command("worker", rich_help_panel=DRIVE)(worker.worker)
app.command("cronjob", rich_help_panel=DRIVE)(cronjob.cronjob)
app.command(
    "scan",
    rich_help_panel=LEAKS,
    add_help_option=False,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "allow_interspersed_args": False},
)(scan_command.scan)
app.add_typer(baseline.app, name="baseline", rich_help_panel=LEAKS)
app.command("doctor", rich_help_panel=MORE)(doctor.doctor)
app.add_typer(audit.app, name="audit", rich_help_panel=MORE)
app.add_typer(store.app, name="store", rich_help_panel=MORE)
app.command("completion", rich_help_panel=MORE)(completion.completion)
