"""Fixtures around a PostgreSQL server; a test module imports the ones that it uses, and names the xdist group."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest

from tests.servers.postgresql import PostgresqlServer, running_postgresql

POSTGRESQL_GROUP = pytest.mark.xdist_group("postgresql")
"""``pytestmark`` of every module that uses the server, so that a parallel run starts it once."""


@pytest.fixture(scope="session")
def postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresqlServer]:
    """A server for the whole run."""
    with running_postgresql(tmp_path_factory.mktemp("postgresql")) as server:
        yield server


@pytest.fixture
def empty_database(postgresql: PostgresqlServer) -> str:
    """The name of an empty database that no other test has."""
    name = f"control_{secrets.token_hex(4)}"
    postgresql.execute(f"CREATE DATABASE {name}")
    return name
