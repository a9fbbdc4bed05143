"""What librdkafka's words mean: a refusal by the broker, an outage, or a call that may not be made."""

from __future__ import annotations

import sys
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from tests.canary import canary
from vantage_secrets.errors import CredentialRefusedError, MissingExtraError, RotationError, TargetUnavailableError
from vantage_secrets.secret import SecretValue
from vantage_secrets.targets.kafka.connection import BrokerRefusedError, Connection
from vantage_secrets.targets.kafka.login import Login

REFUSED = "sasl_ssl://k:9093/bootstrap: SASL authentication error: Authentication failed during authentication due to "
REFUSED += "invalid credentials with SASL mechanism SCRAM-SHA-512 (after 308ms in state AUTH_REQ)"
BROKEN = "sasl_ssl://k:9093/bootstrap: SASL SCRAM-SHA-512 mechanism handshake failed: Local: Broker transport failure"


class FakeClient:
    """Says what it was told to, when it is polled."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.tell = settings["error_cb"]
        self.words: list[tuple[int, str]] = []

    def poll(self, timeout: float) -> int:
        for code, text in self.words:
            self.tell(KafkaError(code, text))
        return len(self.words)


@pytest.fixture
def connection(monkeypatch: pytest.MonkeyPatch) -> Connection:
    monkeypatch.setattr("confluent_kafka.admin.AdminClient", FakeClient)
    monkeypatch.setattr("vantage_secrets.targets.kafka.connection.SECONDS_MAX", 0.1)
    return Connection(("k:9093",), Login("worker-a", SecretValue(canary("kafka")), "SCRAM-SHA-512"), {})


def never(client: FakeClient) -> Future[None]:
    return Future()


def failing(code: int, text: str = "") -> Callable[[FakeClient], Future[None]]:
    future: Future[None] = Future()
    future.set_exception(KafkaException(KafkaError(code, text)))
    return lambda client: future


def test_the_brokers_own_word_is_a_refusal_though_the_call_ends_like_an_outage(connection: Connection) -> None:
    connection._client.words = [(KafkaError._AUTHENTICATION, REFUSED)]
    for call in (never, failing(KafkaError._TRANSPORT)):
        with pytest.raises(CredentialRefusedError, match="k:9093 refused the login of 'worker-a'"):
            connection.ask("answer", call)


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (KafkaError._AUTHENTICATION, BROKEN),
        (KafkaError._AUTHENTICATION, REFUSED.replace("/bootstrap", "other:9093/2")),
        (KafkaError._TRANSPORT, "sasl_ssl://k:9093/bootstrap: Connect to ipv4#127.0.0.1:1 failed: Connection refused"),
        (KafkaError._ALL_BROKERS_DOWN, "1/1 brokers are down"),
        (KafkaError._SSL, "sasl_ssl://k:9093/bootstrap: SSL handshake failed: certificate verify failed"),
    ],
)
def test_a_login_that_broke_and_another_brokers_word_are_no_refusal(
    connection: Connection, code: int, text: str
) -> None:
    connection._client.words = [(code, text)]
    for call in (never, failing(KafkaError._TIMED_OUT)):
        with pytest.raises(TargetUnavailableError, match="did not answer"):
            connection.ask("answer", call)


def test_the_last_words_stand_in_the_message_of_an_outage(connection: Connection) -> None:
    connection._client.words = [
        (KafkaError._RESOLVE, "Failed to resolve 'k:9093'"),
        (KafkaError._ALL_BROKERS_DOWN, "x"),
    ]
    with pytest.raises(TargetUnavailableError, match="Failed to resolve 'k:9093'"):
        connection.ask("answer", never)


def test_a_mechanism_that_the_broker_does_not_take_is_a_refusal_with_its_own_hint(connection: Connection) -> None:
    text = "sasl_ssl://k:9093/bootstrap: SASL handshake failed: Broker: Unsupported SASL mechanism: PLAIN"
    connection._client.words = [(KafkaError._AUTHENTICATION, text)]
    with pytest.raises(CredentialRefusedError, match="takes no logins by SCRAM-SHA-512") as raised:
        connection.ask("answer", never)
    assert "sasl.enabled.mechanisms" in raised.value.hint


def test_a_refused_call_is_named_and_the_brokers_text_which_may_hold_the_request_is_not_shown(
    connection: Connection,
) -> None:
    call = failing(KafkaError.CLUSTER_AUTHORIZATION_FAILED, f"Request(saltedPassword={canary('echo')})")
    with pytest.raises(
        BrokerRefusedError, match=r"take an ACL for 'worker-a': CLUSTER_AUTHORIZATION_FAILED\."
    ) as raised:
        connection.ask("take an ACL", call)
    assert raised.value.__cause__ is None
    assert "Request(" not in str(raised.value)
    assert "DescribeConfigs" in raised.value.hint


def test_an_answer_that_says_not_now_is_an_outage(connection: Connection) -> None:
    with pytest.raises(TargetUnavailableError):
        connection.ask("answer", failing(KafkaError.NOT_CONTROLLER))


def test_without_confluent_kafka_the_command_that_installs_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "confluent_kafka", None)
    with pytest.raises(MissingExtraError) as raised:
        Connection(("k:9093",), Login("worker-a", SecretValue(canary("kafka")), "SCRAM-SHA-512"), {})
    assert raised.value.hint == "pip install 'vantage-secrets[kafka]'"


def test_a_certificate_file_that_is_not_there_is_named_as_a_setting_and_no_outage() -> None:
    login = Login("worker-a", SecretValue(canary("kafka")), "SCRAM-SHA-512")
    with pytest.raises(RotationError, match="cannot be used") as raised:
        Connection(("k:9093",), login, {"security.protocol": "SASL_SSL", "ssl.ca.location": "/nowhere/ca.pem"})
    assert "ca_file" in raised.value.hint
