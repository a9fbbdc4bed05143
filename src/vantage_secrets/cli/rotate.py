"""``rotate``: replacing credentials through the step sequence."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vantage_secrets.cli.output import print_json, say
from vantage_secrets.cli.session import JsonOption, complete_name, session

if TYPE_CHECKING:
    from vantage_secrets.bootstrap import Workspace
    from vantage_secrets.manifest import SecretSpec
    from vantage_secrets.rotation.rotator import RotationReport, StepListener
    from vantage_secrets.rotation.steps import Step
    from vantage_secrets.rotation.tick import Done, Work
    from vantage_secrets.secret import SecretName, SecretVersion

_LOOK_SECONDS_MIN, _LOOK_SECONDS_MAX = 0.05, 60.0


def rotate(
    context: typer.Context,
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME",
            help="The secret: its name (vantage/api-key) or its environment variable (VANTAGE_API_KEY).",
            autocompletion=complete_name,
            show_default=False,
        ),
    ] = None,
    due: Annotated[bool, typer.Option("--due", help="What the schedule says: one tick of it.")] = False,
    all_: Annotated[bool, typer.Option("--all", help="Every secret that has a target.")] = False,
    grace: Annotated[
        str | None,
        typer.Option(
            help="How long the old credential still works, as in 12h; 0s is an emergency.",
            show_default="the manifest's",
        ),
    ] = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Show each step with its time, and stay until the old one is dead.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would happen, and change nothing.")] = False,
    finish: Annotated[bool, typer.Option("--finish", help="Finish what is under way; begin nothing.")] = False,
    abandon: Annotated[bool, typer.Option("--abandon", help="Give up a rotation that is not promoted yet.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Replace a credential: old and new overlap, then the old dies.

    The steps: create, install, verify, promote, converge, revoke, verify-refused, retire. Old and new both
    work until every consumer has moved, at the most for the grace. Run it again at any time: it goes on
    where it stopped.
    """
    from vantage_secrets.clock import parse_duration

    given = {"NAME": name is not None, "--due": due, "--all": all_, "--grace": grace is not None, "--watch": watch}
    _refuse_what_does_not_go_together(given | {"--dry-run": dry_run, "--finish": finish, "--abandon": abandon})
    length = None if grace is None else parse_duration(grace)
    which = name or ("--due" if due else "--all")
    with session(context, f"rotate {which}" + (" --dry-run" if dry_run else "")) as workspace:
        if abandon:
            spec = workspace.manifest.find(which)
            _print_abandoned(spec.name, workspace.abandon(spec), as_json=as_json)
            return
        run = _Run(workspace, length, watch=watch, as_json=as_json)
        if dry_run:
            from vantage_secrets.cli.dry_run import print_forecast

            print_forecast(workspace, _work(workspace, name, due=due, finish=False), grace=length, as_json=as_json)
        elif name is not None:
            run.one(workspace.manifest.find(name), begin=not finish)
        elif due:
            run.due()
        else:
            run.several(_work(workspace, None, due=False, finish=finish))


def _refuse_what_does_not_go_together(given: Mapping[str, bool]) -> None:
    """Do nothing for a sensible choice of options.

    Raises:
        InvalidInputError: They contradict each other.
    """
    from vantage_secrets.errors import InvalidInputError

    chosen = {option for option, is_given in given.items() if is_given}
    if len(chosen & {"NAME", "--due", "--all"}) != 1:
        raise InvalidInputError("Name one secret, or --due, or --all.", hint="vantage-secrets status shows the names.")
    if "--abandon" in chosen and chosen != {"NAME", "--abandon"}:
        raise InvalidInputError("--abandon stands alone.", hint="Give it a NAME and nothing else.")
    if "--due" in chosen and chosen & {"--finish", "--grace"}:
        raise InvalidInputError("With --due the manifest says it all.", hint="Leave out --finish and --grace.")
    if "--dry-run" in chosen and chosen & {"--finish", "--watch"}:
        raise InvalidInputError(
            "--dry-run does nothing that could be finished or watched.", hint="Leave out the other."
        )


