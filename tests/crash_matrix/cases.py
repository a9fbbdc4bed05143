"""The targets and the stores of the matrix, each on its server; no pytest in here, so that a tool can use them."""

from __future__ import annotations

import json
import re
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from confluent_kafka import KafkaError
from confluent_kafka.admin import AdminClient, ScramCredentialInfo, ScramMechanism, UserScramCredentialUpsertion

from tests.crash_matrix.matrix import StoreCase, TargetCase
from tests.crash_matrix.mortal import NAME
from tests.servers.aws import CREDENTIALS, running_moto
from tests.servers.aws import URL as AWS_URL
from tests.servers.aws import open_store as open_aws_store
from tests.servers.clickhouse import ClickHouseServer, running_clickhouse
from tests.servers.clickhouse_front import ClickHouseFront, running_front
from tests.servers.kafka import KafkaServer, running_kafka
from tests.servers.postgresql import running_postgresql
from tests.servers.vault import make_engine, running_server
from vantage_secrets.credential import Credential
from vantage_secrets.database import Database
from vantage_secrets.manifest.fields import TARGETS as TARGETS_FIELDS
from vantage_secrets.secret import SecretValue
from vantage_secrets.stores.embedded import create_embedded
from vantage_secrets.targets.api_key import ApiKeyVerifier

ACCOUNT = "vantage_worker"


@contextmanager
def embedded_store(folder: Path) -> Iterator[StoreCase]:
    """The embedded store, in a file."""
    key_file = folder / "key"
    with create_embedded(folder / "secrets.db", environment="test", key_file=key_file) as store:
        yield StoreCase(f"embedded://{folder / 'secrets.db'}", store, {"key_file": str(key_file)})


@contextmanager
def vault_store(folder: Path) -> Iterator[StoreCase]:
    """A real OpenBao."""
    with running_server(folder) as server:
        engine = make_engine(server)
        with engine.open() as store:
            yield StoreCase(engine.url(), store, {"tls": "off"}, {"VAULT_TOKEN": server.token})


@contextmanager
def aws_store(folder: Path) -> Iterator[StoreCase]:
    """Moto, with the corrections of its launcher."""
    with running_moto(folder) as server:
        variables = CREDENTIALS | {"AWS_EC2_METADATA_DISABLED": "true"}
        with open_aws_store(server.address) as store:
            yield StoreCase(AWS_URL, store, {"endpoint_url": server.address}, variables)


@contextmanager
def api_key_target(folder: Path) -> Iterator[TargetCase]:
    """Our own verifier, in SQLite."""
    url = f"sqlite:///{folder / 'control.db'}"
    database = Database(url)

    def opens(value: SecretValue) -> bool:
        return ApiKeyVerifier(database).verify(NAME, value.reveal_text()) is not None

    try:
        yield TargetCase("api-key", "", opens, database_url=url)
    finally:
        database.close()


@contextmanager
def postgresql_target(folder: Path) -> Iterator[TargetCase]:
    """A real PostgreSQL, two roles in turn."""
    with running_postgresql(folder) as server:
        first = SecretValue(f"first-{secrets.token_hex(16)}")
        server.execute(f"CREATE ROLE {ACCOUNT} LOGIN PASSWORD '{first.reveal_text()}'")

        def opens(value: SecretValue) -> bool:
            login = Credential.of(value, account=ACCOUNT)
            try:
                server.connect(login.username, login.password.reveal_text()).close()
            except psycopg.OperationalError as exc:
                if "authentication failed" in str(exc) or "not permitted to log in" in str(exc):
                    return False
                raise
            return True

        yield TargetCase(
            "postgresql-password",
            "postgresql",
            opens,
            settings=_settings("postgresql", url=server.url(), admin_user=server.superuser),
            account=ACCOUNT,
            first=first,
            admin_user=server.superuser,
            admin_password=server.password,
        )


@contextmanager
def clickhouse_files_target(folder: Path) -> Iterator[TargetCase]:
    """A real ClickHouse 18.16, two users in files."""
    first = SecretValue(f"first-{secrets.token_hex(16)}")
    with running_clickhouse(folder, users={ACCOUNT: first.reveal_text()}) as server:
        files = {"users_folder": str(server.users_folder), "users_file": str(server.users_file)}
        yield _clickhouse(server, first, **files)


@contextmanager
def clickhouse_methods_target(folder: Path) -> Iterator[TargetCase]:
    """A current engine behind a front of ours that keeps users: two methods of one user."""
    with _front(folder) as (front, first):
        yield _clickhouse(front, first, strategy="two-credentials")


