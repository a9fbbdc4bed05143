"""Receipts of real processes: ended, killed, too short to leave one, forked, and many at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.canary import canary
from vantage_secrets.bootstrap import Workspace, initialise, open_workspace
from vantage_secrets.clock import utc_now
from vantage_secrets.receipts import HEARTBEAT, Holder, Receipts
from vantage_secrets.secret import SecretName, SecretValue

KEY = SecretName("vantage/kafka-sasl-password")
PATIENCE = 60.0

APPLICATION = """
import os, sys
from vantage_secrets import default_client, get_secret

get_secret("KAFKA_SASL_PASSWORD")
print(os.getpid(), flush=True)
for line in sys.stdin:
    if line == "refresh\\n":
        default_client().refresh()
    elif line == "read\\n":
        get_secret("KAFKA_SASL_PASSWORD")
    elif line == "fork\\n":
        child = os.fork()
        if child:
            print(child, flush=True)
            continue
        with open(sys.argv[1]) as orders:  # blocks until the test writes
            for order in orders:
                if order == "read\\n":
                    get_secret("KAFKA_SASL_PASSWORD")
        sys.exit()
    print("done", flush=True)
"""

WORKERS = """
import multiprocessing, os, sys
from vantage_secrets import get_secret

def work(ended):
    ended.wait()

get_secret("KAFKA_SASL_PASSWORD")
context = multiprocessing.get_context("fork")
ended = context.Event()
workers = [context.Process(target=work, args=(ended,)) for _ in range(2)]
for worker in workers:
    worker.start()
print(*(worker.pid for worker in workers), flush=True)
sys.stdin.read()
ended.set()
for worker in workers:
    worker.join()
"""

SHORT = """
import atexit, sys
atexit.register(lambda: print("sqlalchemy" in sys.modules))
from vantage_secrets import get_secret
get_secret("KAFKA_SASL_PASSWORD")
"""

FORKING = """
import os, time
import vantage_secrets.receipts.book as book
book.BEGIN_SECONDS = 0.0
from vantage_secrets import get_secret
get_secret("KAFKA_SASL_PASSWORD")
children = []
while len(children) < 40:
    child = os.fork()
    if not child:
        import sqlalchemy
        os._exit(0 if sqlalchemy.create_engine else 1)
    children.append(child)
    time.sleep(0.005)
