"""Rotation: look at a secret's versions, do the next step, until it is at rest or has to wait.

Nothing is remembered between two runs. A run that was killed anywhere is repaired by running again, from
any machine; two runs at once do no harm, because the store lets exactly one of them promote.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from vantage_secrets.audit.event import Action
from vantage_secrets.audited_store import Recorder
from vantage_secrets.clock import Clock, utc_now
from vantage_secrets.errors import PendingVersionExistsError, RotationError, SecretNotFoundError, VersionRetiredError
from vantage_secrets.rotation.steps import Situation, Step
from vantage_secrets.secret import SecretName, SecretReading, SecretValue, SecretVersion
from vantage_secrets.stores.contract import Store
from vantage_secrets.targets.contract import Target

_T = TypeVar("_T")

StepListener = Callable[[Step, str], None]
"""Told each step when it is done, with a few words for a person."""


@dataclass(frozen=True, slots=True)
class RotationReport:
    """How far a run came.

    Attributes:
        name: The secret.
        steps: The steps that this run took, in order.
        situation: Where the secret stands now.
        waits_until: When the overlap ends and the next run can go on; ``None`` when the secret is at rest.
    """

    name: SecretName
    steps: tuple[Step, ...]
    situation: Situation
    waits_until: datetime | None


class Rotator:
    """Rotates the secrets of one store at one target.

    Args:
        store: Where the versions are.
        target: What the credentials open.
        recorder: Writes an event for each call to the target.
        clock: The present.
    """

    def __init__(self, store: Store, target: Target, recorder: Recorder, *, clock: Clock = utc_now) -> None:
        """Keep them."""
        self._store = store
        self._target = target
        self._recorder = recorder
        self._clock = clock

    def situation(self, name: SecretName) -> Situation:
        """Return where the secret stands; all empty when the store does not have it."""
        try:
            return Situation.of(self._store.describe(name))
        except SecretNotFoundError:
            return Situation(None, None, None)

    def rotate(
        self,
        name: SecretName,
        *,
        grace: timedelta,
        value: SecretValue | None = None,
        on_step: StepListener | None = None,
    ) -> RotationReport:
        """Finish the rotation that is under way, else begin a new one, as far as it goes now.

        A pending version that is found is brought in instead of a new one. An overlap that is found is ended
        when its time has come, and then a new rotation begins; before that, nothing begins.

        Args:
            name: The secret.
            grace: How long the old credential still works after the promotion; 0 is an emergency.
            value: The new credential, for one that a person brings; by default the target generates it.
            on_step: Told each step.

        Returns:
            How far it came. ``waits_until`` is set when the overlap is not over yet.

        Raises:
            PendingVersionExistsError: A value was given while another one is on its way.
            StoreError: The store failed; run again.
            TargetError: The target failed or refused; run again.
        """
        before = self.situation(name)
        if value is not None and before.pending is not None:
            pending = self._store.read(name, version=before.pending.id)
            if pending.value != value:
                raise PendingVersionExistsError(f"A rotation of '{name}' is under way with another value.")
        return self._run(name, before, grace, lambda current: value or self._target.generate(current), on_step)

    def reconcile(self, name: SecretName, *, grace: timedelta, on_step: StepListener | None = None) -> RotationReport:
        """Finish the rotation that is under way as far as it goes now; begin nothing.

        Args and errors are those of :meth:`rotate`.
        """
        return self._run(name, self.situation(name), grace, None, on_step)

    def introduce(self, name: SecretName, value: SecretValue, *, grace: timedelta) -> SecretVersion:
        """Make a value that a person brings current, through the same steps as any rotation.

        An overlap that this opens stays open for ``grace``; the next run ends it. The same value left pending by a
        run that was killed goes on from there. A value that is current
        already is installed at the target, where that is missing, and no version is made.

        Raises:
            PendingVersionExistsError: A rotation is under way with another value.
            RotationError: The overlap of the last rotation is not over yet.
        """
        situation = self.situation(name)
        if situation.current is not None and situation.pending is None:
            current = self._store.read(name, version=situation.current.id)
            if current.value == value:
                self._target.install(current, keep=None)
                return current.version
        report = self.rotate(name, grace=grace, value=value)
        if report.situation.current is None or Step.PROMOTE not in report.steps:
            until = f" until {report.waits_until:%Y-%m-%d %H:%M} UTC" if report.waits_until else ""
            raise RotationError(
                f"'{name}' is in the overlap of its last rotation{until}; the new value was not taken.",
                hint=f"End it now: vantage-secrets rotate {name} --finish --grace 0s, then set the value again.",
            )
        return report.situation.current

    def abandon(self, name: SecretName) -> SecretVersion | None:
        """Give up a rotation before its promotion: the pending version is refused and gone. Safe to repeat.

        Returns:
            The version that was given up, or ``None`` when there was none.
        """
        pending = self.situation(name).pending
        if pending is None:
            return None
        reading = self._store.read(name, version=pending.id)
        self._recorder.during(
            Action.TARGET_REVOKE,
            str(name),
            lambda: self._target.revoke(reading, keep=self._read_current(name)),
            version_id=pending.id,
        )
        return self._store.retire(name, pending.id)

    def _read_current(self, name: SecretName) -> SecretReading | None:
        current = self.situation(name).current
        return None if current is None else self._store.read(name, version=current.id)

    def _run(
        self,
        name: SecretName,
        situation: Situation,
        grace: timedelta,
        create: Callable[[SecretReading | None], SecretValue] | None,
        on_step: StepListener | None,
    ) -> RotationReport:
        run = _Run(self._store, self._target, self._recorder, self._clock, name, grace, on_step or _silent)
        if situation.previous is not None:
            if not run.end_overlap(situation):
                return run.report(situation)
            situation = self.situation(name)
        if situation.pending is None and create is not None:
            run.create(situation, create)
            situation = self.situation(name)
        if situation.pending is not None:
            run.bring_in(situation)
            situation = self.situation(name)
            if situation.previous is not None and run.end_overlap(situation):
                situation = self.situation(name)
        return run.report(situation)


class _Run:
    """The steps of one run over one secret."""

    def __init__(
        self,
        store: Store,
        target: Target,
        recorder: Recorder,
        clock: Clock,
        name: SecretName,
        grace: timedelta,
        on_step: StepListener,
    ) -> None:
        self._store = store
        self._target = target
        self._recorder = recorder
        self._clock = clock
        self._name = name
        self._grace = grace
        self._on_step = on_step
        self.steps: list[Step] = []
        self._waits_until: datetime | None = None

    def report(self, situation: Situation) -> RotationReport:
        return RotationReport(self._name, tuple(self.steps), situation, self._waits_until)

    def create(self, situation: Situation, generate: Callable[[SecretReading | None], SecretValue]) -> None:
        current = self._read(situation.current)
        try:
            pending = self._store.stage(self._name, generate(current), token=f"rotation-{secrets.token_hex(16)}")
        except PendingVersionExistsError:
            return  # another run was first: go on with its value
        self._done(Step.CREATE, f"version {pending.id} is pending")

    def bring_in(self, situation: Situation) -> None:
        pending, current = self._read(situation.pending), self._read(situation.current)
        if pending is None:
            return
        self._at_target(Action.TARGET_INSTALL, pending, lambda: self._target.install(pending, keep=current))
        self._done(Step.INSTALL, "the target accepts " + ("both" if current else "it"))
        self._at_target(Action.TARGET_VERIFY, pending, lambda: self._target.verify(pending))
        self._done(Step.VERIFY, "a fresh login with it worked")
        self._store.promote(
            self._name, pending.version.id, expect_current=None if current is None else current.version.id
        )
        self._done(Step.PROMOTE, f"version {pending.version.id} is current")

    def end_overlap(self, situation: Situation) -> bool:
        """Return whether the overlap is over; if not, ``waits_until`` says when it will be."""
        previous = self._read(situation.previous)
        if previous is None:
            return True
        until = situation.overlap_ends_at(self._grace) or self._clock()
        ends_at = self._at_target(Action.TARGET_LIMIT, previous, lambda: self._target.limit(previous, until=until))
        if self._clock() < ends_at:
            self._waits_until = ends_at
            return False
        self._done(Step.CONVERGE, "the overlap is over")
        current = self._read(situation.current)
        self._at_target(Action.TARGET_REVOKE, previous, lambda: self._target.revoke(previous, keep=current))
        self._done(Step.REVOKE, f"version {previous.version.id} is revoked")
        self._at_target(Action.TARGET_VERIFY_REFUSED, previous, lambda: self._target.verify_refused(previous))
        self._done(Step.VERIFY_REFUSED, "a fresh login with it was refused")
        self._store.retire(self._name, previous.version.id)
        self._done(Step.RETIRE, "the store has forgotten it")
        return True

    def _read(self, version: SecretVersion | None) -> SecretReading | None:
        if version is None:
            return None
        try:
            return self._store.read(self._name, version=version.id)
        except VersionRetiredError:
            return None  # another run has retired it meanwhile

    def _at_target(self, action: Action, reading: SecretReading, call: Callable[[], _T]) -> _T:
        return self._recorder.during(action, str(self._name), call, version_id=reading.version.id)

    def _done(self, step: Step, words: str) -> None:
        self.steps.append(step)
        self._on_step(step, words)


def _silent(_step: Step, _words: str) -> None:
    """Nobody listens."""
