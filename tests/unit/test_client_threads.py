"""Many threads, one fetch; one background thread; and callbacks in order."""

from __future__ import annotations

import gc
import logging
import threading
import weakref
from collections.abc import Callable
from datetime import timedelta

import pytest

from tests.canary import canary
from vantage_secrets.client import SecretClient
from vantage_secrets.client.flights import Flights
from vantage_secrets.errors import SecretNotFoundError, StoreUnavailableError
from vantage_secrets.secret import SecretName, SecretReading, SecretVersion
from vantage_secrets.testing import FakeClock, MemoryStore

KEY = SecretName("vantage/api-key")
OTHER = SecretName("vantage/collector-token")
SOON = timedelta(milliseconds=5)
PATIENCE = 20.0


class Held:
    """Holds every read of one secret until told to go on."""

    def __init__(self, store: MemoryStore, name: SecretName = KEY) -> None:
        self.inside = threading.Event()
        self._go_on = threading.Event()
        self._name = name
        store.before_read = self._hold

    def _hold(self, name: SecretName) -> None:
        if name == self._name:
            self.inside.set()
            assert self._go_on.wait(PATIENCE)

    def let_go(self) -> None:
        self._go_on.set()


def until(true: Callable[[], bool]) -> None:
    """Wait for something that another thread is about to make true, by its own doing."""
    ticks = threading.Event()
    for _ in range(int(PATIENCE / 0.001)):
        if true():
            return
        ticks.wait(0.001)
    raise AssertionError("it did not come true")


def in_threads(count: int, work: Callable[[], object]) -> list[threading.Thread]:
    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    return threads


# One flight


def test_however_many_threads_ask_for_an_uncached_secret_the_store_is_read_once() -> None:
    value = canary()
    store = MemoryStore({str(KEY): value})
    held = Held(store)
    answers: list[bool] = []
    with SecretClient(store, background=False) as client:
        threads = in_threads(16, lambda: answers.append(client.get(KEY).matches(value)))
        until(lambda: client.stats().one_flight_waits == 15)
        held.let_go()
        for thread in threads:
            thread.join()
        assert answers == [True] * 16
        assert (store.read_count, client.stats().store_reads) == (1, 1)


def test_all_that_wait_get_the_error_of_the_one_fetch() -> None:
    store = MemoryStore()
    held = Held(store)
    errors: list[Exception] = []

    def ask() -> None:
        try:
            client.get(KEY)
        except SecretNotFoundError as exc:
            errors.append(exc)

    with SecretClient(store, background=False) as client:
        threads = in_threads(8, ask)
        until(lambda: client.stats().one_flight_waits == 7)
        held.let_go()
        for thread in threads:
            thread.join()
    assert len(errors) == 8
    assert store.read_count == 1


def test_a_secret_whose_fetch_hangs_blocks_no_other() -> None:
    value = canary()
    store = MemoryStore({str(KEY): canary(), str(OTHER): value})
    held = Held(store)
    with SecretClient(store, background=False) as client:
        threads = in_threads(1, lambda: client.get(KEY))
        assert held.inside.wait(PATIENCE)
        assert client.get(OTHER).matches(value)
        assert threads[0].is_alive()
        held.let_go()
        threads[0].join()


def test_a_refresh_does_not_take_the_result_of_a_fetch_that_began_before_it() -> None:
    store = MemoryStore({str(KEY): canary("old")})
    newer = canary("new")
    with SecretClient(store, background=False) as client:
        client.get(KEY)
        read_already, go_on = threading.Event(), threading.Event()
        before_read = store.read

        def read_and_wait(name: SecretName, **options: object) -> SecretReading:
            reading = before_read(name, **options)  # type: ignore[arg-type]
            read_already.set()
            assert go_on.wait(PATIENCE)
            return reading

        store.read = read_and_wait  # type: ignore[method-assign, assignment]
        early = in_threads(1, lambda: client.refresh(KEY))
        assert read_already.wait(PATIENCE)
        store.read = before_read  # type: ignore[method-assign]
        store.put(KEY, newer)
        late = in_threads(1, lambda: client.refresh(KEY))
        until(lambda: client.stats().one_flight_waits == 1)
        go_on.set()
        for thread in early + late:
            thread.join()
        assert client.get(KEY).matches(newer)
        assert store.read_count == 3


