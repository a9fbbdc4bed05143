"""Who logs in at Kafka next, and what importing the target costs."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.canary import canary
from vantage_secrets.errors import InvalidSecretValueError
from vantage_secrets.secret import SecretValue
from vantage_secrets.targets.kafka.login import Login, next_mechanism, next_principal


def login(username: str, mechanism: str = "SCRAM-SHA-512") -> Login:
    return Login(username, SecretValue(canary("kafka")), mechanism)


@pytest.mark.parametrize(
    ("current", "following"),
    [(None, "worker-a"), ("worker", "worker-a"), ("worker-a", "worker-b"), ("worker-b", "worker-a")],
)
def test_two_principals_take_turns_and_an_account_of_before_is_followed_by_the_first(
    current: str | None, following: str
) -> None:
    value = next_principal("worker", None if current is None else login(current))
    assert value.field("username") == following
    assert set(value.reveal()) == {"username", "password"}


@pytest.mark.parametrize(
    ("current", "following"),
    [(None, "SCRAM-SHA-512"), ("SCRAM-SHA-512", "SCRAM-SHA-256"), ("SCRAM-SHA-256", "SCRAM-SHA-512")],
)
def test_two_mechanisms_take_turns_and_the_value_says_which(current: str | None, following: str) -> None:
    value = next_mechanism("worker", None if current is None else login("worker-b", current), "SCRAM-SHA-512")
    assert value.field("mechanism") == following
    assert value.field("username") == ("worker" if current is None else "worker-b")


def test_a_plain_password_is_the_accounts_own_by_the_mechanism_of_the_settings() -> None:
    found = Login.of(SecretValue(canary("kafka")), account="worker", mechanism="SCRAM-SHA-256")
    assert found[::2] == ("worker", "SCRAM-SHA-256")


def test_a_mechanism_in_the_value_counts_however_it_is_spelled() -> None:
    value = SecretValue({"username": "worker", "password": canary("kafka"), "mechanism": "scram-sha-256"})
    assert Login.of(value, account="worker", mechanism="SCRAM-SHA-512").mechanism == "SCRAM-SHA-256"


def test_an_unknown_mechanism_is_refused_without_showing_it() -> None:
    value = SecretValue({"username": "worker", "password": canary("kafka"), "mechanism": canary("slipped")})
    with pytest.raises(InvalidSecretValueError, match="names no SCRAM mechanism"):
        Login.of(value, account="worker", mechanism="SCRAM-SHA-512")


def test_importing_the_target_loads_no_client_of_kafka() -> None:
    look = "import sys, vantage_secrets.targets.kafka; print({'confluent_kafka', 'kafka'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
