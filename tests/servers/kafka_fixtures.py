"""Fixtures around a real Apache Kafka; a plugin, so that all test modules of a process share the broker."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.servers.kafka import KafkaServer, running_kafka


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaServer]:
    """The broker of this test process, with ACLs and without re-authentication, as Kafka comes."""
    with running_kafka(tmp_path_factory.mktemp("kafka-CLEAR")) as server:
        yield server
