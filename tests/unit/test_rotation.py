from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from tests.canary import canary
from tests.rotation_bench import GRACE, NAME, DyingAfter, Killed, RotationBench
from vantage_secrets.audit.event import Action, Outcome
from vantage_secrets.errors import (
    CredentialAcceptedError,
    CredentialRefusedError,
    PendingVersionExistsError,
    RotationError,
    TargetUnavailableError,
    VersionNotFoundError,
    VersionRetiredError,
)
from vantage_secrets.rotation.convergence import OverlapRules
from vantage_secrets.rotation.introduction import finish_without_target, introduce_without_target
from vantage_secrets.rotation.rotator import RotationReport
from vantage_secrets.rotation.steps import SEQUENCE, Age, Situation, Step
from vantage_secrets.secret import SecretReading, SecretValue, Stage


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[RotationBench]:
    bench = RotationBench(tmp_path)
    yield bench
    bench.close()


def test_a_first_rotation_creates_installs_verifies_and_promotes(bench: RotationBench) -> None:
    report = bench.rotator().rotate(NAME, overlap=OverlapRules(GRACE))
    assert report.steps == (Step.CREATE, Step.INSTALL, Step.VERIFY, Step.PROMOTE)
    assert report.situation.is_at_rest
    assert bench.opens(bench.current())


def test_old_and_new_both_open_the_door_during_the_overlap(bench: RotationBench) -> None:
    bench.rotator().rotate(NAME, overlap=OverlapRules(GRACE))
    old = bench.current()
    report = bench.rotator().rotate(NAME, overlap=OverlapRules(GRACE))
    assert report.waits_until == bench.clock() + GRACE
    assert bench.current() != old
    assert bench.opens(old)
    assert bench.opens(bench.current())


def test_after_the_grace_the_old_key_is_refused_and_forgotten(bench: RotationBench) -> None:
    bench.rotator().rotate(NAME, overlap=OverlapRules(GRACE))
    old = bench.store.read(NAME)
    bench.rotator().rotate(NAME, overlap=OverlapRules(GRACE))
    bench.clock.advance(GRACE)
    report = bench.rotator().reconcile(NAME, overlap=OverlapRules(GRACE))
    assert report.steps == (Step.CONVERGE, Step.REVOKE, Step.VERIFY_REFUSED, Step.RETIRE)
    assert report.situation.is_at_rest
    assert not bench.opens(old.value)
    with pytest.raises(VersionRetiredError):
        bench.store.read(NAME, version=old.version.id)


def test_the_overlap_ends_at_the_target_even_if_nobody_comes_back(bench: RotationBench) -> None:
    bench.rotator().rotate(NAME, overlap=OverlapRules(GRACE))
    old = bench.current()
    bench.rotator().rotate(NAME, overlap=OverlapRules(GRACE))
    bench.clock.advance(GRACE)
    assert not bench.opens(old)


def test_a_later_run_with_a_longer_grace_does_not_lengthen_the_overlap(bench: RotationBench) -> None:
    bench.rotator().rotate(NAME, overlap=OverlapRules(GRACE))
    first = bench.rotator().rotate(NAME, overlap=OverlapRules(timedelta(minutes=1)))
    later = bench.rotator().reconcile(NAME, overlap=OverlapRules(timedelta(days=30)))
    assert later.waits_until == first.waits_until


def test_an_emergency_leaves_only_the_new_key_alive(bench: RotationBench) -> None:
    bench.rotator().rotate(NAME, overlap=OverlapRules(GRACE))
    old = bench.current()
    report = bench.rotator().rotate(NAME, overlap=OverlapRules(timedelta(0)))
    assert report.steps == SEQUENCE
    assert not bench.opens(old)
    assert bench.opens(bench.current())


def test_an_emergency_during_an_overlap_ends_it_first(bench: RotationBench) -> None:
    bench.rotator().rotate(NAME, overlap=OverlapRules(GRACE))
    oldest = bench.current()
    bench.rotator().rotate(NAME, overlap=OverlapRules(GRACE))
    middle = bench.current()
    report = bench.rotator().rotate(NAME, overlap=OverlapRules(timedelta(0)))
    assert report.situation.is_at_rest
    assert [bench.opens(value) for value in (oldest, middle, bench.current())] == [False, False, True]


def test_rotating_again_during_the_overlap_begins_nothing(bench: RotationBench) -> None:
    bench.rotator().rotate(NAME, overlap=OverlapRules(GRACE))
    bench.rotator().rotate(NAME, overlap=OverlapRules(GRACE))
    before = bench.store.describe(NAME)
    report = bench.rotator().rotate(NAME, overlap=OverlapRules(GRACE))
    assert report.steps == ()
    assert report.waits_until is not None
    assert bench.store.describe(NAME) == before


