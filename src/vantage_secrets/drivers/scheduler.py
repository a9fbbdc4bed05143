"""The scheduler in one process: a tick every minute, until it is told to stop."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from vantage_secrets.bootstrap import Workspace
from vantage_secrets.errors import DatabaseError, StoreError, VantageSecretsError
from vantage_secrets.manifest import SecretSpec
from vantage_secrets.rotation.notifications import Notifier, check_installed, notices_of
from vantage_secrets.rotation.pauses import Pauses
from vantage_secrets.rotation.rotator import RotationReport
from vantage_secrets.rotation.schedule import Plan, Standing
from vantage_secrets.rotation.sightings import Sightings
from vantage_secrets.rotation.tick import Done, Stopped, Ticker, TickReport

if TYPE_CHECKING:
    from vantage_secrets.rotation.rotator import StepListener
    from vantage_secrets.rotation.steps import Step

_FOR_A_PERSON = (Standing.MISSING, Standing.BY_HAND)


class Happening(NamedTuple):
    """One thing that happened, for a line of output.

    Attributes:
        at: When.
        key: The secret's environment variable; empty for what concerns all.
        what: One word: ``began``, ``went on``, ``failed``, ``paused``, ``needed`` or ``problem``.
        words: The rest of the line.
    """

    at: datetime
    key: str
    what: str
    words: str


def ticker_of(workspace: Workspace, *, on_step: Callable[[SecretSpec], StepListener] | None = None) -> Ticker:
    """Return what finds and does the work of a tick in this workspace.

    Args:
        workspace: Where.
        on_step: Returns what is told the steps of that secret.
    """

    def reconcile(spec: SecretSpec, *, begin: bool) -> RotationReport:
        return workspace.reconcile(spec, begin=begin, on_step=on_step(spec) if on_step else None)

    return Ticker(
        workspace.manifest,
        Sightings(workspace.database),
        Pauses(workspace.database),
        look=lambda names: workspace.store.describe_many(names),
        reconcile=reconcile,
        clock=workspace.clock,
    )


def tell_people(workspace: Workspace, report: TickReport) -> list[str]:
    """Tell those whom the manifest names what a tick did; return what went wrong with that, a sentence each."""
    places = workspace.manifest.notifications.secrets
    if not places:
        return []
    try:
        check_installed(workspace.manifest)
    except VantageSecretsError as error:
        return [f"{error.message} {error.hint}"]
    notifier = Notifier(
        workspace.database, places, lambda name: workspace.store.read(name).value, clock=workspace.clock
    )
    return notifier.tell(notices_of(workspace.manifest, report))


class Scheduler:
    """Does a tick again and again.

    Args:
        open_workspace: Opens the manifest's workspace: at the start, and again when the manifest has changed or a
            rotation has failed, so that nothing that was opened once and broke is used for ever.
        tell: Told each thing that happened.
    """

    def __init__(self, open_workspace: Callable[[], Workspace], *, tell: Callable[[Happening], object]) -> None:
        """Begin nothing yet."""
        self._open = open_workspace
        self._tell_one = tell
        self._stop = threading.Event()
        self._told: set[tuple[str, str]] = set()

    def stop(self) -> None:
        """Let the step that is under way finish, and then :meth:`run` return. Safe from a signal's handler."""
        self._stop.set()

    def run(self, *, every: timedelta, once: bool = False) -> bool:
        """Do one tick, or a tick every so often until :meth:`stop`.

        A store or a control database that fails ends no scheduler: it is told, and the next tick tries again.

        Args:
            every: From the end of one tick to the beginning of the next.
            once: Return after the first one.

        Returns:
            Whether the last tick did all that it found to do.

        Raises:
            ManifestError: The manifest has a mistake when it starts; later that is told, and the old one holds.
            MissingExtraError: The manifest names people to tell, and Apprise is not installed.
            VantageSecretsError: Only with ``once``: the tick could not be done.
        """
        workspace = self._open()
        try:
            check_installed(workspace.manifest)
            written = _written(workspace)
            while True:
                is_well = self._tick(workspace, is_last=once)
                if once or self._stop.wait(every.total_seconds()):
                    return is_well
                before, written = written, _written(workspace)  # before it is read: a later change is seen next time
                if not is_well or written != before:
                    workspace = self._opened_again(workspace)
        finally:
            workspace.close()

    def _opened_again(self, workspace: Workspace) -> Workspace:
        try:
            fresh = self._open()
        except VantageSecretsError as error:
            self._tell(workspace, "", "problem", f"The manifest as it was goes on: {error.message}")
            return workspace
        workspace.close()
        return fresh

    def _tick(self, workspace: Workspace, *, is_last: bool) -> bool:
        ticker = ticker_of(workspace, on_step=lambda _spec: self._after_step)
        try:
            report = ticker.tick(on_done=partial(self._tell_done, workspace), should_stop=self._stop.is_set)
        except (StoreError, DatabaseError) as error:
            if is_last:
                raise
            self._tell(workspace, "", "problem", error.message)
            return False
        if report.brake is not None:
            self._tell(workspace, "", "paused", f"{report.brake.reason}. Go on: vantage-secrets schedule resume")
        for plan in report.plans:
            self._tell_needed(workspace, plan, report.at)
        if not self._stop.is_set():
            for sentence in tell_people(workspace, report):
                self._tell(workspace, "", "problem", sentence)
        return not report.failed

    def _after_step(self, step: Step, _words: str) -> None:
        # What is promoted goes on until its target knows when the old one ends.
        if self._stop.is_set() and step != "promote":
            raise Stopped

    def _tell_done(self, workspace: Workspace, done: Done) -> None:
        key = done.work.spec.key
        if isinstance(done.error, Stopped):
            self._tell(workspace, key, "stopped", "after the step that was under way; the next run goes on from there")
        elif done.error is not None:
            self._tell(workspace, key, "failed", words_of(done.error))
        elif done.report is not None and done.report.steps:
            self._tell(workspace, key, "began" if "create" in done.report.steps else "went on", _progress(done.report))

    def _tell_needed(self, workspace: Workspace, plan: Plan, now: datetime) -> None:
        """Tell once what only a person can do."""
        is_due = plan.times is not None and now >= plan.times.due_at
        if plan.standing not in _FOR_A_PERSON or (plan.standing is Standing.BY_HAND and not is_due):
            return
        version_id = plan.sighting.version_id if plan.sighting else None
        if (plan.spec.key, version_id or "") not in self._told:
            self._told.add((plan.spec.key, version_id or ""))
            state = "due, and nothing here can change it at its target" if is_due else "missing"
            self._tell(workspace, plan.spec.key, "needed", f"{state}. Next: vantage-secrets set {plan.spec.key}")

    def _tell(self, workspace: Workspace, key: str, what: str, words: str) -> None:
        self._tell_one(Happening(workspace.clock(), key, what, words))


def words_of(error: Exception) -> str:
    """Return what may be said of an error in one line.

    SECURITY: the text of an error that is not ours may hold anything, so only its type is shown.
    """
    return error.message if isinstance(error, VantageSecretsError) else f"an unexpected {type(error).__name__}"


def _written(workspace: Workspace) -> int:
    """Return when the manifest was written, nanoseconds; 0 when it is gone, and then what was read of it holds."""
    try:
        return workspace.manifest.path.stat().st_mtime_ns
    except OSError:
        return 0


def _progress(report: RotationReport) -> str:
    steps = ", ".join(report.steps)
    if report.waits_until is None:
        return f"{steps}; at rest"
    reason = f"; {report.verdict.reason}" if report.verdict else ""
    return f"{steps}; both work until {report.waits_until:%Y-%m-%d %H:%M:%S} UTC at the latest{reason}"
