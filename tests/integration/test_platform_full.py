"""``examples/platform`` on a real Kafka and a real ClickHouse: all five secrets rotate while events flow."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from confluent_kafka import Producer

from tests.canary import canary
from vantage_secrets.bootstrap import initialise, open_workspace
from vantage_secrets.secret import SecretValue

ROOT = Path(__file__).parents[2]
SECRETS = {
    "VANTAGE_API_KEY",
    "API_KEY",
    "WORKER_CLICKHOUSE_PASSWORD",
    "API_CLICKHOUSE_PASSWORD",
    "KAFKA_SASL_PASSWORD",
}

pytestmark = pytest.mark.xdist_group("platform")


def _figures(folder: Path, *more: str) -> dict[str, Any]:
    """Run the demo with these options, see that it went well, and return what it counted."""
    figures = folder / "figures.json"
    words = ["--full", "--rounds", "1", "--rate", "100", "--query-rate", "20", "--directory", str(folder / "demo")]
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples/platform/demo.py"), *words, "--json", str(figures), *more],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    found: dict[str, Any] = json.loads(figures.read_text())
    assert found["faults"] == []
    assert all(load["failed"] == {} for load in found["loads"].values())
    assert found["stored"]["rows_count"] == found["loads"]["events"]["good"] > 200
    assert {(each["old"], each["new"]) for each in found["rotations"]} == {("refused", "accepted")}
    return found


def test_five_secrets_rotate_under_load_and_nothing_fails_is_lost_or_doubled(tmp_path: Path) -> None:
    found = _figures(tmp_path)
    assert {each["secret"] for each in found["rotations"]} == SECRETS
    assert found["old_credentials"] == {"tried": 5, "alive": []}


def test_connections_to_kafka_follow_where_the_broker_never_asks_them_to_log_in_again(tmp_path: Path) -> None:
    found = _figures(tmp_path, "--no-reauth", "--only", "KAFKA_SASL_PASSWORD")
    assert [each["secret"] for each in found["rotations"]] == ["KAFKA_SASL_PASSWORD"]


def test_workers_that_come_and_go_share_the_partitions_and_insert_each_event_once(
    example: Callable[[str], ModuleType], tmp_path: Path
) -> None:
    values = {key: canary(key.lower().replace("_", "")) for key in SECRETS}
    (tmp_path / "CLEAR").mkdir()
    path = _workspace(tmp_path, values)
    with example("servers").running(tmp_path / "CLEAR", values, reauth_ms=None) as servers:
        workers = example("processes").Processes(path, servers.environment(), tmp_path)
        try:
            workers.start("worker-1", "worker.py")
            with _sending(servers, example("events")) as sent:
                for going, coming in (("", "worker-2"), ("worker-1", "worker-3"), ("worker-2", "worker-4")):
                    _until_there_are_more(servers)
                    if going:
                        workers.stop(going)
                    workers.start(coming, "worker.py")
            _until(lambda: len(servers.stored_ids("run")) >= len(sent))
            workers.stop("worker-3", "worker-4")
        finally:
            workers.kill_all()
        assert sorted(servers.stored_ids("run")) == sorted(sent)
        partitions = servers.clickhouse.query("SELECT DISTINCT bus_partition FROM events ORDER BY bus_partition")
        assert partitions.split() == ["0", "1", "2"]


def _workspace(folder: Path, values: dict[str, str]) -> Path:
    """Make a workspace that holds the passwords, and return its manifest."""
    initialise(folder, environment="demo")
    path = folder / "vantage-secrets.toml"
    path.write_text((ROOT / "examples/platform/vantage-secrets.toml").read_text())
    workspace = open_workspace(path)
    for key, value in values.items():
        workspace.introduce(workspace.manifest.find(key), SecretValue(value))
    workspace.close()
    return path


@contextmanager
def _sending(servers: Any, events: ModuleType) -> Iterator[list[str]]:
    """Send events, a thousand a second, to all partitions until the block ends; give the ids, all delivered then."""
    producer = Producer(servers.kafka.client(**{"enable.idempotence": True}))
    sent: list[str] = []
    stop = threading.Event()

    def send() -> None:
        while not stop.wait(0.05):
            for number in range(len(sent), len(sent) + 50):
                sent.append(f"run-{number}")
                event = events.Event(sent[-1], "click", number)
                producer.produce(events.TOPIC, value=event.encoded(), partition=number % 3)
            producer.poll(0)

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield sent
    finally:
        stop.set()
        thread.join()
    assert producer.flush(60) == 0


def _until_there_are_more(servers: Any) -> None:
    before = len(servers.stored_ids("run"))
    _until(lambda: len(servers.stored_ids("run")) > before + 500)


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.05)


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], ModuleType]]:
    """Return what imports a module of the example, as its scripts do; forgotten again afterwards."""
    folder = ROOT / "examples" / "platform"
    monkeypatch.syspath_prepend(str(folder))
    before = set(sys.modules)
    yield import_module
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(folder)):
            del sys.modules[name]
