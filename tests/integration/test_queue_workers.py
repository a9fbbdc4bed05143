"""Workers of a fleet on a real PostgreSQL: processes that share a queue, one of them killed in the middle."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.servers.postgresql import PostgresqlServer, running_postgresql
from tests.servers.postgresql_fixtures import POSTGRESQL_GROUP, empty_database_fixture, postgresql_fixture  # noqa: F401
from vantage_secrets.bootstrap import Workspace, initialise, open_workspace
from vantage_secrets.drivers.queue_place import SCHEMA, QueuePlace
from vantage_secrets.rotation.pauses import ALL, Pauses
from vantage_secrets.rotation.sightings import Sightings
from vantage_secrets.rotation.steps import Situation
from vantage_secrets.rotation.tick import BRAKE
from vantage_secrets.secret import Stage

pytestmark = POSTGRESQL_GROUP

ROOT = Path(__file__).parents[2]
COUNT = 6
SECONDS_MAX = 45

_SECRET = """
[secrets.K{number}]
name = "k/n{number}"
kind = "api-key"
purpose = "One of several"
owner = "platform team"
max_age = "20d"
grace = "{grace}"
"""


def make_workspace(folder: Path, url: str, *, grace: str = "0s", failures: int = 3) -> Workspace:
    """Make a workspace with its control database there and several keys in it, all of them due."""
    path = initialise(folder, environment="test").path
    text = path.read_text().replace("sqlite:///.vantage-secrets/control.db", url)
    text = text[: text.index("\n# Collector authentication")]
    text += f'\n[schedule]\noffset = "0s"\nfailures = {failures}\n'
    path.write_text(text + "".join(_SECRET.format(number=number, grace=grace) for number in range(COUNT)))
    workspace = open_workspace(path)
    long_ago = datetime.now(UTC) - timedelta(days=30)
    for spec in workspace.manifest.secrets:
        target = workspace.target(spec)
        assert target is not None
        version = workspace.store.stage(spec.name, target.generate(None), token="first", created_at=long_ago)
        reading = workspace.store.read(spec.name, version=version.id)
        target.install(reading, keep=None)
        workspace.store.promote(spec.name, version.id, expect_current=None)
    return workspace


@pytest.fixture
def workspace(
    tmp_path: Path, postgresql: PostgresqlServer, empty_database: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Workspace]:
    monkeypatch.setenv("PGPASSWORD", postgresql.password)
    workspace = make_workspace(tmp_path, postgresql.url(empty_database, user=postgresql.superuser))
    QueuePlace.of(workspace.manifest.database.url).prepare()
    yield workspace
    workspace.close()


class Worker:
    """A worker process; what it says is kept."""

    def __init__(self, *command: str, log: Path) -> None:
        self.log = log
        with log.open("wb") as said:
            self.process = subprocess.Popen(command, cwd=ROOT, stdout=said, stderr=said)

    def said(self) -> str:
        return self.log.read_text()

    def stop(self) -> int:
        """Ask it to end, and return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(SECONDS_MAX)


@pytest.fixture
def start(workspace: Workspace, tmp_path: Path) -> Iterator[Callable[..., Worker]]:
    """Starts a worker; those that are left at the end are stopped."""
    with ExitStack() as stack:

        def start(*stop_at: str) -> Worker:
            command = (sys.executable, "-m", "tests.integration.queue_worker", str(workspace.manifest.path), *stop_at)
            worker = Worker(*command, log=tmp_path / f"worker-{len(workers)}.log")
            workers.append(worker)
            stack.callback(worker.process.wait)
            stack.callback(worker.process.kill)
            return worker

        workers: list[Worker] = []
        yield start


def wait_for(condition: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + SECONDS_MAX
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.05)
    raise AssertionError(f"not in {SECONDS_MAX} s: {what}")


def jobs_in(server: PostgresqlServer, database: str) -> list[tuple[Any, ...]]:
    """Return the rotations in the queue: status and arguments."""
    with server.connect(database=database) as connection:
        query = f"SELECT status::text, args FROM {SCHEMA}.procrastinate_jobs WHERE task_name = 'reconcile' ORDER BY id"
        return connection.execute(query).fetchall()


def are_rotated(workspace: Workspace) -> bool:
    """Whether every secret has a new current version and is at rest."""
    return all(
        sum(version.stage is Stage.RETIRED for version in versions) >= 1 and Situation.of(versions).is_at_rest
        for versions in workspace.store.describe_many(spec.name for spec in workspace.manifest.secrets)
    )


def assert_rotated_once(workspace: Workspace) -> None:
    for spec in workspace.manifest.secrets:
        stages = [version.stage for version in workspace.store.describe(spec.name)]
        assert sorted(stages) == [Stage.CURRENT, Stage.RETIRED], spec.key