def _work(workspace: Workspace, name: str | None, *, due: bool, finish: bool) -> list[Work]:
    """Return what is to be done, for one secret, for what the schedule says, or for all that have a target."""
    from vantage_secrets.drivers.command import work_due, work_for_all
    from vantage_secrets.rotation.tick import Work

    if name is not None:
        return [Work(workspace.manifest.find(name), begin=not finish)]
    if due:
        return work_due(workspace)
    work, missing = work_for_all(workspace, begin=not finish)
    for spec in missing:
        say(f"{spec.key} is missing. Next: vantage-secrets set {spec.key}")
    return work


class _Run:
    """One call of the command: what it shows, and how it ends."""

    def __init__(self, workspace: Workspace, grace: timedelta | None, *, watch: bool, as_json: bool) -> None:
        self._workspace = workspace
        self._grace = grace
        self._watch = watch
        self._as_json = as_json
        self._reason = ""

    def one(self, spec: SecretSpec, *, begin: bool) -> None:
        """Rotate one secret; what goes wrong ends the command."""
        report = self._reconcile(spec, begin=begin)
        steps = [*report.steps]
        while self._watch and report.waits_until is not None:
            self._wait([report])
            report = self._reconcile(spec, begin=False)
            steps += report.steps
        if self._as_json:
            print_json(_record(report, steps))
        else:
            _print_end(report, steps)

    def several(self, work: Iterable[Work]) -> None:
        """Rotate one secret after the other."""
        from vantage_secrets.drivers.command import run_all

        def reconcile(spec: SecretSpec, *, begin: bool) -> RotationReport:
            self._head(spec)
            return self._reconcile(spec, begin=begin)

        most = self._workspace.manifest.schedule.failures
        self._end(run_all(work, reconcile, failures_max=most, on_done=self._tail))

    def due(self) -> None:
        """Do one tick of the schedule, and tell those whom the manifest names."""
        from vantage_secrets.drivers.scheduler import tell_people, ticker_of

        report = ticker_of(self._workspace, on_step=self._listener).tick(on_done=self._tail)
        for sentence in tell_people(self._workspace, report):
            say(sentence)
        if report.brake is not None:
            say(f"{report.brake.reason}. Nothing begins until: vantage-secrets schedule resume")
        self._end(report.done)

    def _reconcile(self, spec: SecretSpec, *, begin: bool) -> RotationReport:
        on_step = _silent if self._as_json else self._show
        return self._workspace.reconcile(spec, begin=begin, grace=self._grace, on_step=on_step)

    def _listener(self, spec: SecretSpec) -> StepListener:
        self._head(spec)
        return _silent if self._as_json else self._show

    def _show(self, step: Step, words: str) -> None:
        at = f"  {self._workspace.clock():%H:%M:%S}" if self._watch else ""
        with contextlib.suppress(BrokenPipeError):  # a rotation goes on though nobody reads of it any more
            print(f"{at}  {step:<15} {words}", flush=True)

    def _head(self, spec: SecretSpec) -> None:
        if not self._as_json:
            with contextlib.suppress(BrokenPipeError):
                print(spec.key, flush=True)

    def _tail(self, done: Done) -> None:
        from vantage_secrets.drivers.scheduler import words_of

        if done.error is not None:
            say(f"{done.work.spec.key} failed: {words_of(done.error)}")
        elif done.report is not None and not self._as_json and not (self._watch and _waits(done)):
            with contextlib.suppress(BrokenPipeError):
                _print_end(done.report, done.report.steps)

    def _end(self, done: Iterable[Done]) -> None:
        """Watch what is under way until it is at rest, print JSON, and end with 3 where not all could be done."""
        results = {one.work.spec.key: one for one in done}
        while self._watch and (waiting := [one for one in results.values() if _waits(one)]):
            self._wait([one.report for one in waiting if one.report is not None])
            for one in waiting:
                results[one.work.spec.key] = self._again(one)
        if self._as_json:
            print_json([_record_of(one) for one in results.values()])
        elif not results:
            print("Nothing is to be done.")
        if any(one.error is not None for one in results.values()):
            raise typer.Exit(3)

    def _again(self, one: Done) -> Done:
        """Go on with one that is under way, where it may go on."""
        from dataclasses import replace

        now = self._workspace.clock()
        if one.report is None or (one.report.look_again_at or now) > now:
            return one
        try:
            report = self._reconcile(one.work.spec, begin=False)
        except Exception as error:
            self._tail(one._replace(report=None, error=error))
            return one._replace(report=None, error=error)
        steps = one.report.steps + report.steps
        if report.waits_until is None and not self._as_json:
            _print_end(report, steps)
        return one._replace(report=replace(report, steps=steps))

    def _wait(self, reports: list[RotationReport]) -> None:
        """Wait until one of them may go on, and say why, when that has changed."""
        soonest = min(reports, key=lambda report: report.look_again_at or datetime.max)
        reason = soonest.verdict.reason if soonest.verdict else ""
        if not self._as_json and reason != self._reason and soonest.waits_until is not None:
            say(f"Both work until {soonest.waits_until:%Y-%m-%d %H:%M:%S} UTC at the latest; waiting: {reason}.")
        self._reason = reason
        now = self._workspace.clock()
        left = (soonest.look_again_at or now) - now
        time.sleep(max(_LOOK_SECONDS_MIN, min(left / timedelta(seconds=1), _LOOK_SECONDS_MAX)))


