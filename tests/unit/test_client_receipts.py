"""A client's receipts name what was handed to the application, and not what the cache fetched meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import vantage_secrets
from tests.canary import canary
from vantage_secrets.aio import AsyncSecretClient
from vantage_secrets.client import SecretClient
from vantage_secrets.database import Database
from vantage_secrets.errors import DatabaseError, InvalidInputError, InvalidSecretValueError, UnknownSecretError
from vantage_secrets.receipts import ReceiptBook, Receipts
from vantage_secrets.secret import SecretName, SecretReading, SecretValue
from vantage_secrets.testing import FakeClock, MemoryStore

KEY = SecretName("vantage/api-key")
LOGIN = SecretName("vantage/worker-clickhouse-password")
INTERVAL = timedelta(seconds=300)
NAME = "host/worker/7"


class World(SimpleNamespace):
    """A store, a client without a thread, its receipts, and a clock that moves all of them."""

    clock: FakeClock
    store: MemoryStore
    client: SecretClient
    book: ReceiptBook
    receipts: Receipts

    def pass_time(self, length: timedelta) -> None:
        self.clock.advance(length)
        self.client.run_due()

    def held(self) -> dict[str, str]:
        """Which version each instance holds: its number, without the process's name."""
        assert self.book.flush()
        found = self.receipts.holders(KEY, now=self.clock())
        return {holder.instance.removeprefix(NAME): holder.version_id.removeprefix("v") for holder in found}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    clock = FakeClock()
    database = Database(f"sqlite:///{tmp_path}/control.db")
    store = MemoryStore({str(KEY): canary()}, clock=clock)
    book = ReceiptBook(lambda: database, service="worker", instance=lambda: NAME, clock=clock, background=False)
    book.instance = NAME
    with SecretClient(
        store,
        aliases={"VANTAGE_API_KEY": KEY},
        accounts={LOGIN: "vantage_worker"},
        receipts=book,
        grace={KEY: timedelta(hours=1)},
        clock=clock,
        monotonic=lambda: clock().timestamp(),
        fraction=lambda: 0.5,
        background=False,
    ) as client:
        yield World(clock=clock, store=store, client=client, book=book, receipts=Receipts(database))
    database.close()


READS: dict[str, Callable[[World], object]] = {
    "get": lambda world: world.client.get("vantage/api-key"),
    "get by its other spelling": lambda world: world.client.get("VANTAGE_API_KEY"),
    "read": lambda world: world.client.read(KEY),
    "read of what is new enough": lambda world: world.client.read(KEY, max_age=timedelta(hours=1)),
    "read of what is cached": lambda world: world.client.read_cached(KEY),
    "credential": lambda world: world.client.credential(KEY, account="somebody"),
}
OTHERS: dict[str, Callable[[World], object]] = {
    "nothing": lambda world: None,
    "a refresh that was asked for": lambda world: world.client.refresh(KEY),
    "a refresh in the background": lambda world: world.pass_time(INTERVAL),
    "a change that the store told of": lambda world: world.client.note_change(KEY),
    "take": lambda world: world.client.take(KEY, max_age=timedelta(0)),
    "a subscription": lambda world: world.client.on_change(KEY, lambda _reading: None),
}


@pytest.mark.parametrize("read", READS.values(), ids=READS)
@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_a_read_moves_the_receipt_and_nothing_else_does(
    world: World, read: Callable[[World], object], other: Callable[[World], object]
) -> None:
    world.client.on_change(KEY, lambda _reading: None)
    assert world.held() == {}
    read(world)
    assert world.held() == {"": "1"}
    world.store.put(KEY, canary())
    world.clock.advance(timedelta(seconds=1))
    other(world)
    assert world.held() == {"": "1"}
    world.client.refresh(KEY)
    read(world)
    assert world.held() == {"": "2"}


def test_an_application_that_reads_once_holds_what_it_got_however_often_the_cache_renews(world: World) -> None:
    world.client.get("vantage/api-key")
    for version in range(2, 6):
        world.store.put(KEY, canary())
        world.pass_time(2 * INTERVAL)
        assert world.client.take(KEY).version.id == f"v{version}"
        assert world.held() == {"": "1"}


def test_the_first_read_after_a_change_goes_the_slow_way_and_the_next_is_one_look_up(world: World) -> None:
    world.client.get("vantage/api-key")
    assert set(world.client.fresh_values) == {"vantage/api-key", "VANTAGE_API_KEY"}
    newer = canary()
    world.store.put(KEY, newer)
    world.client.refresh()
    assert world.client.fresh_values == {}
    assert world.client.get("VANTAGE_API_KEY").matches(newer)
    assert set(world.client.fresh_values) == {"vantage/api-key", "VANTAGE_API_KEY"}


