"""The audit log: what an append promises, and what is found afterwards."""

from __future__ import annotations

import json
from pathlib import Path

from vantage_secrets.audit.event import Action, AuditEvent, Outcome
from vantage_secrets.audit.log import AuditLog
from vantage_secrets.audit.verify import verify
from vantage_secrets.clock import utc_now


def event(subject: str = "vantage/api-key", **fields: object) -> AuditEvent:
    return AuditEvent(utc_now(), "ana@build", Action.SECRET_READ, subject, Outcome.SUCCESS, **fields)  # type: ignore[arg-type]


def test_an_appended_event_is_on_disk_when_append_returns(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "log")
    log.append(event("vantage/api-key", why="refresh"))
    line = (tmp_path / "log" / "00000001.jsonl").read_bytes()
    assert line.endswith(b"\n")
    fields = json.loads(line)
    assert (fields["seq"], fields["subject"], fields["why"]) == (1, "vantage/api-key", "refresh")
    log.close()


def test_a_log_of_a_few_records_verifies(tmp_path: Path) -> None:
    with AuditLog(tmp_path / "log") as log:
        for number in range(5):
            log.append(event(f"vantage/key-{number}"))
    found = verify(tmp_path / "log")
    assert (found.records_count, found.problem) == (5, None)


def test_a_changed_record_is_named(tmp_path: Path) -> None:
    with AuditLog(tmp_path / "log") as log:
        for number in range(5):
            log.append(event(f"vantage/key-{number}"))
    path = tmp_path / "log" / "00000001.jsonl"
    path.write_bytes(path.read_bytes().replace(b"vantage/key-2", b"vantage/key-9"))
    problem = verify(tmp_path / "log").problem
    assert problem is not None
    assert (problem.kind, problem.file, problem.line, problem.seq) == ("changed", "00000001.jsonl", 3, 3)