def _silent(_step: Step, _words: str) -> None:
    """JSON comes at the end."""


def _waits(one: Done) -> bool:
    return one.report is not None and one.report.waits_until is not None


def _print_abandoned(name: SecretName, given_up: SecretVersion | None, *, as_json: bool) -> None:
    if as_json:
        print_json({"name": str(name), "abandoned": given_up.id if given_up else None})
    else:
        print(f"Version {given_up.id} is refused and gone." if given_up else "Nothing was pending.")


def _record(report: RotationReport, steps: Iterable[str]) -> dict[str, Any]:
    situation = report.situation
    ids = {"pending": situation.pending, "current": situation.current, "previous": situation.previous}
    record: dict[str, Any] = {"name": str(report.name), "steps": [str(step) for step in steps]}
    record |= {stage: version.id if version else None for stage, version in ids.items()}
    record["waits_until"] = report.waits_until.isoformat() if report.waits_until else None
    record["overlap"] = str(report.verdict.ending) if report.verdict else None
    record["reason"] = report.verdict.reason if report.verdict else None
    return record


def _record_of(one: Done) -> dict[str, Any]:
    """Return what JSON says of one of several; ``error`` is empty where all went well."""
    from vantage_secrets.drivers.scheduler import words_of

    record = _record(one.report, one.report.steps) if one.report else {"name": str(one.work.spec.name), "steps": []}
    return record | {"error": words_of(one.error) if one.error else None}


def _print_end(report: RotationReport, steps: Iterable[str]) -> None:
    situation, taken = report.situation, list(steps)
    if report.waits_until is not None:
        is_held = report.verdict is not None and report.verdict.ending == "held"
        until = "everybody has moved" if is_held else f"{report.waits_until:%Y-%m-%d %H:%M:%S} UTC"
        print(f"Old and new both work until {until}.")
        if report.verdict is not None and report.verdict.reason:
            say(f"Sooner on evidence; now: {report.verdict.reason}.")
        say(f"Next, after that: vantage-secrets rotate {report.name} --finish")
    elif taken:
        version = situation.current.id if situation.current else "-"
        print(f"{report.name} is at rest: version {version} is the only one that works.")
    else:
        print("Nothing is under way.")