@contextmanager
def clickhouse_users_target(folder: Path) -> Iterator[TargetCase]:
    """A current engine behind a front of ours that keeps users: two users in turn."""
    with _front(folder) as (front, first):
        yield _clickhouse(front, first, strategy="alternating-users")


@contextmanager
def _front(folder: Path) -> Iterator[tuple[ClickHouseFront, SecretValue]]:
    first = SecretValue(f"first-{secrets.token_hex(16)}")
    with running_front(folder) as front:
        front.query(f"CREATE USER {ACCOUNT} IDENTIFIED WITH sha256_password BY '{first.reveal_text()}'")
        front.query(f"GRANT SELECT, INSERT ON vantage.* TO {ACCOUNT}")
        yield front, first


def _clickhouse(server: ClickHouseServer | ClickHouseFront, first: SecretValue, **settings: Any) -> TargetCase:
    def opens(value: SecretValue) -> bool:
        login = Credential.of(value, account=ACCOUNT)
        try:
            server.query("SELECT 1", login.username, login.password.reveal_text())
        except PermissionError:
            return False
        return True

    return TargetCase(
        "clickhouse-password",
        "clickhouse",
        opens,
        settings=_settings("clickhouse", url=server.url, admin_user=server.admin, **settings),
        account=ACCOUNT,
        first=first,
        admin_user=server.admin,
        admin_password=server.admin_password,
    )


@contextmanager
def kafka_target(folder: Path) -> Iterator[TargetCase]:
    """A real Apache Kafka, two principals in turn."""
    with running_kafka(folder) as server:
        first = SecretValue(f"first-{secrets.token_hex(16)}")
        entry = UserScramCredentialUpsertion(
            ACCOUNT, ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096), first.reveal_text().encode()
        )
        administrator = server.admin()
        for future in administrator.alter_user_scram_credentials([entry]).values():
            future.result()

        def opens(value: SecretValue) -> bool:
            login = Credential.of(value, account=ACCOUNT)
            return _kafka_opens(server, login.username, login.password.reveal_text())

        yield TargetCase(
            "kafka-password",
            "kafka",
            opens,
            settings=_settings(
                "kafka", bootstrap=[server.bootstrap], admin_user=server.username, security="sasl-plaintext"
            ),
            account=ACCOUNT,
            first=first,
            admin_user=server.username,
            admin_password=server.password,
        )


@contextmanager
def command_target(folder: Path) -> Iterator[TargetCase]:
    """The program that the documentation shows, with a door in a file."""
    page = (Path(__file__).parents[2] / "docs" / "targets" / "command.md").read_text()
    (program,) = [code for code in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if code.startswith("#!")]
    file, door = folder / "door.py", folder / "door.json"
    file.write_text(program)

    def opens(value: SecretValue) -> bool:
        request = {"verb": "verify", "reading": {"value": value.reveal_text()}}
        command = [sys.executable, "-S", str(file), str(door)]
        said = subprocess.run(command, input=json.dumps(request), capture_output=True, text=True, check=True).stdout
        return bool(json.loads(said)["answer"] == "accepted")

    command = [sys.executable, "-S", str(file), str(door)]
    yield TargetCase("command", "command", opens, settings=_settings("command", command=command, timeout=30))


def _kafka_opens(server: KafkaServer, username: str, password: str) -> bool:
    """Whether the broker lets a fresh client in; it says no through the client's error callback alone."""
    refusals: list[object] = []

    def note(error: KafkaError) -> None:
        if error.code() == KafkaError._AUTHENTICATION:
            refusals.append(error)

    client = AdminClient(server.client(username, password, error_cb=note))
    answer = client.describe_cluster(request_timeout=20)
    while not refusals and not answer.done():
        client.poll(0.02)
    if refusals:
        return False
    answer.result()
    return True


def _settings(kind: str, **given: Any) -> dict[str, Any]:
    """Return every key of the target's table, as the manifest would have it."""
    values = {field.name: field.default for field in TARGETS_FIELDS[kind]}
    return values | {"admin_secret": "vantage/administrator"} | given


STORES = {"embedded": embedded_store, "vault": vault_store, "aws": aws_store}
TARGETS = {
    "api-key": api_key_target,
    "clickhouse-files": clickhouse_files_target,
    "clickhouse-methods": clickhouse_methods_target,
    "clickhouse-users": clickhouse_users_target,
    "command": command_target,
    "kafka": kafka_target,
    "postgresql": postgresql_target,
}
