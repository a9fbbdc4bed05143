"""A consumer of ``confluent-kafka`` that takes a new credential, and hands out no message twice for it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from vantage_secrets.client import SecretClient
from vantage_secrets.connections.confluent_kafka.session import DENIED, Session, checked
from vantage_secrets.connections.confluent_kafka.succession import Succession
from vantage_secrets.connections.following import FollowedSecret, Login
from vantage_secrets.secret import SecretName

if TYPE_CHECKING:
    from confluent_kafka import KafkaError, Message, TopicPartition

PartitionsCallback = Callable[[Any, "list[TopicPartition]"], object]

HOLD_SECONDS_MAX: Final = 5.0
"""How long no message is handed out while those before a change of principal are not committed yet."""

COMMIT_SECONDS_MAX: Final = 90.0
"""How long a commit that was denied waits for the consumer to join its group anew: a member that may not say goodbye
is missed after ``session.timeout.ms``, 45 s by default."""

_PIECE_SECONDS: Final = 0.1
_BROKER_SECONDS_MAX: Final = 10.0


class FollowingConsumer:
    """Consumes with the current credential of a secret. Use it from one thread, as the bare client.

    When the secret has another version, its login is proven in the background first. Then, in ``poll``:

    - The user stays: the new password is given to the live consumer, which goes on.
    - The user or the mechanism changes: ``poll`` hands out nothing until what it handed out is committed, at most
      five seconds; the consumer is closed, and another joins the group and goes on behind the last message that
      was handed out. With ``group.instance.id`` the other members of the group do not notice.

    So nothing is lost, and no message is handed out twice here. Behind those five seconds, a partition that goes to
    another member in that moment begins there with what was not committed, as at any rebalance.

    Args:
        client: Reads the secret; it stays the caller's to close.
        name: The secret's name or one of its other spellings.
        config: Settings of ``confluent_kafka.Consumer`` without a login. The value's own field ``mechanism`` goes
            before ``sasl.mechanism``; without either it is SCRAM-SHA-512.
        account: Whose password it is, where the value names no user.

    Raises:
        CredentialRefusedError: Kafka refused the login, and again after a refresh.
        InvalidInputError: The settings hold a login, or nobody said whose password it is.
        MissingExtraError: ``confluent-kafka`` is not installed.
        VantageSecretsError: As :meth:`SecretClient.get`. Kafka being away is no error here.
    """

    def __init__(
        self, client: SecretClient, name: str | SecretName, config: Mapping[str, Any], *, account: str = ""
    ) -> None:
        """Log in; no group is joined yet."""
        self._config = checked(config)
        self._topics: list[str] = []
        self._callbacks: dict[str, PartitionsCallback] = {}
        self._holds_until: float | None = None
        self._resume: dict[tuple[str, int], int] = {}
        self._carried: dict[tuple[str, int], int] = {}
        self._is_joining = self._joins_paused = False
        following = FollowedSecret(client, name, account=account, kind="consumer")
        self._used = Succession(following, self._build, lambda: None)
        self._used.start()

    def subscribe(self, topics: list[str], **callbacks: PartitionsCallback) -> None:
        """Join the group for these topics.

        Args:
            topics: Names, or expressions that begin with ``^``.
            callbacks: ``on_assign``, ``on_revoke`` and ``on_lost``, as of the bare client.
        """
        self._topics, self._callbacks = topics, callbacks
        self._join()

    def poll(self, timeout: float = -1.0) -> Message | None:
        """Return the next message, or ``None`` when there was none for ``timeout`` seconds; below 0 waits for one.

        Raises:
            CredentialRefusedError: Kafka refused the login, and again after a refresh; told once each time.
        """
        deadline = time.monotonic() + timeout if timeout >= 0 else math.inf
        while True:
            self._change()
            wait = max(0.0, min(_PIECE_SECONDS, deadline - time.monotonic()))
            message: Message | None = self._used.current.client.poll(wait)
            if message is not None and not self._is_refusal(message.error()):
                return message
            if time.monotonic() >= deadline:
                return None

    def commit(
        self,
        message: Message | None = None,
        offsets: list[TopicPartition] | None = None,
        asynchronous: bool = True,
    ) -> list[TopicPartition] | None:
        """Commit behind ``message``, ``offsets``, or all that was handed out; as the bare client.

        A synchronous commit that a broker refuses (the login, or by an ACL) waits for the next version's consumer to
        join, at most 90 seconds, and is tried once more.

        Raises:
            KafkaException: As the bare client's.
        """
        from confluent_kafka import KafkaException

        try:
            return self._commit(message, offsets, asynchronous)
        except KafkaException as exc:
            if not self._is_refusal(exc.args[0]):
                raise
            wanted = self._wanted(message, offsets)
            self._rejoin_for_a_commit(exc)
        done: list[TopicPartition] = self._used.current.client.commit(offsets=wanted, asynchronous=False)
        self._used.current.client.resume(self._used.current.client.assignment())
        return done

    def close(self) -> None:
        """Leave the group and end. Safe to repeat."""
        self._used.current.client.close()
        self._used.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def _build(self, login: Login, on_refused: Callable[[Session], None]) -> Session:
        from confluent_kafka import Consumer

        return Session(Consumer, self._config, login, on_refused)

    def _is_refusal(self, error: KafkaError | None) -> bool:
        """Return whether to go on without a word: what the broker refuses is tried with the next login first."""
        if error is None:
            return False
        if error.code() == error._AUTHENTICATION:
            self._used.suspect(self._used.current)
            return True
        return error.code() in DENIED and self._used.deny()

    def _commit(
        self, message: Message | None, offsets: list[TopicPartition] | None, asynchronous: bool
    ) -> list[TopicPartition] | None:
        client = self._used.current.client
        if message is not None:
            which: dict[str, Any] = {"message": message}
        elif offsets is not None or self._carried:
            which = {"offsets": self._wanted(message, offsets)}
        else:
            which = {}
        done: list[TopicPartition] | None = client.commit(asynchronous=asynchronous, **which)
        return done

    def _wanted(self, message: Any, offsets: list[TopicPartition] | None) -> list[TopicPartition]:
        from confluent_kafka import TopicPartition

        if message is not None:
            return [TopicPartition(message.topic(), message.partition(), message.offset() + 1)]
        return self._handed_out() if offsets is None else offsets

    def _handed_out(self) -> list[TopicPartition]:
        """Return for each partition of ours how far its messages were handed out, here or before the last change."""
        client = self._used.current.client
        found = []
        for place in client.position(client.assignment()):
            if place.offset < 0:
                place.offset = self._carried.get((place.topic, place.partition), -1)
            found += [place] if place.offset >= 0 else []
        return found

    def _change(self) -> None:
        failure = self._used.take_failure()
        if failure is not None:
            raise failure
        ready, current = self._used.ready, self._used.current
        if ready is None:
            return
        if ready.login.username == current.login.username and current.adopt(ready.login):
            self._used.keep_current()
        elif self._may_reopen(ready):
            self._reopen()

    def _may_reopen(self, ready: Session) -> bool:
        if self._used.is_denied:
            return True  # Whatever waits to be committed cannot be, by this user.
        if self._holds_until is None:
            self._holds_until = time.monotonic() + HOLD_SECONDS_MAX
            if self._used.is_refused:
                self._used.current.adopt(ready.login)  # A connection that was cut comes back, and can commit.
        if self._is_all_committed() or time.monotonic() >= self._holds_until:
            return True
        client = self._used.current.client
        client.pause(client.assignment())
        return False

    def _is_all_committed(self) -> bool:
        from confluent_kafka import KafkaException

        client = self._used.current.client
        try:
            if _commits_by_itself(self._config):
                _commit_what_is_stored(client)
            handed_out = self._handed_out()
            committed = _offsets(client.committed(handed_out, timeout=_BROKER_SECONDS_MAX) if handed_out else [])
        except KafkaException:
            return False
        return all(offset <= committed[place] for place, offset in _offsets(handed_out).items())

    def _reopen(self) -> None:
        self._resume = _offsets(self._handed_out())
        if not self._used.is_denied:
            self._reach_group()
        self._used.current.client.close()
        self._used.retire(self._used.advance())
        self._holds_until = None
        if self._topics:
            self._join()

    def _reach_group(self) -> None:
        """Return when the consumer can say goodbye to its group, which would wait 45 s for it otherwise.

        Its connections may have been cut a moment ago; with the next login they come back.
        """
        from confluent_kafka import KafkaException

        current, ready = self._used.current, self._used.ready
        places = current.client.assignment()
        deadline = time.monotonic() + HOLD_SECONDS_MAX
        if ready is None or not places or not current.adopt(ready.login):
            return
        while time.monotonic() < deadline:
            try:
                current.client.committed(places, timeout=_PIECE_SECONDS * 10)
                return
            except KafkaException:
                time.sleep(_PIECE_SECONDS)

    def _join(self) -> None:
        self._is_joining = True
        self._used.current.client.subscribe(self._topics, **{**self._callbacks, "on_assign": self._assigned})

    def _assigned(self, consumer: Any, partitions: list[TopicPartition]) -> None:
        self._carried = {}
        if partitions:
            resume, self._resume, self._is_joining = self._resume, {}, False
            if any((place.topic, place.partition) in resume for place in partitions):
                self._assign_behind(consumer, partitions, resume)
        if "on_assign" in self._callbacks:
            self._callbacks["on_assign"](consumer, partitions)

    def _assign_behind(
        self, consumer: Any, partitions: list[TopicPartition], resume: Mapping[tuple[str, int], int]
    ) -> None:
        """Begin each partition behind what was handed out here or committed by another member meanwhile."""
        committed = _offsets(consumer.committed(partitions, timeout=_BROKER_SECONDS_MAX))
        for place in partitions:
            key = (place.topic, place.partition)
            if key in resume:
                place.offset = self._carried[key] = max(resume[key], committed[key])
        (consumer.incremental_assign if _is_cooperative(self._config) else consumer.assign)(partitions)
        if self._joins_paused:
            consumer.pause(partitions)

    def _rejoin_for_a_commit(self, denial: Exception) -> None:
        """Return when the next version's consumer is a member of the group; its partitions are paused."""
        deadline = time.monotonic() + COMMIT_SECONDS_MAX
        self._joins_paused = True
        try:
            if not self._used.wait(COMMIT_SECONDS_MAX):
                raise denial
            self._reopen()
            while self._is_joining:
                if time.monotonic() > deadline:
                    raise denial
                self._used.current.client.poll(_PIECE_SECONDS)
        finally:
            self._joins_paused = False


def _offsets(partitions: list[TopicPartition]) -> dict[tuple[str, int], int]:
    return {(place.topic, place.partition): place.offset for place in partitions}


def _commit_what_is_stored(client: Any) -> None:
    from confluent_kafka import KafkaError, KafkaException

    try:
        client.commit(asynchronous=False)
    except KafkaException as exc:
        if exc.args[0].code() != KafkaError._NO_OFFSET:
            raise


def _commits_by_itself(config: Mapping[str, Any]) -> bool:
    return str(config.get("enable.auto.commit", True)).lower() != "false"


def _is_cooperative(config: Mapping[str, Any]) -> bool:
    strategy = str(config.get("partition.assignment.strategy", ""))
    return "cooperative" in strategy or config.get("group.protocol") == "consumer"
