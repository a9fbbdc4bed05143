"""The audit log between real processes: killed ones, many at once, and forks."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

from vantage_secrets.audit.event import Action, AuditEvent, Outcome
from vantage_secrets.audit.log import AuditLog
from vantage_secrets.audit.search import search
from vantage_secrets.audit.signing_key import create_signing_key
from vantage_secrets.audit.verify import verify
from vantage_secrets.clock import utc_now

WRITER = """
import sys, threading
from pathlib import Path
from vantage_secrets.audit.event import Action, AuditEvent, Outcome
from vantage_secrets.audit.log import AuditLog
from vantage_secrets.clock import utc_now

folder, name, threads, count = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
log = AuditLog(Path(folder), segment_bytes=20_000, checkpoint_records=7)
said = threading.Lock()

def work(thread):
    for number in range(count):
        subject = f"{name}/{thread}/{number}"
        log.append(AuditEvent(utc_now(), "ana", Action.SECRET_READ, subject, Outcome.SUCCESS, why="x" * 150))
        with said:
            sys.stdout.write(subject + "\\n")
            sys.stdout.flush()

running = [threading.Thread(target=work, args=(thread,)) for thread in range(threads)]
for thread in running:
    thread.start()
for thread in running:
    thread.join()
log.close()
"""


def event(subject: str) -> AuditEvent:
    return AuditEvent(utc_now(), "ana", Action.SECRET_READ, subject, Outcome.SUCCESS)


def start_writer(folder: Path, name: str, threads: int, count: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, str(folder), name, str(threads), str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def acknowledged(writer: subprocess.Popen[str], at_least: int) -> list[str]:
    assert writer.stdout is not None
    return [writer.stdout.readline().strip() for _ in range(at_least)]


def test_every_acknowledged_event_survives_writers_that_are_killed_at_random_moments(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    key = create_signing_key(folder)
    said: list[str] = []
    for turn in range(6):
        writers = [start_writer(folder, f"w{turn}{which}", 3, 100_000) for which in "ab"]
        said += acknowledged(writers[0], random.randint(1, 200))
        for writer in writers:
            writer.send_signal(signal.SIGKILL)
            assert writer.stdout is not None
            rest = writer.stdout.read()
            writer.wait()
            writer.stdout.close()
            said += rest[: rest.rfind("\n") + 1].split()
    with AuditLog(folder) as log:
        log.append(event("after"))
    found = verify(folder, public_key=key)
    assert found.problem is None
    assert found.unfinished_bytes == 0
    kept = Counter(record.event.subject for record in search(folder))
    assert all(kept[subject] == 1 for subject in said)
    assert len(said) > 6


def test_eight_processes_of_three_threads_make_one_chain_with_everything_in_it(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    key = create_signing_key(folder)
    writers = [start_writer(folder, f"w{number}", 3, 15) for number in range(8)]
    for writer in writers:
        writer.communicate(timeout=60)
        assert writer.returncode == 0
    found = verify(folder, public_key=key)
    assert (found.problem, found.records_count, found.records_after_checkpoint_count) == (None, 8 * 3 * 15, 0)
    assert found.segments_count > 3
    kept = Counter(record.event.subject for record in search(folder))
    assert kept == Counter(f"w{w}/{t}/{n}" for w in range(8) for t in range(3) for n in range(15))
    for writer in range(8):
        for thread in range(3):
            own = [r.event.subject for r in search(folder) if r.event.subject.startswith(f"w{writer}/{thread}/")]
            assert own == [f"w{writer}/{thread}/{number}" for number in range(15)]


def test_parent_and_forked_child_write_on_in_one_chain(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    log = AuditLog(folder)
    log.append(event("before"))
    child = os.fork()
    if child == 0:
        try:
            for number in range(20):
                log.append(event(f"child/{number}"))
            log.close()
        except BaseException:
            os._exit(1)
        os._exit(0)
    for number in range(20):
        log.append(event(f"parent/{number}"))
    assert os.waitpid(child, 0)[1] == 0
    log.close()
    assert verify(folder).problem is None
    kept = sorted(record.event.subject for record in search(folder))
    assert kept == sorted(["before", *(f"{who}/{n}" for who in ("child", "parent") for n in range(20))])


def test_a_fork_while_another_thread_writes_leaves_the_child_free_to_write(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    log = AuditLog(folder)
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            log.append(event("thread"))

    thread = threading.Thread(target=work)
    thread.start()
    children = []
    for number in range(10):
        child = os.fork()
        if child == 0:
            status = 1
            try:
                log.append(event(f"child/{number}"))
                status = 0
            finally:
                os._exit(status)
        children.append(child)
    statuses = [os.waitpid(child, 0)[1] for child in children]
    stop.set()
    thread.join()
    log.close()
    assert statuses == [0] * 10
    assert verify(folder).problem is None
    kept = Counter(record.event.subject for record in search(folder))
    assert all(kept[f"child/{number}"] == 1 for number in range(10))
