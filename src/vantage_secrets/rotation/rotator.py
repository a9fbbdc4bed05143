"""Rotation: look at a secret's versions, do the next step, until it is at rest or has to wait.

Nothing is remembered between two runs. A run that was killed anywhere is repaired by running again, from
any machine; two runs at once do no harm, because the store lets exactly one of them promote.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import TypeVar

from vantage_secrets.audit.event import Action
from vantage_secrets.audited_store import Recorder
from vantage_secrets.clock import Clock, utc_now
from vantage_secrets.errors import (
    CredentialRefusedError,
    PendingVersionExistsError,
    RotationError,
    SecretNotFoundError,
    VersionConflictError,
    VersionRetiredError,
)
from vantage_secrets.receipts import Receipts
from vantage_secrets.rotation.convergence import Ending, Evidence, OverlapRules, Verdict, judge
from vantage_secrets.rotation.steps import Phase, Situation, Step, steps_of
from vantage_secrets.secret import SecretName, SecretReading, SecretValue, SecretVersion
from vantage_secrets.stores.contract import Store
from vantage_secrets.targets.contract import UNKNOWN_USE, Target

_T = TypeVar("_T")

StepListener = Callable[[Step, str], None]
"""Told each step when it is done, with a few words for a person."""

_ROUNDS_MAX = 8
"""More phases than that in one run mean that somebody else keeps changing the secret."""


@dataclass(frozen=True, slots=True)
class RotationReport:
    """How far a run came.

    Attributes:
        name: The secret.
        steps: The steps that this run took, in order.
        situation: Where the secret stands now.
        waits_until: When a run can go on at the latest: the end of the overlap, or the next look at one that is
            held; ``None`` when the secret is at rest.
        verdict: Why the overlap is open, or why it was ended; ``None`` when there was none.
    """

    name: SecretName
    steps: tuple[Step, ...]
    situation: Situation
    waits_until: datetime | None
    verdict: Verdict | None = None

    @property
    def look_again_at(self) -> datetime | None:
        """When a run may be able to go on: earlier than ``waits_until`` where evidence may come in."""
        if self.waits_until is None or self.verdict is None:
            return self.waits_until
        return self.verdict.look_again_at


class Rotator:
    """Rotates one secret of a store at its target.

    Args:
        store: Where the versions are.
        target: What the credentials open.
        recorder: Writes an event for each call to the target.
        receipts: Who holds which version; without them an overlap lasts for the whole of its grace.
        clock: The present.
    """

    def __init__(
        self,
        store: Store,
        target: Target,
        recorder: Recorder,
        *,
        receipts: Receipts | None = None,
        clock: Clock = utc_now,
    ) -> None:
        """Keep them."""
        self.store = store
        self.target = target
        self.recorder = recorder
        self.receipts = receipts
        self.clock = clock

    def situation(self, name: SecretName) -> Situation:
        """Return where the secret stands; all empty when the store does not have it."""
        try:
            return Situation.of(self.store.describe(name))
        except SecretNotFoundError:
            return Situation(None, None, None)

    def rotate(
        self,
        name: SecretName,
        *,
        overlap: OverlapRules,
        value: SecretValue | None = None,
        on_step: StepListener | None = None,
    ) -> RotationReport:
        """Finish the rotation that is under way, else begin a new one, as far as it goes now.

        A pending version that is found is brought in instead of a new one. An overlap that is found is ended
        when its time has come, and then a new rotation begins; before that, nothing begins.

        Args:
            name: The secret.
            overlap: How long the old credential goes on working after the promotion.
            value: The new credential, for one that a person brings; by default the target generates it.
            on_step: Told each step.

        Returns:
            How far it came. ``waits_until`` is set when the overlap is not over yet.

        Raises:
            PendingVersionExistsError: A value was given while another one is on its way.
            StoreError: The store failed; run again.
            TargetError: The target failed or refused; run again.
            RotationError: The target is set up so that it cannot be done.
        """
        before = self.situation(name)
        if value is not None and before.pending is not None:
            pending = self.store.read(name, version=before.pending.id)
            if pending.value != value:
                raise PendingVersionExistsError(f"A rotation of '{name}' is under way with another value.")
        run = _Run(self, name, overlap, on_step or _silent)
        return run.go(before, lambda current: value or self.target.generate(current))

    def reconcile(
        self, name: SecretName, *, overlap: OverlapRules, on_step: StepListener | None = None
    ) -> RotationReport:
        """Finish the rotation that is under way as far as it goes now; begin nothing.

        Args and errors are those of :meth:`rotate`.
        """
        return _Run(self, name, overlap, on_step or _silent).go(self.situation(name), None)

    def introduce(self, name: SecretName, value: SecretValue, *, overlap: OverlapRules) -> SecretVersion:
        """Make a value that a person brings current, through the same steps as any rotation.

        A first value that opens the door already is left as it is there.
        An overlap that this opens stays open as ``overlap`` says; the next run ends it. The same value left pending
        by a run that was killed goes on from there. A value that is current already is installed at the target,
        where that is missing, and no version is made.

        Raises:
            PendingVersionExistsError: A rotation is under way with another value.
            RotationError: The overlap of the last rotation is not over yet.
        """
        situation = self.situation(name)
        if situation.current is not None and situation.pending is None:
            current = self.store.read(name, version=situation.current.id)
            if current.value == value:
                self._install_again(current, situation.previous)
                return current.version
        report = self.rotate(name, overlap=overlap, value=value)
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
        situation = self.situation(name)
        if situation.pending is None:
            return None
        pending = self.store.read(name, version=situation.pending.id)
        current = None if situation.current is None else self.store.read(name, version=situation.current.id)
        self.at_target(Action.TARGET_REVOKE, pending, lambda: self.target.revoke(pending, keep=current))
        return self.store.retire(name, pending.version.id)

    def at_target(self, action: Action, reading: SecretReading, call: Callable[[], _T]) -> _T:
        """Return what ``call`` returns, on record."""
        version = reading.version
        return self.recorder.during(action, str(version.name), call, version_id=version.id)

    def _install_again(self, current: SecretReading, previous: SecretVersion | None) -> None:
        keep = None if previous is None else self.store.read(current.version.name, version=previous.id)
        self.at_target(Action.TARGET_INSTALL, current, lambda: self.target.install(current, keep=keep))


class _Overtaken(Exception):  # noqa: N818 - no error: another run was faster
    """A version that this run works on has gone on meanwhile: look at the store again."""


class _Run:
    """One run over one secret, phase by phase. Each step returns where the secret stands after it."""

    def __init__(self, rotator: Rotator, name: SecretName, overlap: OverlapRules, on_step: StepListener) -> None:
        self._rotator = rotator
        self._store = rotator.store
        self._target = rotator.target
        self._name = name
        self._overlap = overlap
        self._on_step = on_step
        self._steps: list[Step] = []
        self._read_already: dict[str, SecretReading] = {}
        self._verdict: Verdict | None = None
        self._generate: Callable[[SecretReading | None], SecretValue] | None = None

    def go(
        self, situation: Situation, generate: Callable[[SecretReading | None], SecretValue] | None
    ) -> RotationReport:
        """Take phase after phase until the secret is at rest or has to wait; begin one rotation with ``generate``."""
        self._generate = generate if situation.pending is None else None
        for _round in range(_ROUNDS_MAX):
            if situation.phase is Phase.BEGIN and self._generate is None:
                return self._report(situation)
            try:
                situation = self._take(situation)
            except _Overtaken:
                situation = self._rotator.situation(self._name)
                continue
            if self._waits(situation):
                return self._report(situation)
        raise RotationError(f"Somebody else keeps changing '{self._name}'.", hint="Run it again later.")

    def _take(self, situation: Situation) -> Situation:
        """Take the steps of the phase that the secret is in; an overlap that is not over is left as it is."""
        for step in steps_of(situation.phase):
            situation, words = _ACTIONS[step](self, situation)
            if self._waits(situation):
                return situation
            self._steps.append(step)
            self._on_step(step, words)
        return situation

    def _waits(self, situation: Situation) -> bool:
        return situation.previous is not None and self._verdict is not None and not self._verdict.is_over

    def _report(self, situation: Situation) -> RotationReport:
        waits_until = None
        if self._waits(situation) and self._verdict is not None:
            is_held = self._verdict.ending is Ending.HELD
            waits_until = self._verdict.look_again_at if is_held else self._verdict.ends_at
        return RotationReport(self._name, tuple(self._steps), situation, waits_until, self._verdict)

    def _create(self, situation: Situation) -> tuple[Situation, str]:
        if self._generate is None:
            raise _Overtaken
        value, self._generate = self._generate(self._read(situation.current)), None
        try:
            pending = self._store.stage(self._name, value, token=f"rotation-{secrets.token_hex(16)}")
        except PendingVersionExistsError:
            raise _Overtaken from None  # another run was first: go on with its value
        self._read_already[pending.id] = SecretReading(value, pending)
        return replace(situation, pending=pending), f"version {pending.id} is pending"

    def _install(self, situation: Situation) -> tuple[Situation, str]:
        pending, current = self._need(situation.pending), self._read(situation.current)
        if current is None and self._is_accepted(pending):
            return situation, "the target accepts it already"
        self._at_target(Action.TARGET_INSTALL, pending, lambda: self._target.install(pending, keep=current))
        return situation, "the target accepts " + ("both" if current else "it")

    def _is_accepted(self, reading: SecretReading) -> bool:
        """Whether a login with it works as it is: a value out of a ``.env`` file that is left alone at the target."""
        try:
            self._target.verify(reading)
        except CredentialRefusedError:
            return False
        return True

    def _verify(self, situation: Situation) -> tuple[Situation, str]:
        pending = self._need(situation.pending)
        self._at_target(Action.TARGET_VERIFY, pending, lambda: self._target.verify(pending))
        return situation, "a fresh login with it worked"

    def _promote(self, situation: Situation) -> tuple[Situation, str]:
        pending, current = self._need(situation.pending), self._read(situation.current)
        try:
            promoted = self._store.promote(
                self._name, pending.version.id, expect_current=None if current is None else current.version.id
            )
        except (VersionConflictError, VersionRetiredError):
            self._take_back(self._rotator.situation(self._name), pending, current)
            raise _Overtaken from None
        now = self._rotator.situation(self._name)
        self._take_back(now, pending, current)  # promoted already by a run that may have gone further
        return now, f"version {promoted.id} is current"

    def _converge(self, situation: Situation) -> tuple[Situation, str]:
        previous, current = self._need(situation.previous), situation.current
        if current is None:
            raise RotationError(f"'{self._name}' has a previous version and no current one.")
        now = self._rotator.clock()
        ends_at = self._limited(previous, current, (current.promoted_at or now) + self._overlap.grace, now)
        evidence = self._evidence(previous, now)
        self._verdict = judge(
            self._overlap, evidence, current=current, previous=previous.version, ends_at=ends_at, now=now
        )
        return situation, self._verdict.reason

    def _limited(self, previous: SecretReading, current: SecretVersion, ends_at: datetime, now: datetime) -> datetime:
        """Return when the overlap ends, after the target was told, so that it ends even if no run comes again."""
        if ends_at <= now or self._overlap.at_grace_end == "hold":
            return ends_at
        limit = partial(self._target.limit, previous, until=ends_at, keep=self._read(current))
        return self._at_target(Action.TARGET_LIMIT, previous, limit)

    def _evidence(self, previous: SecretReading, now: datetime) -> Evidence:
        if not self._overlap.grace:
            return Evidence((), (), UNKNOWN_USE)  # an emergency: it goes whatever anybody says
        last_use, receipts = self._target.last_used(previous), self._rotator.receipts
        if receipts is None:
            return Evidence((), (), last_use)
        return Evidence(receipts.holders(self._name, now=now), receipts.services(self._name), last_use)

    def _revoke(self, situation: Situation) -> tuple[Situation, str]:
        previous, current = self._need(situation.previous), self._read(situation.current)
        self._at_target(Action.TARGET_REVOKE, previous, lambda: self._target.revoke(previous, keep=current))
        return situation, f"version {previous.version.id} is revoked"

    def _verify_refused(self, situation: Situation) -> tuple[Situation, str]:
        previous = self._need(situation.previous)
        self._at_target(Action.TARGET_VERIFY_REFUSED, previous, lambda: self._target.verify_refused(previous))
        return situation, "a fresh login with it was refused"

    def _retire(self, situation: Situation) -> tuple[Situation, str]:
        self._store.retire(self._name, self._need(situation.previous).version.id)
        return replace(situation, previous=None), "the store has forgotten it"

    def _take_back(self, now: Situation, pending: SecretReading, current: SecretReading | None) -> None:
        """Undo what a late install may have done: no credential opens the door that the store does not know alive."""
        alive = {version.id for version in (now.pending, now.current, now.previous) if version is not None}
        for reading in (pending, current):
            if reading is not None and reading.version.id not in alive:
                keep = self._read(now.current)
                revoke = partial(self._target.revoke, reading, keep=keep)
                self._at_target(Action.TARGET_REVOKE, reading, revoke)

    def _need(self, version: SecretVersion | None) -> SecretReading:
        reading = self._read(version)
        if reading is None:
            raise _Overtaken
        return reading

    def _read(self, version: SecretVersion | None) -> SecretReading | None:
        if version is None:
            return None
        known = self._read_already.get(version.id)
        if known is None:
            try:
                known = self._store.read(self._name, version=version.id)
            except VersionRetiredError:
                raise _Overtaken from None
            self._read_already[version.id] = known
        return known

    def _at_target(self, action: Action, reading: SecretReading, call: Callable[[], _T]) -> _T:
        return self._rotator.at_target(action, reading, call)


_ACTIONS: dict[Step, Callable[[_Run, Situation], tuple[Situation, str]]] = {
    Step.CREATE: _Run._create,
    Step.INSTALL: _Run._install,
    Step.VERIFY: _Run._verify,
    Step.PROMOTE: _Run._promote,
    Step.CONVERGE: _Run._converge,
    Step.REVOKE: _Run._revoke,
    Step.VERIFY_REFUSED: _Run._verify_refused,
    Step.RETIRE: _Run._retire,
}


def _silent(_step: Step, _words: str) -> None:
    """Nobody listens."""
