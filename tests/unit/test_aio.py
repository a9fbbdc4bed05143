"""Reading secrets from asynchronous code."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator

import pytest

import vantage_secrets
from tests.canary import canary
from vantage_secrets import aio
from vantage_secrets.aio import AsyncSecretClient
from vantage_secrets.client import SecretClient
from vantage_secrets.errors import SecretNotFoundError
from vantage_secrets.secret import SecretName
from vantage_secrets.testing import MemoryStore

KEY = SecretName("vantage/api-key")
PATIENCE = 20.0


@pytest.fixture
def value() -> str:
    return canary()


@pytest.fixture
def store(value: str) -> MemoryStore:
    return MemoryStore({str(KEY): value})


@pytest.fixture
async def client(store: MemoryStore) -> AsyncIterator[AsyncSecretClient]:
    with SecretClient(store, aliases={"VANTAGE_API_KEY": KEY}, background=False) as blocking:
        yield AsyncSecretClient(blocking)


async def test_get_and_read_give_the_value(client: AsyncSecretClient, value: str) -> None:
    assert (await client.get("VANTAGE_API_KEY")).matches(value)
    assert (await client.get(KEY)).matches(value)
    assert (await client.read("vantage/api-key")).stale is False


async def test_cached_reads_and_validations_use_no_thread(
    client: AsyncSecretClient, store: MemoryStore, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await client.validate(KEY, value)

    def forbidden(*_args: object, **_options: object) -> None:
        raise AssertionError("a thread was asked for")

    monkeypatch.setattr(asyncio, "to_thread", forbidden)
    assert (await client.get("vantage/api-key")).matches(value)
    assert (await client.read("vantage/api-key")).value.matches(value)
    assert await client.validate(KEY, value) is True
    assert await client.validate(KEY, None) is False
    assert store.read_count == 2


async def test_stale_reads_use_no_thread_either(client: AsyncSecretClient, store: MemoryStore, value: str) -> None:
    await client.get(KEY)
    client.client.fresh_values.clear()
    store.away = True
    assert (await client.get(KEY)).matches(value)
    assert store.read_count == 1


async def test_the_loop_runs_on_while_a_read_waits_for_the_store_and_all_waiters_share_one_thread(
    client: AsyncSecretClient, store: MemoryStore, value: str
) -> None:
    inside, go_on = threading.Event(), threading.Event()

    def hold(_name: SecretName) -> None:
        inside.set()
        assert go_on.wait(PATIENCE)

    store.before_read = hold
    waiting = [asyncio.create_task(client.get(KEY)) for _ in range(100)]
    assert await asyncio.to_thread(inside.wait, PATIENCE)
    go_on.set()
    assert all(found.matches(value) for found in await asyncio.gather(*waiting))
    assert store.read_count == 1
    assert client.client.stats().one_flight_waits == 0


async def test_a_cancelled_waiter_leaves_the_others_their_read(
    client: AsyncSecretClient, store: MemoryStore, value: str
) -> None:
    inside, go_on = threading.Event(), threading.Event()

    def hold(_name: SecretName) -> None:
        inside.set()
        assert go_on.wait(PATIENCE)

    store.before_read = hold
    first, second = asyncio.create_task(client.get(KEY)), asyncio.create_task(client.get(KEY))
    assert await asyncio.to_thread(inside.wait, PATIENCE)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    go_on.set()
    assert (await second).matches(value)
    assert store.read_count == 1


async def test_a_read_that_fails_after_everyone_was_cancelled_is_no_unseen_exception(
    client: AsyncSecretClient, store: MemoryStore
) -> None:
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: complaints.append(context))
    inside, go_on = threading.Event(), threading.Event()

    def hold(_name: SecretName) -> None:
        inside.set()
        assert go_on.wait(PATIENCE)

    store.before_read = hold
    store.delete(KEY)
    lonely = asyncio.create_task(client.get(KEY))
    assert await asyncio.to_thread(inside.wait, PATIENCE)
    lonely.cancel()
    with pytest.raises(asyncio.CancelledError):
        await lonely
    go_on.set()
    store.before_read = None
    with pytest.raises(SecretNotFoundError):
        await client.get(KEY)
    assert complaints == []


async def test_errors_arrive_and_the_next_read_asks_again(
    client: AsyncSecretClient, store: MemoryStore, value: str
) -> None:
    store.delete(KEY)
    for _ in range(2):
        with pytest.raises(SecretNotFoundError):
            await client.get(KEY)
    store.put(KEY, value)
    assert (await client.get(KEY)).matches(value)


async def test_refresh_and_validation_of_a_new_key(client: AsyncSecretClient, store: MemoryStore) -> None:
    await client.get(KEY)
    newer = canary()
    store.put(KEY, newer)
    assert await client.validate(KEY, newer) is True
    store.put(KEY, canary())
    assert await client.refresh() == (KEY,)
    assert await client.refresh(KEY) == ()


def test_one_face_serves_several_event_loops(store: MemoryStore, value: str) -> None:
    with SecretClient(store, background=False) as blocking:
        face = AsyncSecretClient(blocking)
        for _ in range(2):
            blocking.fresh_values.clear()
            assert asyncio.run(face.get(KEY)).matches(value)


async def test_the_functions_use_the_process_s_own_client_and_its_successor(
    store: MemoryStore, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aio, "_face", None)
    for _ in range(2):
        with SecretClient(store, background=False) as own:
            monkeypatch.setattr(vantage_secrets, "default_client", lambda own=own: own)
            assert (await aio.get_secret("vantage/api-key")).matches(value)
            assert (await aio.read("vantage/api-key")).value.matches(value)
            assert await aio.validate("vantage/api-key", value) is True
            assert await aio.refresh() == ()
            assert own.stats().store_reads > 0
