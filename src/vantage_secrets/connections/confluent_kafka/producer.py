"""A producer of ``confluent-kafka`` that takes a new credential while messages flow."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

from vantage_secrets.client import SecretClient
from vantage_secrets.connections.confluent_kafka.session import DENIED, Session, checked
from vantage_secrets.connections.confluent_kafka.succession import Succession
from vantage_secrets.connections.following import FollowedSecret, Login
from vantage_secrets.secret import SecretName

if TYPE_CHECKING:
    from confluent_kafka import KafkaError, Message

DeliveryCallback = Callable[["KafkaError | None", "Message"], object]

FLUSH_SECONDS_MAX: Final = 1.0
"""How long one use may wait until the messages before the change are delivered."""

DENIED_SECONDS_MAX: Final = 15.0
"""How long ``produce`` waits for the next login when its topic is denied; refresh and login take a tenth of a second
or two."""

CLOSE_SECONDS_MAX: Final = 30.0

_PAUSE_SECONDS: Final = 1.0
_PIECE_SECONDS: Final = 0.2


class _Outgoing(NamedTuple):
    """A message as it was given to :meth:`FollowingProducer.produce`."""

    topic: str
    settings: dict[str, Any]
    on_delivery: DeliveryCallback | None


class _Denied(NamedTuple):
    """A message that a broker denied, and what it said."""

    outgoing: _Outgoing
    error: KafkaError
    report: Message


class FollowingProducer:
    """Produces with the current credential of a secret. Safe to use from many threads.

    When the secret has another version, a second producer logs in with it in the background. The next call then
    delivers what the first one still holds and goes on with the second: the order of messages stays, and with
    ``enable.idempotence`` none is lost or doubled. Where the old credential is refused before that, what is queued
    is sent with the new one. A broker that denies a message (an ACL) is asked once more, with the version that a
    refresh brings.

    Callbacks are called in the caller's threads only, from ``poll`` and ``flush``, and from the one call in which
    the producers change, which may be ``produce``. Not for use in a forked child, as librdkafka itself.

    Args:
        client: Reads the secret; it stays the caller's to close.
        name: The secret's name or one of its other spellings.
        config: Settings of ``confluent_kafka.Producer`` without a login. The value's own field ``mechanism`` goes
            before ``sasl.mechanism``; without either it is SCRAM-SHA-512.
        account: Whose password it is, where the value names no user.

    Raises:
        CredentialRefusedError: Kafka refused the login, and again after a refresh.
        InvalidInputError: The settings hold a login or a transactional id, or nobody said whose password it is.
        MissingExtraError: ``confluent-kafka`` is not installed.
        VantageSecretsError: As :meth:`SecretClient.get`. Kafka being away is no error here.
    """

    def __init__(
        self, client: SecretClient, name: str | SecretName, config: Mapping[str, Any], *, account: str = ""
    ) -> None:
        """Log in; while Kafka is away, messages queue as they do in the bare client."""
        self._config = checked(config)
        self._lock = threading.RLock()
        self._denied: list[_Denied] = []
        self._draining: list[Session] = []
        self._is_changing = False
        self._changes_again_at = 0.0
        following = FollowedSecret(client, name, account=account, kind="producer")
        self._used = Succession(following, self._build, self._change_if_idle)
        self._used.start()

    def produce(
        self,
        topic: str,
        value: Any = None,
        key: Any = None,
        *,
        on_delivery: DeliveryCallback | None = None,
        **more: Any,
    ) -> None:
        """Queue a message, as ``confluent_kafka.Producer.produce``.

        Args:
            topic: Where it goes.
            value: What it says.
            key: Its key.
            on_delivery: Called when it was delivered or could not be.
            more: ``partition``, ``timestamp`` (milliseconds) and ``headers``.

        Raises:
            CredentialRefusedError: Kafka refused the login, and again after a refresh; told once each time.
            BufferError: The queue is full.
            KafkaException: As the bare client's.
        """
        with self._lock:
            self._change()
            self._send_or_change(_Outgoing(topic, {"value": value, "key": key, **more}, on_delivery))

    def poll(self, timeout: float = 0.0) -> int:
        """Call what is due of callbacks, waiting at most ``timeout`` seconds; return how many events there were.

        Raises:
            CredentialRefusedError: As :meth:`produce`.
        """
        with self._lock:
            self._change()
            session = self._used.current.client
        return self._drain() + int(session.poll(timeout))

    def flush(self, timeout: float | None = None) -> int:
        """Wait until all is delivered, at most ``timeout`` seconds; return how many messages are left.

        Raises:
            CredentialRefusedError: As :meth:`produce`.
        """
        deadline = time.monotonic() + (threading.TIMEOUT_MAX if timeout is None else timeout)
        while True:
            self.poll(0)
            wait = min(_PIECE_SECONDS, deadline - time.monotonic())
            if not len(self) or wait <= 0:
                return len(self)
            self._used.current.client.flush(wait)

    def close(self, timeout: float = CLOSE_SECONDS_MAX) -> int:
        """Deliver what is queued, as :meth:`flush`, and end; return how many messages are lost. Safe to repeat.

        Raises:
            CredentialRefusedError: As :meth:`produce`; call it again to end all the same.
        """
        left = self.flush(timeout)
        self._used.close()
        return left

    def __len__(self) -> int:
        """Return how many messages and callbacks wait."""
        sessions = [self._used.current, *self._draining]
        return sum(len(session.client) for session in sessions) + len(self._denied)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def _build(self, login: Login, on_refused: Callable[[Session], None]) -> Session:
        from confluent_kafka import Producer

        return Session(Producer, self._config, login, on_refused)

    def _send_or_change(self, outgoing: _Outgoing) -> None:
        """Queue a message; where the client knows already that the topic is denied, wait for the next login first."""
        from confluent_kafka import KafkaException

        try:
            return self._send(outgoing, is_last=False)
        except KafkaException as exc:
            if exc.args[0].code() not in DENIED or not self._used.deny() or not self._used.wait(DENIED_SECONDS_MAX):
                raise
        self._change()
        return self._send(outgoing, is_last=True)

    def _send(self, outgoing: _Outgoing, *, is_last: bool) -> None:
        session = self._used.current
        on_delivery = partial(self._delivered, outgoing, session, is_last)
        session.client.produce(outgoing.topic, on_delivery=on_delivery, **outgoing.settings)

    def _delivered(
        self, outgoing: _Outgoing, session: Session, is_last: bool, error: KafkaError | None, report: Message
    ) -> None:
        if error is not None and error.code() in DENIED and not is_last:
            with self._lock:
                if session is not self._used.current:
                    return self._send(outgoing, is_last=True)
                if self._used.deny():
                    return self._denied.append(_Denied(outgoing, error, report))
        if outgoing.on_delivery is not None:
            outgoing.on_delivery(error, report)
        return None

    def _change(self) -> None:
        """Go on with the session that is ready, once the one before has delivered what it holds."""
        failure = self._used.take_failure()
        if failure is not None:
            self._give_back_denied()
            raise failure
        if self._used.ready is None or self._is_changing or time.monotonic() < self._changes_again_at:
            return
        self._is_changing = True  # A callback of the flush may produce, and comes here again.
        try:
            before, login = self._used.current, self._used.ready.login
            is_left = bool(before.client.flush(FLUSH_SECONDS_MAX)) and not self._used.is_denied
            if is_left and before.adopt(login):
                # What is queued goes out with the new login as soon as its connections are made anew, in its order.
                self._changes_again_at = time.monotonic() + _PAUSE_SECONDS
            else:
                self._advance()
        finally:
            self._is_changing = False

    def _change_if_idle(self) -> None:
        with self._lock:
            if self._used.ready is not None and not self._is_changing and not len(self._used.current.client):
                self._advance()

    def _advance(self) -> None:
        before = self._used.advance()
        self._draining.append(before)
        if not len(before.client):
            self._drain()
        denied, self._denied = self._denied, []
        for each in denied:
            self._send(each.outgoing, is_last=True)

    def _drain(self) -> int:
        """Let sessions from before a change deliver what they hold; return how many events that were."""
        count = 0
        for session in list(self._draining):
            count += session.client.poll(0) if len(session.client) else 0
            if not len(session.client):
                self._draining.remove(session)
                self._used.retire(session)
        return count

    def _give_back_denied(self) -> None:
        denied, self._denied = self._denied, []
        for each in denied:
            if each.outgoing.on_delivery is not None:
                each.outgoing.on_delivery(each.error, each.report)
