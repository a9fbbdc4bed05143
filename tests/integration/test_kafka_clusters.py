"""Kafka clusters that are set up in other ways: more super users, no ACLs, two brokers with TLS, one of them down."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.canary import canary, leaks_in, planted
from tests.servers.kafka import KafkaServer
from tests.servers.kafka_steps import (
    end,
    give_password,
    imported,
    lets_in,
    login_of,
    make_reading,
    new_account,
    open_kafka,
    rotate,
    wait_until,
)
from vantage_secrets.errors import (
    RotationError,
    TargetUnavailableError,
)
from vantage_secrets.secret import SecretValue

pytest_plugins = ["tests.servers.kafka_fixtures"]
pytestmark = [pytest.mark.xdist_group("kafka"), pytest.mark.usefixtures("canary_passwords")]


@pytest.mark.parametrize("strategy", ["two-principals", "two-mechanisms"])
def test_the_administrator_and_other_super_users_are_refused_before_anything_changes(
    guarded_kafka: KafkaServer, strategy: str
) -> None:
    passwords = {"admin": guarded_kafka.password, "chief": give_password(guarded_kafka, "chief")}
    for account, password in passwords.items():
        target = open_kafka(guarded_kafka, account, strategy=strategy)
        current = make_reading(SecretValue(password))
        pending = make_reading(target.generate(current))
        calls: tuple[Callable[[], None], ...] = (
            lambda at=target, new=pending, old=current: at.install(new, keep=old),
            lambda at=target, old=current: at.install(old, keep=None),
            lambda at=target, new=pending, old=current: at.revoke(old, keep=new),
        )
        for call in calls:
            with pytest.raises(RotationError, match="super user"):
                call()
        found = login_of(pending, account)
        assert not lets_in(guarded_kafka, found.username, found.password.reveal_text(), found.mechanism)
        assert lets_in(guarded_kafka, account, password)


def test_a_second_principal_that_is_a_super_user_is_not_verified_and_can_be_given_up(
    guarded_kafka: KafkaServer,
) -> None:
    current = imported(guarded_kafka, "heir")
    target = open_kafka(guarded_kafka, "heir")
    pending = make_reading(target.generate(current))
    target.install(pending, keep=current)
    with pytest.raises(RotationError, match="'heir-a' is a super user"):
        target.verify(pending)
    target.revoke(pending, keep=current)
    target.verify_refused(pending)
    target.verify(current)


def test_a_second_mechanism_of_a_super_user_whose_password_is_not_known_is_taken_back(
    guarded_kafka: KafkaServer,
) -> None:
    password = give_password(guarded_kafka, "chief")
    target = open_kafka(guarded_kafka, "chief", strategy="two-mechanisms")
    second = make_reading(SecretValue({"username": "chief", "password": canary("x"), "mechanism": "SCRAM-SHA-256"}))
    with pytest.raises(RotationError, match="'chief' is a super user"):
        target.install(second, keep=None)
    assert lets_in(guarded_kafka, "chief", password)
    wait_until(lambda: not lets_in(guarded_kafka, "chief", second.value.field("password"), "SCRAM-SHA-256"))


def test_a_broker_that_checks_no_acls_rotates_too_and_the_probe_says_what_that_means(
    open_kafka_broker: KafkaServer,
) -> None:
    account = new_account()
    current = imported(open_kafka_broker, account)
    target = open_kafka(open_kafka_broker, account)
    warnings = " ".join(target.probe().warnings)
    assert "check no ACLs" in warnings
    assert "go on working until they are closed" in warnings
    for _ in range(2):
        pending = rotate(target, current)
        end(target, current, pending)
        current = pending


def test_the_probe_tells_of_missing_reauthentication_and_of_delegation_tokens(
    kafka: KafkaServer, guarded_kafka: KafkaServer
) -> None:
    plain = open_kafka(kafka, "worker").probe()
    assert plain.summary == "1 broker(s), ACLs checked; worker-a and worker-b take turns"
    assert len(plain.warnings) == 1
    assert "'connections.max.reauth.ms' is off on broker 1" in plain.warnings[0]
    assert "Those of a revoked one are refused by ACLs; clients must reconnect" in plain.warnings[0]
    guarded = open_kafka(guarded_kafka, "worker").probe()
    assert len(guarded.warnings) == 1
    assert "delegation tokens" in guarded.warnings[0]


def test_no_password_is_in_the_brokers_log_though_it_names_each_request(guarded_kafka: KafkaServer) -> None:
    account = new_account()
    target = open_kafka(guarded_kafka, account)
    current = imported(guarded_kafka, account)
    end(target, current, rotate(target, current))
    log = guarded_kafka.log
    assert f"User:{account}-a" in log
    assert not leaks_in(log.encode(), (*planted(), guarded_kafka.password))


def test_a_broker_that_is_down_proves_nothing_and_all_others_are_asked_too(
    kafka_pair: KafkaServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = new_account()
    current = imported(kafka_pair, account)
    target = open_kafka(kafka_pair, account)
    pending = rotate(target, current)
    found = target.probe()
    assert found.summary.startswith("2 broker(s)")
    assert not [warning for warning in found.warnings if "Quotas" in warning]  # read over TLS too
    target.revoke(current, keep=pending)
    kafka_pair.stop(2)
    with monkeypatch.context() as patience:
        patience.setattr("vantage_secrets.targets.kafka.connection.SECONDS_MAX", 1.0)
        for verb, reading in ((target.verify, pending), (target.verify_refused, current)):
            with pytest.raises(TargetUnavailableError, match="Connection refused"):
                verb(reading)
    kafka_pair.start(2)
    target.verify_refused(current)
    target.verify(pending)