@pytest.mark.parametrize("moment", ["install", "promote", "retire"])
def test_of_three_workers_one_dies_in_the_middle_and_every_secret_is_rotated_once(
    workspace: Workspace, start: Callable[..., Worker], tmp_path: Path, moment: str
) -> None:
    workers = {worker.process.pid: worker for worker in (start(moment, "k/n3", str(tmp_path)) for _ in range(3))}
    marker = tmp_path / "stopped"
    wait_for(marker.exists, "a worker comes to the moment")
    dead = workers.pop(int(marker.read_text()))
    dead.process.kill()
    killed_at = time.monotonic()
    wait_for(lambda: are_rotated(workspace), "all secrets are rotated")
    print(f"killed before {moment}: all rotated {time.monotonic() - killed_at:.1f} s later")
    wait_for(lambda: "its worker died" in "".join(worker.said() for worker in workers.values()), "the rescue is told")
    assert [worker.stop() for worker in workers.values()] == [0, 0]
    assert_rotated_once(workspace)


def test_a_worker_that_is_told_to_stop_finishes_its_rotation_first(
    workspace: Workspace,
    start: Callable[..., Worker],
    tmp_path: Path,
    postgresql: PostgresqlServer,
    empty_database: str,
) -> None:
    worker = start("install", "k/n0", str(tmp_path))
    wait_for((tmp_path / "stopped").exists, "it rotates")
    worker.process.send_signal(signal.SIGTERM)
    wait_for(lambda: "Stopping" in worker.said(), "it has heard the signal")
    (tmp_path / "go").touch()
    assert worker.process.wait(SECONDS_MAX) == 0
    name = workspace.manifest.find("K0").name
    assert Situation.of(workspace.store.describe(name)).is_at_rest
    jobs = jobs_in(postgresql, empty_database)
    assert [status for status, _arguments in jobs] == ["todo"] * (COUNT - 1), "what it had not begun is still there"
    assert all(arguments.keys() == {"secret", "begin", "version_id"} for _status, arguments in jobs)
    start()
    wait_for(lambda: are_rotated(workspace), "another worker does the rest")
    assert_rotated_once(workspace)


def test_an_overlap_stays_open_and_is_ended_by_whichever_worker_comes_first_afterwards(
    tmp_path: Path, postgresql: PostgresqlServer, empty_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSWORD", postgresql.password)
    workspace = make_workspace(tmp_path, postgresql.url(empty_database, user=postgresql.superuser), grace="2s")
    QueuePlace.of(workspace.manifest.database.url).prepare()
    command = (sys.executable, "-m", "tests.integration.queue_worker", str(workspace.manifest.path))
    workers = [Worker(*command, log=tmp_path / f"{number}.log") for number in range(2)]
    try:
        wait_for(lambda: "open until" in "".join(worker.said() for worker in workers), "an overlap is open")
        wait_for(lambda: are_rotated(workspace), "all overlaps are over")
        assert [worker.stop() for worker in workers] == [0, 0]
        assert_rotated_once(workspace)
    finally:
        for worker in workers:
            worker.process.kill()
            worker.process.wait()
        workspace.close()


def test_what_fails_is_counted_puts_on_the_brake_and_leaves_the_queue(
    tmp_path: Path, postgresql: PostgresqlServer, empty_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSWORD", postgresql.password)
    url = postgresql.url(empty_database, user=postgresql.superuser)
    workspace = make_workspace(tmp_path, url, failures=1)
    QueuePlace.of(url).prepare()
    key = workspace.manifest.find("K0").name
    command = (sys.executable, "-m", "tests.integration.queue_worker", str(workspace.manifest.path))
    worker = Worker(*command, "install", str(key), str(tmp_path), log=tmp_path / "worker.log")
    try:
        wait_for((tmp_path / "stopped").exists, "the first rotation is under way")
        (tmp_path / "go.new").write_text("fail")
        (tmp_path / "go.new").rename(tmp_path / "go")
        wait_for(lambda: "k/n0: failed: The target did not answer." in worker.said(), "the failure is told")
        wait_for(lambda: not jobs_in(postgresql, empty_database), "the queue is empty")
        assert worker.stop() == 0
        assert Pauses(workspace.database).all()[ALL].actor == BRAKE
        assert Sightings(workspace.database).all()[key].failure_count == 1
        others = [spec.name for spec in workspace.manifest.secrets if spec.name != key]
        assert all(len(versions) == 1 for versions in workspace.store.describe_many(others)), "nothing else has begun"
    finally:
        worker.process.kill()
        worker.process.wait()
        workspace.close()


def test_a_worker_whose_database_goes_away_says_so_and_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with running_postgresql(tmp_path) as server:
        monkeypatch.setenv("PGPASSWORD", server.password)
        path = initialise(tmp_path, environment="test").path
        url = server.url(user=server.superuser)
        path.write_text(path.read_text().replace("sqlite:///.vantage-secrets/control.db", url))
        command = (str(Path(sys.executable).with_name("vantage-secrets")), "--manifest", str(path), "worker")
        assert subprocess.run([*command, "--prepare"], check=False).returncode == 0
        worker = Worker(*command, "--concurrency", "2", log=tmp_path / "worker.log")
        wait_for(lambda: "Working, 2 at a time." in worker.said(), "it works")
        server.stop()
        assert worker.process.wait(SECONDS_MAX) == 3
    assert "control database" in worker.said()
    assert "Traceback" not in worker.said()
    assert server.password not in worker.said()
