from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from tests.canary import canary
from vantage_secrets.bootstrap import Workspace, initialise
from vantage_secrets.clock import utc_now
from vantage_secrets.errors import DatabaseError, RotationError, StoreUnavailableError
from vantage_secrets.manifest import SecretSpec
from vantage_secrets.rotation.sightings import Sightings
from vantage_secrets.rotation.steps import Step
from vantage_secrets.secret import SecretValue
from vantage_secrets.testing import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(utc_now())  # the embedded store of a workspace has the real one


@pytest.fixture
def workspace(tmp_path: Path, clock: FakeClock) -> Iterator[Workspace]:
    workspace = Workspace(initialise(tmp_path, environment="test"), actor="test@here", clock=clock)
    yield workspace
    workspace.close()


@pytest.fixture
def spec(workspace: Workspace) -> SecretSpec:
    return workspace.manifest.find("VANTAGE_API_KEY")


def test_reconcile_begins_only_what_it_is_asked_to_begin(workspace: Workspace, spec: SecretSpec) -> None:
    assert workspace.reconcile(spec).steps == ()
    assert Step.CREATE in workspace.reconcile(spec, begin=True).steps


def test_a_run_is_noted_for_the_schedule(workspace: Workspace, spec: SecretSpec, clock: FakeClock) -> None:
    workspace.reconcile(spec, begin=True)
    first = workspace.store.read(spec.name).version
    clock.advance(timedelta(hours=1))
    workspace.reconcile(spec, begin=True)
    seen = Sightings(workspace.database).all()[spec.name]
    assert seen.begun_at == clock()
    assert seen.oldest_at == first.created_at
    assert seen.is_under_way
    assert seen.retry_at is not None
    assert seen.retry_at <= clock() + timedelta(seconds=30)


def test_a_failed_run_is_noted_and_the_next_good_one_forgets_it(
    workspace: Workspace, spec: SecretSpec, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = workspace.target(spec)
    with monkeypatch.context() as patched:

        def refuse(*_: object, **__: object) -> None:
            raise StoreUnavailableError("away")

        patched.setattr(target, "install", refuse)
        with pytest.raises(StoreUnavailableError):
            workspace.reconcile(spec, begin=True)
    failed = Sightings(workspace.database).all()[spec.name]
    assert failed.failure_count == 1
    assert failed.retry_at is not None
    assert failed.retry_at > clock()
    workspace.reconcile(spec)
    assert Sightings(workspace.database).all()[spec.name].failure_count == 0


def test_two_runs_that_are_asked_to_begin_at_once_begin_one_rotation(workspace: Workspace, spec: SecretSpec) -> None:
    workspace.reconcile(spec, begin=True)
    inside, go_on = threading.Event(), threading.Event()

    def hold(step: Step, _words: str) -> None:
        if step is Step.CREATE:
            inside.set()
            assert go_on.wait(30)

    first = threading.Thread(
        target=workspace.reconcile, args=(spec,), kwargs={"begin": True, "grace": timedelta(0), "on_step": hold}
    )
    first.start()
    assert inside.wait(30)
    reports = []
    second = threading.Thread(target=lambda: reports.append(workspace.reconcile(spec, begin=True, grace=timedelta(0))))
    second.start()
    second.join(0.3)
    assert second.is_alive(), "the second run did not wait for the first"
    go_on.set()
    first.join()
    second.join()
    assert reports[0].steps == ()
    assert len(workspace.store.describe(spec.name)) == 2


def test_a_lock_that_is_held_for_too_long_is_an_error_with_a_next_action(workspace: Workspace) -> None:
    with workspace.database.lock("rotation x") as had_to_wait:
        assert not had_to_wait
        with (
            pytest.raises(DatabaseError, match="rotation x") as caught,
            workspace.database.lock("rotation x", wait=timedelta(seconds=0.1)),
        ):
            raise AssertionError("two held one lock")
    assert "run this again" in caught.value.hint
    with workspace.database.lock("rotation y"), workspace.database.lock("rotation x") as had_to_wait:
        assert not had_to_wait


def test_what_has_no_target_is_finished_in_the_store_and_never_begun(workspace: Workspace, clock: FakeClock) -> None:
    spec = workspace.manifest.find("KAFKA_SASL_PASSWORD")
    for _ in range(2):
        workspace.introduce(spec, SecretValue(canary()))
    with pytest.raises(RotationError, match="nothing here can change it") as caught:
        workspace.reconcile(spec, begin=True)
    assert "[targets.kafka]" in caught.value.hint
    promoted_at = workspace.store.read(spec.name).version.promoted_at
    assert promoted_at is not None
    assert workspace.reconcile(spec).waits_until == promoted_at + spec.grace
    clock.advance(spec.grace + timedelta(minutes=1))
    assert workspace.reconcile(spec).steps == (Step.RETIRE,)


def test_abandon_gives_up_what_is_pending(workspace: Workspace, spec: SecretSpec) -> None:
    workspace.reconcile(spec, begin=True)
    workspace.store.stage(spec.name, SecretValue(canary()), token="left")
    given_up = workspace.abandon(spec)
    assert given_up is not None
    assert workspace.reconcile(spec).situation.is_at_rest