def test_when_the_fetching_thread_is_interrupted_another_one_takes_over() -> None:
    flights: Flights[int] = Flights()
    entered, go_on = threading.Event(), threading.Event()
    results: list[object] = []

    def interrupted() -> int:
        entered.set()
        assert go_on.wait(PATIENCE)
        raise KeyboardInterrupt

    def lead() -> None:
        try:
            flights.run(KEY, interrupted)
        except KeyboardInterrupt:
            results.append("interrupted")

    leader = in_threads(1, lead)
    assert entered.wait(PATIENCE)
    follower = in_threads(1, lambda: results.append(flights.run(KEY, lambda: 7)))
    until(lambda: flights.wait_count == 1)
    go_on.set()
    for thread in leader + follower:
        thread.join()
    assert sorted(map(str, results)) == ["7", "interrupted"]
    assert not flights.is_open(KEY)
    assert flights.join(KEY, 0) is False


# The background thread


def _refresh_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "vantage-secrets-refresh"]


def test_the_background_thread_starts_with_the_first_read_and_ends_with_close() -> None:
    client = SecretClient(MemoryStore({str(KEY): canary(), str(OTHER): canary()}))
    assert _refresh_threads() == []
    client.get(KEY)
    client.get(OTHER)
    (thread,) = _refresh_threads()
    assert thread.daemon
    client.close()
    assert not thread.is_alive()


def test_the_background_thread_brings_a_new_version_by_itself() -> None:
    store = MemoryStore({str(KEY): canary("old")})
    changed = threading.Event()
    newer = canary("new")
    with SecretClient(store, refresh_interval=SOON, max_stale=timedelta(hours=1)) as client:
        client.on_change(KEY, lambda _reading: changed.set())
        store.put(KEY, newer)
        assert changed.wait(PATIENCE)
        assert client.get(KEY).matches(newer)


def test_the_background_thread_survives_an_outage_and_brings_the_value_back_to_the_fast_path() -> None:
    store = MemoryStore({str(KEY): canary()})
    with SecretClient(store, refresh_interval=SOON, max_stale=timedelta(hours=1)) as client:
        client.get(KEY)
        store.away = True
        until(lambda: client.stats().refresh_failures >= 2 and str(KEY) not in client.fresh_values)
        assert client.read(KEY).stale is True
        store.away = False
        until(lambda: str(KEY) in client.fresh_values)


def test_close_does_not_wait_for_the_interval() -> None:
    with SecretClient(MemoryStore({str(KEY): canary()})) as client:
        client.get(KEY)
        (thread,) = _refresh_threads()
    assert not thread.is_alive()


def test_close_from_within_a_callback_of_the_background_thread_does_not_wait_for_itself() -> None:
    store = MemoryStore({str(KEY): canary()})
    closed = threading.Event()
    client = SecretClient(store, refresh_interval=SOON)

    def close(_reading: SecretReading) -> None:
        client.close()
        closed.set()

    client.on_change(KEY, close)
    store.put(KEY, canary())
    assert closed.wait(PATIENCE)
    until(lambda: _refresh_threads() == [])


def test_a_client_that_nobody_refers_to_ends_its_thread() -> None:
    client = SecretClient(MemoryStore({str(KEY): canary()}))
    client.get(KEY)
    (thread,) = _refresh_threads()
    gone = weakref.ref(client)
    del client
    gc.collect()
    until(lambda: gone() is None)
    thread.join(PATIENCE)
    assert not thread.is_alive()


def test_a_client_without_background_has_no_thread() -> None:
    with SecretClient(MemoryStore({str(KEY): canary()}), background=False) as client:
        client.get(KEY)
        assert _refresh_threads() == []


# Callbacks


