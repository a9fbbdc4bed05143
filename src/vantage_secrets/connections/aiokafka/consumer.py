"""A consumer of ``aiokafka`` that takes a new credential, and hands out no message twice for it."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Self

from vantage_secrets.client import SecretClient
from vantage_secrets.connections.aiokafka.succession import Succession, begin, checked, end, give_login, with_login
from vantage_secrets.connections.following import FollowedSecret, Login
from vantage_secrets.errors import CredentialRefusedError
from vantage_secrets.secret import SecretName

if TYPE_CHECKING:
    from aiokafka import ConsumerRecord, TopicPartition

HOLD_SECONDS_MAX: Final = 5.0
"""How long no message is handed out while those before a change are not committed yet."""

QUIET_SECONDS: Final = 5.0
"""After what time without a message a fresh login shows whether the one in use is refused: aiokafka does not tell.
The times between two such looks double, up to a minute."""

_QUIET_SECONDS_MAX: Final = 60.0
_PIECE_MILLISECONDS: Final = 100
_STOP_SECONDS_MAX: Final = 10.0
_COMMIT_SECONDS: Final = 2.0
"""How often a commit that is not done looks whether the login is refused."""


class FollowingConsumer:
    """Consumes with the current credential of a secret; for one task of one event loop.

    When the secret has another version, its login is proven first. Then nothing is handed out until what was handed
    out is committed, at most five seconds; the consumer is stopped, and another one joins the group and goes on
    behind the last message that was handed out. So nothing is lost, and no message is handed out twice here. Behind
    those five seconds, a partition that goes to another member in that moment begins there with what was not
    committed, as at any rebalance.

    Args:
        client: Reads the secret; it stays the caller's to close.
        name: The secret's name or one of its other spellings.
        topics: What to consume.
        account: Whose password it is, where the value names no user.
        settings: Of ``aiokafka.AIOKafkaConsumer``, with ``group_id`` and without a login. The value's own field
            ``mechanism`` goes before ``sasl_mechanism``; without either it is SCRAM-SHA-512.

    Raises:
        InvalidInputError: The settings hold a login.
        MissingExtraError: ``aiokafka`` is not installed.
        VantageSecretsError: As :meth:`SecretClient.get`.
    """

    def __init__(
        self, client: SecretClient, name: str | SecretName, *topics: str, account: str = "", **settings: Any
    ) -> None:
        """Read the secret; :meth:`start` joins the group."""
        self._settings = checked(settings)
        self._topics = topics
        following = FollowedSecret(client, name, account=account, kind="consumer")
        self._used = Succession(following, self._settings, self._note_ready)
        self._bare: Any = None
        self._ready: Login | None = None
        self._is_denied = False
        self._holds_until: float | None = None
        self._resume: dict[TopicPartition, int] | None = None
        self._handed_out: dict[TopicPartition, int] = {}
        self._looks_at, self._quiet_seconds = math.inf, QUIET_SECONDS

    async def start(self) -> None:
        """Log in and join the group.

        Raises:
            CredentialRefusedError: Kafka refused the login, and again after a refresh.
            InvalidInputError: Nobody said whose password it is.
            TargetUnavailableError: No broker answered.
        """
        login = await self._used.start()
        self._bare = await self._started(login, {})
        self._used.used(login)

    async def getmany(self, timeout_ms: int = 0, max_records: int | None = None) -> dict[Any, list[ConsumerRecord]]:
        """Return the next messages of each partition; none when there were none for ``timeout_ms`` milliseconds.

        Raises:
            CredentialRefusedError: Kafka refused the login, and again after a refresh; told once each time.
            TargetUnavailableError: Kafka went away in the moment of a change; call again.
            aiokafka.errors.KafkaError: As the bare consumer's.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_ms / 1000
        while True:
            await self._change()
            wait = max(0, min(_PIECE_MILLISECONDS, round((deadline - loop.time()) * 1000)))
            # Where the one before is stopped and no other could be started yet, the next change is tried first.
            found = {} if self._resume is not None else await self._take(wait, max_records)
            if found or loop.time() >= deadline:
                return found

    async def getone(self) -> ConsumerRecord:
        """Wait for the next message and return it; raises as :meth:`getmany`."""
        while True:
            for records in (await self.getmany(timeout_ms=10 * _PIECE_MILLISECONDS, max_records=1)).values():
                return records[0]

    async def commit(self, offsets: Mapping[TopicPartition, int] | None = None) -> None:
        """Commit these offsets, or behind all that was handed out.

        A commit for which no broker lets the login in, or that one denies, is done with the next login.

        Raises:
            CredentialRefusedError: Kafka refused the login, and again after a refresh; told once each time.
            TargetUnavailableError: Kafka went away in the moment of a change.
            aiokafka.errors.KafkaError: As the bare consumer's.
        """
        while self._resume is not None:  # The one before is stopped, and no other could be started yet.
            await self._change()
        wanted = self._handed_out_here() if offsets is None else dict(offsets)
        try:
            await self._commit(wanted)
        except _denials():
            search = self._used.deny()
            if search is None:
                raise
            self._is_denied = True
            await asyncio.shield(search)
            await self._change()
            await self._commit(wanted)

    async def stop(self) -> None:
        """Leave the group and end. Safe to repeat."""
        await self._used.close()
        if self._bare is not None:
            await end(self._bare, _STOP_SECONDS_MAX)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ConsumerRecord:
        return await self.getone()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_raised: object) -> None:
        await self.stop()

    async def _commit(self, wanted: dict[TopicPartition, int]) -> None:
        """Commit; aiokafka tries for ever, also where the login is refused: a fresh one shows that."""
        if not wanted:
            return
        committing = asyncio.ensure_future(self._bare.commit(wanted))
        try:
            while not (await asyncio.wait({committing}, timeout=_COMMIT_SECONDS))[0]:
                self._raise_failure()
                self._used.doubt()
                if self._ready is not None:
                    give_login(self._bare._client, self._settings, self._ready)
            committing.result()
        finally:
            committing.cancel()

    async def _take(self, timeout_ms: int, max_records: int | None) -> dict[Any, list[ConsumerRecord]]:
        found: dict[Any, list[ConsumerRecord]] = {}
        try:
            # While it joins its group anew, aiokafka waits for the end of that, which a refused login never sees.
            with suppress(TimeoutError):
                async with asyncio.timeout((timeout_ms + _PIECE_MILLISECONDS) / 1000):
                    found = await self._bare.getmany(timeout_ms=timeout_ms, max_records=max_records)
        except _denials():
            search = self._used.deny()
            if search is None:
                raise
            self._is_denied = True
            await asyncio.shield(search)
            return {}
        self._handed_out |= {place: records[-1].offset + 1 for place, records in found.items()}
        self._look_when_quiet(bool(found))
        return found

    def _look_when_quiet(self, is_flowing: bool) -> None:
        now = asyncio.get_running_loop().time()
        if is_flowing or self._looks_at == math.inf:
            self._quiet_seconds = QUIET_SECONDS
        elif now < self._looks_at:
            return
        else:
            self._used.doubt()
            self._quiet_seconds = min(2 * self._quiet_seconds, _QUIET_SECONDS_MAX)
        self._looks_at = now + self._quiet_seconds

    async def _note_ready(self, login: Login) -> None:
        self._ready = login

    def _raise_failure(self) -> None:
        failure = self._used.take_failure()
        if failure is not None:
            raise failure

    async def _change(self) -> None:
        self._raise_failure()
        if self._ready is not None and await self._may_reopen(self._ready):
            await self._reopen(self._ready)

    async def _may_reopen(self, login: Login) -> bool:
        if self._is_denied or self._resume is not None:
            return True  # Whatever waits to be committed cannot be, by this user.
        now = asyncio.get_running_loop().time()
        if self._holds_until is None:
            self._holds_until = now + HOLD_SECONDS_MAX
            give_login(self._bare._client, self._settings, login)
        if now >= self._holds_until or await self._is_all_committed():
            return True
        self._bare.pause(*self._bare.assignment())
        return False

    async def _is_all_committed(self) -> bool:
        from aiokafka.errors import KafkaError

        try:
            async with asyncio.timeout(HOLD_SECONDS_MAX):
                if self._settings.get("enable_auto_commit", True):
                    await self._commit(self._handed_out_here())
                for place, offset in self._handed_out_here().items():
                    if (await self._bare.committed(place) or 0) < offset:
                        return False
        except (KafkaError, TimeoutError):
            return False
        return True

    def _handed_out_here(self) -> dict[TopicPartition, int]:
        mine = self._bare.assignment()
        return {place: offset for place, offset in self._handed_out.items() if place in mine}

    async def _reopen(self, login: Login) -> None:
        if self._resume is None:
            self._resume = await self._places()
            await end(self._bare, _STOP_SECONDS_MAX)
        try:
            self._bare = await self._started(login, dict(self._resume))
        except CredentialRefusedError:  # Between its proof and its use; is there another one?
            await asyncio.shield(self._used.refuse())
            return
        self._ready = self._resume = self._holds_until = None
        self._is_denied = False
        self._used.used(login)

    async def _places(self) -> dict[TopicPartition, int]:
        """Return where each partition goes on: also one from which nothing came yet, whose start is known."""
        from aiokafka.errors import KafkaError

        places = self._handed_out_here()
        for place in self._bare.assignment() - places.keys():
            with suppress(TimeoutError, KafkaError):
                async with asyncio.timeout(_PIECE_MILLISECONDS / 1000):
                    places[place] = await self._bare.position(place)
        return places

    async def _started(self, login: Login, resume: dict[TopicPartition, int]) -> Any:
        from aiokafka import AIOKafkaConsumer

        bare = AIOKafkaConsumer(**with_login(self._settings, login))
        is_placed = asyncio.Event()
        is_resuming = bool(resume) and self._settings.get("group_id") is not None  # The listener empties it.
        bare.subscribe(topics=self._topics, listener=_listener(bare, resume, self._handed_out, is_placed))

        async def start() -> None:
            await bare.start()
            if is_resuming:
                await is_placed.wait()  # Before that, it would hand out from where the last commit is.

        await begin(bare, start, self._settings, login)
        return bare


def _denials() -> tuple[type[Exception], ...]:
    from aiokafka import errors

    return errors.TopicAuthorizationFailedError, errors.GroupAuthorizationFailedError


def _listener(
    bare: Any, resume: dict[TopicPartition, int], handed_out: dict[TopicPartition, int], is_placed: asyncio.Event
) -> Any:
    """Return what has a consumer begin behind what was handed out here, or committed by another member meanwhile."""
    from aiokafka import ConsumerRebalanceListener
    from aiokafka.errors import KafkaError

    class Listener(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka is untyped.
        async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
            for place in assigned:
                offset = resume.pop(place, None)
                if offset is None:
                    handed_out.pop(place, None)  # It was another member's meanwhile.
                else:
                    bare.seek(place, offset)
                    with suppress(KafkaError):
                        bare.seek(place, max(offset, await bare.committed(place) or 0))
            is_placed.set()

        async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
            pass

    return Listener()
