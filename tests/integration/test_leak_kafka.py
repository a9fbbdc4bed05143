"""Kafka topics as a source of documents, on a real broker."""

from __future__ import annotations

import gzip
import secrets
import time
from typing import Any

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AclOperation, NewTopic, ResourceType

from tests.canary import canary
from tests.servers.kafka import KafkaServer
from tests.servers.kafka_steps import acl, allow, give_password, make_topic, new_account
from tests.targets import context
from vantage_secrets.credential import Credential
from vantage_secrets.errors import CredentialRefusedError, InvalidInputError, TargetError, TargetUnavailableError
from vantage_secrets.leaks.finding import Coverage
from vantage_secrets.leaks.sources import kafka as module
from vantage_secrets.leaks.sources.contract import Document
from vantage_secrets.leaks.sources.kafka import KafkaSource
from vantage_secrets.secret import SecretValue

pytest_plugins = ["tests.servers.kafka_fixtures"]
pytestmark = pytest.mark.xdist_group("kafka")


def open_source(
    server: KafkaServer, *topics: str, login: tuple[str, str] | None = None, since: float | None = None, **more: Any
) -> KafkaSource:
    username, password = login or (server.username, server.password)
    trust = None if server.certificate is None else server.certificate.ca_file
    values = {
        "bootstrap": tuple(server.bootstrap.split(",")),
        "security": "sasl-plaintext" if server.certificate is None else "sasl-ssl",
        "ca_file": trust,
        **more,
    }
    settings = context("kafka-password", **values).settings
    assert settings is not None
    return KafkaSource(settings, lambda: Credential(username, SecretValue(password)), topics, since=since)


def read(source: KafkaSource, coverage: Coverage | None = None) -> list[Document]:
    return list(source.documents(Coverage() if coverage is None else coverage))


def send(server: KafkaServer, topic: str, *values: bytes | None, **more: Any) -> None:
    producer = Producer(server.client(**{"linger.ms": 5}))
    for value in values:
        producer.produce(topic, value, **more)
    assert producer.flush(20) == 0


def test_values_keys_and_headers_are_read_and_their_places_hold_no_value(kafka: KafkaServer) -> None:
    topic, value = make_topic(kafka), canary("record").encode()
    send(kafka, topic, value, key=b"a key", headers=[("authorization", b"Basic x"), ("empty", None)])
    coverage = Coverage()
    documents = read(open_source(kafka, topic), coverage)
    assert [(one.place.detail, one.data) for one in documents] == [
        ("partition 0, offset 0", value),
        ("partition 0, offset 0, key", b"a key"),
        ("partition 0, offset 0, header authorization", b"authorization: Basic x"),
    ]
    assert {(one.place.source, one.place.kind) for one in documents} == {(f"kafka topic {topic}", "record")}
    assert not [one for one in documents if value.decode() in str(one.place)]
    assert coverage.counts == {"record": 1}
    assert coverage.is_complete


def test_all_partitions_are_read_from_their_beginning_and_no_group_is_left(kafka: KafkaServer) -> None:
    topic = f"events-{secrets.token_hex(4)}"
    admin = kafka.admin()
    admin.create_topics([NewTopic(topic, 3, 1)])[topic].result()
    producer = Producer(kafka.client())
    for number in range(300):
        producer.produce(topic, b"%d" % number, partition=number % 3)
    assert producer.flush(20) == 0
    for _ in range(2):
        assert sorted(int(one.data) for one in read(open_source(kafka, topic))) == list(range(300))
    groups = admin.list_consumer_groups().result().valid
    assert not [group for group in groups if group.group_id.startswith("vantage-secrets-scan")]


def test_reading_ends_where_the_topic_ended_when_it_was_asked(kafka: KafkaServer) -> None:
    topic = make_topic(kafka)
    send(kafka, topic, b"first", b"second")
    documents = open_source(kafka, topic).documents(Coverage())
    found = [next(documents).data]
    send(kafka, topic, b"third")
    found += [one.data for one in documents]
    assert found == [b"first", b"second"]


def test_empty_topics_and_records_without_a_value_are_read(kafka: KafkaServer) -> None:
    empty, topic = make_topic(kafka), make_topic(kafka)
    send(kafka, topic, None, b"", key=b"k")
    coverage = Coverage()
    assert [one.data for one in read(open_source(kafka, empty, topic), coverage)] == [b"k", b"k"]
    assert coverage.counts == {"record": 2}
    assert coverage.is_complete


def test_a_transaction_that_was_given_up_is_read_too(kafka: KafkaServer) -> None:
    topic = make_topic(kafka)
    producer = Producer(kafka.client(**{"transactional.id": f"scan-{secrets.token_hex(4)}"}))
    producer.init_transactions(20)
    producer.begin_transaction()
    producer.produce(topic, b"given up")
    producer.flush(20)
    producer.abort_transaction(20)
    coverage = Coverage()
    assert [one.data for one in read(open_source(kafka, topic), coverage)] == [b"given up"]
    assert coverage.is_complete