def test_a_callback_is_called_once_for_each_version_until_it_is_unsubscribed() -> None:
    store = MemoryStore({str(KEY): canary()})
    seen: list[SecretVersion] = []
    with SecretClient(store, background=False) as client:
        unsubscribe = client.on_change("vantage/api-key", lambda reading: seen.append(reading.version))
        client.refresh()
        assert seen == []
        second = store.put(KEY, canary())
        client.refresh()
        client.refresh()
        assert seen == [second]
        unsubscribe()
        unsubscribe()
        store.put(KEY, canary())
        client.refresh()
        assert seen == [second]


def test_a_callback_gets_the_value_and_it_is_current_by_then() -> None:
    store = MemoryStore({str(KEY): canary()})
    newer = canary()
    seen: list[tuple[bool, bool]] = []
    with SecretClient(store, background=False) as client:
        client.on_change(KEY, lambda new: seen.append((new.value.matches(newer), client.get(KEY).matches(newer))))
        store.put(KEY, newer)
        client.refresh()
    assert seen == [(True, True)]


def test_two_subscriptions_of_one_function_are_two() -> None:
    store = MemoryStore({str(KEY): canary()})
    calls: list[SecretReading] = []
    with SecretClient(store, background=False) as client:
        first = client.on_change(KEY, calls.append)
        client.on_change(KEY, calls.append)
        first()
        store.put(KEY, canary())
        client.refresh()
    assert len(calls) == 1


def test_a_secret_deleted_and_made_anew_is_a_change() -> None:
    store = MemoryStore({str(KEY): canary()})
    seen: list[SecretReading] = []
    with SecretClient(store, background=False) as client:
        client.on_change(KEY, seen.append)
        store.delete(KEY)
        with pytest.raises(SecretNotFoundError):
            client.refresh(KEY)
        store.put(KEY, canary())
        client.get(KEY)
        assert len(seen) == 1


def test_a_callback_that_raises_is_logged_without_its_words_and_stops_no_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = MemoryStore({str(KEY): canary()})
    seen: list[SecretReading] = []

    def careless(reading: SecretReading) -> None:
        raise RuntimeError(f"cannot log in with {reading.value.reveal_text()}")

    with caplog.at_level(logging.DEBUG), SecretClient(store, background=False) as client:
        client.on_change(KEY, careless)
        client.on_change(KEY, seen.append)
        store.put(KEY, canary())
        assert client.refresh() == (KEY,)
        assert client.stats().callback_failures == 1
    assert len(seen) == 1
    assert "RuntimeError" in caplog.text
    assert "cannot log in" not in caplog.text


def test_a_callback_may_refresh_the_client() -> None:
    store = MemoryStore({str(KEY): canary()})
    seen: list[str] = []
    with SecretClient(store, background=False) as client:

        def follow(reading: SecretReading) -> None:
            seen.append(reading.version.id)
            if len(seen) == 1:
                store.put(KEY, canary())
                client.refresh(KEY)

        client.on_change(KEY, follow)
        second = store.put(KEY, canary())
        client.refresh(KEY)
        assert seen == [second.id, store.describe(KEY)[0].id]


def test_changes_arrive_in_the_order_in_which_they_were_fetched_though_a_callback_is_slow() -> None:
    store = MemoryStore({str(KEY): canary()})
    inside, go_on = threading.Event(), threading.Event()
    seen: list[str] = []

    def slow(reading: SecretReading) -> None:
        inside.set()
        assert go_on.wait(PATIENCE)
        seen.append(reading.version.id)

    with SecretClient(store, background=False) as client:
        client.on_change(KEY, slow)
        second = store.put(KEY, canary())
        threads = in_threads(1, lambda: client.refresh(KEY))
        assert inside.wait(PATIENCE)
        third = store.put(KEY, canary())
        client.refresh(KEY)
        go_on.set()
        for thread in threads:
            thread.join()
        assert seen == [second.id, third.id]


def test_a_subscription_that_cannot_read_its_secret_is_none() -> None:
    store = MemoryStore()
    seen: list[SecretReading] = []
    with SecretClient(store, clock=FakeClock(), background=False) as client:
        store.away = True
        with pytest.raises(StoreUnavailableError):
            client.on_change(KEY, seen.append)
        store.away = False
        store.put(KEY, canary())
        client.get(KEY)
        store.put(KEY, canary())
        client.refresh()
    assert seen == []
