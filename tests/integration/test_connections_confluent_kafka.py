"""A producer and a consumer of confluent-kafka follow a rotation on a real Kafka: nothing is lost, nothing doubled."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from typing import Any

import pytest
from confluent_kafka import Message

from tests.canary import canary
from tests.servers.connections_steps import NAME, ChangingSecret, Load, ending, wait_until
from tests.servers.kafka import KafkaServer
from tests.servers.kafka_steps import AclOperation, ResourceType, acl, allow, give_password, make_topic, new_account
from vantage_secrets.connections.confluent_kafka import FollowingConsumer, FollowingProducer
from vantage_secrets.errors import CredentialRefusedError, InvalidInputError

pytest_plugins = ["tests.servers.kafka_fixtures"]
pytestmark = pytest.mark.xdist_group("kafka")


class Stream:
    """A topic, principals that may use it, and what went through."""

    def __init__(self, server: KafkaServer) -> None:
        self.server = server
        self.topic = make_topic(server)
        self.account = new_account()
        self.secret = ChangingSecret()
        self.acknowledged: list[int] = []
        self.failures: list[str] = []
        self.received: list[int] = []
        self.longest_gap_seconds = 0.0
        self._last_at = 0.0

    def principal(self, slot: str, mechanism: str = "SCRAM-SHA-512") -> tuple[str, str]:
        """Make a principal with a fresh password that may produce and consume, and return both."""
        name = f"{self.account}-{slot}"
        password = give_password(self.server, name, mechanism)
        allow(self.server, name, *_rights(self.topic))
        return name, password

    def rotate(self, slot: str) -> str:
        """Make another principal current in the store, and return the version."""
        return self.secret.put_login(*self.principal(slot))

    def end(self, slot: str, *, deny: bool = True) -> None:
        """Do what a revoke does: overwrite the password, and deny everything."""
        name = f"{self.account}-{slot}"
        if deny:
            allow(self.server, name, *(_denials(self.topic)))
        give_password(self.server, name)

    def config(self, **more: Any) -> dict[str, Any]:
        config = self.server.client(**more)
        return {key: value for key, value in config.items() if not key.startswith("sasl.")}

    def producer(self, **more: Any) -> FollowingProducer:
        config = self.config(**{"enable.idempotence": True, "linger.ms": 5, **more})
        return FollowingProducer(self.secret.client, NAME, config)

    def consumer(self, **more: Any) -> FollowingConsumer:
        settings = {"group.id": self.topic, "auto.offset.reset": "earliest", "enable.auto.commit": False, **more}
        consumer = FollowingConsumer(self.secret.client, NAME, self.config(**settings))
        consumer.subscribe([self.topic])
        return consumer

    def produce(self, producer: FollowingProducer, number: int) -> None:
        def note(error: Any, _message: Message) -> None:
            if error is None:
                self.acknowledged.append(number)
            else:
                self.failures.append(error.name())

        producer.produce(self.topic, str(number), key="one", on_delivery=note)
        producer.poll(0)

    def consume(self, consumer: FollowingConsumer) -> None:
        """Take what is there, as a worker would: a batch by time, then a commit."""
        until, taken = time.monotonic() + 0.1, 0
        while time.monotonic() < until:
            message = consumer.poll(0.02)
            if message is not None:
                assert message.error() is None, message.error()
                self.received.append(int(message.value() or b""))
                taken += 1
        if taken:
            consumer.commit(asynchronous=False)

    def assert_whole(self, sent: int) -> None:
        """Each message came exactly once, and in order."""
        assert self.failures == []
        assert sorted(self.acknowledged) == list(range(sent))
        assert self.received == list(range(sent))


def _rights(topic: str, *, allow: bool = True) -> list[Any]:
    return [
        acl(ResourceType.TOPIC, topic, AclOperation.ALL, allow=allow),
        acl(ResourceType.GROUP, topic, AclOperation.ALL, allow=allow),
    ]


def _denials(topic: str) -> list[Any]:
    return [*_rights(topic, allow=False), acl(ResourceType.BROKER, "kafka-cluster", AclOperation.ALL, allow=False)]


@pytest.fixture
def stream(kafka: KafkaServer) -> Iterator[Stream]:
    stream = Stream(kafka)
    with stream.secret.client:
        yield stream


@ending
def test_two_changes_of_principal_under_load_lose_and_double_nothing(stream: Stream) -> None:
    stream.rotate("a")
    with stream.producer() as producer, stream.consumer() as consumer:
        produced = Load(lambda number: stream.produce(producer, number), per_second=500)
        consumed = Load(lambda _number: stream.consume(consumer), per_second=1000)
        with consumed.running():
            with produced.running():
                produced.wait_for(100)
                for old, new in (("a", "b"), ("b", "a")):
                    version = stream.rotate(new)
                    stream.secret.tell()
                    wait_until(lambda version=version: stream.secret.is_held_by_all(version))
                    stream.end(old)
                    if old == "b":
                        break
                    _allow_again(stream, old)
                    produced.wait_for(200)
            assert producer.flush(30) == 0
            wait_until(lambda: len(stream.received) >= produced.done_count)
        assert produced.errors == consumed.errors == []
        assert produced.longest_seconds < 5  # A call waits for a flush, and not for a login that hangs.
    stream.assert_whole(produced.done_count)
    assert stream.secret.held == {}


def _allow_again(stream: Stream, slot: str) -> None:
    from confluent_kafka.admin import AclBindingFilter, AclPermissionType, ResourcePatternType

    principal = f"User:{stream.account}-{slot}"
    every = AclBindingFilter(
        ResourceType.ANY, None, ResourcePatternType.ANY, principal, None, AclOperation.ANY, AclPermissionType.DENY
    )
    admin = stream.server.admin()
    for future in admin.delete_acls([every]).values():
        future.result()


@ending
def test_a_producer_that_was_told_nothing_asks_once_when_it_is_denied_and_every_message_arrives(
    stream: Stream,
) -> None:
    stream.rotate("a")
    with stream.producer() as producer:
        for number in range(50):
            stream.produce(producer, number)
        assert producer.flush(30) == 0
        stream.rotate("b")
        stream.end("a")
        fetched = stream.secret.fetch_count
        for number in range(50, 400):
            stream.produce(producer, number)
        assert producer.flush(30) == 0
        assert stream.secret.fetch_count == fetched + 1
    assert stream.failures == []
    assert stream.acknowledged == list(range(400))


@ending
def test_a_consumer_that_was_told_nothing_goes_on_where_it_was_when_it_is_denied(stream: Stream) -> None:
    stream.rotate("a")
    with stream.producer() as producer, stream.consumer(**{"group.instance.id": "one"}) as consumer:
        for number in range(100):
            stream.produce(producer, number)
        producer.flush(30)
        wait_until(lambda: stream.consume(consumer) or len(stream.received) >= 40)
        fetched = stream.secret.fetch_count
        version = stream.rotate("b")
        stream.end("a")
        consumer_only = {name: held for name, held in stream.secret.held.items() if name.startswith("consumer")}
        assert set(consumer_only.values()) != {version}
        for number in range(100, 200):
            stream.produce(producer, number)
        producer.flush(30)
        wait_until(lambda: stream.consume(consumer) or len(stream.received) >= 200)
        assert stream.secret.fetch_count <= fetched + 2  # One for each of the two.
    stream.assert_whole(200)


@ending
def test_a_commit_that_is_denied_is_done_by_the_next_login(stream: Stream) -> None:
    stream.rotate("a")
    with stream.producer() as producer:
        for number in range(20):
            stream.produce(producer, number)
        producer.flush(30)
    with stream.consumer(**{"group.instance.id": "one"}) as consumer:
        taken: list[Any] = []
        wait_until(lambda: taken.append(consumer.poll(0.1)) or len([one for one in taken if one]) == 20)
        stream.rotate("b")
        stream.end("a")
        done = consumer.commit(asynchronous=False)
        assert [place.offset for place in done or []] == [20]
        assert consumer.poll(0.5) is None
    with stream.consumer() as consumer:
        assert consumer.poll(2) is None  # Nothing is left: the commit counts for the group.


@ending
def test_a_change_of_mechanism_is_followed(stream: Stream) -> None:
    name, password = stream.principal("x")
    stream.secret.put_login(name, password, mechanism="SCRAM-SHA-512")
    with stream.producer() as producer, stream.consumer() as consumer:
        stream.produce(producer, 0)
        producer.flush(30)
        other = give_password(stream.server, name, "SCRAM-SHA-256")
        version = stream.secret.put_login(name, other, mechanism="SCRAM-SHA-256")
        stream.secret.tell()
        wait_until(lambda: stream.consume(consumer) or stream.secret.is_held_by_all(version))
        give_password(stream.server, name, "SCRAM-SHA-512")
        stream.produce(producer, 1)
        producer.flush(30)
        wait_until(lambda: stream.consume(consumer) or len(stream.received) == 2)
    stream.assert_whole(2)


@ending
def test_a_consumer_whose_user_stays_is_told_the_password_and_goes_on(stream: Stream) -> None:
    stream.rotate("a")
    with stream.consumer() as consumer:
        wait_until(lambda: consumer.poll(0.1) is None)
        bare = consumer._used.current.client
        version = stream.rotate("a")
        stream.secret.tell()
        wait_until(lambda: consumer.poll(0.1) or stream.secret.is_held_by_all(version))
        assert consumer._used.current.client is bare


@ending
def test_messages_that_were_handed_out_and_not_committed_are_not_handed_out_again(
    stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vantage_secrets.connections.confluent_kafka.consumer.HOLD_SECONDS_MAX", 1.0)
    stream.rotate("a")
    with stream.producer() as producer, stream.consumer() as consumer:
        for number in range(100):
            stream.produce(producer, number)
        producer.flush(30)
        received = [message for message in (consumer.poll(10) for _ in range(60)) if message]
        version = stream.rotate("b")
        stream.secret.tell()
        wait_until(
            lambda: stream.secret.held[consumer._used._following.connection] == version or _poll(consumer, received)
        )
        wait_until(lambda: len(received) == 100 or _poll(consumer, received))
        assert [int(message.value() or b"") for message in received] == list(range(100))
        consumer.commit(asynchronous=False)
    with stream.consumer() as consumer:
        assert consumer.poll(2) is None


def _poll(consumer: FollowingConsumer, received: list[Message]) -> None:
    message = consumer.poll(0.1)
    received += [message] if message is not None else []


@ending
def test_a_producer_that_does_nothing_moves_too(stream: Stream) -> None:
    stream.rotate("a")
    with stream.producer():
        version = stream.rotate("b")
        stream.secret.tell()
        wait_until(lambda: stream.secret.is_held_by_all(version))


@ending
def test_a_login_that_is_refused_twice_is_an_error_after_one_refresh(stream: Stream) -> None:
    name, _password = stream.principal("a")
    stream.secret.put_login(name, canary())
    with pytest.raises(CredentialRefusedError, match=name):
        stream.producer()
    assert stream.secret.fetch_count == 2
    assert stream.secret.held == {}


@ending
def test_a_right_that_the_current_user_lacks_reaches_the_callback_after_one_refresh(stream: Stream) -> None:
    stream.rotate("a")
    with stream.producer() as producer:
        fetched = stream.secret.fetch_count
        stream.topic = make_topic(stream.server)
        for number in range(5):
            with_error = _outcome(stream, producer, number)
            assert with_error == "TOPIC_AUTHORIZATION_FAILED"
        assert stream.secret.fetch_count == fetched + 1


def _outcome(stream: Stream, producer: FollowingProducer, number: int) -> str:
    from confluent_kafka import KafkaException

    before = len(stream.failures)
    try:
        stream.produce(producer, number)
    except KafkaException as exc:
        name: str = exc.args[0].name()
        return name
    wait_until(lambda: producer.poll(0.05) < 0 or len(stream.failures) > before)
    return stream.failures[-1]


@ending
def test_settings_with_a_login_or_a_transaction_are_refused(stream: Stream) -> None:
    stream.rotate("a")
    with pytest.raises(InvalidInputError, match=r"sasl\.password"):
        FollowingProducer(stream.secret.client, NAME, {"sasl.password": "x"})
    with pytest.raises(InvalidInputError, match="transactional"):
        FollowingProducer(stream.secret.client, NAME, {"transactional.id": secrets.token_hex(4)})


@ending
def test_a_password_alone_needs_an_account(stream: Stream) -> None:
    name, password = stream.principal("a")
    stream.secret.put(password)
    with pytest.raises(InvalidInputError, match="no user name"):
        stream.producer()
    with FollowingProducer(stream.secret.client, NAME, stream.config(), account=name) as producer:
        stream.produce(producer, 0)
        assert producer.flush(30) == 0
    assert stream.acknowledged == [0]


@ending
def test_kafka_being_away_is_no_refusal_and_everything_arrives_when_it_is_back(stream: Stream) -> None:
    stream.rotate("a")
    version = stream.rotate("b")
    stream.server.stop()
    try:
        producer = stream.producer()
        stream.produce(producer, 0)
        assert producer.flush(0.5) == 1
        assert stream.secret.held == {}
    finally:
        stream.server.start()
    assert producer.flush(60) == 0
    wait_until(lambda: stream.secret.is_held_by_all(version))
    assert stream.secret.fetch_count == 1
    producer.close()
    assert stream.failures == []
