"""``examples/platform`` with its stand-ins: the whole demo, and what its parts promise one by one."""

from __future__ import annotations

import http.client
import json
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.canary import canary
from vantage_secrets.bootstrap import open_workspace

PLATFORM = Path(__file__).parents[2] / "examples" / "platform"
PATIENCE_SECONDS = 120


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Return what imports a module of the example, as its scripts do; forgotten again afterwards."""
    monkeypatch.syspath_prepend(str(PLATFORM))
    before = set(sys.modules)

    def module(name: str) -> ModuleType:
        return __import__(name)

    yield module
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(PLATFORM)):
            del sys.modules[name]


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """A workspace with the example's manifest and the two API keys."""
    from vantage_secrets.bootstrap import initialise
    from vantage_secrets.secret import SecretValue

    initialise(tmp_path, environment="demo")
    path = tmp_path / "vantage-secrets.toml"
    path.write_text((PLATFORM / "vantage-secrets.toml").read_text())
    workspace = open_workspace(path)
    for key in ("VANTAGE_API_KEY", "API_KEY"):
        workspace.introduce(workspace.manifest.find(key), SecretValue(canary(key.lower().replace("_", ""))))
    workspace.close()
    return path


@pytest.fixture
def processes(example: Any, manifest: Path, tmp_path: Path) -> Iterator[Any]:
    """The example's processes on that workspace."""
    running = example("processes").Processes(manifest, {"PLATFORM_FOLDER": str(tmp_path)}, tmp_path)
    yield running
    running.kill_all()


def key_of(manifest: Path, key: str) -> str:
    workspace = open_workspace(manifest)
    try:
        return workspace.store.read(workspace.manifest.find(key).name).value.reveal_text()
    finally:
        workspace.close()


def ask(port: int, method: str, path: str, key: str, body: bytes = b"") -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    with closing(connection):
        connection.request(method, path, body=body, headers={"X-API-Key": key} if key else {})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())


def rows(table: Path) -> list[str]:
    with closing(sqlite3.connect(table)) as connection:
        return [row[0] for row in connection.execute("SELECT id FROM events")]


def until(condition: Any) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.02)


