"""The contract of a target, for both strategies, on a real Apache Kafka."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.servers.kafka import KafkaServer
from tests.servers.kafka_steps import NAME, lets_in, make_reading, new_account, open_kafka
from vantage_secrets.secret import SecretReading, SecretValue
from vantage_secrets.targets.kafka import KafkaTarget
from vantage_secrets.targets.kafka.login import Login
from vantage_secrets.testing import TargetContract, TargetOutageContract

pytest_plugins = ["tests.servers.kafka_fixtures"]
pytestmark = pytest.mark.xdist_group("kafka")


@pytest.fixture(autouse=True)
def brokers_hear_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """One node hears of its own changes at once; a refusal need not be tried for seconds."""
    monkeypatch.setattr("vantage_secrets.targets.kafka.target.SETTLE_SECONDS", 0.3)


class KafkaContract(TargetContract):
    secret = NAME
    ends_by_itself = False
    strategy = "two-principals"

    @pytest.fixture
    def target(self, kafka: KafkaServer) -> Iterator[KafkaTarget]:
        type(self).account = new_account()
        target = open_kafka(kafka, self.account, strategy=self.strategy)
        yield target
        target.close()

    @pytest.fixture
    def opens(self, kafka: KafkaServer) -> Callable[[SecretReading], bool]:
        def login(reading: SecretReading) -> bool:
            found = Login.of(reading.value, account=self.account, mechanism="SCRAM-SHA-512")
            return lets_in(kafka, found.username, found.password.reveal_text(), found.mechanism)

        return login


class TestTwoPrincipals(KafkaContract):
    """Two principals in turn."""


class TestTwoMechanisms(KafkaContract):
    """One principal's SHA-512 and SHA-256 in turn."""

    strategy = "two-mechanisms"


class TestKafkaThatDoesNotAnswer(TargetOutageContract):
    @pytest.fixture
    def unreachable_target(self, kafka: KafkaServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[KafkaTarget]:
        monkeypatch.setattr("vantage_secrets.targets.kafka.connection.SECONDS_MAX", 0.5)
        target = open_kafka(kafka, "worker", bootstrap=("127.0.0.1:1",))
        yield target
        target.close()

    @pytest.fixture
    def readings(self) -> tuple[SecretReading, SecretReading]:
        return tuple(make_reading(SecretValue({"username": f"worker-{end}", "password": "x"})) for end in "ab")
