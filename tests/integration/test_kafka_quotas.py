"""Quotas of the two principals are made equal, by a client that is not public and may be missing."""

from __future__ import annotations

import sys

import pytest

from tests.canary import leaks_in, planted
from tests.servers.kafka import KafkaServer
from tests.servers.kafka_steps import (
    change_quotas,
    give_password,
    make_reading,
    new_account,
    open_kafka,
    quotas_of,
    wait_until,
)
from vantage_secrets.secret import SecretValue

pytest_plugins = ["tests.servers.kafka_fixtures"]
pytestmark = pytest.mark.xdist_group("kafka")


def test_the_next_principal_gets_the_quotas_of_the_current_one_and_no_others(kafka: KafkaServer) -> None:
    account = new_account()
    current = make_reading(SecretValue(give_password(kafka, account)))
    change_quotas(kafka, account, {"producer_byte_rate": 1e6, "request_percentage": 40.0})
    change_quotas(kafka, account, {"consumer_byte_rate": 2e6}, client_id="worker")
    change_quotas(kafka, f"{account}-a", {"producer_byte_rate": 5.0, "consumer_byte_rate": 7.0})
    change_quotas(kafka, f"{account}-a", {"consumer_byte_rate": 3.0}, client_id="other")
    before = quotas_of(kafka, account)
    target = open_kafka(kafka, account)
    pending = make_reading(target.generate(current))
    for _ in range(2):
        target.install(pending, keep=current)
        wait_until(lambda: quotas_of(kafka, f"{account}-a") == before)
    assert quotas_of(kafka, account) == before
    assert before == {
        "": {"producer_byte_rate": 1e6, "request_percentage": 40.0},
        "worker": {"consumer_byte_rate": 2e6},
    }


def test_the_administrators_password_is_not_in_kafka_pythons_log_of_its_settings(
    kafka: KafkaServer, caplog: pytest.LogCaptureFixture
) -> None:
    open_kafka(kafka, new_account()).probe()
    assert "'sasl_plain_password': '***'" in caplog.text
    assert not leaks_in(caplog.text.encode(), (*planted(), kafka.password))


def test_without_kafka_python_a_rotation_works_and_the_probe_says_that_quotas_are_not_compared(
    kafka: KafkaServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = new_account()
    current = make_reading(SecretValue(give_password(kafka, account)))
    monkeypatch.setitem(sys.modules, "kafka", None)
    target = open_kafka(kafka, account)
    pending = make_reading(target.generate(current))
    target.install(pending, keep=current)
    target.verify(pending)
    (warning,) = [text for text in target.probe().warnings if "Quotas" in text]
    assert "'kafka-python' is not installed" in warning
