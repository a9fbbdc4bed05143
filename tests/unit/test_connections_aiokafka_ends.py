"""Clients of aiokafka are begun and ended whatever comes of their own start and stop, tried without Kafka."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError

from tests.canary import canary
from vantage_secrets.connections.aiokafka import succession
from vantage_secrets.connections.aiokafka.succession import begin, end
from vantage_secrets.connections.following import Login
from vantage_secrets.errors import CredentialRefusedError, TargetUnavailableError
from vantage_secrets.secret import SecretValue

Start = Callable[[], Coroutine[Any, Any, None]]


class _Client:
    """The connections of a client."""

    def __init__(self) -> None:
        self.is_closed = False
        self._sync_task: object | None = object()

    async def close(self) -> None:
        self.is_closed = True


class _Fetcher:
    def __init__(self, fetch: asyncio.Task[None]) -> None:
        self._pending_tasks = {fetch}


class _Coordinator:
    def __init__(self, heartbeat: asyncio.Task[None]) -> None:
        self._heartbeat_task = heartbeat


class _Bare:
    """A consumer that fetches and beats, and whose own stop does what a test wants."""

    def __init__(self, stop: Callable[[_Bare], Coroutine[Any, Any, None]]) -> None:
        self._client = _Client()
        self.fetch, self.heartbeat = asyncio.create_task(_for_ever()), asyncio.create_task(_for_ever())
        self._fetcher, self._coordinator = _Fetcher(self.fetch), _Coordinator(self.heartbeat)
        self._stop = stop

    async def stop(self) -> None:
        await self._stop(self)

    @property
    def is_gone(self) -> bool:
        return self._client.is_closed and self.fetch.done() and self.heartbeat.done()


async def _for_ever() -> None:
    await asyncio.Event().wait()


async def _stop_as_aiokafka_does(bare: _Bare) -> None:
    bare.fetch.cancel()
    await bare.fetch


async def _never_stop(_bare: _Bare) -> None:
    await _for_ever()


async def _fail_to_stop(_bare: _Bare) -> None:
    raise KafkaConnectionError


@pytest.mark.parametrize("stop", [_stop_as_aiokafka_does, _never_stop, _fail_to_stop])
async def test_whatever_comes_of_a_stop_is_no_error_and_nothing_is_left(
    stop: Callable[[_Bare], Coroutine[Any, Any, None]],
) -> None:
    bare = _Bare(stop)
    await asyncio.sleep(0)  # The tasks run.
    await end(bare, 0.01)
    assert bare.is_gone


async def test_who_is_cancelled_while_it_stops_a_client_is_cancelled_and_nothing_is_left() -> None:
    bare = _Bare(_never_stop)
    ending = asyncio.create_task(end(bare, None))
    await asyncio.sleep(0)
    ending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await ending
    assert bare.is_gone


async def _fail_to_start() -> None:
    raise KafkaConnectionError


@pytest.mark.parametrize("start", [_for_ever, _fail_to_start])
@pytest.mark.parametrize("answer", [CredentialRefusedError("no"), TargetUnavailableError("away")])
async def test_a_start_that_comes_to_nothing_is_what_a_fresh_login_says_and_nothing_is_left(
    start: Start, answer: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    _answer_logins_with(answer, monkeypatch)
    bare = _Bare(_never_stop)
    with pytest.raises(type(answer)):
        await begin(bare, start, {}, _LOGIN)
    assert bare.is_gone


async def test_a_start_that_fails_where_the_login_is_accepted_is_an_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    _answer_logins_with(None, monkeypatch)
    bare = _Bare(_never_stop)
    with pytest.raises(TargetUnavailableError):
        await begin(bare, _fail_to_start, {}, _LOGIN)
    assert bare.is_gone


async def test_a_start_that_takes_longer_goes_on_as_long_as_the_login_is_accepted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    proofs = _answer_logins_with(None, monkeypatch)
    bare = _Bare(_never_stop)

    async def start() -> None:
        while len(proofs) < 3:
            await asyncio.sleep(0)

    await begin(bare, start, {}, _LOGIN)
    assert not bare._client.is_closed
    await end(bare, 0)


async def test_who_is_cancelled_while_a_client_bootstraps_lets_it_come_to_the_end_of_that() -> None:
    bare, steps = _Bare(_never_stop), [""]
    bare._client._sync_task = None

    async def start() -> None:
        steps.append("a connection is open")
        await asyncio.sleep(0.01)
        steps.append("it is closed")

    beginning = asyncio.create_task(begin(bare, start, {}, _LOGIN))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    beginning.cancel()
    with pytest.raises(asyncio.CancelledError):
        await beginning
    assert steps[-1] == "it is closed"
    assert bare.is_gone


_LOGIN = Login("version-1", "worker", SecretValue(canary()), "")


def _answer_logins_with(answer: Exception | None, monkeypatch: pytest.MonkeyPatch) -> list[Login]:
    proofs: list[Login] = []

    async def prove(_settings: object, login: Login) -> None:
        proofs.append(login)
        if answer is not None:
            raise answer

    monkeypatch.setattr(succession, "LOGIN_SECONDS_MAX", 0.01)
    monkeypatch.setattr(succession, "prove", prove)
    return proofs
