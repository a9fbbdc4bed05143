"""The queue's place in a real PostgreSQL: made, checked and refused; and jobs of workers that died."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.servers.aws import free_port
from tests.servers.postgresql import PostgresqlServer
from tests.servers.postgresql_fixtures import POSTGRESQL_GROUP, empty_database_fixture, postgresql_fixture  # noqa: F401
from vantage_secrets.bootstrap import Workspace, initialise, open_workspace
from vantage_secrets.drivers.queue import Fleet, Pace, Workspaces
from vantage_secrets.drivers.queue_place import SCHEMA, QueuePlace
from vantage_secrets.errors import DatabaseError, UnsupportedOperationError

pytestmark = POSTGRESQL_GROUP


@pytest.fixture
def url(postgresql: PostgresqlServer, empty_database: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("PGPASSWORD", postgresql.password)
    return postgresql.url(empty_database, user=postgresql.superuser)


def test_two_that_prepare_at_once_make_one_queue(url: str) -> None:
    place = QueuePlace.of(url)
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: place.prepare(), range(4)))
    assert sorted(made) == [False, False, False, True]
    place.check()


def test_a_queue_that_was_never_made_is_told_with_the_command_that_makes_it(url: str) -> None:
    with pytest.raises(DatabaseError, match="is not there yet") as caught:
        QueuePlace.of(url).check()
    assert caught.value.hint.endswith("vantage-secrets worker --prepare")


def test_a_queue_of_another_release_of_procrastinate_is_refused_and_made_anew(
    url: str, postgresql: PostgresqlServer, empty_database: str
) -> None:
    place = QueuePlace.of(url)
    place.prepare()
    with postgresql.connect(database=empty_database) as connection:
        connection.execute(f"COMMENT ON SCHEMA {SCHEMA} IS 'Procrastinate of last year'".encode())
    with pytest.raises(DatabaseError, match="another release of Procrastinate"):
        place.check()
    assert place.prepare()
    place.check()


def test_the_queue_leaves_the_control_databases_own_tables_alone(
    url: str, postgresql: PostgresqlServer, empty_database: str
) -> None:
    QueuePlace.of(url).prepare()
    with postgresql.connect(database=empty_database) as connection:
        query = "SELECT DISTINCT table_schema FROM information_schema.tables WHERE table_name LIKE 'procrastinate%'"
        assert connection.execute(query).fetchall() == [(SCHEMA,)]


def test_workers_on_sqlite_are_refused_with_the_way_out() -> None:
    with pytest.raises(UnsupportedOperationError, match="the control database is sqlite") as caught:
        QueuePlace.of("sqlite:////var/lib/control.db")
    assert "vantage-secrets scheduler" in caught.value.hint


def test_a_server_that_is_away_or_refuses_is_told_without_the_login(
    url: str, postgresql: PostgresqlServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSWORD", "wrong-password")
    for place in (url, f"postgresql://somebody@127.0.0.1:{free_port()}/nowhere"):
        with pytest.raises(DatabaseError, match="OperationalError") as caught:
            QueuePlace.of(place).check()
        assert caught.value.__cause__ is None
        assert "somebody" not in caught.value.message


async def test_a_dead_workers_job_comes_back_once_though_its_secret_is_queued_again(
    url: str, tmp_path: Path, postgresql: PostgresqlServer, empty_database: str
) -> None:
    place = QueuePlace.of(url)
    place.prepare()
    said: list[str] = []
    fleet = Fleet(place, lambda: pytest.fail("no workspace is needed"), pace=Pace(stalled=0.0), tell=said.append)
    insert = f"INSERT INTO {SCHEMA}.procrastinate_jobs (queue_name, task_name, lock, queueing_lock, status) VALUES "
    with postgresql.connect(database=empty_database) as connection:
        for task, lock, status in (
            ("reconcile", "a", "doing"),
            ("reconcile", "b", "doing"),
            ("reconcile", "b", "todo"),
            ("tick", ":tick", "doing"),
            ("tick", ":tick", "todo"),
            ("rescue", ":rescue", "doing"),
        ):
            values = f"('default', '{task}', '{lock}', '{lock}', '{status}')"
            connection.execute(f"SET search_path TO {SCHEMA}".encode())
            connection.execute((insert + values).encode())
        async with fleet._app.open_async():
            await fleet._rescue(0)
            await fleet._rescue(0)
        query = f"SELECT task_name, lock, status::text FROM {SCHEMA}.procrastinate_jobs ORDER BY lock"
        found = connection.execute(query.encode()).fetchall()
    assert found == [("tick", ":tick", "todo"), ("reconcile", "a", "todo"), ("reconcile", "b", "todo")]
    assert said == ["a: its worker died; it is queued again."]


def test_a_workspace_is_opened_again_when_its_manifest_has_changed_or_its_work_has_failed(tmp_path: Path) -> None:
    path = initialise(tmp_path, environment="test").path
    opened: list[Workspace] = []

    def open_one() -> Workspace:
        opened.append(open_workspace(path))
        return opened[-1]

    workspaces = Workspaces(open_one)
    with workspaces.lent() as first, workspaces.lent() as second:
        assert first is not second
    with workspaces.lent() as again:
        assert again in (first, second)
    path.write_text(path.read_text().replace("90d", "30d"))
    with workspaces.lent() as renewed:
        assert renewed.manifest.secrets[0].max_age.days == 30
    with pytest.raises(DatabaseError), workspaces.lent():
        raise DatabaseError("It failed.")
    before = len(opened)
    with workspaces.lent():
        assert len(opened) == before + 1
    workspaces.close()


def test_the_command_prepares_and_says_what_is_missing(url: str, tmp_path: Path) -> None:
    path = initialise(tmp_path, environment="test").path
    program = [str(Path(sys.executable).with_name("vantage-secrets")), "--manifest", str(path), "worker"]

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*program, *arguments], capture_output=True, text=True, check=False)

    on_sqlite = run()
    assert on_sqlite.returncode == 2
    assert "vantage-secrets scheduler" in on_sqlite.stderr
    path.write_text(path.read_text().replace("sqlite:///.vantage-secrets/control.db", url))
    missing = run()
    assert missing.returncode == 3
    assert "vantage-secrets worker --prepare" in missing.stderr
    assert [run("--prepare").stdout for _ in range(2)] == ["The queue is made.\n", "The queue was made already.\n"]
