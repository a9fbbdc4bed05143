"""An engine of SQLAlchemy follows a rotation on a real PostgreSQL: what is in use finishes, the rest is made anew."""

from __future__ import annotations

import gc
import secrets
import threading
import weakref
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from sqlalchemy import Engine, NullPool, text
from sqlalchemy.exc import OperationalError

from tests.canary import canary
from tests.servers.connections_steps import NAME, ChangingSecret, Load, wait_until
from tests.servers.postgresql import PostgresqlServer
from tests.servers.postgresql_fixtures import POSTGRESQL_GROUP, postgresql_fixture  # noqa: F401  # Fixture.
from vantage_secrets.connections.sqlalchemy import following_engine
from vantage_secrets.errors import InvalidInputError

pytestmark = POSTGRESQL_GROUP

WHO = text("SELECT current_user")


class Roles:
    """Two roles of one account, a table that both may write, and engines on them."""

    def __init__(self, server: PostgresqlServer) -> None:
        self.server = server
        self.secret = ChangingSecret()
        self.account = f"app_{secrets.token_hex(4)}"
        self.engines: list[Engine] = []
        server.execute(
            f"CREATE ROLE {self.account} NOLOGIN",
            f"CREATE TABLE t_{self.account} (id int)",
            f"GRANT ALL ON t_{self.account} TO {self.account}",
        )

    def rotate(self, slot: str) -> str:
        """Let a role log in with a fresh password, make it current in the store, and return the version."""
        name, password = f"{self.account}_{slot}", canary()
        self.server.execute(
            f"DROP ROLE IF EXISTS {name}", f"CREATE ROLE {name} LOGIN PASSWORD '{password}' IN ROLE {self.account}"
        )
        return self.secret.put_login(name, password)

    def end(self, slot: str) -> None:
        """Do what a revoke does: no login any more, and its connections end."""
        name = f"{self.account}_{slot}"
        self.server.execute(
            f"ALTER ROLE {name} NOLOGIN",
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{name}'",
        )

    def engine(self, **options: Any) -> Engine:
        url = self.server.url().replace("postgresql:", "postgresql+psycopg:")
        engine = following_engine(self.secret.client, NAME, url, **options)
        self.engines.append(engine)
        return engine

    def name(self, slot: str) -> str:
        return f"{self.account}_{slot}"


@pytest.fixture
def roles(postgresql: PostgresqlServer) -> Iterator[Roles]:
    roles = Roles(postgresql)
    with roles.secret.client:
        yield roles
        for engine in roles.engines:
            engine.dispose()


def _who(engine: Engine) -> str:
    with engine.connect() as connection:
        return str(connection.execute(WHO).scalar_one())


@pytest.mark.parametrize("options", [{"pool_size": 3}, {"poolclass": NullPool}], ids=["pool", "no pool"])
def test_two_changes_of_role_under_load_fail_and_lose_and_double_nothing(roles: Roles, options: dict[str, Any]) -> None:
    roles.rotate("a")
    engine = roles.engine(**options)
    insert = text(f"INSERT INTO t_{roles.account} VALUES (:id)")

    def write(number: int, thread: int) -> None:
        with engine.begin() as connection:
            connection.execute(insert, {"id": number * 3 + thread})

    loads = [Load(lambda number, thread=thread: write(number, thread), per_second=100) for thread in range(3)]
    with loads[0].running(), loads[1].running(), loads[2].running():
        for load in loads:
            load.wait_for(10)
        for old, new in (("a", "b"), ("b", "a")):
            version = roles.rotate(new)
            roles.secret.tell()
            wait_until(lambda version=version: roles.secret.is_held_by_all(version))
            roles.end(old)
            for load in loads:
                load.wait_for(10)
    assert [load.errors for load in loads] == [[], [], []]
    with engine.connect() as connection:
        counted = connection.execute(text(f"SELECT count(*), count(DISTINCT id) FROM t_{roles.account}")).one()
    assert set(counted) == {sum(load.done_count for load in loads)}


def test_connections_that_lie_in_the_pool_are_made_anew_at_once(roles: Roles) -> None:
    roles.rotate("a")
    engine = roles.engine()
    taken = [engine.connect() for _ in range(3)]
    for connection in taken:
        connection.close()
    version = roles.rotate("b")
    roles.secret.tell()
    wait_until(lambda: roles.secret.is_held_by_all(version))
    with roles.server.connect() as administrator:
        users = administrator.execute("SELECT usename FROM pg_stat_activity WHERE usename LIKE 'app_%'").fetchall()
    assert roles.name("a") not in {name for (name,) in users}
    roles.end("a")
    assert _who(engine) == roles.name("b")


