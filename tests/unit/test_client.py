"""How a client reads: from its cache, through an outage, and after what the store said."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import timedelta
from types import SimpleNamespace

import pytest

from tests.canary import canary
from vantage_secrets.client import ClientEvent, ClientEventKind, SecretClient
from vantage_secrets.errors import (
    AuditUnwritableError,
    InvalidInputError,
    InvalidSecretNameError,
    SecretNotFoundError,
    StoreAccessDeniedError,
    StoreIntegrityError,
    StoreUnavailableError,
    UnknownSecretError,
    ValueUnavailableError,
)
from vantage_secrets.secret import SecretName
from vantage_secrets.testing import FakeClock, MemoryStore

KEY = SecretName("vantage/api-key")
OTHER = SecretName("vantage/collector-token")
INTERVAL = timedelta(seconds=300)
MAX_STALE = timedelta(hours=1)


class World(SimpleNamespace):
    """A store with one secret, a client without a thread, and a clock that moves both."""

    clock: FakeClock
    store: MemoryStore
    client: SecretClient
    events: list[ClientEvent]
    value: str

    def pass_time(self, length: timedelta) -> None:
        self.clock.advance(length)
        self.client.run_due()


@pytest.fixture
def world() -> Iterator[World]:
    clock = FakeClock()
    value = canary()
    store = MemoryStore({str(KEY): value, str(OTHER): canary()}, clock=clock)
    events: list[ClientEvent] = []
    with SecretClient(
        store,
        aliases={"VANTAGE_API_KEY": KEY},
        clock=clock,
        monotonic=lambda: clock().timestamp(),
        fraction=lambda: 0.5,
        on_event=events.append,
        background=False,
    ) as client:
        yield World(clock=clock, store=store, client=client, events=events, value=value)


# The cache


def test_a_second_read_does_not_ask_the_store(world: World) -> None:
    assert world.client.get("vantage/api-key").matches(world.value)
    assert world.client.get("vantage/api-key").matches(world.value)
    assert world.store.read_count == 1


def test_both_spellings_and_the_name_itself_are_one_secret(world: World) -> None:
    assert world.client.get("VANTAGE_API_KEY") is world.client.get("vantage/api-key")
    assert world.client.get(KEY) is world.client.get("vantage/api-key")
    assert world.store.reads == {KEY: 1}


def test_a_cached_read_uses_neither_lock_nor_clock_nor_store(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.client.get("VANTAGE_API_KEY")

    def forbidden(*_args: object, **_options: object) -> None:
        raise AssertionError("the fast path went further than its dictionary")

    monkeypatch.setattr(world.client, "read", forbidden)
    monkeypatch.setattr(world.client, "_cache", None)
    assert world.client.get("VANTAGE_API_KEY").matches(world.value)
    assert world.client.get("vantage/api-key").matches(world.value)
    monkeypatch.undo()


def test_an_unknown_environment_spelling_is_refused_without_asking_the_store(world: World) -> None:
    with pytest.raises(UnknownSecretError, match="VANTAGE_NOTHING"):
        world.client.get("VANTAGE_NOTHING")
    assert world.store.read_count == 0


@pytest.mark.parametrize("name", ["", "vantage//api-key", "Vantage/api-key", "../etc/passwd", "vantage/api-key "])
def test_a_name_outside_the_grammar_is_refused(world: World, name: str) -> None:
    with pytest.raises(InvalidSecretNameError):
        world.client.get(name)


def test_a_secret_that_is_not_there_is_asked_for_each_time_and_kept_nowhere(world: World) -> None:
    for _ in range(3):
        with pytest.raises(SecretNotFoundError):
            world.client.get("vantage/nothing")
    assert world.store.reads[SecretName("vantage/nothing")] == 3
    world.store.put("vantage/nothing", canary())
    assert world.client.read("vantage/nothing").stale is False


def test_a_reading_tells_version_and_time(world: World) -> None:
    reading = world.client.read("vantage/api-key")
    assert (reading.version, reading.stale, reading.fetched_at) == (world.store.describe(KEY)[0], False, world.clock())
    assert world.value not in repr(reading)


def test_a_read_that_may_do_no_io_knows_only_what_is_cached(world: World) -> None:
    assert world.client.read_cached("vantage/api-key") is None
    world.client.get("vantage/api-key")
    reading = world.client.read_cached("VANTAGE_API_KEY")
    assert reading is not None
    assert reading.value.matches(world.value)


@pytest.mark.parametrize(
    ("interval", "max_stale"), [(timedelta(0), MAX_STALE), (-INTERVAL, MAX_STALE), (MAX_STALE, INTERVAL)]
)
def test_lengths_that_make_no_sense_are_refused(interval: timedelta, max_stale: timedelta) -> None:
    with pytest.raises(InvalidInputError):
        SecretClient(MemoryStore(), refresh_interval=interval, max_stale=max_stale)


# Refreshing


def test_a_value_is_fetched_anew_when_the_interval_has_passed_and_not_before(world: World) -> None:
    world.client.get("vantage/api-key")
    newer = canary()
    world.store.put(KEY, newer)
    world.pass_time(INTERVAL - timedelta(seconds=1))
    assert world.client.get("vantage/api-key").matches(world.value)
    world.pass_time(timedelta(seconds=1))
    assert world.client.get("VANTAGE_API_KEY").matches(newer)
    assert world.store.reads[KEY] == 2


@pytest.mark.parametrize(("fraction", "seconds"), [(0.0, 270), (0.5, 300), (1.0, 330)])
def test_the_interval_is_stretched_or_shortened_by_up_to_a_tenth(fraction: float, seconds: int) -> None:
    clock = FakeClock()
    store = MemoryStore({str(KEY): canary()}, clock=clock)
    with SecretClient(store, clock=clock, monotonic=lambda: 0.0, fraction=lambda: fraction, background=False) as client:
        assert client.run_due() is None
        client.get(KEY)
        assert client.run_due() == timedelta(seconds=seconds)
        clock.advance(timedelta(seconds=seconds - 1))
        assert client.run_due() == timedelta(seconds=1)
        assert store.read_count == 1
        clock.advance(timedelta(seconds=1))
        assert client.run_due() == timedelta(seconds=seconds)
        assert store.read_count == 2


def test_without_an_injected_number_no_two_waits_are_alike_and_all_are_within_a_tenth() -> None:
    store = MemoryStore({str(KEY): canary()})
    waits = set()
    with SecretClient(store, clock=FakeClock(), monotonic=lambda: 0.0, background=False) as client:
        for _ in range(50):
            client.refresh(KEY)
            waits.add(client.run_due())
    assert len(waits) > 40
    assert all(timedelta(seconds=270) <= wait <= timedelta(seconds=330) for wait in waits if wait is not None)


def test_refresh_returns_what_changed_and_asks_even_when_fresh(world: World) -> None:
    world.client.get(KEY)
    world.client.get(OTHER)
    newer = canary()
    world.store.put(KEY, newer)
    assert world.client.refresh() == (KEY,)
    assert world.client.refresh() == ()
    assert world.client.refresh("VANTAGE_API_KEY") == ()
    assert world.client.get("VANTAGE_API_KEY").matches(newer)
    assert world.client.stats().version_changes == 1


def test_a_first_refresh_of_a_secret_changes_nothing_and_reads_it(world: World) -> None:
    assert world.client.refresh(KEY) == ()
    assert world.client.get(KEY).matches(world.value)
    assert world.store.read_count == 1


def test_refresh_raises_in_an_outage_and_leaves_the_old_value(world: World) -> None:
    world.client.get(KEY)
    with world.store.outage(), pytest.raises(StoreUnavailableError):
        world.client.refresh(KEY)
    assert world.client.read(KEY).stale is False
    assert world.client.get(KEY).matches(world.value)


def test_refreshing_all_goes_on_after_the_first_error(world: World) -> None:
    world.client.get(KEY)
    world.client.get(OTHER)
    world.store.denied.add(KEY)
    newer = canary()
    world.store.put(OTHER, newer)
    with pytest.raises(StoreAccessDeniedError):
        world.client.refresh()
    assert world.client.get(OTHER).matches(newer)


def test_a_read_with_a_maximal_age_asks_first_at_most_once_a_second_and_bridges_an_outage(world: World) -> None:
    world.client.get(KEY)
    newer = canary()
    world.store.put(KEY, newer)
    world.clock.advance(timedelta(seconds=10))
    assert world.client.read(KEY, max_age=timedelta(seconds=11)).value.matches(world.value)
    assert world.client.read(KEY, max_age=timedelta(seconds=10)).value.matches(newer)
    world.clock.advance(timedelta(seconds=10))
    with world.store.outage():
        reads = world.store.read_count
        for _ in range(5):
            assert world.client.read(KEY, max_age=timedelta(seconds=10)).value.matches(newer)
        assert world.store.read_count == reads + 1


# The last good value


def test_the_last_good_value_is_served_while_the_store_is_away_and_each_such_read_is_marked_and_counted(
    world: World,
) -> None:
    world.client.get("VANTAGE_API_KEY")
    with world.store.outage():
        world.pass_time(INTERVAL)
        assert world.client.read(KEY).stale is True
        assert world.client.get("VANTAGE_API_KEY").matches(world.value)
        assert world.client.get("vantage/api-key").matches(world.value)
        assert world.client.stats().stale_reads == 3
    assert [event.kind for event in world.events].count(ClientEventKind.STALE_READ) == 3


def test_a_stale_read_does_not_ask_the_store(world: World) -> None:
    world.client.get(KEY)
    with world.store.outage():
        world.pass_time(INTERVAL)
        reads = world.store.read_count
        for _ in range(10):
            world.client.get("vantage/api-key")
        assert world.store.read_count == reads


def test_a_value_goes_back_to_the_fast_path_when_the_store_comes_back(world: World) -> None:
    world.client.get("vantage/api-key")
    with world.store.outage():
        world.pass_time(INTERVAL)
        assert "vantage/api-key" not in world.client.fresh_values
        assert "VANTAGE_API_KEY" not in world.client.fresh_values
    world.pass_time(timedelta(seconds=30))
    assert world.client.fresh_values.keys() == {"vantage/api-key", "VANTAGE_API_KEY"}
    assert world.client.read(KEY).stale is False


def test_after_a_failure_the_store_is_asked_again_after_a_tenth_of_the_interval(world: World) -> None:
    world.client.get(KEY)
    with world.store.outage():
        world.pass_time(INTERVAL)
        assert world.client.run_due() == timedelta(seconds=30)
        world.pass_time(timedelta(seconds=29))
        assert world.store.reads[KEY] == 2
        world.pass_time(timedelta(seconds=1))
        assert world.store.reads[KEY] == 3


def test_an_early_refresh_that_failed_makes_a_value_stale_only_at_the_interval(world: World) -> None:
    world.client.get("vantage/api-key")
    world.store.away = True
    world.pass_time(timedelta(seconds=290))
    with pytest.raises(StoreUnavailableError):
        world.client.refresh(KEY)
    assert world.client.read(KEY).stale is False
    assert "vantage/api-key" in world.client.fresh_values
    assert world.client.run_due() == timedelta(seconds=10)
    world.pass_time(timedelta(seconds=10))
    assert "vantage/api-key" not in world.client.fresh_values
    assert world.client.read(KEY).stale is True


def test_a_refresh_that_fails_after_the_interval_takes_the_value_off_the_fast_path_at_once() -> None:
    clock = FakeClock()
    store = MemoryStore({str(KEY): canary()})
    with SecretClient(store, clock=clock, monotonic=lambda: 0.0, fraction=lambda: 1.0, background=False) as client:
        client.get(KEY)
        store.away = True
        clock.advance(INTERVAL + timedelta(seconds=10))
        client.run_due()
        assert str(KEY) in client.fresh_values
        with pytest.raises(StoreUnavailableError):
            client.refresh(KEY)
        client.get("vantage/api-key")
        assert client.stats().stale_reads == 1


def test_no_value_is_served_later_than_max_stale_after_its_last_fetch(world: World) -> None:
    world.client.get("vantage/api-key")
    world.store.away = True
    world.pass_time(MAX_STALE - timedelta(seconds=1))
    assert world.client.get("vantage/api-key").matches(world.value)
    world.pass_time(timedelta(seconds=1))
    for _ in range(2):
        with pytest.raises(ValueUnavailableError, match="2026-01-01 12:00:00") as caught:
            world.client.get("vantage/api-key")
        assert isinstance(caught.value.__cause__, StoreUnavailableError)
        assert "max_stale" in caught.value.hint
    assert world.client.read_cached(KEY) is None
    world.store.away = False
    assert world.client.get("vantage/api-key").matches(world.value)
    assert world.client.read(KEY).stale is False


def test_an_outage_before_the_first_read_is_an_outage(world: World) -> None:
    with world.store.outage(), pytest.raises(StoreUnavailableError):
        world.client.get(KEY)
    assert world.client.get(KEY).matches(world.value)


@pytest.mark.parametrize("backwards", [timedelta(hours=3), timedelta(days=400)])
def test_a_wall_clock_set_back_does_not_keep_a_value_alive(backwards: timedelta) -> None:
    wall, steady = FakeClock(), FakeClock()
    store = MemoryStore({str(KEY): canary()})
    with SecretClient(store, clock=wall, monotonic=lambda: steady().timestamp(), background=False) as client:
        client.get(KEY)
        store.away = True
        wall.advance(-backwards)
        steady.advance(MAX_STALE)
        client.run_due()
        with pytest.raises(ValueUnavailableError):
            client.get("vantage/api-key")


def test_a_suspended_machine_ages_its_values_though_its_monotonic_clock_stood_still() -> None:
    wall = FakeClock()
    store = MemoryStore({str(KEY): canary()})
    with SecretClient(store, clock=wall, monotonic=lambda: 7.0, background=False) as client:
        client.get(KEY)
        store.away = True
        wall.advance(MAX_STALE)
        client.run_due()
        with pytest.raises(ValueUnavailableError):
            client.get("vantage/api-key")


def test_while_the_store_hangs_no_value_stays_on_the_fast_path(world: World) -> None:
    world.client.get(KEY)
    world.client.get(OTHER)
    seen: list[tuple[int, bool]] = []
    world.clock.advance(2 * INTERVAL)

    def look(_name: SecretName) -> None:
        world.store.before_read = None
        seen.append((len(world.client.fresh_values), world.client.read(OTHER).stale))

    world.store.before_read = look
    world.client.run_due()
    assert seen == [(0, True)]
    assert world.client.read(OTHER).stale is False


# What the store said


def test_a_deleted_secret_is_dropped_at_the_next_refresh(world: World) -> None:
    world.client.get("VANTAGE_API_KEY")
    world.store.delete(KEY)
    world.pass_time(INTERVAL)
    assert world.client.fresh_values == {}
    with pytest.raises(SecretNotFoundError):
        world.client.get("VANTAGE_API_KEY")
    with world.store.outage(), pytest.raises(StoreUnavailableError):
        world.client.get("VANTAGE_API_KEY")


def test_a_denied_secret_is_dropped_at_the_next_refresh(world: World) -> None:
    world.client.get(KEY)
    world.store.denied.add(KEY)
    with pytest.raises(StoreAccessDeniedError):
        world.client.refresh(KEY)
    with pytest.raises(StoreAccessDeniedError):
        world.client.get("vantage/api-key")
    world.store.denied.clear()
    assert world.client.get("vantage/api-key").matches(world.value)


def test_damage_is_an_answer_and_an_unwritable_audit_log_is_not(world: World) -> None:
    world.client.get(KEY)

    def fail(error: Exception) -> None:
        def raise_it(_name: SecretName) -> None:
            raise error

        world.store.before_read = raise_it

    fail(AuditUnwritableError("the disk is full"))
    world.pass_time(INTERVAL)
    assert world.client.read(KEY).stale is True
    fail(StoreIntegrityError("the bytes are not those"))
    world.pass_time(INTERVAL)
    with pytest.raises(StoreIntegrityError):
        world.client.get("vantage/api-key")


def test_failures_are_counted_reported_and_logged_by_their_code(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.client.get(KEY)
    with caplog.at_level(logging.WARNING), world.store.outage():
        world.pass_time(INTERVAL)
    assert world.client.stats().refresh_failures == 1
    assert world.client.stats().store_reads == 2
    assert [(event.kind, event.name, event.detail) for event in world.events] == [
        (ClientEventKind.REFRESH_FAILED, KEY, "store_unavailable")
    ]
    assert "store_unavailable" in caplog.text


def test_an_event_handler_that_raises_costs_no_secret(caplog: pytest.LogCaptureFixture) -> None:
    store = MemoryStore({str(KEY): canary()})

    def broken(_event: ClientEvent) -> None:
        raise RuntimeError

    with SecretClient(store, on_event=broken, background=False) as client:
        client.get(KEY)
        store.put(KEY, canary())
        assert client.refresh() == (KEY,)
        assert client.stats().callback_failures == 1
    assert "RuntimeError" in caplog.text


# The end


def test_a_closed_client_serves_nothing_and_closes_no_store(world: World) -> None:
    world.client.get("VANTAGE_API_KEY")
    world.client.close()
    world.client.close()
    assert world.client.is_closed
    assert world.client.fresh_values == {}
    for read in (world.client.get, world.client.read, world.client.refresh):
        with pytest.raises(ValueUnavailableError, match="closed"):
            read("vantage/api-key")
    assert world.store.read(KEY).value.matches(world.value)


def test_a_client_closed_in_the_middle_of_a_fetch_keeps_nothing(world: World) -> None:
    world.store.before_read = lambda _name: world.client.close()
    with pytest.raises(ValueUnavailableError, match="closed"):
        world.client.get(KEY)
    assert world.client.fresh_values == {}
