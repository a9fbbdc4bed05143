"""The records of Kafka topics: values, keys and headers, from the beginning to where a topic ended when asked."""

from __future__ import annotations

import fnmatch
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from vantage_secrets.credential import Credential
from vantage_secrets.errors import (
    CredentialRefusedError,
    InvalidInputError,
    MissingExtraError,
    TargetError,
    TargetUnavailableError,
)
from vantage_secrets.leaks.finding import Coverage, Place
from vantage_secrets.leaks.sources.contract import Document
from vantage_secrets.leaks.sources.recognition import HEAD_BYTES, TAIL_BYTES, archive_kind, shown
from vantage_secrets.manifest import TargetSettings

ANSWER_SECONDS = 15.0
"""How long one question may take, with the login before it."""

STALL_SECONDS = 30.0
"""How long a partition may give nothing before its end."""

_QUEUE_KBYTES = 16_384
_PASSING = frozenset({"GROUP_AUTHORIZATION_FAILED", "GROUP_COORDINATOR_NOT_AVAILABLE", "NOT_COORDINATOR"})
"""What is said about the consumer group, which is not used. Beside them, all of librdkafka's own names, which begin
with ``_``: it tries again, and a partition that gives nothing ends by ``STALL_SECONDS``."""

_ENDING = frozenset({"_BAD_MSG", "_UNKNOWN_PARTITION", "_UNKNOWN_TOPIC", "_FATAL"})
"""Those of librdkafka's own that end a partition."""


class KafkaSource:
    """Topics of one cluster. Nothing is committed, and no group is joined.

    Records of transactions that were given up are read too: they are there for whoever asks for them.

    Args:
        settings: The table ``[targets.NAME]`` of kind ``kafka``.
        login: Returns a login that may describe and read the topics.
        topics: Names, or patterns of ``fnmatch``; by default all but Kafka's own, which begin with ``__``.
        since: Seconds since 1970-01-01 UTC; records with a time before it are left out.
    """

    def __init__(
        self,
        settings: TargetSettings,
        login: Callable[[], Credential],
        topics: Sequence[str] = (),
        *,
        since: float | None = None,
    ) -> None:
        """Connect to nothing yet."""
        self._settings = settings
        self._login = login
        self._topics = tuple(topics)
        self._since = since
        self._place = ", ".join(settings.texts("bootstrap"))
        self._words: list[tuple[str, str]] = []

    def documents(self, coverage: Coverage) -> Iterator[Document]:
        """Yield value, key and headers of each record, each by itself, and what is inside values that are archives.

        Raises:
            MissingExtraError: confluent-kafka is not installed.
            InvalidInputError: The cluster has no such topic, or does not show it to this login.
            CredentialRefusedError: The login was refused.
            TargetUnavailableError: The cluster did not answer.
            TargetError: The settings cannot be used.
        """
        consumer = self._consumer()
        try:
            for topic, partitions in self._found(consumer, coverage):
                for partition in partitions:
                    yield from self._partition(consumer, topic, partition, coverage)
        finally:
            consumer.close()

    def _consumer(self) -> Any:
        try:
            from confluent_kafka import Consumer, KafkaException
        except ImportError:
            raise MissingExtraError("confluent-kafka", "kafka") from None
        try:
            return Consumer(self._client_settings())
        except KafkaException as exc:
            # SECURITY: without the cause, whose text may repeat a setting.
            raise TargetError(
                f"The settings for Kafka at {self._place} cannot be used: {exc.args[0].name()}.",
                hint="Look at 'security' and 'ca_file' of the target in vantage-secrets.toml.",
            ) from None

    def _client_settings(self) -> dict[str, Any]:
        words, settings = self._words, self._settings
        username, password = self._login()
        is_encrypted, ca_file = settings.text("security") == "sasl-ssl", settings.path("ca_file")
        trust = {"ssl.ca.location": str(ca_file)} if is_encrypted and ca_file else {}
        return {
            "bootstrap.servers": ",".join(settings.texts("bootstrap")),
            "security.protocol": "SASL_SSL" if is_encrypted else "SASL_PLAINTEXT",
            "sasl.mechanism": settings.text("mechanism").upper(),
            "sasl.username": username,
            "sasl.password": password.reveal_text(),
            **trust,
            "client.id": "vantage-secrets",
            "group.id": f"vantage-secrets-scan-{secrets.token_hex(4)}",  # librdkafka wants one; it is not joined
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "enable.partition.eof": True,
            "isolation.level": "read_uncommitted",
            "auto.offset.reset": "earliest",
            "check.crcs": True,
            "fetch.wait.max.ms": 100,  # a partition whose last record is a transaction's mark ends by an empty answer
            "queued.max.messages.kbytes": _QUEUE_KBYTES,
            "log_level": 0,  # librdkafka would write to standard error
            "error_cb": lambda error: words.append((error.name(), error.str().lower())),
        }

    def _found(self, consumer: Any, coverage: Coverage) -> list[tuple[str, list[int]]]:
        """Return the topics that were asked for, with their partitions."""
        there = {name: sorted(one.partitions) for name, one in self._listed(consumer).items()}
        if not self._topics:
            inner = sum(name.startswith("__") for name in there)
            if inner:
                coverage.notes.append(f"{inner} topics of Kafka's own were not read")
            return sorted((name, found) for name, found in there.items() if not name.startswith("__"))
        wanted = set[str]()
        for pattern in self._topics:
            names = [pattern] if pattern in there else fnmatch.filter(there, pattern)
            if not names:
                raise InvalidInputError(
                    f"Kafka at {self._place} has no topic '{shown(pattern)}', or does not show it to this login.",
                    hint="Correct the name, or allow the login Describe and Read on the topic.",
                )
            wanted.update(names)
        return [(name, there[name]) for name in sorted(wanted)]

    def _listed(self, consumer: Any) -> dict[str, Any]:
        from confluent_kafka import KafkaException

        deadline = time.monotonic() + ANSWER_SECONDS
        while True:
            try:
                topics: dict[str, Any] = consumer.list_topics(timeout=0.5).topics
                return topics
            except KafkaException as exc:
                consumer.poll(0)  # errors of logins come by the callback, and calls end like an outage
                if any(name == "_AUTHENTICATION" and "invalid credentials" in text for name, text in self._words):
                    raise CredentialRefusedError(
                        f"Kafka at {self._place} refused the login.",
                        hint="Correct admin_user, or the password in the secret that admin_secret names.",
                    ) from None
                if time.monotonic() > deadline:
                    name = exc.args[0].name()
                    raise TargetUnavailableError(f"Kafka at {self._place} did not list its topics: {name}.") from None

    def _partition(self, consumer: Any, topic: str, partition: int, coverage: Coverage) -> Iterator[Document]:
        from confluent_kafka import KafkaException, TopicPartition

        place = Place(f"kafka topic {topic}", kind="record", detail=f"partition {partition}")
        try:
            start, end = self._range(consumer, TopicPartition(topic, partition))
            if start >= end:
                return
            consumer.assign([TopicPartition(topic, partition, start)])
            for message in _records(consumer, end, place, coverage):
                yield from _record(message, place, coverage)
        except KafkaException as exc:
            coverage.miss(place, f"Kafka did not tell: {exc.args[0].name()}")

    def _range(self, consumer: Any, which: Any) -> tuple[int, int]:
        """Return the first offset to read, and the one at which the partition ends now."""
        low, high = consumer.get_watermark_offsets(which, timeout=ANSWER_SECONDS, cached=False)
        if self._since is None:
            return low, high
        which.offset = int(self._since * 1000)
        found = consumer.offsets_for_times([which], timeout=ANSWER_SECONDS)[0]
        return (found.offset, high) if found.offset >= 0 else (high, high)