def test_since_leaves_out_what_was_before(kafka: KafkaServer) -> None:
    topic, later = make_topic(kafka), make_topic(kafka)
    now = int(time.time())
    for age in (3_000, 2_000, 1_000):
        send(kafka, topic, b"%d" % age, timestamp=(now - age) * 1000)
    send(kafka, later, b"old", timestamp=(now - 3_000) * 1000)
    found = [one.data for one in read(open_source(kafka, topic, later, since=now - 2_500))]
    assert found == [b"2000", b"1000"]


def test_what_is_inside_a_compressed_value_is_read(kafka: KafkaServer) -> None:
    topic = make_topic(kafka)
    send(kafka, topic, gzip.compress(b"inside"))
    found = {one.place.path: one.data for one in read(open_source(kafka, topic))}
    assert found["content"] == b"inside"


def test_topics_are_chosen_by_patterns_or_all_but_kafkas_own(kafka: KafkaServer) -> None:
    prefix = secrets.token_hex(4)
    admin = kafka.admin()
    for topic in (f"{prefix}-a", f"{prefix}-b", f"__{prefix}"):
        admin.create_topics([NewTopic(topic, 1, 1)])[topic].result()
        send(kafka, topic, topic.encode())
    assert [one.data.decode() for one in read(open_source(kafka, f"{prefix}-*"))] == [f"{prefix}-a", f"{prefix}-b"]
    coverage = Coverage()
    found = {one.data.decode("utf-8", "replace") for one in read(open_source(kafka), coverage)}
    assert {f"{prefix}-a", f"{prefix}-b"} <= found
    assert f"__{prefix}" not in found
    assert "topics of Kafka's own were not read" in coverage.notes[0]


def test_a_topic_that_may_be_seen_and_not_read_is_told(kafka: KafkaServer) -> None:
    account, topic, open_topic = new_account(), make_topic(kafka), make_topic(kafka)
    send(kafka, topic, b"x")
    send(kafka, open_topic, b"y")
    password = give_password(kafka, account)
    allow(
        kafka,
        account,
        acl(ResourceType.TOPIC, topic, AclOperation.DESCRIBE),
        acl(ResourceType.TOPIC, open_topic, AclOperation.READ),
    )
    coverage = Coverage()
    documents = read(open_source(kafka, topic, open_topic, login=(account, password)), coverage)
    assert [one.data for one in documents] == [b"y"]
    assert [(one.place.source, one.reason) for one in coverage.unread] == [
        (f"kafka topic {topic}", "Kafka did not give its records: TOPIC_AUTHORIZATION_FAILED")
    ]


def test_a_topic_that_is_not_there_is_refused_and_not_made(kafka: KafkaServer) -> None:
    topic = f"missing-{secrets.token_hex(4)}"
    with pytest.raises(InvalidInputError, match=topic):
        read(open_source(kafka, topic))
    assert topic not in kafka.admin().list_topics(timeout=10).topics


def test_a_login_that_is_refused_is_told_without_the_password(kafka: KafkaServer) -> None:
    password = canary("kafka")
    with pytest.raises(CredentialRefusedError) as caught:
        read(open_source(kafka, login=(kafka.username, password)))
    assert password not in str(caught.value) + repr(caught.value.__context__)


def test_a_cluster_that_does_not_answer_is_an_outage(kafka: KafkaServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ANSWER_SECONDS", 0.5)
    with pytest.raises(TargetUnavailableError):
        read(open_source(kafka, bootstrap=("127.0.0.1:1",)))


def test_settings_that_cannot_be_used_are_told(kafka: KafkaServer) -> None:
    with pytest.raises(TargetError, match="cannot be used"):
        read(open_source(kafka, security="sasl-ssl", ca_file=kafka.folder / "missing"))


def test_a_broker_that_goes_away_meanwhile_is_told(kafka_pair: KafkaServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STALL_SECONDS", 1.0)
    monkeypatch.setattr(module, "ANSWER_SECONDS", 2.0)
    monkeypatch.setattr(module, "_QUEUE_KBYTES", 1)
    topic = f"events-{secrets.token_hex(4)}"
    admin = kafka_pair.admin()
    admin.create_topics([NewTopic(topic, 1, replica_assignment=[[2]])])[topic].result()
    send(kafka_pair, topic, *(secrets.token_bytes(200_000) for _ in range(20)))
    coverage = Coverage()
    documents = open_source(kafka_pair, topic).documents(coverage)
    next(documents)
    kafka_pair.stop(2, kill=True)
    assert len(list(documents)) < 19
    assert [one.reason for one in coverage.unread] == ["Kafka gave nothing for 1 s; the rest was not read"]
