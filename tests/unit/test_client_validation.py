"""Which candidates a client accepts, and what a wrong one costs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from types import SimpleNamespace

import pytest

from tests.canary import canary
from vantage_secrets.client import SecretClient
from vantage_secrets.errors import (
    SecretNotFoundError,
    StoreAccessDeniedError,
    StoreUnavailableError,
    UnknownSecretError,
    ValueUnavailableError,
)
from vantage_secrets.secret import SecretName, SecretReading, SecretValue, Stage
from vantage_secrets.testing import FakeClock, MemoryStore

KEY = SecretName("vantage/api-key")
GRACE = timedelta(hours=24)
SECOND = timedelta(seconds=1)


class World(SimpleNamespace):
    """A store whose secret was rotated an hour ago, and a client that validates it."""

    clock: FakeClock
    store: MemoryStore
    client: SecretClient
    old: str
    new: str


@pytest.fixture
def world() -> Iterator[World]:
    clock = FakeClock()
    old, new = canary("old"), canary("new")
    store = MemoryStore({str(KEY): old}, clock=clock)
    store.put(KEY, new)
    clock.advance(timedelta(hours=1))
    with SecretClient(
        store,
        aliases={"VANTAGE_API_KEY": KEY},
        grace={KEY: GRACE},
        clock=clock,
        monotonic=lambda: clock().timestamp(),
        background=False,
    ) as client:
        yield World(clock=clock, store=store, client=client, old=old, new=new)


def test_current_and_previous_are_accepted_during_the_overlap(world: World) -> None:
    assert world.client.validate("VANTAGE_API_KEY", world.new) is True
    assert world.client.validate("vantage/api-key", world.old) is True
    assert world.client.validate(KEY, canary("wrong")) is False
    stats = world.client.stats()
    assert (stats.validations_accepted, stats.validations_refused) == (2, 1)


def test_the_previous_value_is_refused_at_the_end_of_the_grace_and_not_a_second_before(world: World) -> None:
    world.clock.advance(GRACE - timedelta(hours=1) - SECOND)
    assert world.client.validate(KEY, world.old) is True
    world.clock.advance(SECOND)
    assert world.client.validate(KEY, world.old) is False
    assert world.client.validate(KEY, world.new) is True


def test_a_cached_previous_value_is_refused_at_the_end_of_the_grace_without_a_fetch(world: World) -> None:
    world.client.validate(KEY, world.new)
    world.store.away = True
    world.clock.advance(timedelta(minutes=30))
    assert world.client.validate(KEY, world.old) is True
    world.clock.advance(GRACE - timedelta(hours=1, minutes=30))
    with pytest.raises(ValueUnavailableError):
        world.client.validate(KEY, world.old)


def test_a_retired_value_is_refused_after_the_next_refresh(world: World) -> None:
    assert world.client.validate(KEY, world.old) is True
    world.store.retire(KEY, world.store.read(KEY, stage=Stage.PREVIOUS).version.id)
    world.client.refresh(KEY)
    assert world.client.validate(KEY, world.old) is False


def test_without_a_grace_only_the_current_value_is_accepted(world: World) -> None:
    with SecretClient(world.store, clock=world.clock, background=False) as client:
        assert client.validate(KEY, world.old) is False
        assert client.validate(KEY, world.new) is True


@pytest.mark.parametrize("candidate", [None, "", b"", 0, b"bytes", ["list"], True])
def test_nothing_empty_or_no_text_is_ever_accepted(world: World, candidate: object) -> None:
    assert world.client.validate(KEY, candidate) is False  # type: ignore[arg-type]
    assert world.client.validate_cached(KEY, candidate) is False  # type: ignore[arg-type]
    assert world.store.read_count == 0


def test_the_value_as_bytes_or_as_a_secret_value_is_no_candidate(world: World) -> None:
    assert world.client.validate(KEY, world.new.encode()) is False  # type: ignore[arg-type]
    assert world.client.validate(KEY, SecretValue(world.new)) is False  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "change", [str.upper, lambda text: text + "\0", lambda text: text[:-1], lambda text: " " + text]
)
def test_a_value_that_is_nearly_right_is_wrong(world: World, change: object) -> None:
    assert world.client.validate(KEY, change(world.new)) is False  # type: ignore[operator]


def test_a_lone_surrogate_is_refused_and_no_error(world: World) -> None:
    assert world.client.validate(KEY, "\udcff") is False


def test_a_value_of_named_fields_matches_no_text(world: World) -> None:
    world.store.put("vantage/login", {"username": "worker", "password": canary()})
    assert world.client.validate("vantage/login", "worker") is False


def test_an_unknown_name_is_an_error(world: World) -> None:
    with pytest.raises(UnknownSecretError):
        world.client.validate("VANTAGE_NOTHING", "x")
    with pytest.raises(SecretNotFoundError):
        world.client.validate("vantage/nothing", "x")


def test_both_versions_are_compared_whatever_the_first_says(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.client.validate(KEY, world.new)
    compared: list[SecretValue] = []
    matches = SecretValue.matches

    def counting(self: SecretValue, candidate: str) -> bool:
        compared.append(self)
        return matches(self, candidate)

    monkeypatch.setattr(SecretValue, "matches", counting)
    for candidate in (world.new, world.old):
        world.client.validate(KEY, candidate)
    assert len(compared) == 4
    compared.clear()
    world.store.retire(KEY, world.store.read(KEY, stage=Stage.PREVIOUS).version.id)
    world.client.refresh(KEY)
    compared.clear()
    world.client.validate(KEY, world.new)
    assert len(compared) == 2


# I/O


def test_cached_validations_do_not_ask_the_store(world: World) -> None:
    world.client.validate(KEY, world.new)
    reads = world.store.read_count
    assert reads == 2
    for _ in range(20):
        assert world.client.validate(KEY, world.new)
        assert world.client.validate(KEY, world.old)
        assert world.client.validate_cached(KEY, world.new) is True
        assert world.client.validate_cached(KEY, world.old) is True
    assert world.store.read_count == reads


def test_a_secret_that_is_only_read_has_no_previous_version_fetched(world: World) -> None:
    world.client.get(KEY)
    world.client.refresh(KEY)
    assert world.store.read_count == 2
    assert world.client.validate(KEY, world.old) is True
    assert world.store.read_count == 4


def test_a_value_that_was_read_before_validates_its_previous_version_as_well(world: World) -> None:
    world.client.get(KEY)
    assert world.client.validate_cached(KEY, world.new) is None
    assert world.client.validate(KEY, world.new) is True
    assert world.client.validate(KEY, world.old) is True


def test_a_key_promoted_a_moment_ago_is_accepted_at_once(world: World) -> None:
    world.client.validate(KEY, world.new)
    newest = canary("newest")
    world.store.put(KEY, newest)
    assert world.client.validate_cached(KEY, newest) is None
    assert world.client.validate(KEY, newest) is True
    assert world.client.validate(KEY, world.new) is True
    assert world.client.validate(KEY, world.old) is False
    assert world.client.get("vantage/api-key").matches(newest)


def test_a_flood_of_wrong_keys_asks_the_store_once_a_second(world: World) -> None:
    world.client.validate(KEY, world.new)
    reads = world.store.read_count
    for _ in range(3):
        for _ in range(50):
            assert world.client.validate(KEY, canary("wrong")) is False
        assert world.client.validate_cached(KEY, canary("wrong")) is False
        world.clock.advance(SECOND)
    assert world.client.stats().forced_refreshes == 3
    assert world.store.read_count == reads + 3 * 2


def test_a_flood_of_keys_for_a_deleted_secret_asks_the_store_once_a_second(world: World) -> None:
    world.client.validate(KEY, world.new)
    world.store.delete(KEY)
    with pytest.raises(SecretNotFoundError):
        world.client.refresh(KEY)
    reads = world.store.read_count
    refused = 0
    for _ in range(20):
        try:
            world.client.validate(KEY, world.new)
        except SecretNotFoundError:
            refused += 1
    assert (refused, world.store.read_count) == (20, reads + 1)
    world.store.put(KEY, world.new)
    world.clock.advance(SECOND)
    assert world.client.validate(KEY, world.new) is True


def test_a_flood_of_keys_in_an_outage_asks_the_store_once_a_second(world: World) -> None:
    with world.store.outage():
        refused = 0
        for _ in range(20):
            try:
                world.client.validate(KEY, world.new)
            except StoreUnavailableError:
                refused += 1
        assert (refused, world.store.read_count) == (20, 1)
    world.clock.advance(SECOND)
    assert world.client.validate(KEY, world.new) is True


def test_the_last_good_values_validate_in_an_outage_and_are_counted_as_stale(world: World) -> None:
    world.client.validate(KEY, world.new)
    with world.store.outage():
        world.clock.advance(timedelta(minutes=6))
        world.client.run_due()
        assert world.client.validate(KEY, world.new) is True
        assert world.client.validate(KEY, world.old) is True
        assert world.client.validate(KEY, canary("wrong")) is False
        assert world.client.stats().stale_reads == 3


def test_an_outage_that_begins_before_the_previous_version_was_fetched_leaves_the_current_one_valid(
    world: World,
) -> None:
    world.client.get(KEY)
    with world.store.outage():
        assert world.client.validate(KEY, world.new) is True
        assert world.client.validate(KEY, world.old) is False
    world.clock.advance(SECOND)
    assert world.client.validate(KEY, world.old) is True


def test_a_denied_secret_is_an_error_and_no_refusal_of_the_candidate(world: World) -> None:
    world.client.validate(KEY, world.new)
    world.store.denied.add(KEY)
    with pytest.raises(StoreAccessDeniedError):
        world.client.validate(KEY, canary("wrong"))


class _CurrentOnly(MemoryStore):
    """A store whose policy lets this process read the current version and no other."""

    def read(self, name: SecretName, *, stage: Stage = Stage.CURRENT, version: str | None = None) -> SecretReading:
        if stage is not Stage.CURRENT:
            raise StoreAccessDeniedError("previous versions are for the rotator")
        return super().read(name, stage=stage, version=version)


def test_who_may_read_only_the_current_version_accepts_only_the_current_version() -> None:
    old, new = canary("old"), canary("new")
    store = _CurrentOnly({str(KEY): old})
    store.put(KEY, new)
    with SecretClient(store, grace={KEY: GRACE}, background=False) as client:
        assert client.validate(KEY, new) is True
        assert client.validate(KEY, old) is False


def test_a_promotion_between_the_two_reads_loses_neither_version(world: World) -> None:
    newest = canary("newest")

    def promote_before_the_second_read(_name: SecretName) -> None:
        if world.store.read_count == 2:
            world.store.before_read = None
            world.store.put(KEY, newest)

    world.store.before_read = promote_before_the_second_read
    assert world.client.validate(KEY, newest) is True
    assert world.client.validate(KEY, world.new) is True
    assert world.client.stats().forced_refreshes == 0


# Threads


def test_a_burst_with_a_new_key_is_accepted_by_one_fetch(world: World) -> None:
    world.client.validate(KEY, world.new)
    newest = canary("newest")
    world.store.put(KEY, newest)
    reads = world.store.read_count
    inside, go_on = threading.Event(), threading.Event()

    def hold(_name: SecretName) -> None:
        inside.set()
        assert go_on.wait(10)

    world.store.before_read = hold
    answers: list[bool] = []
    threads = [threading.Thread(target=lambda: answers.append(world.client.validate(KEY, newest))) for _ in range(8)]
    threads[0].start()
    assert inside.wait(10)
    for thread in threads[1:]:
        thread.start()
    go_on.set()
    for thread in threads:
        thread.join()
    assert answers == [True] * 8
    assert world.store.read_count == reads + 2


def test_while_the_store_is_known_to_fail_a_wrong_key_does_not_wait_for_a_fetch(world: World) -> None:
    world.client.validate(KEY, world.new)
    with world.store.outage():
        world.clock.advance(timedelta(minutes=6))
        world.client.run_due()
        inside, go_on = threading.Event(), threading.Event()

        def hold(_name: SecretName) -> None:
            inside.set()
            assert go_on.wait(10)

        world.store.before_read = hold

        def refresh() -> None:
            with pytest.raises(StoreUnavailableError):
                world.client.refresh(KEY)

        hanging = threading.Thread(target=refresh)
        hanging.start()
        assert inside.wait(10)
        assert world.client.validate(KEY, canary("wrong")) is False  # With the fetch still held: it did not wait.
        assert hanging.is_alive()
        go_on.set()
        hanging.join()
