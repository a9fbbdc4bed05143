"""A producer of ``aiokafka`` that takes a new credential while messages flow."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any, Final, Self

from vantage_secrets.client import SecretClient
from vantage_secrets.connections.aiokafka.succession import Succession, begin, checked, end, give_login, with_login
from vantage_secrets.connections.following import FollowedSecret, Login
from vantage_secrets.secret import SecretName

FLUSH_SECONDS_MAX: Final = 5.0
"""How long messages after a change wait for those before it, so that the order stays."""

STOP_SECONDS_MAX: Final = 30.0

SLOW_SECONDS: Final = 2.0
"""After what time without an answer a fresh login shows whether the one in use is refused: aiokafka does not tell."""


class FollowingProducer:
    """Sends with the current credential of a secret; for one event loop.

    When the secret has another version, a second producer is started with it. Sends wait for a moment while the
    first one delivers what it holds, so that the order of messages stays. With ``enable_idempotence`` none is lost or
    doubled. Where the old credential is refused before that, what is queued is sent with the new one. A broker that
    denies a message (an ACL) is asked once more, with the version that a refresh brings.

    Args:
        client: Reads the secret; it stays the caller's to close.
        name: The secret's name or one of its other spellings.
        account: Whose password it is, where the value names no user.
        settings: Of ``aiokafka.AIOKafkaProducer``, without a login. The value's own field ``mechanism`` goes before
            ``sasl_mechanism``; without either it is SCRAM-SHA-512.

    Raises:
        InvalidInputError: The settings hold a login or a transactional id.
        MissingExtraError: ``aiokafka`` is not installed.
        VantageSecretsError: As :meth:`SecretClient.get`.
    """

    def __init__(self, client: SecretClient, name: str | SecretName, *, account: str = "", **settings: Any) -> None:
        """Read the secret; :meth:`start` connects."""
        self._settings = checked(settings)
        following = FollowedSecret(client, name, account=account, kind="producer")
        self._used = Succession(following, self._settings, self._take_over)
        self._bare: Any = None
        self._queueing: dict[asyncio.Future[Any], float] = {}
        self._deliveries: dict[asyncio.Task[Any], float] = {}
        self._gate = asyncio.Event()
        self._gate.set()
        self._watch: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Log in.

        Raises:
            CredentialRefusedError: Kafka refused the login, and again after a refresh.
            InvalidInputError: Nobody said whose password it is.
            TargetUnavailableError: No broker answered.
        """
        login = await self._used.start()
        self._bare = await self._started(login)
        self._used.used(login)
        self._watch = asyncio.ensure_future(self._look_when_slow())

    async def send(self, topic: str, value: Any = None, key: Any = None, **more: Any) -> asyncio.Task[Any]:
        """Queue a message; await what is returned for its delivery, as ``aiokafka.AIOKafkaProducer.send``.

        Args:
            topic: Where it goes.
            value: What it says.
            key: Its key.
            more: ``partition``, ``timestamp_ms`` and ``headers``.

        Raises:
            CredentialRefusedError: Kafka refused the login, and again after a refresh; told once each time.
            aiokafka.errors.KafkaError: As the bare producer's.
        """
        failure = self._used.take_failure()
        if failure is not None:
            raise failure
        message = {"topic": topic, "value": value, "key": key, **more}
        try:
            bare, queued = await self._queue(message)
        except _denials() as exc:
            await self._change_or_raise(self._bare, exc)
            bare, queued = await self._queue(message)
        delivery = asyncio.ensure_future(self._deliver(bare, queued, message))
        self._deliveries[delivery] = asyncio.get_running_loop().time()
        delivery.add_done_callback(self._deliveries.pop)
        return delivery

    async def send_and_wait(self, topic: str, value: Any = None, key: Any = None, **more: Any) -> Any:
        """Send a message, and return when it is delivered; as :meth:`send`."""
        return await (await self.send(topic, value, key, **more))

    async def flush(self) -> None:
        """Return when all that was sent is delivered or has failed."""
        if self._deliveries:
            await asyncio.wait({*self._deliveries, asyncio.ensure_future(self._bare.flush())})

    async def stop(self) -> None:
        """Deliver what is queued, for half a minute at most, and end; what is left then fails. Safe to repeat."""
        from aiokafka.errors import KafkaConnectionError

        if self._bare is not None:
            flushing = asyncio.ensure_future(self.flush())
            await asyncio.wait({flushing}, timeout=STOP_SECONDS_MAX)
            flushing.cancel()
        if self._watch is not None:
            self._watch.cancel()
        await self._used.close()
        if self._bare is not None:
            await end(self._bare, 0 if self._deliveries else FLUSH_SECONDS_MAX)
            self._bare._message_accumulator.fail_all(KafkaConnectionError("The producer has ended."))

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_raised: object) -> None:
        await self.stop()

    async def _queue(self, message: dict[str, Any]) -> tuple[Any, asyncio.Future[Any]]:
        from aiokafka.errors import ProducerClosed

        while True:
            await self._gate.wait()
            bare = self._bare
            queueing = asyncio.ensure_future(bare.send(**message))
            self._queueing[queueing] = asyncio.get_running_loop().time()
            queueing.add_done_callback(self._queueing.pop)
            try:
                await asyncio.wait({queueing})
                if not queueing.cancelled():
                    return bare, queueing.result()
            except ProducerClosed:
                if bare is self._bare:
                    raise
            finally:
                queueing.cancel()

    async def _deliver(self, bare: Any, queued: asyncio.Future[Any], message: dict[str, Any]) -> Any:
        try:
            return await queued
        except _denials() as exc:
            await self._change_or_raise(bare, exc)
        _bare, again = await self._queue(message)
        return await again

    async def _change_or_raise(self, denied: Any, denial: Exception) -> None:
        """Return when another producer took over from the one that was denied."""
        if denied is self._bare:
            search = self._used.deny()
            if search is None:
                raise denial
            await asyncio.shield(search)
            if denied is self._bare:
                raise denial

    async def _look_when_slow(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(SLOW_SECONDS / 2)
            since = [*self._queueing.values(), *self._deliveries.values()]
            if since and loop.time() - min(since) > SLOW_SECONDS:
                self._used.doubt()

    async def _started(self, login: Login) -> Any:
        from aiokafka import AIOKafkaProducer

        bare = AIOKafkaProducer(**with_login(self._settings, login))
        await begin(bare, bare.start, self._settings, login)
        return bare

    async def _take_over(self, login: Login) -> None:
        after, before = await self._started(login), self._bare
        self._gate.clear()
        try:
            give_login(before.client, self._settings, login)
            with suppress(TimeoutError):
                async with asyncio.timeout(FLUSH_SECONDS_MAX):
                    while self._queueing:
                        await asyncio.wait({*self._queueing})
                    await before.flush()
            self._bare = after
            for queueing in self._queueing:  # A topic that it has not heard of: the next one looks for it.
                queueing.cancel()
        finally:
            self._gate.set()
            if self._bare is not after:
                await end(after, 0)
        await self._let_deliver(before)
        self._used.used(login)

    async def _let_deliver(self, before: Any) -> None:
        """End a producer when it has delivered what it holds: with a newer login where its own is refused again."""
        ending = asyncio.ensure_future(end(before, None))
        try:
            while not (await asyncio.wait({ending}, timeout=FLUSH_SECONDS_MAX))[0]:
                give_login(before.client, self._settings, await self._used.newest())
        finally:
            ending.cancel()
            await asyncio.wait({ending})


def _denials() -> tuple[type[Exception], ...]:
    from aiokafka import errors

    return errors.TopicAuthorizationFailedError, errors.ClusterAuthorizationFailedError
