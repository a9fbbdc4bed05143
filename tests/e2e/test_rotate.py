"""``rotate``: the steps as a person sees them, and how far each option goes."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest

from tests.e2e.desk import Desk, put

KEY = "VANTAGE_API_KEY"
BEGIN = ["create", "install", "verify", "promote"]
BROKEN = """
[targets.command]
command = ["/bin/false"]

[secrets.DOOR]
name = "door"
kind = "command"
purpose = "A door whose program fails."
owner = "tests"
"""
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
    assert set(record) == {"name", "steps", "pending", "current", "previous", "waits_until", "overlap", "reason"}
    assert (record["overlap"], record["reason"]) == ("open", "no receipt of collector")
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


def test_watch_shows_each_step_with_its_time_and_stays_until_the_old_one_is_dead(desk: Desk) -> None:
    desk.hold(KEY)
    done = desk.ok("rotate", KEY, "--grace", "1s", "--watch")
    shown = re.findall(r"^  (\d\d:\d\d:\d\d)  (\S+) ", done.out, re.MULTILINE)
    assert [step for _at, step in shown] == BEGIN + END
    assert "waiting: no receipt of collector." in done.err
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
    assert "hint: Write [targets.kafka] into the manifest. Or change it at its target by hand, then:" in done.err


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


def test_all_rotates_every_secret_that_has_a_target_and_names_what_is_missing(desk: Desk) -> None:
    desk.hold(KEY)
    done = desk.ok("rotate", "--all", "--grace", "0s")
    assert done.out.splitlines()[0] == KEY
    assert _steps(done.out) == BEGIN + END
    assert "API_KEY is missing. Next: vantage-secrets set API_KEY" in done.err
    assert "KAFKA" not in done.out + done.err, "it has no target"
    desk.hold("API_KEY")
    found = desk.ok("rotate", "--all", "--watch", "--grace", "1s", "--json").json
    assert [record["name"] for record in found] == ["vantage/api-key", "vantage/query-api-key"]
    assert all((record["steps"], record["error"]) == (BEGIN + END, None) for record in found)


def test_one_that_fails_ends_no_other_and_the_command_says_so(desk: Desk) -> None:
    desk.hold(KEY)
    desk.hold("API_KEY")
    with (desk.folder / "vantage-secrets.toml").open("a") as manifest:
        manifest.write(BROKEN)
    put(desk.folder, "door", days_ago=1)
    done = desk.run("rotate", "--all", "--grace", "0s")
    assert done.code == 3
    assert "DOOR failed: " in done.err
    assert _steps(done.out) == BEGIN + END + BEGIN + END
    record = desk.run("rotate", "--all", "--json").json[-1]
    assert record["name"] == "door"
    assert "false" in record["error"]


def test_due_does_what_the_schedule_says(desk: Desk) -> None:
    assert desk.ok("rotate", "--due").out == "Nothing is to be done.\n"
    put(desk.folder, "vantage/api-key", days_ago=89)
    put(desk.folder, "vantage/query-api-key", days_ago=1)
    desk.ok("schedule")  # the store is asked, as it is a quarter of an hour later by itself
    [record] = desk.ok("rotate", "--due", "--json").json
    assert (record["name"], record["steps"], record["error"]) == ("vantage/api-key", BEGIN, None)
    assert desk.ok("rotate", "--due", "--json").json == []


def test_a_dry_run_says_what_would_happen_and_changes_nothing(desk: Desk) -> None:
    desk.hold(KEY)
    before = desk.ok("history", KEY, "--json").json
    done = desk.ok("rotate", KEY, "--dry-run", "--grace", "12h")
    assert "VANTAGE_API_KEY: A rotation would begin, by two-credentials.\n" in done.out
    assert "  both work  for 12h at the most, less once these have moved: collector\n" in done.out
    [record] = desk.ok("rotate", "--all", "--dry-run", "--json").json
    assert (record["would"], record["steps"], record["both_work_seconds"]) == ("begin", BEGIN + END, 86_400)
    assert (record["strategy"], record["warnings"]) == ("two-credentials", [])
    assert desk.ok("rotate", "--due", "--dry-run").out == "Nothing is to be done.\n"
    assert "never: the old one is refused at once" in desk.ok("rotate", KEY, "--dry-run", "--grace", "0s").out
    assert desk.ok("history", KEY, "--json").json == before
    desk.ok("rotate", KEY)
    assert desk.ok("rotate", KEY, "--dry-run", "--json").json[0]["would"] == "go on"


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("rotate",), "Name one secret, or --due, or --all."),
        (("rotate", KEY, "--all"), "Name one secret, or --due, or --all."),
        (("rotate", "--due", "--grace", "1h"), "With --due the manifest says it all."),
        (("rotate", KEY, "--dry-run", "--watch"), "--dry-run does nothing that could be finished or watched."),
    ],
)
def test_options_that_do_not_go_together_are_a_mistake(shown: Desk, words: tuple[str, ...], what: str) -> None:
    done = shown.run(*words)
    assert (done.code, done.out) == (2, "")
    assert f"error[invalid_input]: {what}" in done.err
