"""What the probe says of several brokers, from their settings as Kafka describes them, and which rights are drift."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from vantage_secrets.credential import Credential
from vantage_secrets.errors import RotationError
from vantage_secrets.manifest import TargetSettings
from vantage_secrets.secret import SecretValue
from vantage_secrets.targets.contract import Overlap, Probe
from vantage_secrets.targets.kafka.cluster import Administration, Cluster, Setting, checks_acls
from vantage_secrets.targets.kafka.login import Login
from vantage_secrets.targets.kafka.probe import look
from vantage_secrets.targets.kafka.rights import CUT_OFF, Right, cluster_operations, missing_rights

READ = Right("TOPIC", "events", "LITERAL", "*", "READ", "ALLOW")
WRITE = Right("TOPIC", "events", "PREFIXED", "10.0.0.1", "WRITE", "ALLOW")
STRANGE = Right("UNKNOWN", "bob", "LITERAL", "*", "DESCRIBE", "ALLOW")

ON = {
    "authorizer.class.name": Setting("Standard", is_set=True),
    "sasl.enabled.mechanisms": Setting("SCRAM-SHA-256,SCRAM-SHA-512", is_set=True),
    "connections.max.reauth.ms": Setting("60000", is_set=True),
    "delegation.token.secret.key": Setting("", is_set=False),
}


class Described(Cluster):
    """A cluster of which only the brokers' settings are known."""

    def __init__(self, *brokers: dict[str, Setting]) -> None:
        values: dict[str, Any] = {
            "mechanism": "scram-sha-512",
            "bootstrap": ("k1:9093", "k9:9093"),
            "security": "sasl-ssl",
            "ca_file": Path("/nowhere/ca.pem"),
        }
        password = SecretValue("unused")
        super().__init__(TargetSettings("kafka", "kafka", values), lambda: Credential("admin", password))
        self._brokers = dict(enumerate(brokers, 1))

    def administer(self) -> Administration:
        found = self._brokers

        class Seen:
            login = Login("admin", SecretValue("unused"), "SCRAM-SHA-512")

            @property
            def brokers(self) -> dict[int, str]:
                return {number: f"k{number}:9093" for number in found}

            def broker_settings(self) -> dict[int, dict[str, Setting]]:
                return found

        return cast("Administration", Seen())


def probe(*brokers: dict[str, Setting], alternates: bool = False) -> Probe:
    return look(Described(*brokers), "worker", alternates=alternates)


def test_three_brokers_that_are_set_up_well_leave_nothing_to_say() -> None:
    found = probe(ON, ON, ON)
    assert found.warnings == ()
    assert found.summary == "3 broker(s), ACLs checked; worker by SCRAM-SHA-256 and SCRAM-SHA-512 take turns"
    assert found.overlap is Overlap.TWO_CREDENTIALS


def test_each_warning_names_the_brokers_that_it_is_about() -> None:
    off = {**ON, "connections.max.reauth.ms": Setting("0", is_set=False)}
    one_mechanism = {**off, "sasl.enabled.mechanisms": Setting("SCRAM-SHA-512", is_set=True)}
    tokens = {**ON, "delegation.token.secret.key": Setting("", is_set=True)}
    reauth, mechanism, token = probe(off, one_mechanism, tokens).warnings
    assert "is off on broker 1, 2: open connections keep their login" in reauth
    assert "Those of a revoked one go on working until they are closed" in reauth
    assert mechanism == "Broker 2 takes no logins by SCRAM-SHA-256 ('sasl.enabled.mechanisms')."
    assert token.startswith("Broker 3 issues delegation tokens")


def test_reauthentication_that_is_on_for_one_listener_is_on() -> None:
    name = "listener.name.clients.scram-sha-512.connections.max.reauth.ms"
    found = {**ON, "connections.max.reauth.ms": Setting("0", is_set=False), name: Setting("60000", is_set=True)}
    assert probe(found).warnings == ()


def test_acls_are_taken_to_be_checked_unless_a_broker_says_that_they_are_not() -> None:
    assert checks_acls({1: {}, 2: ON})
    assert not checks_acls({1: {"authorizer.class.name": Setting("", is_set=False)}, 2: ON})


def test_logins_are_tried_at_the_brokers_that_are_known_and_at_those_of_the_manifest_once_each() -> None:
    cluster = Described(ON, ON)
    assert cluster.addresses(cluster.administer()) == ("k1:9093", "k2:9093", "k9:9093")


def missing(of: set[Right], like: set[Right]) -> frozenset[Right]:
    return missing_rights(frozenset(of), like=frozenset(like), idle="worker-b", current="worker-a")


def test_missing_rights_are_what_the_current_principal_has_beside_our_own_denials() -> None:
    assert missing({READ, *CUT_OFF}, {READ, WRITE}) == {WRITE}
    assert missing({READ}, {READ, *CUT_OFF}) == frozenset()


def test_rights_of_the_idle_principal_alone_are_drift_and_are_named_with_host_and_pattern() -> None:
    with pytest.raises(RotationError, match=r"ALLOW WRITE on TOPIC 'events' \(PREFIXED\) from 10\.0\.0\.1"):
        missing({READ, WRITE}, {READ})


def test_rights_that_the_client_cannot_write_are_refused_rather_than_left_out() -> None:
    with pytest.raises(RotationError, match="UNKNOWN 'bob'"):
        missing({READ}, {READ, STRANGE})


def test_whoever_may_do_everything_with_the_cluster_may_administer_it() -> None:
    everything = Right("BROKER", "kafka-cluster", "LITERAL", "*", "ALL", "ALLOW")
    assert {"ALTER", "CLUSTER_ACTION"} <= cluster_operations([everything, READ])
    assert cluster_operations([READ, WRITE, *CUT_OFF]) == frozenset()
