"""What happens to events when the log cannot be written: real permissions, read-only and full file systems.

Whoever runs the tests may be root, to whom permissions mean nothing; so each child gives its rights up, or gets
a file system of its own in a namespace of its own.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Literal

import pytest

from tests.own_mounts import in_own_mounts
from vantage_secrets.audit.collection import collect_spool
from vantage_secrets.audit.event import Action, AuditEvent, Outcome
from vantage_secrets.audit.log import AuditLog
from vantage_secrets.audit.search import search
from vantage_secrets.audit.signing_key import create_signing_key
from vantage_secrets.audit.verify import verify
from vantage_secrets.clock import utc_now
from vantage_secrets.errors import AuditUnwritableError

NOBODY = 65_534

CHILD = """
import sys
from pathlib import Path
from vantage_secrets.audit.event import Action, AuditEvent, Outcome
from vantage_secrets.audit.log import AuditLog
from vantage_secrets.clock import utc_now
from vantage_secrets.errors import AuditUnwritableError

folder, spool, mode, count, why = sys.argv[1:6]
log = AuditLog(Path(folder), on_unwritable=mode, spool=Path(spool))
for number in range(int(count)):
    try:
        log.append(AuditEvent(utc_now(), "ana", Action.SECRET_READ, f"child/{number}", Outcome.SUCCESS, why=why * 100))
    except AuditUnwritableError as exc:
        print(f"refused {number}: {exc}")
    else:
        print(f"kept {number}")
