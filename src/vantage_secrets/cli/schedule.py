"""``schedule`` and ``scheduler``: when rotations begin, what keeps them from it, and the process that begins them."""

from __future__ import annotations

import contextlib
import sys
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vantage_secrets.cli.output import is_terminal, print_json, print_json_line, print_rows, say
from vantage_secrets.cli.session import JsonOption, complete_name, prompt_for_passphrase, session

if TYPE_CHECKING:
    from vantage_secrets.bootstrap import Workspace
    from vantage_secrets.drivers.scheduler import Happening
    from vantage_secrets.rotation.schedule import Plan

app = typer.Typer(help="When each rotation begins; pause and resume.", no_args_is_help=False)

_AT_TERMINAL = {
    "key": "Secret",
    "standing": "Stands",
    "until": "Until (UTC)",
    "due_at": "Due",
    "reason": "Why",
}
_PIPED = dict.fromkeys(("key", "standing", "begins_at", "due_at", "last_at", "until", "failures", "reason"), "")

NameOrAll = Annotated[
    str | None,
    typer.Argument(metavar="[NAME]", help="The secret; all when left out.", autocompletion=complete_name),
]


@app.callback(invoke_without_command=True)
def schedule(context: typer.Context, as_json: JsonOption = False) -> None:
    """Show when each rotation begins, and why one waits."""
    if context.invoked_subcommand is not None:
        return
    from vantage_secrets.drivers.scheduler import ticker_of
    from vantage_secrets.rotation.pauses import ALL, Pauses

    with session(context, "schedule") as workspace:
        rows = [_row(plan) for plan in ticker_of(workspace).plans(look_at_all=True)]
        print_rows(_AT_TERMINAL if is_terminal() else _PIPED, rows, as_json=as_json)
        everything = Pauses(workspace.database).all().get(ALL)
        if everything is not None and not as_json:
            say(
                f"All is paused since {everything.since:%Y-%m-%d %H:%M} UTC by {everything.actor}: "
                f"{everything.reason}. Go on: vantage-secrets schedule resume"
            )


def _row(plan: Plan) -> dict[str, Any]:
    times, failure_count = plan.times, plan.sighting.failure_count if plan.sighting else 0
    failed = f"failed {failure_count} time{'s' if failure_count > 1 else ''}" if failure_count else ""
    return {
        "key": plan.spec.key,
        "name": str(plan.spec.name),
        "standing": plan.standing,
        "begins_at": times.begins_at if times else None,
        "due_at": times.due_at if times else None,
        "last_at": times.last_at if times else None,
        "until": plan.until,
        "failures": failure_count,
        "reason": "; ".join(filter(None, (plan.reason, failed))),
    }


@app.command()
def pause(
    context: typer.Context,
    name: NameOrAll = None,
    reason: Annotated[str, typer.Option("--reason", help="Why, for whoever finds it.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Let no rotation begin; one that is under way goes on to its end."""
    from vantage_secrets.audit.place import here
    from vantage_secrets.errors import InvalidInputError
    from vantage_secrets.rotation.pauses import Pauses

    if not reason.strip() or not reason.isprintable() or len(reason) > 200:
        raise InvalidInputError("A pause has a reason of 1 to 200 characters, one line.", hint='Add --reason "…".')
    with session(context, f"schedule pause {name or ''}".strip()) as workspace:
        subject = workspace.manifest.find(name).name if name else None
        found = Pauses(workspace.database).pause(subject, actor=here()[0], reason=reason, now=workspace.clock())
        if as_json:
            print_json({"paused": str(subject or "*"), "since": found.since.isoformat(), "reason": found.reason})
        else:
            print(f"{subject or 'All'} paused since {found.since:%Y-%m-%d %H:%M} UTC by {found.actor}: {found.reason}")


@app.command()
def resume(context: typer.Context, name: NameOrAll = None, as_json: JsonOption = False) -> None:
    """Let rotations begin again, and try at once what has failed."""
    with session(context, f"schedule resume {name or ''}".strip()) as workspace:
        was_paused = _resume(workspace, name)
        if as_json:
            print_json({"resumed": name or "*", "was_paused": was_paused})
        else:
            print("Rotations begin again." if was_paused else "It was not paused.")


def _resume(workspace: Workspace, name: str | None) -> bool:
    from vantage_secrets.rotation.pauses import Pauses
    from vantage_secrets.rotation.sightings import Sightings

    subject = workspace.manifest.find(name).name if name else None
    Sightings(workspace.database).forgive(subject)  # or else the brake would pause all again at the next tick
    return Pauses(workspace.database).resume(subject)


def scheduler(
    context: typer.Context,
    once: Annotated[bool, typer.Option("--once", help="Do one tick, and end.")] = False,
    every: Annotated[str, typer.Option(help="How often to look, as in 1m.")] = "1m",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")] = False,
) -> None:
    """Begin rotations when they are due, finish them, until stopped.

    One line for each thing that happens. SIGTERM lets the step that is under way finish; the next start goes on
    from there.
    """
    import signal
    from datetime import timedelta

    from vantage_secrets.clock import parse_duration
    from vantage_secrets.errors import InvalidInputError

    length = parse_duration(every)
    if not timedelta(seconds=1) <= length <= timedelta(days=1):
        raise InvalidInputError("--every is from 1s to 1d.")
    with session(context, "scheduler --once" if once else "scheduler") as workspace:
        from vantage_secrets.bootstrap import open_workspace
        from vantage_secrets.drivers.scheduler import Scheduler

        path = workspace.manifest.path
        prompt = cache(prompt_for_passphrase) if sys.stdin.isatty() else None  # it is asked for once
        driver = Scheduler(
            lambda: open_workspace(path, why="scheduler", prompt=prompt), tell=_tell_json if as_json else _tell
        )
        signal.signal(signal.SIGTERM, lambda _number, _frame: driver.stop())
        if not once and not as_json and sys.stdout.isatty():
            print(f"Looking every {every}. Ctrl-C ends it.")
        if not driver.run(every=length, once=once) and once:
            raise typer.Exit(3)


def _tell(happening: Happening) -> None:
    key = f" {happening.key}" if happening.key else ""
    with contextlib.suppress(BrokenPipeError):  # a rotation goes on though nobody reads of it any more
        print(f"{happening.at:%Y-%m-%dT%H:%M:%SZ}{key} {happening.what}: {happening.words}", flush=True)


def _tell_json(happening: Happening) -> None:
    with contextlib.suppress(BrokenPipeError):
        print_json_line(happening._asdict())
