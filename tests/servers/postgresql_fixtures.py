"""Fixtures around a PostgreSQL server; a test module imports the ones that it uses, and names the xdist group."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator

import pytest

from tests.servers.postgresql import PostgresqlServer, running_postgresql, running_standby
from tests.targets import context
from vantage_secrets.credential import Credential
from vantage_secrets.secret import SecretValue
from vantage_secrets.targets.postgresql import PostgresqlTarget

POSTGRESQL_GROUP = pytest.mark.xdist_group("postgresql")
"""``pytestmark`` of every module that uses the server, so that a parallel run starts it once."""


@pytest.fixture(scope="session", name="postgresql")
def postgresql_fixture(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresqlServer]:
    """A server for the whole run."""
    with running_postgresql(tmp_path_factory.mktemp("postgresql")) as server:
        yield server


@pytest.fixture(name="empty_database")
def empty_database_fixture(postgresql: PostgresqlServer) -> str:
    """The name of an empty database that no other test has."""
    name = f"control_{secrets.token_hex(4)}"
    postgresql.execute(f"CREATE DATABASE {name}")
    return name


@pytest.fixture(scope="session", name="standby")
def standby_fixture(
    postgresql: PostgresqlServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PostgresqlServer]:
    """A standby of that server, for the whole run."""
    with running_standby(postgresql, tmp_path_factory.mktemp("standby")) as server:
        yield server


@pytest.fixture(name="account")
def account_fixture(postgresql: PostgresqlServer) -> str:
    """A role that no other test has, which owns a schema of its name; it cannot log in yet."""
    name = f"ingest-{secrets.token_hex(4)}"
    postgresql.execute(f'CREATE ROLE "{name}" NOLOGIN', f'CREATE SCHEMA AUTHORIZATION "{name}"')
    return name


@pytest.fixture(name="open_target")
def open_target_fixture(postgresql: PostgresqlServer, account: str) -> Callable[..., PostgresqlTarget]:
    """Return an opener of targets for that account, which takes settings of the manifest's table."""

    def open_target(administrator: Credential | None = None, **settings: object) -> PostgresqlTarget:
        login = administrator or Credential(postgresql.superuser, SecretValue(postgresql.password))
        settings = {
            "url": postgresql.url(),
            "admin_secret": "vantage/postgresql",
            "admin_user": login.username,
        } | settings
        return PostgresqlTarget(
            context("postgresql-password", account=account, administrator=lambda: login, **settings)
        )

    return open_target