def _records(consumer: Any, end: int, place: Place, coverage: Coverage) -> Iterator[Any]:
    """Yield the records of the partition that is assigned, up to offset ``end``."""
    heard_at = time.monotonic()
    while True:
        message = consumer.poll(0.5)
        error = None if message is None else message.error()
        name = "" if error is None else error.name()
        if name == "_PARTITION_EOF" or (message is not None and error is None and message.offset() >= end):
            return
        if message is not None and error is None:
            yield message
            if message.offset() + 1 >= end:
                return
            heard_at = time.monotonic()
        elif name in _ENDING or not (name in ("", *_PASSING) or name.startswith("_")):
            coverage.miss(place, f"Kafka did not give its records: {name}")
            return
        elif time.monotonic() - heard_at > STALL_SECONDS:
            coverage.miss(place, f"Kafka gave nothing for {STALL_SECONDS:.0f} s; the rest was not read")
            return


def _record(message: Any, place: Place, coverage: Coverage) -> Iterator[Document]:
    where = f"{place.detail}, offset {message.offset()}"
    parts = [(where, message.value()), (f"{where}, key", message.key())]
    for name, value in message.headers() or ():
        # The name belongs to it: a header says what its value is.
        parts.append((f"{where}, header {shown(name)}", None if value is None else f"{name}: ".encode() + value))
    size = 0
    for detail, data in parts:
        if not data:
            continue
        size += len(data)
        document = Document(place._replace(detail=detail), data)
        yield document
        if archive_kind(data[:HEAD_BYTES], data[-TAIL_BYTES:]):
            from vantage_secrets.leaks.sources.archives import members_of

            yield from members_of(document, coverage)
    coverage.add("record", 1, size)
