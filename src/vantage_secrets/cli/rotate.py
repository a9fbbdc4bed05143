"""``rotate``: replacing a credential through the step sequence."""

from __future__ import annotations

import contextlib
import time
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vantage_secrets.cli.output import print_json, say
from vantage_secrets.cli.session import JsonOption, NameArgument, session

if TYPE_CHECKING:
    from vantage_secrets.rotation.rotator import RotationReport
    from vantage_secrets.rotation.steps import Step
    from vantage_secrets.secret import SecretName, SecretVersion


def rotate(
    context: typer.Context,
    name: NameArgument,
    grace: Annotated[
        str | None,
        typer.Option(
            help="How long the old credential still works, as in 12h; 0s is an emergency.",
            show_default="the manifest's",
        ),
    ] = None,
    finish: Annotated[bool, typer.Option("--finish", help="Finish what is under way; begin nothing.")] = False,
    abandon: Annotated[bool, typer.Option("--abandon", help="Give up a rotation that is not promoted yet.")] = False,
    wait: Annotated[
        bool, typer.Option("--wait", help="Stay until the overlap is over and the old one is dead.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Replace a credential: old and new overlap, then the old dies.

    The steps: create, install, verify, promote, converge, revoke, verify-refused, retire. Old and new both
    work until the grace has passed. Run it again at any time: it goes on where it stopped.
    """
    from vantage_secrets.clock import parse_duration
    from vantage_secrets.errors import InvalidInputError

    if abandon and (finish or wait or grace is not None):
        raise InvalidInputError("--abandon stands alone.", hint="Leave out --finish, --wait and --grace.")
    chosen = None if grace is None else parse_duration(grace)
    with session(context, f"rotate {name}") as workspace:
        spec = workspace.manifest.find(name)
        if abandon:
            _print_abandoned(spec.name, workspace.rotator(spec).abandon(spec.name), as_json=as_json)
            return
        length = spec.grace if chosen is None else chosen
        on_step = _silent if as_json else _show
        if finish:
            report = workspace.finish(spec, grace=length, on_step=on_step)
        else:
            report = workspace.rotator(spec).rotate(spec.name, grace=length, on_step=on_step)
        while wait and report.waits_until is not None:
            _wait_until(report.waits_until, workspace.clock(), quiet=as_json)
            report = workspace.finish(spec, grace=length, on_step=on_step)
        _print_report(report, as_json=as_json)


def _show(step: Step, words: str) -> None:
    with contextlib.suppress(BrokenPipeError):  # a rotation goes on though nobody reads of it any more
        print(f"  {step:<15} {words}", flush=True)


def _silent(_step: Step, _words: str) -> None:
    """JSON comes at the end."""


def _wait_until(instant: datetime, now: datetime, *, quiet: bool) -> None:
    if not quiet:
        say(f"Both work until {instant:%Y-%m-%d %H:%M:%S} UTC; waiting.")
    time.sleep(max(0.05, min((instant - now) / timedelta(seconds=1), 60.0)))


def _print_abandoned(name: SecretName, given_up: SecretVersion | None, *, as_json: bool) -> None:
    if as_json:
        print_json({"name": str(name), "abandoned": given_up.id if given_up else None})
    else:
        print(f"Version {given_up.id} is refused and gone." if given_up else "Nothing was pending.")


def _print_report(report: RotationReport, *, as_json: bool) -> None:
    situation = report.situation
    if as_json:
        ids = {"pending": situation.pending, "current": situation.current, "previous": situation.previous}
        record: dict[str, Any] = {"name": str(report.name), "steps": [str(step) for step in report.steps]}
        record |= {stage: version.id if version else None for stage, version in ids.items()}
        record["waits_until"] = report.waits_until.isoformat() if report.waits_until else None
        print_json(record)
    elif report.waits_until is not None:
        print(f"Old and new both work until {report.waits_until:%Y-%m-%d %H:%M:%S} UTC.")
        say(f"Next, after that: vantage-secrets rotate {report.name} --finish")
    elif report.steps:
        version = situation.current.id if situation.current else "-"
        print(f"{report.name} is at rest: version {version} is the only one that works.")
    else:
        print("Nothing is under way.")