def test_a_connection_in_use_finishes_and_holds_its_receipt_until_then(roles: Roles) -> None:
    first = roles.rotate("a")
    engine = roles.engine()
    with engine.connect() as connection:
        connection.execute(WHO)
        second = roles.rotate("b")
        roles.secret.tell()
        assert _who(engine) == roles.name("b")  # Another thread's work goes on with the new one.
        assert connection.execute(WHO).scalar_one() == roles.name("a")
        assert roles.secret.is_held_by_all(first)
    assert _who(engine) == roles.name("b")
    wait_until(lambda: _who(engine) and roles.secret.is_held_by_all(second))


def test_an_engine_that_was_told_nothing_asks_when_it_is_refused(roles: Roles) -> None:
    roles.rotate("a")
    engine = roles.engine(pool_pre_ping=True)
    assert _who(engine) == roles.name("a")
    version = roles.rotate("b")
    roles.end("a")
    assert _who(engine) == roles.name("b")
    assert roles.secret.fetch_count == 2
    assert roles.secret.is_held_by_all(version)


def test_a_wrong_password_is_a_refusal_too(roles: Roles) -> None:
    version = roles.rotate("a")
    roles.secret.put_login(roles.name("a"), canary())
    engine = roles.engine()
    version = roles.rotate("a")
    assert _who(engine) == roles.name("a")
    assert roles.secret.fetch_count == 2
    assert roles.secret.is_held_by_all(version)


def test_a_login_that_is_refused_again_is_the_drivers_error_after_one_refresh(roles: Roles) -> None:
    roles.secret.put_login(roles.name("nobody"), canary())
    engine = roles.engine()
    with pytest.raises(OperationalError, match="password authentication failed"):
        _who(engine)
    assert roles.secret.fetch_count == 2
    assert roles.secret.held == {}


def test_a_server_that_is_away_is_an_outage_and_its_return_is_noticed(roles: Roles) -> None:
    roles.rotate("a")
    engine = roles.engine(pool_pre_ping=True)
    _who(engine)
    roles.server.stop()
    try:
        with pytest.raises(OperationalError):
            _who(engine)
    finally:
        roles.server.start()
    assert _who(engine) == roles.name("a")
    assert roles.secret.fetch_count == 1


def test_an_engine_that_is_disposed_or_forgotten_holds_nothing(roles: Roles) -> None:
    roles.rotate("a")
    engine = roles.engine()
    _who(engine)
    assert len(roles.secret.held) == 1
    engine.dispose()
    assert roles.secret.held == {}
    _who(engine)
    assert len(roles.secret.held) == 1
    engine.dispose()
    engine = roles.engine(poolclass=NullPool)
    _who(engine)
    assert len(roles.secret.held) == 1
    roles.engines.clear()
    gone = weakref.ref(engine)
    del engine
    wait_until(lambda: gc.collect() < 0 or gone() is None)  # A thread may hold it for a moment.
    roles.rotate("b")
    roles.secret.tell()
    assert roles.secret.held == {}


def test_a_url_with_a_login_is_refused_and_the_engine_shows_no_password(roles: Roles) -> None:
    roles.rotate("a")
    with pytest.raises(InvalidInputError, match="user or a password"):
        following_engine(roles.secret.client, NAME, "postgresql+psycopg://me@127.0.0.1/postgres")
    engine = roles.engine(echo="debug")
    _who(engine)
    assert roles.name("a") not in repr(engine.url)


def test_a_refusal_in_the_middle_of_many_threads_costs_few_fetches(roles: Roles) -> None:
    roles.rotate("a")
    engine = roles.engine(pool_size=8)
    roles.rotate("b")
    roles.end("a")
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(_who(engine))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [roles.name("b")] * 8
    assert roles.secret.fetch_count <= 9


def test_psycopg_gives_no_sqlstate_for_a_refused_login(postgresql: PostgresqlServer) -> None:
    # What the text is searched for; should this end, the SQLSTATE is looked at first anyway.
    with pytest.raises(psycopg.OperationalError) as caught:
        postgresql.connect("nobody", canary())
    assert caught.value.sqlstate is None
