"""Fixtures around a real Apache Kafka; a plugin, so that all test modules of a process share the brokers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.canary import canary
from tests.servers.certificate import Certificate
from tests.servers.kafka import KafkaServer, running_kafka


@pytest.fixture
def canary_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every password that the target makes up is looked for in logs and files when the test ends."""
    for module in ("login", "scram"):
        monkeypatch.setattr(f"vantage_secrets.targets.kafka.{module}.new_password", lambda: canary("kafka"))


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaServer]:
    """The broker of this test process, with ACLs and without re-authentication, as Kafka comes."""
    with running_kafka(tmp_path_factory.mktemp("kafka-CLEAR")) as server:
        yield server


@pytest.fixture(scope="session")
def guarded_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaServer]:
    """A broker with more super users, re-authentication, delegation tokens, and a log that names each request."""
    settings = {
        "super.users": "User:admin;User:ANONYMOUS;User:chief;User:heir-a",
        "delegation.token.secret.key": "no-secret-of-ours",
    }
    folder = tmp_path_factory.mktemp("guarded-kafka-CLEAR")
    with running_kafka(folder, reauth_ms=60_000, settings=settings, log_requests=True) as server:
        yield server


@pytest.fixture(scope="session")
def open_kafka_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaServer]:
    """A broker that checks no ACLs."""
    with running_kafka(tmp_path_factory.mktemp("open-kafka-CLEAR"), authorizer=False) as server:
        yield server


@pytest.fixture
def kafka_pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaServer]:
    """Two brokers that speak TLS; the second can be stopped, the first is the controller. A pair for each test."""
    certificate = Certificate.make(tmp_path_factory.mktemp("certificate"))
    with running_kafka(tmp_path_factory.mktemp("kafka-pair-CLEAR"), nodes=2, certificate=certificate) as server:
        yield server
