"""``rotate``: the steps as a person sees them, and how far each option goes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.e2e.desk import Desk

KEY = "VANTAGE_API_KEY"
BEGIN = ["create", "install", "verify", "promote"]
END = ["converge", "revoke", "verify-refused", "retire"]


def _steps(text: str) -> list[str]:
    return [line.split()[0] for line in text.splitlines() if line.startswith("  ")]


def test_a_rotation_shows_its_steps_and_when_the_overlap_ends(desk: Desk) -> None:
    first = desk.ok("rotate", KEY)
    assert _steps(first.out) == BEGIN
    assert "version 1 is the only one that works" in first.out
    second = desk.ok("rotate", KEY, "--grace", "1h")
    assert _steps(second.out) == BEGIN
    assert "Old and new both work until " in second.out
    assert "vantage-secrets rotate vantage/api-key --finish" in second.err


def test_a_rotation_as_json_has_stable_keys(desk: Desk) -> None:
    desk.hold(KEY)
    record = desk.ok("rotate", KEY, "--grace", "1h", "--json").json
    assert set(record) == {"name", "steps", "pending", "current", "previous", "waits_until"}
    assert record["steps"] == BEGIN
    assert (record["pending"], record["current"], record["previous"]) == (None, "2", "1")
    left = datetime.fromisoformat(record["waits_until"]) - datetime.now(UTC)
    assert timedelta(minutes=50) < left < timedelta(hours=1)


def test_an_emergency_and_finish_end_the_overlap_at_once(desk: Desk) -> None:
    desk.hold(KEY)
    assert desk.ok("rotate", KEY, "--grace", "0s", "--json").json["steps"] == BEGIN + END
    desk.hold(KEY)
    waiting = desk.ok("rotate", KEY, "--finish", "--json").json
    assert (waiting["steps"], waiting["previous"]) == ([], "2")
    ended = desk.ok("rotate", KEY, "--finish", "--grace", "0s", "--json").json
    assert (ended["steps"], ended["previous"], ended["waits_until"]) == (END, None, None)
    assert desk.run("get", KEY, "--version", "2").code == 4
    assert "Nothing is under way." in desk.ok("rotate", KEY, "--finish").out


def test_wait_stays_until_the_old_one_is_dead(desk: Desk) -> None:
    desk.hold(KEY)
    done = desk.ok("rotate", KEY, "--grace", "1s", "--wait")
    assert _steps(done.out) == BEGIN + END
    assert "waiting" in done.err
    assert "version 2 is the only one that works" in done.out


def test_abandon_gives_up_what_is_pending_and_stands_alone(shown: Desk, desk: Desk) -> None:
    assert desk.ok("rotate", KEY, "--abandon", "--json").json == {"name": "vantage/api-key", "abandoned": None}
    assert desk.ok("rotate", KEY, "--abandon").out == "Nothing was pending.\n"
    done = shown.run("rotate", "API_KEY", "--abandon", "--finish")
    assert done.code == 2
    assert "error[invalid_input]: --abandon stands alone." in done.err


def test_a_kind_without_a_target_names_what_to_do_by_hand(desk: Desk) -> None:
    done = desk.run("rotate", "KAFKA_SASL_PASSWORD")
    assert (done.code, done.out) == (3, "")
    assert "is of kind 'kafka-password', and nothing here can change it at its target" in done.err
    assert "hint: Change it at its target by hand, then: vantage-secrets set KAFKA_SASL_PASSWORD\n" in done.err


@pytest.mark.parametrize("grace", ["soon", ""])
def test_a_grace_that_is_no_length_of_time_is_a_mistake(shown: Desk, grace: str) -> None:
    done = shown.run("rotate", KEY, f"--grace={grace}")
    assert (done.code, done.out) == (2, "")
    assert f"error[invalid_input]: '{grace}' is not a length of time." in done.err


def test_a_key_of_ones_own_is_rotated_away(desk: Desk) -> None:
    desk.hold(KEY)
    desk.ok("rotate", KEY, "--grace", "0s")
    assert desk.held(KEY).startswith("vsk_")


def test_a_rotation_goes_on_when_nobody_reads_its_steps(desk: Desk) -> None:
    process = desk.start("rotate", KEY)
    assert process.stdout is not None
    process.stdout.close()
    _, err = process.communicate()
    assert (process.returncode, err) == (0, b"")
    assert desk.ok("history", KEY, "--json").json[0]["stage"] == "current"
