"""The control database on PostgreSQL keeps the promises that it keeps on SQLite; both bring an earlier schema up."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta, timezone
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, inspect, select

from tests.canary import canary, leaks_in, planted
from tests.contract.test_api_key_target import TestApiKeyTarget as ApiKeyContract
from tests.servers.cutting_proxy import CuttingProxy
from tests.servers.postgresql import PostgresqlServer
from tests.servers.postgresql_fixtures import (  # noqa: F401  # Fixtures.
    POSTGRESQL_GROUP,
    empty_database_fixture,
    postgresql_fixture,
)
from tests.targets import context, reading
from vantage_secrets.database import SCHEMA_VERSION, Database, api_keys_table, metadata
from vantage_secrets.errors import DatabaseError
from vantage_secrets.leaks.fingerprint import FingerprintKey
from vantage_secrets.leaks.known import FingerprintBook
from vantage_secrets.secret import SecretName, SecretValue
from vantage_secrets.targets.api_key import ApiKeyTarget, ApiKeyVerifier
from vantage_secrets.testing import FakeClock, TargetContract

pytestmark = POSTGRESQL_GROUP

_SPAWN = multiprocessing.get_context("spawn")


@pytest.fixture(autouse=True)
def _password(postgresql: PostgresqlServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSWORD", postgresql.password)


@pytest.fixture
def url(postgresql: PostgresqlServer, empty_database: str) -> str:
    return postgresql.url(empty_database, user=postgresql.superuser)


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    database = Database(url)
    yield database
    database.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def either_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/control.db" if request.param == "sqlite" else request.getfixturevalue("url")


def _row(version: str, **more: Any) -> dict[str, Any]:
    now = datetime(2026, 1, 1, 12, tzinfo=UTC)
    row = {"lineage": "a", "version_id": version, "key_id": "k", "salt": b"s" * 16, "digest": b"d" * 32}
    return row | {"created_at": now} | more


def _insert(database: Database, row: dict[str, Any]) -> None:
    with database.transaction() as connection:
        connection.execute(api_keys_table.insert().values(row))


def _insert_and_fail(connection: Connection) -> None:
    connection.execute(api_keys_table.insert().values(_row("1")))
    raise ZeroDivisionError


def _versions(database: Database) -> list[str]:
    with database.transaction(writes=False) as connection:
        return list(connection.execute(select(api_keys_table.c.version_id)).scalars())


# the promises


def test_a_second_opening_finds_what_was_written(database: Database, url: str) -> None:
    _insert(database, _row("1"))
    again = Database(url)
    assert _versions(again) == ["1"]
    again.close()


def test_instants_come_back_aware_and_in_utc(database: Database) -> None:
    there = datetime(2026, 1, 1, 12, 30, tzinfo=timezone(timedelta(hours=5)))
    with database.transaction() as connection:
        connection.exec_driver_sql("SET LOCAL timezone = 'Asia/Kolkata'")
        connection.execute(api_keys_table.insert().values(_row("1", expires_at=there)))
        found = connection.execute(select(api_keys_table.c.expires_at)).scalar_one()
    assert found == there
    assert found.utcoffset() == timedelta(0)


def test_a_transaction_whose_block_raises_changes_nothing(database: Database) -> None:
    with pytest.raises(ZeroDivisionError), database.transaction() as connection:
        _insert_and_fail(connection)
    assert _versions(database) == []


def test_an_error_of_the_database_carries_no_parameter(database: Database) -> None:
    value = canary()[:32]
    _insert(database, _row("1", key_id=value))
    with pytest.raises(DatabaseError, match="IntegrityError 23505") as caught:
        _insert(database, _row("1", key_id=value))
    told = "".join(traceback.format_exception(caught.value))
    assert value not in told
    assert not leaks_in(told.encode(), planted())


def test_a_reader_does_not_wait_for_a_writer(database: Database) -> None:
    with database.transaction() as connection:
        connection.execute(api_keys_table.insert().values(_row("1")))
        assert _versions(database) == []
    assert _versions(database) == ["1"]


def test_another_schema_version_is_refused_rather_than_guessed_at(database: Database, url: str) -> None:
    with database.transaction() as connection:
        connection.exec_driver_sql(f"UPDATE schema SET version = {SCHEMA_VERSION + 1}")
    with pytest.raises(DatabaseError, match=f"schema version {SCHEMA_VERSION + 1}; this release reads"):
        Database(url)


@pytest.mark.parametrize(
    ("version", "tables"), [(1, {"api_keys"}), (2, {"api_keys", "notices", "pauses", "receipts", "sightings"})]
)
def test_a_database_of_an_earlier_schema_becomes_one_of_this_and_keeps_its_keys(
    either_url: str, version: int, tables: set[str]
) -> None:
    database = Database(either_url)
    _insert(database, _row("1"))
    with database.transaction() as connection:  # as it was then
        for table in reversed(metadata.sorted_tables):
            if table.name not in {"schema", *tables}:
                table.drop(connection)
        connection.exec_driver_sql(f"UPDATE schema SET version = {version}")
    database.close()
    again = Database(either_url)
    assert _versions(again) == ["1"]
    with again.transaction(writes=False) as connection:
        assert connection.exec_driver_sql("SELECT version FROM schema").scalar_one() == SCHEMA_VERSION == 3
        assert {*inspect(connection).get_table_names()} == {*metadata.tables}
    again.close()


def test_fingerprints_of_values_are_kept_once_and_retired_once(either_url: str) -> None:
    database, clock, value = Database(either_url), FakeClock(), canary()
    book = FingerprintBook(database, FingerprintKey(b"k" * 32), clock=clock)
    for _ in range(2):
        book.remember(SecretName("a/b"), "1", SecretValue(value))
    book.retire(SecretName("a/b"), "1")
    clock.advance(timedelta(days=1))
    book.retire(SecretName("a/b"), "1")
    told = book.lookup({}).of(value.encode())
    assert told is not None
    assert told.verdict == "RETIRED since 2026-01-01 12:00 UTC"
    assert book.settle([], lambda _name: True) == []
    assert len(book.lookup({})) == 1
    database.close()


# several processes


def _open_at_the_same_time(url: str, pipe: Pipe) -> None:
    pipe.send("ready")
    pipe.recv()
    try:
        Database(url).close()
        pipe.send("opened")
    except Exception as exc:
        pipe.send(repr(exc))


def test_processes_that_open_an_empty_database_at_once_all_find_its_tables(url: str) -> None:
    ends = [_started(_open_at_the_same_time, url) for _ in range(3)]
    assert [pipe.recv() for _, pipe in ends] == ["ready"] * 3
    for _, pipe in ends:
        pipe.send("now")
    assert [pipe.recv() for _, pipe in ends] == ["opened"] * 3
    for process, _ in ends:
        process.join()
    database = Database(url)
    with database.transaction(writes=False) as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM schema").scalar_one() == 1
    database.close()


def _hold(url: str, pipe: Pipe) -> None:
    with Database(url).lock("rotation a"):
        pipe.send("held")
        pipe.recv()


def test_a_lock_excludes_other_processes_and_is_free_when_its_holder_is_killed(either_url: str) -> None:
    database = Database(either_url)
    process, pipe = _started(_hold, either_url)
    assert pipe.recv() == "held"
    with (
        pytest.raises(DatabaseError, match="Another process has held the lock on rotation a") as caught,
        database.lock("rotation a", wait=timedelta(0)),
    ):
        raise AssertionError("two hold it")
    assert caught.value.hint.startswith("Wait for it to end")
    with database.lock("rotation b", wait=timedelta(0)) as waited:
        assert waited is False
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    with database.lock("rotation a", wait=timedelta(seconds=30)):
        pass
    process.join()
    database.close()


def test_who_waits_for_a_lock_gets_it_and_is_told_that_it_waited(database: Database) -> None:
    told: list[bool] = []

    def wait() -> None:
        with database.lock("a") as waited:
            told.append(waited)

    with database.lock("a") as waited:
        told.append(waited)
        thread = threading.Thread(target=wait)
        thread.start()
        deadline = time.monotonic() + 20
        while not _somebody_asks(database):
            assert time.monotonic() < deadline, "nobody asks for the lock"
    thread.join()
    assert told == [False, True]
    with database.lock("a", wait=timedelta(0)) as waited:
        assert waited is False


def test_thirty_locks_held_at_once_leave_connections_for_their_holders(database: Database) -> None:
    with ExitStack() as stack:
        for number in range(30):
            stack.enter_context(database.lock(f"rotation {number}"))
        assert _versions(database) == []


def test_a_block_that_raises_lets_go_of_its_lock(database: Database) -> None:
    with pytest.raises(ZeroDivisionError), database.lock("a"):
        raise ZeroDivisionError
    with database.lock("a", wait=timedelta(0)) as waited:
        assert waited is False


# the server


def test_a_server_that_was_restarted_is_used_again_without_an_error(
    postgresql: PostgresqlServer, database: Database
) -> None:
    _insert(database, _row("1"))
    postgresql.stop()
    with pytest.raises(DatabaseError, match="OperationalError") as caught:
        _versions(database)
    assert "when the database answers" in caught.value.hint
    with pytest.raises(DatabaseError), database.lock("a"):
        raise AssertionError("nobody could give it")
    postgresql.start()
    assert _versions(database) == ["1"]


def test_a_restart_between_two_uses_is_not_noticed(postgresql: PostgresqlServer, database: Database) -> None:
    _insert(database, _row("1"))
    postgresql.stop()
    postgresql.start()
    assert _versions(database) == ["1"]


def test_a_server_that_is_not_there_is_an_error_of_ours() -> None:
    with (
        CuttingProxy("127.0.0.1", 1) as proxy,
        proxy.refusing(),
        pytest.raises(DatabaseError, match="OperationalError") as caught,
    ):
        Database(f"postgresql://postgres@{proxy.address}/control")
    assert "PGPASSFILE" in caught.value.hint


def test_a_role_that_may_not_create_tables_is_told_so(postgresql: PostgresqlServer, empty_database: str) -> None:
    postgresql.execute(f"CREATE ROLE {empty_database} LOGIN PASSWORD '{postgresql.password}'")
    with pytest.raises(DatabaseError, match="ProgrammingError 42501") as caught:
        Database(postgresql.url(empty_database, user=empty_database))
    assert "create tables" in caught.value.hint


@pytest.mark.parametrize("driver", ["postgresql", "postgresql+psycopg"])
def test_the_password_comes_from_pgpassword_or_from_the_file_that_pgpassfile_names(
    postgresql: PostgresqlServer, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, driver: str
) -> None:
    url = url.replace("postgresql", driver, 1)
    Database(url).close()
    monkeypatch.delenv("PGPASSWORD")
    with pytest.raises(DatabaseError):
        Database(url)
    file = tmp_path / "CLEAR-pgpass"
    file.write_text(f"127.0.0.1:{postgresql.port}:*:{postgresql.superuser}:{postgresql.password}\n")
    file.chmod(0o600)
    monkeypatch.setenv("PGPASSFILE", str(file))
    Database(url).close()


def test_parameters_of_the_url_come_before_ours(url: str) -> None:
    database = Database(f"{url}?application_name=mine")
    with database.transaction(writes=False) as connection:
        assert connection.exec_driver_sql("SHOW application_name").scalar_one() == "mine"
    database.close()


# keys


class TestApiKeyTargetOnPostgresql(ApiKeyContract):
    """The database of the contract is the one of this module."""

    @pytest.fixture
    def database(self, url: str) -> Iterator[Database]:
        database = Database(url)
        yield database
        database.close()


def test_a_key_that_one_process_revokes_is_refused_by_another(database: Database, url: str) -> None:
    name, key = TargetContract.secret, SecretValue(canary())
    target = ApiKeyTarget(context("api-key", name, database=database))
    target.install(reading(key, "1"), keep=None)
    process, pipe = _started(_verify_on, url)
    pipe.send(key.reveal_text())
    assert pipe.recv() is True
    target.revoke(reading(key, "1"), keep=None)
    revoked_at = time.monotonic()
    while pipe.recv():
        assert time.monotonic() - revoked_at < 10  # it says so all the time; the bar of a second is the benchmark's
    process.join()


def _verify_on(url: str, pipe: Pipe) -> None:
    """Say again and again whether the key is accepted, until it is not."""
    database, key, is_accepted = Database(url), pipe.recv(), True
    verifier = ApiKeyVerifier(database)
    while is_accepted:
        is_accepted = verifier.verify(TargetContract.secret, key) is not None
        pipe.send(is_accepted)
    database.close()


def _started(work: Callable[[str, Pipe], None], url: str) -> tuple[Any, Pipe]:
    ours, theirs = _SPAWN.Pipe()
    process = _SPAWN.Process(target=work, args=(url, theirs), daemon=True)
    process.start()
    return process, ours


def _somebody_asks(database: Database) -> bool:
    """Return whether a second session has asked for a lock, and has its answer, since the first took it."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_try_advisory_lock%%' AND state = 'idle'"
    with database.transaction(writes=False) as connection:
        return bool(connection.exec_driver_sql(query + " AND datname = current_database()").scalar_one() >= 2)
