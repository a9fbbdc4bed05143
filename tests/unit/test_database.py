"""The control database: private, of one schema version, and all or nothing."""

from __future__ import annotations

import sqlite3
import stat
import subprocess
import sys
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from tests.canary import canary, leaks_in, planted
from vantage_secrets.database import SCHEMA_VERSION, Database, api_keys_table
from vantage_secrets.errors import DatabaseError, InsecurePermissionsError, InvalidURLError


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path}/state/control.db")
    yield database
    database.close()


def _row(version: str, **more: Any) -> dict[str, Any]:
    now = datetime(2026, 1, 1, 12, tzinfo=UTC)
    row = {"lineage": "a", "version_id": version, "key_id": "k", "salt": b"s" * 16, "digest": b"d" * 32}
    return row | {"created_at": now} | more


def _insert(database: Database, row: dict[str, Any]) -> None:
    with database.transaction() as connection:
        connection.execute(api_keys_table.insert().values(row))


def _insert_and_fail(database: Database) -> None:
    with database.transaction() as connection:
        connection.execute(api_keys_table.insert().values(_row("1")))
        raise ZeroDivisionError


def _versions(database: Database) -> list[str]:
    with database.transaction(writes=False) as connection:
        return list(connection.execute(select(api_keys_table.c.version_id)).scalars())


def test_the_file_and_its_folder_are_private(database: Database, tmp_path: Path) -> None:
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "state").iterdir()} == {0o600}


def test_a_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "control.db").touch(mode=0o644)
    (tmp_path / "control.db").chmod(0o644)
    with pytest.raises(InsecurePermissionsError, match="has mode 0644; 0600 is allowed"):
        Database(f"sqlite:///{tmp_path}/control.db")


def test_a_second_opening_finds_what_was_written(database: Database, tmp_path: Path) -> None:
    _insert(database, _row("1"))
    again = Database(f"sqlite:///{tmp_path}/state/control.db")
    assert _versions(again) == ["1"]
    again.close()


def test_instants_come_back_aware_and_in_utc(database: Database) -> None:
    there = datetime(2026, 1, 1, 12, 30, tzinfo=timezone(timedelta(hours=5)))
    with database.transaction() as connection:
        connection.execute(api_keys_table.insert().values(_row("1", expires_at=there)))
        found = connection.execute(select(api_keys_table.c.expires_at)).scalar_one()
    assert found == there
    assert found.tzinfo is UTC


def test_a_transaction_whose_block_raises_changes_nothing(database: Database) -> None:
    with pytest.raises(ZeroDivisionError):
        _insert_and_fail(database)
    assert _versions(database) == []


def test_an_error_of_the_database_carries_no_parameter(tmp_path: Path) -> None:
    database, value = Database(f"sqlite:///{tmp_path}/CLEAR.db"), canary()
    _insert(database, _row("1", key_id=value))
    with pytest.raises(DatabaseError, match="IntegrityError") as caught:
        _insert(database, _row("1", key_id=value))
    told = "".join(traceback.format_exception(caught.value))
    assert not leaks_in(told.encode(), planted())
    database.close()


def test_a_reader_does_not_wait_for_a_writer(database: Database) -> None:
    with database.transaction() as connection:
        connection.execute(api_keys_table.insert().values(_row("1")))
        assert _versions(database) == []
    assert _versions(database) == ["1"]


def test_another_schema_version_is_refused_rather_than_guessed_at(database: Database, tmp_path: Path) -> None:
    file = tmp_path / "state/control.db"
    connection = sqlite3.connect(file)
    connection.execute("UPDATE schema SET version = ?", [SCHEMA_VERSION + 1])
    connection.commit()
    connection.close()
    with pytest.raises(DatabaseError, match=f"schema version {SCHEMA_VERSION + 1}; this release reads"):
        Database(f"sqlite:///{file}")


@pytest.mark.parametrize("url", ["", "nonsense", "nosuchdatabase://x/y"])
def test_a_url_that_is_none_is_refused_with_an_example(url: str) -> None:
    with pytest.raises(InvalidURLError) as caught:
        Database(url)
    assert "sqlite:////absolute/path/control.db" in caught.value.hint


def test_a_file_that_is_no_database_and_a_place_that_is_none_are_errors_of_ours(tmp_path: Path) -> None:
    (tmp_path / "control.db").write_bytes(b"\xff" * 4096)
    (tmp_path / "control.db").chmod(0o600)
    with pytest.raises(DatabaseError, match="DatabaseError"):
        Database(f"sqlite:///{tmp_path}/control.db")
    (tmp_path / "file").touch()
    with pytest.raises(DatabaseError, match="cannot be opened: "):
        Database(f"sqlite:///{tmp_path}/file/control.db")


def test_opening_the_file_again_does_not_take_the_locks_from_who_has_it_open(
    database: Database, tmp_path: Path
) -> None:
    """POSIX locks go when a process closes any descriptor of the file: another one would then remove the WAL in use."""
    url = f"sqlite:///{tmp_path}/state/control.db"
    _insert(database, _row("1"))
    again = Database(url)
    other = "import sys; from vantage_secrets.database import Database; Database(sys.argv[1]).close()"
    subprocess.run([sys.executable, "-c", other, url], check=True)
    _insert(database, _row("2"))
    again.close()
    fresh = Database(url)
    assert _versions(fresh) == ["1", "2"]
    fresh.close()