def test_a_refresh_that_brings_the_same_version_leaves_the_fast_path_alone(world: World) -> None:
    world.client.get("vantage/api-key")
    world.client.refresh()
    assert "vantage/api-key" in world.client.fresh_values


def test_a_read_that_was_overtaken_is_on_record_and_the_next_read_moves_on(world: World) -> None:
    world.client.get(KEY)
    older = world.client._cache.obtain(KEY)
    world.store.put(KEY, canary())
    world.client.refresh()
    world.client.get(KEY)
    world.client._cache.hand_out(older)  # a thread that had fetched before, and comes late
    assert world.held() == {"": "1"}
    assert world.client.fresh_values == {}
    world.client.get("vantage/api-key")
    assert world.held() == {"": "2"}


def test_a_stale_read_in_an_outage_is_a_hand_out_too(world: World) -> None:
    world.client.take(KEY)
    with world.store.outage():
        world.pass_time(2 * INTERVAL)
        assert world.client.read(KEY).stale
        assert world.held() == {"": "1"}


async def test_reads_of_asynchronous_code_are_hand_outs(world: World) -> None:
    client = AsyncSecretClient(world.client)
    await client.get("vantage/api-key")
    assert world.held() == {"": "1"}
    world.store.put(KEY, canary())
    world.client.refresh()
    await client.read(KEY)
    assert world.held() == {"": "2"}


# Connections


def test_a_connection_holds_what_it_confirmed_until_it_is_let_go(world: World) -> None:
    first = world.client.take("VANTAGE_API_KEY")
    assert world.held() == {}
    world.client.confirm("VANTAGE_API_KEY", first.version.id, connection="tcp-1")
    world.store.put(KEY, canary())
    second = world.client.take(KEY, max_age=timedelta(0))
    world.client.confirm(KEY, second.version.id, connection="tcp-2")
    assert world.held() == {"#tcp-1": "1", "#tcp-2": "2"}
    world.client.confirm(KEY, second.version.id, connection="tcp-1")
    world.client.let_go("VANTAGE_API_KEY", "tcp-2")
    world.client.let_go(KEY, "tcp-2")
    assert world.held() == {"#tcp-1": "2"}


def test_confirming_for_the_process_keeps_any_other_version_off_the_fast_path(world: World) -> None:
    world.client.get(KEY)
    world.client.confirm(KEY, "0")
    assert world.client.fresh_values == {}
    assert world.held() == {"": "0"}
    world.client.get("vantage/api-key")
    assert world.held() == {"": "1"}


def test_letting_go_for_the_process_ends_its_receipt_until_it_reads_again(world: World) -> None:
    world.client.get("vantage/api-key")
    assert world.held() == {"": "1"}
    world.client.let_go("vantage/api-key")
    assert world.held() == {}
    world.client.get("vantage/api-key")
    assert world.held() == {"": "1"}


def test_an_unknown_name_cannot_be_confirmed_or_let_go(world: World) -> None:
    with pytest.raises(UnknownSecretError):
        world.client.confirm("VANTAGE_NOTHING", "1")
    with pytest.raises(UnknownSecretError):
        world.client.let_go("VANTAGE_NOTHING")


def test_a_callback_that_puts_a_value_to_use_confirms_it(world: World) -> None:
    def rebuild(reading: SecretReading) -> None:
        world.client.confirm(KEY, reading.version.id, connection="pool")

    world.client.on_change(KEY, rebuild)
    world.store.put(KEY, canary())
    world.client.refresh()
    assert world.held() == {"#pool": "2"}


# Who checks others' keys


@pytest.mark.parametrize("right", [True, False])
def test_a_verifier_holds_what_it_compares_with_and_moves_with_the_cache(world: World, right: bool) -> None:
    newer = canary()
    world.client.validate(KEY, "wrong")
    assert world.held() == {"#verifier": "1"}
    world.store.put(KEY, newer)
    world.clock.advance(timedelta(seconds=2))
    if right:
        assert world.client.validate(KEY, newer)
    else:
        world.client.refresh()
    assert world.held() == {"#verifier": "2"}


