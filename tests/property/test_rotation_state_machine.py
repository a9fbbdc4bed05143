"""Store, target and consumers, with a kill between any two calls, outages, lies and jumps of the clock."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.canary import canary
from tests.model_target import ModelConsumer, ModelReceipts, ModelTarget, key_of
from tests.rotation_bench import DyingAfter, EventList, Killed
from vantage_secrets.audited_store import Recorder
from vantage_secrets.errors import (
    CredentialAcceptedError,
    CredentialRefusedError,
    PendingVersionExistsError,
    RotationError,
    SecretNotFoundError,
    StoreUnavailableError,
    TargetUnavailableError,
)
from vantage_secrets.rotation.convergence import OverlapRules
from vantage_secrets.rotation.rotator import RotationReport, Rotator
from vantage_secrets.rotation.steps import TABLE, Situation, Step
from vantage_secrets.secret import SecretName, SecretReading, SecretValue, SecretVersion, Stage
from vantage_secrets.targets.contract import Overlap
from vantage_secrets.testing import FakeClock, MemoryStore

NAME = SecretName("vantage/kafka-sasl-password")
GRACE = timedelta(hours=24)
QUIET = timedelta(minutes=10)
SERVICES = ("collector", "worker")
EXPECTED = (
    CredentialAcceptedError,
    CredentialRefusedError,
    Killed,
    PendingVersionExistsError,
    RotationError,
    StoreUnavailableError,
    TargetUnavailableError,
)
"""How a run may end in this world; anything else is a fault of ours."""

ERRORS = (Killed, lambda: StoreUnavailableError("away"), lambda: TargetUnavailableError("away"))
"""What happens in the middle of a run: the process is killed, or the store or the target goes away (and is back)."""

Kill = tuple[int, bool, Callable[[], BaseException]]
kills = st.one_of(st.none(), st.tuples(st.integers(1, 24), st.booleans(), st.sampled_from(ERRORS)))
lengths = st.sampled_from(
    [timedelta(seconds=1), QUIET, timedelta(hours=1), GRACE, timedelta(days=90), -QUIET, -timedelta(days=30)]
)
consumers = st.sampled_from(SERVICES)


class RotationMachine(RuleBasedStateMachine):
    """A world in which consumers leave receipts whenever they read."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeClock()
        self.store = MemoryStore(clock=self.clock)
        self.recorder = Recorder(EventList(), actor="test@here", clock=self.clock)
        self.consumers = {service: ModelConsumer(service) for service in SERVICES}
        self.receipts = ModelReceipts(list(self.consumers.values()))
        self.values: dict[str, SecretValue] = {}
        self.expired: set[str] = set()
        self.has_lied = False

    @initialize(
        overlap=st.sampled_from([Overlap.TWO_CREDENTIALS, Overlap.ALTERNATING_USERS]),
        policy=st.sampled_from(["force", "hold"]),
        imported=st.booleans(),
    )
    def begin(self, overlap: Overlap, policy: Any, imported: bool) -> None:
        self.target = ModelTarget(overlap, self.clock)
        self.rules = OverlapRules(GRACE, quiet=QUIET, at_grace_end=policy, consumers=SERVICES)
        value = SecretValue(canary()) if imported else None  # a plain password, or one of the target's own form
        self.rotator().rotate(NAME, overlap=self.rules, value=value)
        for service in SERVICES:
            self.read(service)

    # What happens in the world

    @rule(kill=kills)
    def rotate(self, kill: Kill | None) -> None:
        self.run(lambda rotator, told: rotator.rotate(NAME, overlap=self.rules, on_step=told), kill)

    @rule(kill=kills)
    def reconcile(self, kill: Kill | None) -> None:
        self.run(lambda rotator, told: rotator.reconcile(NAME, overlap=self.rules, on_step=told), kill)

    @rule(kill=kills)
    def end_it_at_once(self, kill: Kill | None) -> None:
        at_once = self.rules._replace(grace=timedelta(0))
        now = self.situation()
        superseded = (now.previous, now.current if now.pending is not None else None)
        self.expired |= {version.id for version in superseded if version is not None}
        self.run(lambda rotator, told: rotator.reconcile(NAME, overlap=at_once, on_step=told), kill)

    @rule(kill=kills)
    def abandon(self, kill: Kill | None) -> None:
        self.run(lambda rotator, _told: rotator.abandon(NAME), kill)

    @rule(service=consumers)
    def read(self, service: str) -> None:
        consumer = self.consumers[service]
        try:
            reading = self.store.read(NAME)
        except (SecretNotFoundError, StoreUnavailableError):
            return
        assert reading.version.promoted_at is not None, "a reader saw a version that was never promoted"
        if consumer.reading is None or consumer.reading.version.id != reading.version.id:
            consumer.since = self.clock()
        consumer.reading, consumer.has_vanished = reading, False

    @rule(service=consumers)
    def use(self, service: str) -> None:
        held = self.consumers[service].reading
        if held is not None:
            assert self.target.opens(held.value) or self.may_be_refused(held), "a consumer was refused"

    @rule(service=consumers)
    def vanish(self, service: str) -> None:
        self.consumers[service].has_vanished = True

    @rule(length=lengths)
    def time_passes(self, length: timedelta) -> None:
        if length < timedelta(0) and self.has_lied:
            return  # a target that forgot to revoke, and whose own end of the old one comes undone: two faults at once
        self.clock.advance(length)
        ends_at = self.situation().overlap_ends_at(GRACE)
        if self.rules.at_grace_end == "force" and ends_at is not None and ends_at <= self.clock():
            self.expired.add(self.previous().id)

    @rule(away=st.booleans())
    def target_comes_and_goes(self, away: bool) -> None:
        self.target.away = away

    @rule(away=st.booleans())
    def store_comes_and_goes(self, away: bool) -> None:
        self.store.away = away

    @rule(is_lying=st.booleans())
    def target_lies(self, is_lying: bool) -> None:
        self.target.is_lying = is_lying
        self.has_lied = self.has_lied or is_lying

    # What must always be so

    @invariant()
    def at_most_one_version_stands_at_each_stage(self) -> None:
        stages = [version.stage for version in self.versions() if version.stage is not Stage.RETIRED]
        assert len(stages) == len(set(stages))

    @invariant()
    def what_readers_get_opens_the_door(self) -> None:
        current = self.situation().current
        if current is not None and hasattr(self, "target"):
            assert key_of(self.value(current)) in self.target.accepted, "the current version opens nothing"

    @invariant()
    def nothing_that_the_store_does_not_know_alive_opens_the_door(self) -> None:
        if not hasattr(self, "target") or self.target.is_lying:
            return
        alive = self.situation()
        known = {key_of(self.value(v)) for v in (alive.pending, alive.current, alive.previous) if v is not None}
        assert self.target.accepted <= known, "an orphan opens the door"

    @precondition(lambda self: not (self.store.away or self.target.away or self.target.is_lying))
    @rule()
    def it_comes_to_rest(self) -> None:
        """Whatever happened: with everything in order, and time, one credential is left and the old one is dead."""
        report = self.rotator().reconcile(NAME, overlap=self.rules)
        if report.waits_until is not None:
            for service in SERVICES:
                self.read(service)
            self.clock.advance(QUIET)
            report = self.rotator().reconcile(NAME, overlap=self.rules)
        if report.situation.pending is None and report.waits_until is None:
            assert report.situation.is_at_rest
            assert self.target.accepted == {key_of(self.value(self.situation().current))}

    # Helpers of this machine

    def rotator(self, death: DyingAfter | None = None) -> Rotator:
        store, target = (death.wrap(self.store), death.wrap(self.target)) if death else (self.store, self.target)
        return Rotator(store, target, self.recorder, receipts=self.receipts, clock=self.clock)  # type: ignore[arg-type]

    def run(self, work: Callable[[Rotator, Any], object], kill: Kill | None) -> None:
        death = DyingAfter(*kill) if kill else DyingAfter()
        try:
            done = work(self.rotator(death), self.check_promise)
        except EXPECTED:
            return
        if isinstance(done, RotationReport):
            assert done.situation == self.situation(), "what a run reports is what the store says"

    def check_promise(self, step: Step, _words: str) -> None:
        """After each step, what the table says of it is true."""
        if not self.target.is_lying:
            assert PROMISES[step](self), next(row.promise for row in TABLE if row.step is step)

    def may_be_refused(self, held: SecretReading) -> bool:
        return held.version.id in self.expired or self.target.is_lying

    def versions(self) -> tuple[SecretVersion, ...]:
        was_away, self.store.away = self.store.away, False
        try:
            return self.store.describe(NAME)
        except SecretNotFoundError:
            return ()
        finally:
            self.store.away = was_away

    def situation(self) -> Situation:
        return Situation.of(self.versions())

    def previous(self) -> SecretVersion:
        previous = self.situation().previous
        assert previous is not None
        return previous

    def value(self, version: SecretVersion | None) -> SecretValue:
        assert version is not None
        if version.id not in self.values:
            was_away, self.store.away = self.store.away, False
            self.values[version.id] = self.store.read(NAME, version=version.id).value
            self.store.away = was_away
        return self.values[version.id]

    def accepts(self, version: SecretVersion | None) -> bool:
        return version is None or key_of(self.value(version)) in self.target.accepted


PROMISES: dict[Step, Callable[[RotationMachine], bool]] = {
    Step.CREATE: lambda world: world.situation().pending is not None,
    Step.INSTALL: lambda w: w.accepts(w.situation().pending) and w.accepts(w.situation().current),
    Step.VERIFY: lambda world: world.accepts(world.situation().pending),
    Step.PROMOTE: lambda world: world.situation().pending is None,
    Step.CONVERGE: lambda world: world.situation().previous is not None,
    Step.REVOKE: lambda world: not world.accepts(world.previous()),
    Step.VERIFY_REFUSED: lambda world: not world.accepts(world.previous()),
    Step.RETIRE: lambda world: world.situation().previous is None,
}


def test_every_step_of_the_table_has_its_promise_checked() -> None:
    assert list(PROMISES) == [row.step for row in TABLE]


TestRotationMachine = RotationMachine.TestCase
TestRotationMachine.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