def test_reconcile_at_rest_does_nothing(bench: RotationBench) -> None:
    bench.rotator().rotate(NAME, overlap=OverlapRules(GRACE))
    calls = DyingAfter()
    report = bench.rotator(calls).reconcile(NAME, overlap=OverlapRules(GRACE))
    assert report.steps == ()
    assert set(calls.calls) == {"describe"}


def test_a_rotation_after_a_forgotten_overlap_ends_it_and_begins_anew(bench: RotationBench) -> None:
    bench.rotator().rotate(NAME, overlap=OverlapRules(GRACE))
    bench.rotator().rotate(NAME, overlap=OverlapRules(GRACE))
    bench.clock.advance(timedelta(days=90))
    report = bench.rotator().rotate(NAME, overlap=OverlapRules(GRACE))
    assert report.steps[:4] == (Step.CONVERGE, Step.REVOKE, Step.VERIFY_REFUSED, Step.RETIRE)
    assert report.steps[4:] == (Step.CREATE, Step.INSTALL, Step.VERIFY, Step.PROMOTE)


def _calls_of_a_rotation(tmp_path: Path) -> int:
    bench = RotationBench(tmp_path)
    bench.rotator().rotate(NAME, overlap=OverlapRules(GRACE))
    counted = DyingAfter()
    bench.rotator(counted).rotate(NAME, overlap=OverlapRules(timedelta(0)))
    bench.close()
    return len(counted.calls)


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_a_run_killed_at_any_call_is_repaired_by_running_again(tmp_path: Path, before: bool) -> None:
    (tmp_path / "count").mkdir()
    calls = _calls_of_a_rotation(tmp_path / "count")
    assert calls >= len(SEQUENCE)
    for number in range(1, calls + 1):
        folder = tmp_path / str(number)
        folder.mkdir()
        bench = RotationBench(folder)
        bench.rotator().rotate(NAME, overlap=OverlapRules(GRACE))
        first = bench.current()
        with pytest.raises(Killed):
            bench.rotator(DyingAfter(number, before)).rotate(NAME, overlap=OverlapRules(timedelta(0)))
        assert bench.opens(bench.current()), f"call {number}: readers hold a key that opens nothing"
        report = bench.rotator().reconcile(NAME, overlap=OverlapRules(timedelta(0)))
        assert report.situation.is_at_rest, f"call {number}"
        assert bench.opens(bench.current())
        accepted = bench.target.probe().accepted_count
        assert accepted == 1, f"call {number}: {accepted} keys are accepted"
        assert bench.opens(first) == (bench.current() == first)
        bench.close()


def test_two_rotators_at_once_promote_once_and_leave_one_key(bench: RotationBench) -> None:
    bench.rotator().rotate(NAME, overlap=OverlapRules(GRACE))
    start = threading.Barrier(2)
    ends: list[object] = []

    def rotate() -> None:
        start.wait()
        try:
            ends.append(bench.rotator().rotate(NAME, overlap=OverlapRules(GRACE)))
        except PendingVersionExistsError as error:  # pragma: no cover - a race decides
            ends.append(error)

    threads = [threading.Thread(target=rotate) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ends) == 2
    situation = bench.rotator().situation(NAME)
    assert situation.pending is None
    assert len(bench.store.describe(NAME)) == 2, "a second rotation began inside the first"
    assert bench.opens(bench.current())


class _RefusingTarget:
    def __init__(self, target: object, verb: str, error: Exception) -> None:
        self._target, self._verb, self._error = target, verb, error

    def __getattr__(self, name: str) -> object:
        if name == self._verb:
            return self._refuse
        return getattr(self._target, name)

    def _refuse(self, *_args: object, **_named: object) -> None:
        raise self._error


@pytest.mark.parametrize(
    ("verb", "error"),
    [("install", TargetUnavailableError("away")), ("verify", CredentialRefusedError("no"))],
)
def test_a_target_that_is_away_or_refuses_leaves_readers_with_the_old_key(
    bench: RotationBench, verb: str, error: Exception
) -> None:
    bench.rotator().rotate(NAME, overlap=OverlapRules(GRACE))
    old = bench.current()
    rotator = bench.rotator()
    rotator.target = _RefusingTarget(bench.target, verb, error)  # type: ignore[assignment]
    with pytest.raises(type(error)):
        rotator.rotate(NAME, overlap=OverlapRules(GRACE))
    assert bench.current() == old
    assert bench.opens(old)


