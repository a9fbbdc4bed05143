"""An application goes on writing to PostgreSQL while its login rotates; the control database is on PostgreSQL too."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from tests.canary import canary
from tests.servers.postgresql import PostgresqlServer
from tests.servers.postgresql_fixtures import (  # noqa: F401  # Fixtures.
    POSTGRESQL_GROUP,
    account_fixture,
    empty_database_fixture,
    postgresql_fixture,
)
from vantage_secrets.bootstrap import Workspace, initialise, open_workspace
from vantage_secrets.client import SecretClient
from vantage_secrets.credential import Credential
from vantage_secrets.secret import SecretName, SecretValue, Stage

pytestmark = POSTGRESQL_GROUP

NAME, ROTATOR = SecretName("vantage/postgresql-password"), SecretName("vantage/postgresql-rotator")
SECONDS_MAX = 60

MANIFEST = """
[database]
url = "{control}"

[targets.postgresql]
url = "{url}"
admin_user = "{account}-rotator"
admin_secret = "vantage/postgresql-rotator"

[secrets.POSTGRES_ROTATOR_PASSWORD]
name = "vantage/postgresql-rotator"
purpose = "changes roles"
owner = "platform"

[secrets.POSTGRES_PASSWORD]
name = "vantage/postgresql-password"
kind = "postgresql-password"
account = "{account}"
purpose = "writes events"
owner = "platform"
grace = "1h"
"""


class Application:
    """Writes one row after another, each over a login of its own, as long as it is let."""

    def __init__(self, server: PostgresqlServer, client: SecretClient, schema: str) -> None:
        self._server, self._client, self._schema = server, client, schema
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.written, self.refused, self.username = 0, 0, ""

    def __enter__(self) -> Application:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def wait_for(self, username: str) -> None:
        """Return when it has written something as that user."""
        deadline = time.monotonic() + SECONDS_MAX
        while self.username != username:
            assert time.monotonic() < deadline, f"it still writes as {self.username}"
            assert self._thread.is_alive()
            time.sleep(0.01)

    def _run(self) -> None:
        insert = f'INSERT INTO "{self._schema}".events VALUES (%s, session_user)'.encode()
        while not self._is_over.is_set():
            self._client.refresh()
            login = self._client.credential(NAME)
            try:
                with self._server.connect(login.username, login.password.reveal_text()) as connection:
                    connection.execute(insert, [self.written])
            except psycopg.OperationalError:
                self.refused += 1
                continue
            self.written += 1
            self.username = login.username


@pytest.fixture
def legacy() -> SecretValue:
    """What the application logs in with before there is any rotation."""
    return SecretValue(canary("legacy"))


@pytest.fixture
def workspace(
    postgresql: PostgresqlServer,
    account: str,
    empty_database: str,
    legacy: SecretValue,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Workspace]:
    monkeypatch.setenv("PGPASSWORD", postgresql.password)
    rotator = SecretValue(canary("rotator"))
    postgresql.execute(
        f"ALTER ROLE \"{account}\" LOGIN PASSWORD '{legacy.reveal_text()}'",
        f'CREATE TABLE "{account}".events (id int PRIMARY KEY, writer text)',
        f'ALTER TABLE "{account}".events OWNER TO "{account}"',
        f'CREATE ROLE "{account}-rotator" LOGIN CREATEROLE IN ROLE pg_signal_backend '
        f"PASSWORD '{rotator.reveal_text()}'",
    )
    path = initialise(tmp_path, environment="test").path
    kept = path.read_text().partition("[database]")[0].partition("[secrets")[0]
    control = postgresql.url(empty_database, user=postgresql.superuser)
    path.write_text(kept + MANIFEST.format(control=control, url=postgresql.url(), account=account))
    workspace = open_workspace(path)
    for name, value in ((ROTATOR, rotator), (NAME, legacy)):
        staged = workspace.store.stage(name, value, f"begin {name}")
        workspace.store.promote(name, staged.id, expect_current=None)
    yield workspace
    workspace.close()


def test_an_application_is_never_refused_while_its_login_rotates_four_times(
    postgresql: PostgresqlServer, account: str, workspace: Workspace, legacy: SecretValue
) -> None:
    spec = workspace.manifest.find(str(NAME))
    dead = [Credential(account, legacy)]
    with workspace.client() as client, Application(postgresql, client, account) as application:
        application.wait_for(account)
        for turn in range(4):
            workspace.reconcile(spec, begin=True)
            current = Credential.of(workspace.store.read(NAME).value, account=account)
            application.wait_for(current.username)
            workspace.reconcile(spec, grace=timedelta(0))
            assert [version.stage for version in workspace.store.describe(NAME)][:2] == [Stage.CURRENT, Stage.RETIRED]
            for login in dead:
                with pytest.raises(psycopg.OperationalError):
                    postgresql.connect(login.username, login.password.reveal_text())
            assert current.username == f"{account}_{'ab'[turn % 2]}"
            dead.append(current)
    assert application.refused == 0
    with postgresql.connect() as superuser:
        rows = superuser.execute(f'SELECT count(*), count(DISTINCT writer) FROM "{account}".events'.encode())
        assert rows.fetchone() == (application.written, 3)
    log = postgresql.log.read_text()
    assert not [login for login in dead[1:] if login.password.reveal_text() in log]