def test_a_verifier_that_only_looks_at_the_cache_is_on_record(world: World) -> None:
    world.client.validate(KEY, "wrong")
    world.client.let_go(KEY, "verifier")
    assert world.client.validate_cached(KEY, "wrong") is False
    assert world.held() == {}, "it was let go, and compares with the same version"
    world.store.put(KEY, canary())
    world.client.refresh()
    assert world.held() == {"#verifier": "2"}


# Credentials


def test_a_credential_brings_its_own_user_name_or_takes_the_given_one(world: World) -> None:
    password = canary()
    world.store.put(LOGIN, SecretValue({"username": "vantage_worker_b", "password": password}))
    found = world.client.credential(LOGIN, account="somebody")
    assert found.username == "vantage_worker_b"
    assert found.password.matches(password)
    assert world.client.credential(KEY, account="somebody").username == "somebody"


def test_a_plain_password_belongs_to_the_manifests_account(world: World) -> None:
    world.store.put(LOGIN, canary())
    assert world.client.credential(LOGIN).username == "vantage_worker"
    assert world.client.credential(LOGIN, account="somebody").username == "somebody"
    with pytest.raises(InvalidInputError, match="whose password 'VANTAGE_API_KEY'"):
        world.client.credential("VANTAGE_API_KEY")


def test_get_credential_asks_the_process_s_own_client(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vantage_secrets.bootstrap.default_client", lambda: world.client)
    password = canary()
    world.store.put(LOGIN, password)
    found = vantage_secrets.get_credential(str(LOGIN))
    assert isinstance(found, vantage_secrets.Credential)
    assert found.username == "vantage_worker"
    assert found.password.matches(password)
    assert vantage_secrets.get_credential("VANTAGE_API_KEY", account="somebody").username == "somebody"


def test_other_named_fields_are_no_credential(world: World) -> None:
    world.store.put(LOGIN, SecretValue({"token": canary()}))
    with pytest.raises(InvalidSecretValueError, match="token"):
        world.client.credential(LOGIN)


# When it goes wrong


def test_a_database_that_is_away_disturbs_no_read_and_is_counted() -> None:
    def refuse() -> Database:
        raise DatabaseError("The control database failed: OperationalError.")

    value = canary()
    book = ReceiptBook(refuse, service="worker", background=False)
    with SecretClient(MemoryStore({str(KEY): value}), receipts=book, background=False) as client:
        assert client.get(KEY).matches(value)
        assert not book.flush()
        assert client.get("vantage/api-key").matches(value)
        assert client.stats().receipt_failures == 1


def test_a_process_that_gets_no_thread_reads_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    value = canary()
    book = ReceiptBook(lambda: Database("sqlite://"), service="worker")
    with SecretClient(MemoryStore({str(KEY): value}), receipts=book, background=False) as client:
        monkeypatch.setattr(threading.Thread, "start", refuse)
        assert client.get(KEY).matches(value)
        monkeypatch.undo()
        assert client.stats().receipt_failures == 1


def test_a_closed_client_has_let_everything_go(world: World) -> None:
    world.client.get(KEY)
    world.client.confirm(KEY, "v1", connection="tcp-1")
    assert world.held() == {"": "1", "#tcp-1": "1"}
    world.client.close()
    assert world.held() == {}


def test_a_receipt_holds_no_value(world: World, tmp_path: Path) -> None:
    value = canary()
    world.store.put(KEY, value)
    world.client.get(KEY)
    assert world.held() == {"": "2"}
    written = b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.is_file())
    assert b"vantage/api-key" in written, "the search looks at the right files"
    assert value.encode() not in written


def test_reads_of_many_threads_never_leave_the_fast_path_ahead_of_the_receipt() -> None:
    store = MemoryStore({str(KEY): canary()})
    notes: dict[str, Any] = {"last": None}

    class Notes:
        failure_count = 0

        def hand_out(self, secret: SecretName, version_id: str, connection: str = "") -> None:
            notes["last"] = version_id

        def close(self) -> None:
            """Nothing to close."""

    values = {"v1": store.read(KEY).value}
    with SecretClient(store, receipts=Notes(), background=False) as client:  # type: ignore[arg-type]
        ended = threading.Event()

        def read() -> None:
            while not ended.is_set():
                client.read(KEY)

        threads = [threading.Thread(target=read) for _ in range(4)]
        for thread in threads:
            thread.start()
        for _ in range(200):
            version = store.put(KEY, canary())
            values[version.id] = store.read(KEY).value
            client.refresh()
            with client._cache._lock:
                shown, last = client.fresh_values.get("vantage/api-key"), notes["last"]
            assert shown is None or (shown == values[last]) is True
        ended.set()
        for thread in threads:
            thread.join()