def test_the_demo_rotates_both_keys_under_load_and_loses_doubles_and_refuses_nothing(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    words = [
        "--directory",
        "demo/platform",
        "--json",
        str(figures),
        "--rate",
        "60",
        "--query-rate",
        "10",
        "--calm",
        "0",
    ]
    done = subprocess.run(
        [sys.executable, str(PLATFORM / "demo.py"), *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    assert "The platform went well." in done.stdout
    found = json.loads(figures.read_text())
    assert found["faults"] == []
    assert found["loads"]["events"]["failed"] == found["loads"]["queries"]["failed"] == {}
    assert found["stored"]["rows_count"] == found["loads"]["events"]["good"] > 100
    assert {each["secret"]: (each["old"], each["new"]) for each in found["rotations"]} == {
        "VANTAGE_API_KEY": ("refused", "accepted"),
        "API_KEY": ("refused", "accepted"),
    }
    assert [list(each["steps"])[-1] for each in found["rotations"]] == ["retire", "retire"]
    assert not (tmp_path / "demo/platform/.env").exists()


def test_the_demo_ends_with_1_and_names_the_faults_of_a_worker_that_loses_and_doubles(tmp_path: Path) -> None:
    faulty = shutil.copytree(PLATFORM, tmp_path / "faulty")
    text = (faulty / "worker.py").read_text()
    good = "self._table.execute(INSERT, self._batch), again"
    assert good in text
    (faulty / "worker.py").write_text(text.replace(good, "self._table.execute(INSERT, self._batch[1:] * 2), again"))
    words = ["--directory", str(tmp_path / "demo"), "--only", "API_KEY", "--calm", "0", "--rate", "60"]
    done = subprocess.run(
        [sys.executable, str(faulty / "demo.py"), *words], capture_output=True, text=True, timeout=PATIENCE_SECONDS * 2
    )
    assert done.returncode == 1
    assert "Faults were found." in done.stdout
    assert re.search(r"fault: \d+ events lost", done.stdout)
    assert re.search(r"fault: \d+ events doubled", done.stdout)


def test_a_folder_that_the_demo_did_not_make_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    words = [sys.executable, str(PLATFORM / "demo.py"), "--directory", str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE_SECONDS)
    assert done.returncode == 1
    assert "no earlier run made it" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_the_collector_takes_events_from_who_shows_the_key_and_nothing_else(
    processes: Any, manifest: Path, tmp_path: Path
) -> None:
    port = processes.start_service("collector", "collector.py")
    key = key_of(manifest, "VANTAGE_API_KEY")
    good = json.dumps([{"id": "a", "kind": "click"}, {"id": "b", "kind": "error"}]).encode()
    assert ask(port, "POST", "/v1/events", key, good) == (202, {"accepted": 2})
    for other in ("", canary("wrong"), key_of(manifest, "API_KEY")):
        assert ask(port, "POST", "/v1/events", other, good)[0] == 401
    for body in (b"", b"no json", b"7", b'{"id": "a"}', b'{"id": "", "kind": "x"}', b'[{"id": 1, "kind": "x"}]'):
        assert ask(port, "POST", "/v1/events", key, body)[0] == 400
    assert ask(port, "POST", "/elsewhere", key, good)[0] == 404
    assert ask(port, "GET", "/v1/events", key)[0] == 405
    processes.stop("collector")
    with closing(sqlite3.connect(tmp_path / "bus.db")) as bus:
        assert [json.loads(row[0])[0] for row in bus.execute("SELECT value FROM messages")] == ["a", "b"]


def test_the_query_api_counts_an_event_once_however_often_it_was_sent(
    processes: Any, manifest: Path, example: Any, tmp_path: Path
) -> None:
    now = int(time.time() * 1000)
    with closing(example("standins").SqliteClient(tmp_path / "table.db")) as table:
        sent = [("a", "click", now, 0, 1), ("a", "click", now, 0, 2), ("b", "click", now, 0, 3)]
        late = [("c", "click", now - 120_000, 0, 4), ("d", "error", now, 0, 5)]
        table.execute(example("events").INSERT, sent + late)
    port = processes.start_service("query-api", "query_api.py")
    key = key_of(manifest, "API_KEY")
    answer = {"kind": "click", "seconds": 60, "count": 2}
    assert ask(port, "GET", "/v1/events/count?kind=click&seconds=60", key) == (200, answer)
    assert ask(port, "GET", "/v1/events/count?kind=click", "")[0] == 401
    for query in ("", "?kind=click&seconds=0", "?kind=click&seconds=x", "?seconds=5"):
        assert ask(port, "GET", f"/v1/events/count{query}", key)[0] == 400
    processes.stop("query-api")


def test_what_the_collector_accepted_before_sigterm_is_on_the_bus(processes: Any, tmp_path: Path) -> None:
    port = processes.start_service("collector", "collector.py")
    files = ("--report", str(tmp_path / "report.json"), "--ids", str(tmp_path / "ids"))
    processes.start("event-source", "load.py", "events", "--port", str(port), "--rate", "300", *files)
    with closing(sqlite3.connect(tmp_path / "bus.db")) as bus:
        until(lambda: bus.execute("SELECT count(*) FROM messages").fetchone()[0] > 200)
        processes.stop("collector")
        processes.stop("event-source")
        stored = {json.loads(row[0])[0] for row in bus.execute("SELECT value FROM messages")}
    accepted = (tmp_path / "ids").read_text().split()
    assert len(accepted) > 200
    assert set(accepted) <= stored


def test_a_worker_that_is_killed_again_and_again_loses_and_doubles_nothing(
    processes: Any, example: Any, tmp_path: Path
) -> None:
    ids = [f"id-{number}" for number in range(20_000)]
    with closing(example("standins").SqliteProducer(tmp_path / "bus.db")) as producer:
        for identifier in ids:
            event = example("events").Event(identifier, "click", 1)
            producer.produce("events", value=event.encoded(), on_delivery=lambda error, _: None)
    for kill in range(1, 4):
        processes.start("worker", "worker.py")
        until(lambda kill=kill: len(rows(tmp_path / "table.db")) >= kill * 4_000)
        processes.kill_all()
    processes.start("worker", "worker.py")
    until(lambda: len(rows(tmp_path / "table.db")) >= len(ids))
    processes.stop("worker")
    assert sorted(rows(tmp_path / "table.db")) == sorted(ids)


class Bus:
    """A topic of two partitions, and a group that commits; ``poll`` ends the worker when all was read."""

    def __init__(self, example: Any, count: int) -> None:
        event = example("events").Event
        message = example("standins").Message
        parts = [(0, number) for number in range(count)] + [(1, number) for number in range(count)]
        self.messages = [_Message(part, message(at, event(f"{part}-{at}", "click", 1).encoded())) for part, at in parts]
        self.committed = self.position = 0
        self.worker: Any = None

    def poll(self, _timeout: float) -> Any:
        if self.position >= len(self.messages):
            self.worker.stop()
            return None
        self.position += 1
        return self.messages[self.position - 1]

    def commit(self, *, asynchronous: bool) -> None:
        self.committed = self.position


class _Message:
    def __init__(self, partition: int, message: Any) -> None:
        self._partition = partition
        self.error, self.value, self.offset = message.error, message.value, message.offset

    def partition(self) -> int:
        return self._partition


class Table:
    """A table in memory that fails when told: ``before`` the insert or ``after`` it was done."""

    def __init__(self) -> None:
        self.rows: list[Any] = []
        self.fails: list[str] = []

    def execute(self, statement: str, rows: Any = ()) -> list[Any]:
        if not statement.startswith("INSERT"):
            highest: dict[int, int] = {}
            for row in self.rows:
                highest[row[3]] = max(highest.get(row[3], -1), row[4])
            return list(highest.items())
        fault = self.fails.pop(0) if self.fails else ""
        if fault == "before":
            raise ConnectionError
        self.rows += rows
        if fault == "after":
            raise ConnectionError
        return []


@pytest.mark.parametrize("fails", [["before"], ["after"], ["after", "after", "before"], ["before", "after", "before"]])
def test_an_insert_of_which_nobody_knows_how_it_ended_is_neither_lost_nor_done_twice(
    example: Any, monkeypatch: pytest.MonkeyPatch, fails: list[str]
) -> None:
    module = example("worker")
    monkeypatch.setattr(module, "BATCH_COUNT_MAX", 7)
    monkeypatch.setattr(module, "_RETRY_SECONDS", 0)
    bus, table = Bus(example, 20), Table()
    table.fails = list(fails)
    bus.worker = module.Worker(bus, table)
    bus.worker.run()
    assert sorted(row[0] for row in table.rows) == sorted(f"{part}-{at}" for part in (0, 1) for at in range(20))
    assert bus.committed == 40


def test_messages_that_come_again_because_they_were_not_committed_are_dropped(
    example: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = example("worker")
    monkeypatch.setattr(module, "BATCH_COUNT_MAX", 7)
    bus, table = Bus(example, 20), Table()
    for start in (0, 3, 11, 25, 39, 0):  # each is a new worker that begins before what is in the table
        bus.position = start
        bus.worker = module.Worker(bus, table)
        bus.worker.run()
    assert sorted(row[0] for row in table.rows) == sorted(f"{part}-{at}" for part in (0, 1) for at in range(20))


def test_what_another_worker_inserted_meanwhile_is_not_inserted_again(
    example: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = example("worker")
    monkeypatch.setattr(module, "BATCH_COUNT_MAX", 5)
    bus, table = Bus(example, 20), Table()
    first = bus.worker = module.Worker(bus, table)
    bus.messages, rest = bus.messages[:10], bus.messages
    first.run()  # 0 to 9 of the first partition, then it is away
    bus.messages = rest
    other = bus.worker = module.Worker(bus, table)
    other.run()  # the rest of both
    bus.position = 8  # the first gets its partitions back, at an offset committed long ago
    bus.worker = first
    first._stop.clear()
    first.run()
    assert len(table.rows) == len({row[0] for row in table.rows}) == 40


def test_a_worker_whose_partitions_go_to_another_inserts_first_what_it_took(example: Any) -> None:
    module, table = example("worker"), Table()
    bus = Bus(example, 20)
    going = module.Worker(bus, table)
    for _ in range(5):
        going._take(bus.poll(0))
    assert table.rows == []
    going.finish()  # what Kafka calls before it gives the partitions to somebody else
    assert (len(table.rows), bus.committed) == (5, 5)
    coming = bus.worker = module.Worker(bus, table)
    bus.position = bus.committed
    coming.run()
    assert len(table.rows) == len({row[0] for row in table.rows}) == 40


def test_a_worker_whose_partitions_went_to_another_already_forgets_what_it_took(example: Any) -> None:
    module, table = example("worker"), Table()
    bus = Bus(example, 20)
    late = module.Worker(bus, table)
    for _ in range(5):
        late._take(bus.poll(0))
    other = bus.worker = module.Worker(bus, table)
    bus.position = 0
    other.run()
    late.give_up()
    late.finish()
    bus.position, bus.worker = 3, late
    late.run()
    assert len(table.rows) == len({row[0] for row in table.rows}) == 40


def test_a_service_that_halts_shows_as_many_late_answers_not_as_one(
    processes: Any, example: Any, tmp_path: Path
) -> None:
    """No coordinated omission: while the collector stands still, requests go out at their times all the same."""
    port = processes.start_service("collector", "collector.py")
    report = tmp_path / "report.json"
    processes.start("source", "load.py", "events", "--port", str(port), "--rate", "100", "--report", str(report))
    collector = processes._running["collector"]
    with closing(sqlite3.connect(tmp_path / "bus.db")) as bus:
        until(lambda: bus.execute("SELECT count(*) FROM messages").fetchone()[0] > 20)
    collector.send_signal(signal.SIGSTOP)
    time.sleep(1)  # the halt itself
    collector.send_signal(signal.SIGCONT)
    processes.stop("source")
    found = json.loads(report.read_text())
    assert found["slowest_ms"] >= 900
    assert found["p99_ms"] >= 500
    assert found["failed"] == {}


def test_a_load_whose_key_opens_nothing_counts_every_request_as_failed(
    processes: Any, manifest: Path, tmp_path: Path
) -> None:
    port = processes.start_service("query-api", "query_api.py")
    report = tmp_path / "report.json"
    # The key of the collector's callers opens nothing here.
    processes.start("source", "load.py", "events", "--port", str(port), "--rate", "50", "--report", str(report))
    time.sleep(0.3)
    processes.stop("source")
    found = json.loads(report.read_text())
    assert found["good"] == 0
    assert found["sent"] == found["failed"]["405"] > 0


def good_report(example: Any) -> dict[str, Any]:
    rotating, doors, report = example("rotating"), example("doors"), example("report")
    steps = [rotating.StepTime(str(step), 1.0) for step in example("vantage_secrets").rotation.steps.SEQUENCE]
    whole = rotating.Rotation("API_KEY", 1, steps, 2.0, doors.Answer.REFUSED, doors.Answer.OPENED)
    load = {"seconds": 10.0, "sent": 100, "good": 100, "failed": {}, "median_ms": 1.0, "p99_ms": 2.0, "slowest_ms": 3.0}
    stored = report.Stored.compared(["a", "b"], ["b", "a"])
    return {
        "rates": {"events": 10.0},
        "loads": {"events": load},
        "stored": stored,
        "rotations": [whole],
        "expected_count": 1,
        "tried_count": 1,
        "alive": [],
        "leaks": [],
        "audit": "",
    }


def test_the_report_finds_no_fault_in_a_run_without_one_and_each_fault_in_a_run_with_it(example: Any) -> None:
    doors, report = example("doors"), example("report")
    good = good_report(example)
    assert report.Report(**good).faults() == []
    load, rotation = good["loads"]["events"], good["rotations"][0]
    faulty: list[tuple[str, Any, str]] = [
        ("loads", {"events": {**load, "failed": {"503": 2}}}, "2 events failed: {'503': 2}"),
        ("rates", {"events": 20.0}, "only 10 events a second, not 20"),
        ("stored", report.Stored.compared(["a", "b"], ["a"]), "1 events lost"),
        ("stored", report.Stored.compared(["a"], ["a", "a"]), "1 events doubled"),
        ("stored", report.Stored.compared(["a"], ["a", "b"]), "1 events extra"),
        ("expected_count", 2, "1 rotations, not 2"),
        ("alive", ["API_KEY version 1: accepted"], "still alive: API_KEY version 1: accepted"),
        ("leaks", ["log"], "a value in the clear: log"),
        ("audit", "torn", "audit log: torn"),
    ]
    for name, value, fault in faulty:
        assert report.Report(**{**good, name: value}).faults() == [fault]
    for name, value in (("old", doors.Answer.OPENED), ("old", doors.Answer.NONE), ("new", doors.Answer.REFUSED)):
        broken = type(rotation)(**{**vars(rotation), name: value})
        assert report.Report(**{**good, "rotations": [broken]}).faults() == ["API_KEY, round 1: not whole"]
    cut = type(rotation)(**{**vars(rotation), "steps": rotation.steps[:-1]})
    assert report.Report(**{**good, "rotations": [cut]}).faults() == ["API_KEY, round 1: not whole"]