log.close()
"""


def event(subject: str) -> AuditEvent:
    return AuditEvent(utc_now(), "ana", Action.SECRET_READ, subject, Outcome.SUCCESS)


def child(folder: Path, spool: Path, mode: str, count: int = 3, why: str = "") -> list[str]:
    return [sys.executable, "-c", CHILD, str(folder), str(spool), mode, str(count), why]


def append_as_nobody(folder: Path, spool: Path, mode: Literal["spool", "refuse"], count: int) -> list[str]:
    """Append in a forked child without any right of root's: root becomes nobody, anyone else stays who they are.

    A fork and no new program, because the interpreter itself may lie where nobody has no access.
    """
    reading, writing = os.pipe()
    child_id = os.fork()
    if child_id == 0:
        status = 1
        try:
            if os.geteuid() == 0:
                os.setgroups([])
                os.setgid(NOBODY)
                os.setuid(NOBODY)
            log = AuditLog(folder, on_unwritable=mode, spool=spool)
            said = []
            for number in range(count):
                try:
                    log.append(event(f"child/{number}"))
                    said.append(f"kept {number}")
                except AuditUnwritableError as exc:
                    said.append(f"refused {number}: {exc}")
            log.close()
            os.write(writing, "\n".join(said).encode())
            status = 0
        finally:
            os._exit(status)
    os.close(writing)
    with os.fdopen(reading, encoding="utf-8") as said_by_child:
        lines = said_by_child.read().splitlines()
    assert os.waitpid(child_id, 0)[1] == 0
    return lines


def run_with_mount(script: str, command: list[str]) -> list[str]:
    """Run ``script`` as root of a namespace of its own, where mounts concern nobody else; ``"$@"`` is ``command``."""
    whole = in_own_mounts("sh", "-euc", script, "sh", *command)
    done = subprocess.run(whole, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.fixture
def open_path(tmp_path: Path) -> Path:
    """A folder that another user may reach but not write to, with a log and a spool folder for everyone."""
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == os.geteuid() and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o011)
    create_signing_key(tmp_path / "log")
    with AuditLog(tmp_path / "log") as log:
        log.append(event("before"))
    if os.geteuid() != 0:
        (tmp_path / "log").chmod(0o500)
        for path in (tmp_path / "log").iterdir():
            path.chmod(0o400)
    (tmp_path / "spool").mkdir()
    (tmp_path / "spool").chmod(0o1777)
    return tmp_path


def give_back(folder: Path) -> None:
    (folder / "log").chmod(0o700)
    for path in (folder / "log").iterdir():
        path.chmod(0o600)


def test_who_may_not_write_the_log_is_refused_and_told_why(open_path: Path) -> None:
    said = append_as_nobody(open_path / "log", open_path / "spool", "refuse", 1)
    assert len(said) == 1
    assert said[0].startswith("refused 0:")
    assert "permission denied" in said[0]


def test_events_of_who_may_not_write_the_log_are_spooled_privately_and_collected_once(open_path: Path) -> None:
    said = append_as_nobody(open_path / "log", open_path / "spool", "spool", 3)
    assert said == ["kept 0", "kept 1", "kept 2"]
    (spooled,) = (open_path / "spool").iterdir()
    assert spooled.stat().st_mode & 0o777 == 0o600
    give_back(open_path)
    with AuditLog(open_path / "log") as log:
        first = collect_spool(log, open_path / "spool")
        again = collect_spool(log, open_path / "spool")
    assert (first.files_count, first.events_count, again.files_count) == (1, 3, 0)
    assert not list((open_path / "spool").iterdir())
    records = list(search(open_path / "log"))
    subjects = [record.event.subject for record in records]
    assert subjects == ["before", "child/0", "child/1", "child/2", spooled.name]
    assert records[-1].event.action is Action.SPOOL_COLLECT
    assert f"uid {NOBODY if os.geteuid() == 0 else os.geteuid()}: 3 new" in records[-1].event.why
    assert verify(open_path / "log").problem is None


def test_when_the_spool_cannot_be_written_either_the_event_is_refused(open_path: Path) -> None:
    said = append_as_nobody(open_path / "log", open_path / "nowhere" / "spool", "spool", 1)
    assert len(said) == 1
    assert said[0].startswith("refused 0:")
    assert "spool" in said[0]


def test_a_read_only_file_system_is_named_and_its_events_are_spooled(tmp_path: Path) -> None:
    with AuditLog(tmp_path / "log") as log:
        log.append(event("before"))
    mount = f'mount --bind "{tmp_path}/log" "{tmp_path}/log"; mount -o remount,bind,ro "{tmp_path}/log"; exec "$@"'
    refused = run_with_mount(mount, child(tmp_path / "log", tmp_path / "spool", "refuse", 1))
    assert "the file system is read-only" in refused[0]
    assert run_with_mount(mount, child(tmp_path / "log", tmp_path / "spool", "spool", 2)) == ["kept 0", "kept 1"]
    with AuditLog(tmp_path / "log") as log:
        assert collect_spool(log, tmp_path / "spool").events_count == 2
    assert verify(tmp_path / "log").problem is None


FULL_DISK = (
    'mkdir "{0}/full"; mount -t tmpfs -o size=64k tmpfs "{0}/full"; '
    '"$@"; cp -r "{0}/full/log" "{0}/kept"'
)  # fmt: skip


def test_a_full_disk_is_named_and_leaves_no_half_written_line(tmp_path: Path) -> None:
    said = run_with_mount(
        FULL_DISK.format(tmp_path), child(tmp_path / "full" / "log", tmp_path / "spool", "refuse", 60, "0123456789")
    )
    kept = [line for line in said if line.startswith("kept")]
    refused = [line for line in said if line.startswith("refused")]
    assert len(kept) + len(refused) == 60
    assert refused
    assert "the disk is full" in refused[0]
    found = verify(tmp_path / "kept")
    assert (found.problem, found.records_count, found.unfinished_bytes) == (None, len(kept), 0)


def test_a_full_disk_with_a_spool_elsewhere_loses_nothing(tmp_path: Path) -> None:
    command = child(tmp_path / "full" / "log", tmp_path / "spool", "spool", 60, "0123456789")
    said = run_with_mount(FULL_DISK.format(tmp_path), command)
    assert said == [f"kept {number}" for number in range(60)]
    with AuditLog(tmp_path / "kept") as log:
        assert 0 < collect_spool(log, tmp_path / "spool").events_count < 60
    subjects = Counter(record.event.subject for record in search(tmp_path / "kept"))
    assert all(subjects[f"child/{number}"] == 1 for number in range(60))


def test_a_folder_that_vanished_is_not_made_anew(tmp_path: Path) -> None:
    with AuditLog(tmp_path / "log") as log:
        log.append(event("before"))
        (tmp_path / "log").rename(tmp_path / "elsewhere")
        with pytest.raises(AuditUnwritableError, match="folder is missing"):
            log.append(event("lost"))
        assert not (tmp_path / "log").exists()
        (tmp_path / "elsewhere").rename(tmp_path / "log")
        log.append(event("after"))
    assert [record.event.subject for record in search(tmp_path / "log")] == ["before", "after"]


def test_a_collection_killed_before_it_removed_the_file_brings_nothing_in_twice(tmp_path: Path) -> None:
    away = AuditLog(tmp_path / "missing" / "log", on_unwritable="spool", spool=tmp_path / "spool")
    for number in range(3):
        away.append(event(f"spooled/{number}"))
    away.close()
    (spooled,) = (tmp_path / "spool").iterdir()
    content = spooled.read_bytes()
    with AuditLog(tmp_path / "log") as log:
        collect_spool(log, tmp_path / "spool")
        # As after a kill between the last record and the removal, and one more event was never finished.
        spooled.write_bytes(content + b'{"id":"' + spooled.stem.encode() + b'-4","at"')
        again = collect_spool(log, tmp_path / "spool")
    assert (again.events_count, again.known_count) == (0, 3)
    subjects = Counter(record.event.subject for record in search(tmp_path / "log"))
    assert [subjects[f"spooled/{number}"] for number in range(3)] == [1, 1, 1]


def test_a_collection_killed_after_a_part_goes_on_from_there(tmp_path: Path) -> None:
    away = AuditLog(tmp_path / "missing" / "log", on_unwritable="spool", spool=tmp_path / "spool")
    for number in range(4):
        away.append(event(f"spooled/{number}"))
    away.close()
    (spooled,) = (tmp_path / "spool").iterdir()
    content = spooled.read_bytes()
    with AuditLog(tmp_path / "log") as log:
        spooled.write_bytes(b"".join(content.splitlines(keepends=True)[:2]))
        collect_spool(log, tmp_path / "spool")
        spooled.write_bytes(content)
        rest = collect_spool(log, tmp_path / "spool")
    assert (rest.events_count, rest.known_count) == (2, 2)


def test_a_process_whose_spool_file_was_collected_begins_another(tmp_path: Path) -> None:
    away = AuditLog(tmp_path / "missing" / "log", on_unwritable="spool", spool=tmp_path / "spool")
    with AuditLog(tmp_path / "log") as log:
        for number in range(3):
            away.append(event(f"spooled/{number}"))
            assert collect_spool(log, tmp_path / "spool").events_count == 1
    away.close()
    subjects = [r.event.subject for r in search(tmp_path / "log", action=Action.SECRET_READ)]
    assert subjects == ["spooled/0", "spooled/1", "spooled/2"]


def test_lines_that_are_no_events_are_kept_aside_and_links_are_not_followed(tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    spool.mkdir()
    (spool / f"{'a' * 24}.spool").write_bytes(b'{"id":"other-1"}\nnot json\n')
    (tmp_path / "other").write_bytes(b"not ours\n")
    (spool / "notes.spool").write_bytes(b"not a spool file\n")
    with AuditLog(tmp_path / "log") as log:
        found = collect_spool(log, spool)
    assert (found.events_count, found.rejected_count) == (0, 2)
    assert (spool / f"{'a' * 24}.rejected").read_bytes() == b'{"id":"other-1"}\nnot json\n'
    assert (spool / "notes.spool").exists()
    (record,) = search(tmp_path / "log")
    assert record.event.outcome is Outcome.FAILED
