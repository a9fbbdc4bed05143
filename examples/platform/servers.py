"""Kafka and ClickHouse for the full demo: real servers of this machine, set up as an operator would.

They are the test suite's own: ``make demo-full`` installs and starts the same ones.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from doors import Answer, kafka_door
from events import GROUP, TOPIC
from processes import ProcessError
from vantage_secrets.secret import SecretValue

PARTITION_COUNT = 3
LOGIN_SECONDS_MAX = 30
_CREATE = """
CREATE TABLE events (id String, kind String, received_at UInt64, bus_partition Int32, bus_offset Int64)
ENGINE = MergeTree() PARTITION BY tuple() ORDER BY (received_at, id)
"""


class Servers(NamedTuple):
    """Both servers, running: what ``tests.servers`` returns."""

    kafka: Any
    clickhouse: Any

    def manifest_changes(self) -> dict[str, str]:
        """Return what in ``targets.toml`` is another place here."""
        return {
            "127.0.0.1:9092": self.kafka.bootstrap,
            "http://127.0.0.1:8123": self.clickhouse.url,
            "/etc/clickhouse-server/users.xml": str(self.clickhouse.users_file),
            "/etc/clickhouse-server/users.d": str(self.clickhouse.users_folder),
        }

    def administrators(self) -> dict[str, str]:
        """Return the passwords that ``targets.toml`` has secrets for, by variable."""
        return {
            "KAFKA_ADMIN_PASSWORD": self.kafka.password,
            "CLICKHOUSE_ADMIN_PASSWORD": self.clickhouse.admin_password,
        }

    def environment(self) -> dict[str, str]:
        """Return what the services are told."""
        return {
            "KAFKA_BOOTSTRAP": self.kafka.bootstrap,
            "KAFKA_SECURITY": "SASL_PLAINTEXT",
            "CLICKHOUSE_HOST": "127.0.0.1",
            "CLICKHOUSE_PORT": str(self.clickhouse.tcp_port),
        }

    def stored_ids(self, run: str) -> list[str]:
        """Return the id of each row of a run, read by a bare client as the administrator."""
        client = self.clickhouse.client()
        try:
            rows = client.execute("SELECT id FROM events WHERE startsWith(id, %(run)s)", {"run": f"{run}-"})
        finally:
            client.disconnect()
        return [row[0] for row in rows]


@contextmanager
def running(folder: Path, values: Mapping[str, str], *, reauth_ms: int | None) -> Iterator[Servers]:
    """Run both until the block ends.

    Args:
        folder: An empty folder for their state.
        values: The passwords of the ``.env``, by variable.
        reauth_ms: Kafka's ``connections.max.reauth.ms``.
    """
    from tests.servers.clickhouse import running_clickhouse
    from tests.servers.kafka import running_kafka

    users = {"worker": values["WORKER_CLICKHOUSE_PASSWORD"], "query_api": values["API_CLICKHOUSE_PASSWORD"]}
    for name in ("kafka", "clickhouse"):
        (folder / name).mkdir()
    with (
        running_kafka(folder / "kafka", reauth_ms=reauth_ms) as kafka,
        running_clickhouse(folder / "clickhouse", users=users) as clickhouse,
    ):
        _prepare_kafka(kafka, values["KAFKA_SASL_PASSWORD"])
        client = clickhouse.client()
        client.execute(_CREATE)
        client.disconnect()
        yield Servers(kafka, clickhouse)


def _prepare_kafka(kafka: Any, password: str) -> None:
    """Make the topic, and the user ``vantage`` with just the rights that collector and worker need."""
    from confluent_kafka.admin import (
        AclBinding,
        AclOperation,
        AclPermissionType,
        NewTopic,
        ResourcePatternType,
        ResourceType,
        ScramCredentialInfo,
        ScramMechanism,
        UserScramCredentialUpsertion,
    )

    admin = kafka.admin()
    login = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
    user = UserScramCredentialUpsertion("vantage", login, password=password.encode())
    rights = [
        (ResourceType.TOPIC, TOPIC, AclOperation.WRITE),
        (ResourceType.TOPIC, TOPIC, AclOperation.READ),
        (ResourceType.GROUP, GROUP, AclOperation.READ),
    ]
    acls = [
        AclBinding(kind, name, ResourcePatternType.LITERAL, "User:vantage", "*", operation, AclPermissionType.ALLOW)
        for kind, name, operation in rights
    ]
    asked = [
        admin.create_topics([NewTopic(TOPIC, num_partitions=PARTITION_COUNT, replication_factor=1)]),
        admin.alter_user_scram_credentials([user]),
        admin.create_acls(acls),
    ]
    for answers in asked:
        for answer in answers.values():
            answer.result(timeout=30)
    _wait_for_login(kafka, password)


def _wait_for_login(kafka: Any, password: str) -> None:
    """Return when the broker knows what its controller has taken a moment ago."""
    attempt, deadline = kafka_door(kafka.bootstrap, "vantage"), time.monotonic() + LOGIN_SECONDS_MAX
    while (answer := attempt(SecretValue(password))) is not Answer.OPENED:
        if time.monotonic() >= deadline:
            raise ProcessError(f"Kafka says '{answer}' to a user that was made a moment ago.")