def test_a_target_that_says_yes_and_still_accepts_the_old_key_is_found_out(bench: RotationBench) -> None:
    bench.rotator().rotate(NAME, overlap=OverlapRules(GRACE))
    old = bench.store.read(NAME)
    bench.rotator().rotate(NAME, overlap=OverlapRules(GRACE))
    rotator = bench.rotator()
    rotator.target = _LyingTarget(bench.target)  # type: ignore[assignment]
    with pytest.raises(CredentialAcceptedError):
        rotator.reconcile(NAME, overlap=OverlapRules(timedelta(0)))
    assert bench.store.read(NAME, version=old.version.id).value == old.value, "evidence must stay until it is dead"


class _LyingTarget:
    """Says that it revokes and limits, and does neither."""

    def __init__(self, target: object) -> None:
        self._target = target

    def __getattr__(self, name: str) -> object:
        return getattr(self._target, name)

    def revoke(self, previous: SecretReading, *, keep: SecretReading | None) -> None:
        """Only says so."""

    def limit(self, previous: SecretReading, *, until: object, keep: object) -> object:
        return until


def test_a_value_that_a_person_brings_goes_through_the_same_steps(bench: RotationBench) -> None:
    value = SecretValue(canary())
    version = bench.rotator().introduce(NAME, value, overlap=OverlapRules(GRACE))
    assert version.stage is Stage.CURRENT
    assert bench.current() == value
    assert bench.opens(value)


def test_a_first_value_that_opens_the_door_already_is_left_alone_at_the_target(bench: RotationBench) -> None:
    value = SecretValue(canary())
    pending = bench.store.stage(NAME, value, token="brought")
    bench.target.install(bench.store.read(NAME, version=pending.id), keep=None)
    calls = DyingAfter()
    bench.rotator(calls).introduce(NAME, value, overlap=OverlapRules(GRACE))
    assert "install" not in calls.calls
    assert bench.opens(bench.current())


def test_introducing_the_current_value_makes_no_version_but_installs_it(bench: RotationBench) -> None:
    value = SecretValue(canary())
    introduce_without_target(bench.store, NAME, value)
    assert not bench.opens(value)
    bench.rotator().introduce(NAME, value, overlap=OverlapRules(GRACE))
    assert bench.opens(value)
    assert len(bench.store.describe(NAME)) == 1


def test_introducing_a_value_during_an_overlap_is_refused_and_changes_nothing(bench: RotationBench) -> None:
    bench.rotator().introduce(NAME, SecretValue(canary()), overlap=OverlapRules(GRACE))
    bench.rotator().rotate(NAME, overlap=OverlapRules(GRACE))
    before = bench.store.describe(NAME)
    with pytest.raises(RotationError, match="overlap"):
        bench.rotator().introduce(NAME, SecretValue(canary()), overlap=OverlapRules(GRACE))
    assert bench.store.describe(NAME) == before


def test_introducing_a_value_while_another_is_pending_is_refused(bench: RotationBench) -> None:
    bench.store.stage(NAME, SecretValue(canary()), token="other")
    with pytest.raises(PendingVersionExistsError):
        bench.rotator().introduce(NAME, SecretValue(canary()), overlap=OverlapRules(GRACE))


def test_introducing_the_value_that_a_killed_run_left_pending_finishes_it(bench: RotationBench) -> None:
    value = SecretValue(canary())
    pending = bench.store.stage(NAME, value, token="killed")
    version = bench.rotator().introduce(NAME, value, overlap=OverlapRules(GRACE))
    assert version.id == pending.id
    assert bench.opens(value)


def test_abandon_refuses_and_forgets_the_pending_key_only(bench: RotationBench) -> None:
    bench.rotator().rotate(NAME, overlap=OverlapRules(GRACE))
    value = SecretValue(canary())
    pending = bench.store.stage(NAME, value, token="t")
    bench.target.install(bench.store.read(NAME, version=pending.id), keep=None)
    assert bench.opens(value)
    given_up = bench.rotator().abandon(NAME)
    assert given_up is not None
    assert given_up.id == pending.id
    assert not bench.opens(value)
    assert bench.opens(bench.current())
    assert bench.rotator().abandon(NAME) is None


