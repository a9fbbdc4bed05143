"""Where Kafka re-authenticates live connections, they are cut when an old password is overwritten: clients find out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.canary import canary
from tests.servers.connections_steps import NAME, ChangingSecret, Load, ending, wait_until
from tests.servers.kafka import KafkaServer, running_kafka
from tests.servers.kafka_steps import AclOperation, ResourceType, acl, allow, give_password, make_topic, new_account
from vantage_secrets.connections.confluent_kafka import FollowingConsumer, FollowingProducer
from vantage_secrets.errors import CredentialRefusedError

pytestmark = pytest.mark.xdist_group("kafka")

REAUTHENTICATION_MILLISECONDS = 1500


@pytest.fixture(scope="module")
def reauthenticating(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaServer]:
    with running_kafka(tmp_path_factory.mktemp("kafka-CLEAR"), reauth_ms=REAUTHENTICATION_MILLISECONDS) as server:
        yield server


@pytest.fixture
def secret() -> Iterator[ChangingSecret]:
    secret = ChangingSecret()
    with secret.client:
        yield secret


def principal(server: KafkaServer, name: str, topic: str) -> tuple[str, str]:
    rights = [acl(kind, topic, AclOperation.ALL) for kind in (ResourceType.TOPIC, ResourceType.GROUP)]
    allow(server, name, *rights)
    return name, give_password(server, name)


def config(server: KafkaServer, **more: Any) -> dict[str, Any]:
    settings = {key: value for key, value in server.client().items() if not key.startswith("sasl.")}
    return {**settings, "reconnect.backoff.max.ms": 1000, **more}


@pytest.mark.parametrize("same_user", [True, False])
@ending
def test_clients_that_were_told_nothing_ask_once_they_are_cut_and_nothing_is_lost_or_doubled(
    reauthenticating: KafkaServer, secret: ChangingSecret, same_user: bool
) -> None:
    server, account = reauthenticating, new_account()
    topic = make_topic(server)
    secret.put_login(*principal(server, f"{account}-a", topic))
    acknowledged: list[int] = []
    received: list[int] = []
    settings = config(server, **{"group.id": topic, "auto.offset.reset": "earliest", "enable.auto.commit": False})
    with (
        FollowingProducer(secret.client, NAME, config(server, **{"enable.idempotence": True})) as producer,
        FollowingConsumer(secret.client, NAME, settings) as consumer,
    ):
        consumer.subscribe([topic])

        def produce(number: int) -> None:
            producer.produce(
                topic, str(number), on_delivery=lambda error, _message: error or acknowledged.append(number)
            )
            producer.poll(0)

        def consume(_number: int) -> None:
            message = consumer.poll(0.05)
            if message is not None:
                assert message.error() is None, message.error()
                received.append(int(message.value() or b""))
                consumer.commit(message)

        produced, consumed = Load(produce, per_second=200), Load(consume, per_second=2000)
        with consumed.running(), produced.running():
            produced.wait_for(50)
            if same_user:  # First the store: a client that finds neither there nor at Kafka what it knows has lost.
                password = canary()
                version = secret.put_login(f"{account}-a", password)
                give_password(server, f"{account}-a", password=password)
            else:
                version = secret.put_login(*principal(server, f"{account}-b", topic))
                give_password(server, f"{account}-a")
            wait_until(lambda: secret.is_held_by_all(version), "the new version")
            produced.wait_for(100)
        assert producer.flush(30) == 0
        rest = Load(consume, per_second=2000)
        with rest.running():
            wait_until(lambda: len(received) >= produced.done_count or rest.errors)
        assert produced.errors == consumed.errors == rest.errors == []
    assert sorted(acknowledged) == list(range(produced.done_count))
    assert received == list(range(produced.done_count))


@ending
def test_a_live_producer_that_is_refused_for_good_says_so(
    reauthenticating: KafkaServer, secret: ChangingSecret
) -> None:
    topic, account = make_topic(reauthenticating), new_account()
    secret.put_login(*principal(reauthenticating, account, topic))
    producer = FollowingProducer(secret.client, NAME, config(reauthenticating))
    try:
        give_password(reauthenticating, account)

        def is_refused() -> bool:
            try:
                producer.produce(topic, "x")
                producer.poll(0.05)
            except CredentialRefusedError:
                return True
            return False

        wait_until(is_refused)
        # A person sets the right password by hand: what was queued goes out.
        secret.put_login(account, give_password(reauthenticating, account))
        secret.tell()
        wait_until(lambda: _is_flushed(producer))
    finally:
        producer.close(5)


def _is_flushed(producer: FollowingProducer) -> bool:
    try:
        return producer.flush(1) == 0
    except CredentialRefusedError:
        return False
