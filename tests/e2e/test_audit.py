"""``audit`` and ``doctor``: what was done is found again, and what was tampered with is named."""

from __future__ import annotations

import csv
import json
import signal
from pathlib import Path

import pytest

from tests.e2e.desk import Desk

KAFKA = "KAFKA_SASL_PASSWORD"
RECORD_KEYS = {"seq", "at", "actor", "action", "subject", "version", "outcome", "why", "where", "hash"}


@pytest.fixture
def recorded(desk: Desk) -> Desk:
    """A desk whose log has a few records, one of them a read."""
    desk.hold(KAFKA)
    desk.held(KAFKA)
    return desk


def _segment(desk: Desk) -> Path:
    return next((desk.folder / ".vantage-secrets/audit").glob("0*.jsonl"))


def test_records_are_found_by_action_and_outcome(recorded: Desk) -> None:
    recorded.run("get", "API_KEY")
    [read] = recorded.ok("audit", "search", "--action", "store:secret:read", "--outcome", "success", "--json").json
    assert set(read) == RECORD_KEYS
    assert (read["subject"], read["version"]) == ("vantage/kafka-sasl-password", "1")
    [absent] = recorded.ok("audit", "search", "--outcome", "absent", "--action", "store:secret:read", "--json").json
    assert (absent["subject"], absent["why"]) == ("vantage/query-api-key", "secret_not_found")


def test_the_tail_is_the_newest_records_and_includes_no_value(recorded: Desk) -> None:
    rows = recorded.ok("audit", "tail", "-n", "2", "--json").json
    assert [row["action"] for row in rows] == ["store:version:promote", "store:secret:read"]
    piped = list(csv.DictReader(recorded.ok("audit", "tail", "-n", "1").out.splitlines(), delimiter="\t"))
    assert [row["subject"] for row in piped] == ["audit tail"]


def test_following_shows_what_another_process_does_and_ends_with_ctrl_c(recorded: Desk) -> None:
    process = recorded.start("audit", "tail", "-n", "1", "--follow", "--json")
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["action"] == "store:secret:read"
    recorded.hold(KAFKA)
    seen = [json.loads(process.stdout.readline())["action"] for _ in range(3)]
    assert seen == ["store:secret:read", "store:version:stage", "store:version:promote"]
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    assert (process.returncode, err) == (0, b"")


def test_an_untouched_log_verifies_and_a_changed_one_ends_with_one(recorded: Desk) -> None:
    record = recorded.ok("audit", "verify", "--json").json
    assert record["intact"] is True
    assert record["key_is_pinned"] is True
    segment = _segment(recorded)
    text = segment.read_text()
    assert '"outcome":"success"' in text
    segment.write_text(text.replace('"outcome":"success"', '"outcome":"absent" ', 1))
    done = recorded.run("audit", "verify", "--json")
    assert done.code == 1
    assert done.json["intact"] is False


def test_an_exported_log_is_verified_elsewhere(recorded: Desk) -> None:
    recorded.ok("audit", "export", "log.jsonl")
    assert recorded.ok("audit", "verify", "log.jsonl", "--json").json["intact"] is True
    exported = recorded.folder / "log.jsonl"
    exported.write_text(exported.read_text().replace("store:version:stage", "store:version:retire", 1))
    assert recorded.run("audit", "verify", "log.jsonl", "--json").code == 1


def test_a_checkpoint_kept_elsewhere_finds_a_log_that_was_cut_off(recorded: Desk) -> None:
    recorded.ok("list")
    kept = recorded.ok("audit", "checkpoint").out
    (recorded.folder / "kept.json").write_text(kept)
    assert recorded.ok("audit", "verify", "--checkpoint", "kept.json", "--json").json["intact"] is True
    audit = recorded.folder / ".vantage-secrets/audit"
    segment = _segment(recorded)
    segment.write_bytes(b"".join(segment.read_bytes().splitlines(keepends=True)[:1]))
    signed = (audit / "checkpoints.jsonl").read_bytes().splitlines(keepends=True)
    (audit / "checkpoints.jsonl").write_bytes(b"".join(line for line in signed if json.loads(line)["seq"] <= 1))
    done = recorded.run("audit", "verify", "--checkpoint", "kept.json", "--json")
    assert (done.code, done.json["intact"]) == (1, False)


def test_events_of_a_time_without_a_writable_log_are_collected(recorded: Desk) -> None:
    audit = recorded.folder / ".vantage-secrets/audit"
    audit.rename(recorded.folder / "away")
    audit.write_text("in the way")
    recorded.ok("list")
    audit.unlink()
    (recorded.folder / "away").rename(audit)
    record = recorded.ok("audit", "collect", "--json").json
    assert record["events_count"] >= 1
    assert "list" in [event["subject"] for event in recorded.events()]
    assert recorded.ok("audit", "verify", "--json").json["intact"] is True


@pytest.mark.parametrize("words", [["--since", "soon"], ["--action", "nonsense"]], ids=" ".join)
def test_a_filter_that_makes_no_sense_is_a_mistake(shown: Desk, words: list[str]) -> None:
    done = shown.run("audit", "search", *words)
    assert (done.code, done.out) == (2, "")
    assert "error[invalid_input]: " in done.err


def test_doctor_finds_nothing_wrong_and_then_the_missing_key(desk: Desk) -> None:
    rows = desk.ok("doctor", "--json").json
    assert {row["health"] for row in rows} == {"works"}
    assert all(set(row) == {"part", "health", "words", "next_action"} for row in rows)
    (desk.folder / ".vantage-secrets/key").unlink()
    done = desk.run("doctor", "--json")
    assert done.code == 1
    assert done.json[0]["health"] == "broken"
    assert done.json[0]["next_action"]