def test_each_call_to_the_target_is_on_record_without_a_value(bench: RotationBench) -> None:
    bench.rotator().rotate(NAME, overlap=OverlapRules(GRACE))
    bench.rotator().rotate(NAME, overlap=OverlapRules(GRACE))
    bench.rotator().rotate(NAME, overlap=OverlapRules(timedelta(0)))
    actions = [event.action for event in bench.audit.events if event.outcome is Outcome.SUCCESS]
    for action in (
        Action.VERSION_STAGE,
        Action.TARGET_INSTALL,
        Action.TARGET_VERIFY,
        Action.VERSION_PROMOTE,
        Action.TARGET_LIMIT,
        Action.TARGET_REVOKE,
        Action.TARGET_VERIFY_REFUSED,
        Action.VERSION_RETIRE,
    ):
        assert action in actions
    assert bench.current().reveal_text() not in repr(bench.audit.events)


def test_without_a_target_a_value_is_written_promoted_and_an_equal_one_kept(bench: RotationBench) -> None:
    value = SecretValue(canary())
    first = introduce_without_target(bench.store, NAME, value)
    again = introduce_without_target(bench.store, NAME, value)
    assert first == again
    second = introduce_without_target(bench.store, NAME, SecretValue(canary()))
    assert second.stage is Stage.CURRENT
    assert bench.store.read(NAME, stage=Stage.PREVIOUS).value == value


def test_without_a_target_an_interrupted_write_of_the_same_value_is_finished(bench: RotationBench) -> None:
    value = SecretValue(canary())
    pending = bench.store.stage(NAME, value, token="interrupted")
    assert introduce_without_target(bench.store, NAME, value).id == pending.id
    bench.store.stage(NAME, SecretValue(canary()), token="rival")
    with pytest.raises(PendingVersionExistsError):
        introduce_without_target(bench.store, NAME, SecretValue(canary()))


def test_without_a_target_the_old_value_is_forgotten_once_the_grace_has_passed(bench: RotationBench) -> None:
    told: list[Step] = []

    def finish() -> RotationReport:
        return finish_without_target(
            bench.store, NAME, grace=GRACE, now=bench.clock(), on_step=lambda step, _words: told.append(step)
        )

    introduce_without_target(bench.store, NAME, SecretValue(canary()))
    assert finish().steps == ()
    old = bench.store.read(NAME).version
    introduce_without_target(bench.store, NAME, SecretValue(canary()))
    assert finish().waits_until == bench.clock() + GRACE
    bench.clock.advance(GRACE)
    report = finish()
    assert report.situation.is_at_rest
    assert told == [Step.RETIRE]
    with pytest.raises(VersionRetiredError):
        bench.store.read(NAME, version=old.id)
    assert finish().steps == ()


def test_next_steps_lead_to_rest_from_every_situation(bench: RotationBench) -> None:
    assert bench.rotator().situation(NAME).next_steps == SEQUENCE
    bench.store.stage(NAME, SecretValue(canary()), token="a")
    assert bench.rotator().situation(NAME).next_steps == SEQUENCE[1:]
    bench.rotator().rotate(NAME, overlap=OverlapRules(GRACE))
    bench.rotator().rotate(NAME, overlap=OverlapRules(GRACE))
    assert bench.rotator().situation(NAME).next_steps == (
        Step.CONVERGE,
        Step.REVOKE,
        Step.VERIFY_REFUSED,
        Step.RETIRE,
    )
    with pytest.raises(VersionNotFoundError):
        bench.store.read(NAME, stage=Stage.PENDING)


def test_due_leaves_room_for_the_grace_and_a_margin(bench: RotationBench) -> None:
    bench.rotator().rotate(NAME, overlap=OverlapRules(GRACE))
    created = bench.clock()
    situation = Situation.of(bench.store.describe(NAME))
    age = Age.of(situation, max_age=timedelta(days=90), grace=timedelta(days=1))
    assert age is not None
    assert age.due_at == created + timedelta(days=88)
    short = Age.of(situation, max_age=timedelta(hours=10), grace=timedelta(hours=1))
    assert short is not None
    assert short.due_at == created + timedelta(hours=8)
    assert Age.of(Situation(None, None, None), max_age=GRACE, grace=GRACE) is None


def test_during_an_overlap_the_oldest_value_that_opens_the_door_counts(bench: RotationBench) -> None:
    bench.rotator().rotate(NAME, overlap=OverlapRules(GRACE))
    first_created = bench.clock()
    bench.clock.advance(timedelta(days=80))
    bench.rotator().rotate(NAME, overlap=OverlapRules(GRACE))
    age = Age.of(Situation.of(bench.store.describe(NAME)), max_age=timedelta(days=90), grace=GRACE)
    assert age is not None
    assert age.oldest_at == first_created