print(sum(os.waitpid(child, 0)[1] for child in children), flush=True)
"""


def until(true: Callable[[], object], what: str) -> None:
    ticks = threading.Event()
    for _ in range(int(PATIENCE / 0.02)):
        if true():
            return
        ticks.wait(0.02)
    raise AssertionError(f"never saw: {what}")


@contextmanager
def killed_at_the_end(process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    with process:  # closes its pipes
        try:
            yield process
        finally:
            process.kill()


class House:
    """A workspace in a folder, applications that read its secret, and what is on record of them."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.folder = workspace.manifest.path.parent
        self.receipts = Receipts(workspace.database)

    def rotate(self) -> None:
        self.workspace.introduce(self.workspace.manifest.find("KAFKA_SASL_PASSWORD"), SecretValue(canary()))

    def start(self, script: str = APPLICATION, *words: str, service: str = "worker") -> subprocess.Popen[str]:
        environment = {**os.environ, "VANTAGE_SECRETS_SERVICE": service, "PYTHONWARNINGS": "error"}
        return subprocess.Popen(
            [sys.executable, "-c", script, *words],
            cwd=self.folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    @contextmanager
    def running(self, *words: str, service: str = "worker") -> Iterator[subprocess.Popen[str]]:
        with killed_at_the_end(self.start(APPLICATION, *words, service=service)) as process:
            assert process.stdout is not None
            assert int(process.stdout.readline()) == process.pid
            yield process

    def holders(self) -> dict[int, Holder]:
        """Who holds a version now, by process id."""
        found = self.receipts.holders(KEY, now=utc_now())
        return {int(holder.instance.rpartition("/")[2]): holder for holder in found}

    def version_of(self, pid: int) -> str:
        holder = self.holders().get(pid)
        return holder.version_id if holder else ""


def tell(process: subprocess.Popen[str], order: str) -> str:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(order + "\n")
    process.stdin.flush()
    return process.stdout.readline().strip()


def end(process: subprocess.Popen[str]) -> int:
    assert process.stdin is not None
    process.stdin.close()
    return process.wait(PATIENCE)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    initialise(tmp_path, environment="test")
    workspace = open_workspace(tmp_path / "vantage-secrets.toml", why="test")
    house = House(workspace)
    house.rotate()
    yield house
    workspace.close()


def test_an_application_is_on_record_moves_with_its_next_read_and_is_gone_when_it_ends(house: House) -> None:
    with house.running() as process:
        until(lambda: house.version_of(process.pid) == "1", "its receipt")
        assert house.holders()[process.pid].service == "worker"
        house.rotate()
        assert tell(process, "refresh") == "done"
        before = house.holders()[process.pid]
        assert tell(process, "read") == "done"
        until(lambda: house.version_of(process.pid) == "2", "its move")
        assert before.version_id == "1", "a refresh is no hand-out"
        assert end(process) == 0
    assert house.holders() == {}
    [at_the_end] = house.receipts.holders(KEY, at=before.seen_at, now=utc_now())
    assert at_the_end.ended_by == "moved"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_an_application_that_is_killed_becomes_unknown_and_stays_so(house: House, number: signal.Signals) -> None:
    with house.running() as process:
        until(lambda: house.version_of(process.pid) == "1", "its receipt")
        process.send_signal(number)
        assert process.wait(PATIENCE) == -number
    assert house.holders()[process.pid].is_known
    [later] = house.receipts.holders(KEY, now=utc_now() + 4 * HEARTBEAT)
    assert (later.is_known, later.ended_by, later.version_id) == (False, "", "1")


def test_a_process_that_is_over_at_once_leaves_no_receipt_and_imports_no_database_toolkit(house: House) -> None:
    out, _ = house.start(SHORT).communicate(timeout=PATIENCE)
    assert out == "False\n"
    assert house.receipts.services(KEY) == frozenset()


def test_eight_processes_at_once_are_all_on_record(house: House) -> None:
    with ExitStack() as stack:
        processes = [
            stack.enter_context(killed_at_the_end(house.start(service=f"service-{number}"))) for number in range(8)
        ]
        pids = {process.pid for process in processes}
        until(lambda: set(house.holders()) == pids, "all receipts")
        assert house.receipts.services(KEY) == {f"service-{number}" for number in range(8)}
        assert [end(process) for process in processes] == [0] * 8
        assert house.holders() == {}


def test_a_forked_child_holds_what_its_parent_had_under_its_own_name_until_it_reads(house: House) -> None:
    orders = house.folder / "orders"
    os.mkfifo(orders)
    with house.running(str(orders)) as process:
        until(lambda: house.version_of(process.pid) == "1", "the parent's receipt")
        child = int(tell(process, "fork"))
        with orders.open("w") as pipe:
            until(lambda: house.version_of(child) == "1", "the child's receipt, though it read nothing")
            house.rotate()
            assert tell(process, "refresh") == "done"
            assert tell(process, "read") == "done"
            until(lambda: house.version_of(process.pid) == "2", "the parent's move")
            assert house.version_of(child) == "1"
            # The child's cache is its own, and has the old version still: what it reads now is no move.
            pipe.write("read\n")
            pipe.flush()
            assert end(process) == 0
            until(lambda: set(house.holders()) == {child}, "the parent's end")
            assert house.version_of(child) == "1"
        until(lambda: house.holders() == {}, "the child's end")


def test_children_of_multiprocessing_say_goodbye(house: House) -> None:
    with killed_at_the_end(house.start(WORKERS)) as process:
        assert process.stdout is not None
        workers = {int(pid) for pid in process.stdout.readline().split()}
        until(lambda: set(house.holders()) == {process.pid, *workers}, "all receipts")
        assert end(process) == 0
    assert house.holders() == {}


def test_a_fork_in_the_middle_of_the_first_write_hangs_neither_parent_nor_child(house: House) -> None:
    with killed_at_the_end(house.start(FORKING)) as process:
        out, _ = process.communicate(timeout=PATIENCE)
    assert (out, process.returncode) == ("0\n", 0)
