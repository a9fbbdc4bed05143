"""Kafka logins change under clients that go on working, on a real broker; every old one is dead afterwards."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AclOperation, ResourceType

from tests.canary import canary
from tests.servers.kafka import KafkaServer
from tests.servers.kafka_steps import (
    acl,
    acls_of,
    allow,
    client_of,
    end,
    give_password,
    imported,
    lets_in,
    login_of,
    make_reading,
    make_topic,
    new_account,
    of_principal,
    open_kafka,
    platform_acls,
    receive,
    rotate,
    send,
    wait_until,
)
from vantage_secrets.errors import (
    CredentialAcceptedError,
    CredentialRefusedError,
    RotationError,
)
from vantage_secrets.secret import SecretValue
from vantage_secrets.targets.kafka.connection import Connection
from vantage_secrets.targets.kafka.login import MECHANISMS

pytest_plugins = ["tests.servers.kafka_fixtures"]
pytestmark = [pytest.mark.xdist_group("kafka"), pytest.mark.usefixtures("canary_passwords")]


@pytest.mark.parametrize("strategy", ["two-principals", "two-mechanisms"])
def test_events_flow_through_three_rotations_and_every_old_login_is_dead(kafka: KafkaServer, strategy: str) -> None:
    account, topic = new_account(), make_topic(kafka)
    current = imported(kafka, account)
    allow(kafka, account, *platform_acls(topic))
    target = open_kafka(kafka, account, strategy=strategy)
    reads = {"group.id": topic, "auto.offset.reset": "earliest"}
    dead, sent, seen = [], [], []
    for turn in range(3):
        old_producer = Producer(client_of(kafka, current, account, acks="all"))
        old_consumer = Consumer(client_of(kafka, current, account, **reads))
        old_consumer.subscribe([topic])
        pending = rotate(target, current)
        new_producer = Producer(client_of(kafka, pending, account, acks="all"))
        for producer, who in ((old_producer, "old"), (new_producer, "new"), (old_producer, "old again")):
            assert send(producer, topic, f"{turn} {who}") == ""
            sent.append(f"{turn} {who}")
        seen += receive(old_consumer, 3)
        old_consumer.close()
        end(target, current, pending)
        assert send(new_producer, topic, f"{turn} last") == ""
        sent.append(f"{turn} last")
        new_consumer = Consumer(client_of(kafka, pending, account, **reads))
        new_consumer.subscribe([topic])
        seen += receive(new_consumer, 1)
        new_consumer.close()
        dead.append(current)
        current = pending
    assert seen == sent
    for reading in dead:
        found = login_of(reading, account)
        assert not lets_in(kafka, found.username, found.password.reveal_text(), found.mechanism)


def test_a_transactional_producer_of_the_second_principal_works(kafka: KafkaServer) -> None:
    account, topic = new_account(), make_topic(kafka)
    current = imported(kafka, account)
    allow(kafka, account, *platform_acls(topic))
    pending = rotate(open_kafka(kafka, account), current)
    producer = Producer(client_of(kafka, pending, account, **{"transactional.id": f"{topic}-1"}))
    producer.init_transactions(20)
    producer.begin_transaction()
    producer.produce(topic, "one")
    producer.commit_transaction(20)
    assert len(producer) == 0


@pytest.mark.parametrize("strategy", ["two-principals", "two-mechanisms"])
def test_the_broker_is_restarted_after_every_revocation_and_lets_the_right_ones_in(
    kafka: KafkaServer, strategy: str
) -> None:
    account = new_account()
    target = open_kafka(kafka, account, strategy=strategy)
    current = imported(kafka, account)
    for _ in range(2):
        pending = rotate(target, current)
        end(target, current, pending)
        kafka.restart()  # waits until the administrator's login works
        target.verify(pending)
        target.verify_refused(current)
        current = pending


def test_a_revoked_principal_is_cut_off_on_a_connection_that_is_open_and_the_other_is_not(kafka: KafkaServer) -> None:
    account, topic = new_account(), make_topic(kafka)
    current = imported(kafka, account)
    allow(kafka, account, *platform_acls(topic))
    target = open_kafka(kafka, account)
    pending = rotate(target, current)
    old, new = (Producer(client_of(kafka, reading, account)) for reading in (current, pending))
    assert [send(producer, topic, "before") for producer in (old, new)] == ["", ""]
    target.revoke(current, keep=pending)
    wait_until(lambda: send(old, topic, "after") == "TOPIC_AUTHORIZATION_FAILED")
    assert send(new, topic, "after") == ""


def test_a_principal_that_was_cut_off_works_again_when_its_turn_comes(kafka: KafkaServer) -> None:
    account, topic = new_account(), make_topic(kafka)
    current = imported(kafka, account)
    allow(kafka, account, *platform_acls(topic))
    target = open_kafka(kafka, account)
    for _ in range(3):  # account, a, b, a again
        pending = rotate(target, current)
        end(target, current, pending)
        current = pending
    assert acls_of(kafka, f"{account}-a") == {of_principal(one, f"{account}-a") for one in platform_acls(topic)}
    assert send(Producer(client_of(kafka, current, account)), topic, "again") == ""


def test_rights_that_only_the_idle_principal_has_are_named_and_nothing_is_changed(kafka: KafkaServer) -> None:
    account = new_account()
    current = imported(kafka, account)
    allow(kafka, account, *platform_acls("orders"))
    allow(kafka, f"{account}-a", acl(ResourceType.TRANSACTIONAL_ID, "payments", AclOperation.WRITE, prefixed=True))
    before = give_password(kafka, f"{account}-a")
    target = open_kafka(kafka, account)
    pending = make_reading(target.generate(current))
    with pytest.raises(RotationError, match=r"ALLOW WRITE on TRANSACTIONAL_ID 'payments' \(PREFIXED\)") as raised:
        target.install(pending, keep=current)
    assert f"{account}-a" in str(raised.value)
    assert "kafka-acls.sh" in raised.value.hint
    assert lets_in(kafka, f"{account}-a", before)
    assert len(acls_of(kafka, f"{account}-a")) == 1


def test_a_denial_that_only_the_current_principal_has_is_copied(kafka: KafkaServer) -> None:
    account = new_account()
    current = imported(kafka, account)
    denial = acl(ResourceType.TOPIC, "salaries", AclOperation.READ, allow=False)
    allow(kafka, account, denial)
    rotate(open_kafka(kafka, account), current)
    assert acls_of(kafka, f"{account}-a") == {of_principal(denial, f"{account}-a")}


def test_another_login_of_the_idle_principal_is_dead_after_an_install(kafka: KafkaServer) -> None:
    account = new_account()
    current = imported(kafka, account)
    passwords = {mechanism: give_password(kafka, f"{account}-a", mechanism) for mechanism in MECHANISMS}
    rotate(open_kafka(kafka, account), current)
    for mechanism, password in passwords.items():
        wait_until(lambda at=mechanism, word=password: not lets_in(kafka, f"{account}-a", word, at))


def test_an_account_with_one_password_for_both_mechanisms_is_dead_in_both(kafka: KafkaServer) -> None:
    account = new_account()
    target = open_kafka(kafka, account)
    current = imported(kafka, account)
    password = current.value.reveal_text()
    give_password(kafka, account, "SCRAM-SHA-256", password)
    pending = rotate(target, current)
    end(target, current, pending)
    assert not any(lets_in(kafka, account, password, mechanism) for mechanism in MECHANISMS)


def test_an_imported_password_that_kafka_has_already_is_left_as_it_is(kafka: KafkaServer) -> None:
    account = new_account()
    current = imported(kafka, account)
    give_password(kafka, account, "SCRAM-SHA-256", current.value.reveal_text())
    target = open_kafka(kafka, account)
    target.install(current, keep=None)
    target.verify(current)
    assert lets_in(kafka, account, current.value.reveal_text(), "SCRAM-SHA-256")


def test_an_account_whose_password_nobody_here_knows_is_not_overwritten(kafka: KafkaServer) -> None:
    account = new_account()
    password = give_password(kafka, account)
    target = open_kafka(kafka, account)
    wrong, second = make_reading(SecretValue(canary("wrong"))), make_reading(target.generate(None))
    target.install(second, keep=None)
    for keep in (None, second):
        with pytest.raises(RotationError, match="password that nobody here knows"):
            target.install(wrong, keep=keep)
    assert lets_in(kafka, account, password)


def test_two_passwords_of_one_principal_are_no_overlap_and_are_refused(kafka: KafkaServer) -> None:
    account = new_account()
    current = imported(kafka, account)
    target = open_kafka(kafka, account)
    with pytest.raises(RotationError, match="no overlap"):
        target.install(make_reading(SecretValue(canary("by-hand"))), keep=current)
    target.verify(current)


def test_a_value_for_somebody_elses_principal_is_never_touched(kafka: KafkaServer) -> None:
    account, other = new_account(), new_account()
    password = give_password(kafka, other)
    target = open_kafka(kafka, account)
    strange = make_reading(SecretValue({"username": other, "password": password}))
    for verb in (lambda: target.install(strange, keep=None), lambda: target.revoke(strange, keep=None)):
        with pytest.raises(RotationError, match=f"for the principal '{other}'"):
            verb()
    assert lets_in(kafka, other, password)


def test_the_administrator_is_not_overwritten_though_its_name_is_one_of_the_two(kafka: KafkaServer) -> None:
    account = new_account()
    helper = f"{account}-a"
    password = give_password(kafka, helper)
    needed = (AclOperation.ALTER, AclOperation.DESCRIBE, AclOperation.DESCRIBE_CONFIGS)
    allow(kafka, helper, *(acl(ResourceType.BROKER, "kafka-cluster", operation) for operation in needed))
    target = open_kafka(kafka, account, admin_user=helper, password=password)
    pending = make_reading(target.generate(None))
    for verb in (lambda: target.install(pending, keep=None), lambda: target.revoke(pending, keep=None)):
        with pytest.raises(RotationError, match="the administrator of this target"):
            verb()
    assert lets_in(kafka, helper, password)


def test_a_brokers_own_login_is_known_by_its_right_and_refused(kafka: KafkaServer) -> None:
    account = new_account()
    current = imported(kafka, account)
    allow(kafka, account, acl(ResourceType.BROKER, "kafka-cluster", AclOperation.CLUSTER_ACTION))
    target = open_kafka(kafka, account)
    with pytest.raises(RotationError, match="CLUSTER_ACTION"):
        target.install(make_reading(target.generate(current)), keep=current)


def test_a_wrong_administrators_password_says_where_the_right_one_belongs(kafka: KafkaServer) -> None:
    target = open_kafka(kafka, new_account(), password=canary("wrong"))
    with pytest.raises(RotationError, match="refused the login of 'admin'") as raised:
        target.probe()
    assert "admin_secret" in raised.value.hint


def test_an_administrator_with_the_documented_rights_rotates_and_one_with_less_is_told_what_is_missing(
    kafka: KafkaServer,
) -> None:
    account, helper = new_account(), new_account()
    current = imported(kafka, account)
    password = give_password(kafka, helper)
    settings = {"admin_user": helper, "password": password}
    needed = [AclOperation.ALTER, AclOperation.DESCRIBE, AclOperation.DESCRIBE_CONFIGS, AclOperation.ALTER_CONFIGS]
    allow(kafka, helper, *(acl(ResourceType.BROKER, "kafka-cluster", operation) for operation in needed[:1]))
    target = open_kafka(kafka, account, **settings)
    with pytest.raises(RotationError, match=r"does not allow '\S+' DESCRIBE_CONFIGS") as raised:
        target.probe()
    assert "DescribeConfigs" in raised.value.hint
    allow(kafka, helper, *(acl(ResourceType.BROKER, "kafka-cluster", operation) for operation in needed))
    end(target, current, rotate(target, current))
    assert not [warning for warning in target.probe().warnings if "uotas" in warning]


def test_a_cluster_that_says_yes_and_does_no_is_found_out(kafka: KafkaServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vantage_secrets.targets.kafka.target.SETTLE_SECONDS", 0.3)
    account = new_account()
    target = open_kafka(kafka, account)
    current = imported(kafka, account)
    pending = rotate(target, current)
    ask = Connection.ask

    def lie(self: Connection, what: str, call: Callable[[object], object]) -> object:
        return None if what == "take a SCRAM credential" else ask(self, what, call)

    monkeypatch.setattr(Connection, "ask", lie)
    target.revoke(current, keep=pending)
    with pytest.raises(CredentialAcceptedError, match="still lets"):
        target.verify_refused(current)
    never = make_reading(target.generate(pending))
    target.install(never, keep=pending)
    with pytest.raises(CredentialRefusedError):
        target.verify(never)
