"""``schedule`` and ``scheduler``: what a person sees, and how a process that rotates by itself ends."""

from __future__ import annotations

import json
import signal
import stat
import subprocess
import sys

import pytest

from tests.e2e.desk import PATIENCE_SECONDS, Desk, put, wait_until

KEY = "VANTAGE_API_KEY"

_SLOW_DOOR = """#!{python}
import json, pathlib, sys, time
here = pathlib.Path({folder!r})
asked = json.load(sys.stdin)
if asked["verb"] == "install":
    (here / "installing").touch()
    while not (here / "go").exists():
        time.sleep(0.01)
answers = {{"verify": "accepted", "verify_refused": "refused"}}
print(json.dumps({{"answer": answers.get(asked["verb"], "ok"), "summary": "a slow door"}}))
"""
_MANIFEST = """
[targets.command]
command = ["{program}"]

[secrets.DOOR]
name = "door"
kind = "command"
purpose = "A door that takes its time."
owner = "tests"
"""


@pytest.fixture
def slow_desk(desk: Desk) -> Desk:
    """A desk with one secret more, due, whose target waits in ``install`` until a file ``go`` is there."""
    program = desk.folder / "door.py"
    program.write_text(_SLOW_DOOR.format(python=sys.executable, folder=str(desk.folder)))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    with (desk.folder / "vantage-secrets.toml").open("a") as manifest:
        manifest.write(_MANIFEST.format(program=program))
    put(desk.folder, "door", days_ago=89)
    return desk


def _steps_on_record(desk: Desk) -> list[str]:
    mine = [event for event in desk.events() if event["subject"] == "door"]
    return [event["action"].rpartition(":")[2] for event in mine if event["action"].startswith("target:")]


def test_the_schedule_tells_when_each_begins_and_what_waits_for_a_person(shown: Desk) -> None:
    rows = {row["key"]: row for row in shown.ok("schedule", "--json").json}
    assert {key: row["standing"] for key, row in rows.items()} == {
        "VANTAGE_API_KEY": "under way",
        "API_KEY": "under way",
        "WORKER_CLICKHOUSE_PASSWORD": "by hand",
        "API_CLICKHOUSE_PASSWORD": "by hand",
        "KAFKA_SASL_PASSWORD": "missing",
        "STRIPE_TOKEN": "unused",
        "MAIL_TOKEN": "by hand",
    }
    assert rows["MAIL_TOKEN"]["begins_at"] <= rows["MAIL_TOKEN"]["due_at"] < rows["MAIL_TOKEN"]["last_at"]
    header, *lines = shown.ok("schedule").out.splitlines()
    assert header.split("\t") == ["key", "standing", "begins_at", "due_at", "last_at", "until", "failures", "reason"]
    assert len(lines) == len(rows)
    at_terminal = shown.at_terminal("schedule").text.splitlines()
    assert at_terminal[0].split() == ["Secret", "Stands", "Until", "(UTC)", "Due", "Why"]
    assert len(at_terminal) == 2 + len(rows), "no line is broken"


def test_a_pause_says_who_and_why_and_keeps_what_is_due_from_beginning(desk: Desk) -> None:
    put(desk.folder, "vantage/api-key", days_ago=89)
    paused = desk.ok("schedule", "pause", "--reason", "a freeze").out
    assert paused.startswith("All paused since ")
    assert paused.endswith(": a freeze\n")
    assert KEY not in desk.ok("scheduler", "--once").out
    seen = desk.ok("schedule")
    assert "a freeze. Go on: vantage-secrets schedule resume" in seen.err
    assert desk.ok("schedule", "resume", "--json").json == {"resumed": "*", "was_paused": True}
    assert desk.ok("schedule", "resume").out == "It was not paused.\n"
    assert f" {KEY} began: create, install, verify, promote; both work until " in desk.ok("scheduler", "--once").out


def test_one_secret_is_paused_by_either_of_its_names(desk: Desk) -> None:
    assert desk.ok("schedule", "pause", KEY, "--reason", "a try", "--json").json["paused"] == "vantage/api-key"
    assert desk.ok("schedule", "resume", "vantage/api-key").out == "Rotations begin again.\n"
    assert desk.run("schedule", "pause", "NOBODY", "--reason", "a try").code == 4


@pytest.mark.parametrize("reason", [(), ("--reason", " "), ("--reason", "two\nlines"), ("--reason", "x" * 201)])
def test_a_pause_without_a_proper_reason_is_a_mistake(shown: Desk, reason: tuple[str, ...]) -> None:
    done = shown.run("schedule", "pause", *reason)
    assert done.code == 2
    assert "A pause has a reason of 1 to 200 characters" in done.err


def test_one_tick_ends_with_3_when_a_rotation_failed_and_three_put_the_brake_on(desk: Desk) -> None:
    doors = _MANIFEST.format(program="/bin/false").replace("[secrets.DOOR]", "[secrets.DOOR_1]")
    secret = doors[doors.index("[secrets") :]
    doors += "".join(secret.replace("_1", f"_{n}").replace('"door"', f'"door-{n}"') for n in (2, 3, 4))
    with (desk.folder / "vantage-secrets.toml").open("a") as manifest:
        manifest.write(doors)
    for name in ("door", "door-2", "door-3", "door-4"):
        put(desk.folder, name, days_ago=89)
    done = desk.run("scheduler", "--once")
    assert done.code == 3
    assert done.out.count(" failed: '/bin/false'") == 3
    assert " paused: 3 rotations failed: DOOR_1, DOOR_2, DOOR_3. Go on: vantage-secrets schedule resume" in done.out
    standing = {row["key"]: row["standing"] for row in desk.ok("schedule", "--json").json}
    assert standing["DOOR_4"] == "paused"


def test_it_ends_an_overlap_when_its_time_has_come_and_tells_it_as_a_line_of_json(desk: Desk) -> None:
    desk.hold(KEY)
    desk.ok("rotate", KEY, "--grace", "1s")
    process = desk.start("scheduler", "--every", "1s", "--json")
    assert process.stdout is not None
    lines = (json.loads(line) for line in process.stdout)
    line = next(line for line in lines if line["what"] != "needed")
    process.send_signal(signal.SIGTERM)
    _out, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert (process.returncode, err) == (0, b"")
    assert (line["key"], line["what"]) == (KEY, "went on")
    assert line["words"] == "converge, revoke, verify-refused, retire; at rest"
    assert set(line) == {"at", "key", "what", "words"}


def test_a_changed_manifest_is_taken_at_the_next_look_and_a_mistake_in_it_ends_nothing(desk: Desk) -> None:
    manifest = desk.folder / "vantage-secrets.toml"
    good = manifest.read_text()
    process = desk.start("scheduler", "--every", "1s", "--json")
    assert process.stdout is not None
    lines = (json.loads(line) for line in process.stdout)
    assert next(lines)["what"] == "needed"
    manifest.write_text(good + "mistake = 1\n")
    assert "The manifest as it was goes on: " in next(line["words"] for line in lines if line["what"] == "problem")
    put(desk.folder, "door", days_ago=89)
    manifest.write_text(good + _MANIFEST.format(program="/bin/false"))
    failed = next(line for line in lines if line["what"] == "failed")
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=PATIENCE_SECONDS)
    assert (failed["key"], process.returncode) == ("DOOR", 0)


def test_sigterm_lets_the_step_under_way_finish_and_the_next_start_goes_on_from_there(slow_desk: Desk) -> None:
    process = slow_desk.start("scheduler")
    wait_until((slow_desk.folder / "installing").exists, "the install")
    process.send_signal(signal.SIGTERM)
    (slow_desk.folder / "go").touch()
    out, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert (process.returncode, err) == (0, b"")
    assert b" DOOR stopped: after the step that was under way" in out
    assert _steps_on_record(slow_desk) == ["install"]
    again = slow_desk.ok("scheduler", "--once")
    assert " DOOR went on: install, verify, promote; both work until " in again.out
    stages = [version["stage"] for version in slow_desk.ok("history", "DOOR", "--json").json]
    assert stages == ["current", "previous"]


def test_a_kill_in_the_middle_is_finished_by_the_next_start_and_nothing_is_begun_twice(slow_desk: Desk) -> None:
    process = slow_desk.start("scheduler", stdout=subprocess.DEVNULL)
    wait_until((slow_desk.folder / "installing").exists, "the install")
    process.kill()
    process.communicate(timeout=PATIENCE_SECONDS)
    (slow_desk.folder / "go").touch()
    assert " DOOR went on: install, verify, promote" in slow_desk.ok("scheduler", "--once").out
    assert len(slow_desk.ok("history", "DOOR", "--json").json) == 2


def test_two_schedulers_at_once_begin_a_rotation_once(slow_desk: Desk) -> None:
    both = [slow_desk.start("scheduler", "--once") for _ in range(2)]
    wait_until((slow_desk.folder / "installing").exists, "the install")
    (slow_desk.folder / "go").touch()
    for process in both:
        out, err = process.communicate(timeout=PATIENCE_SECONDS)
        assert (process.returncode, err) == (0, b""), out
    assert len(slow_desk.ok("history", "DOOR", "--json").json) == 2


def test_people_are_told_through_a_place_that_the_store_holds(desk: Desk) -> None:
    with (desk.folder / "vantage-secrets.toml").open("a") as manifest:
        manifest.write(_MANIFEST.format(program="/bin/false") + '\n[notifications]\nsecrets = ["ops-place"]\n')
    put(desk.folder, "door", days_ago=89)
    done = desk.run("scheduler", "--once")
    assert done.code == 3
    assert " problem: The place in 'ops-place' cannot be read: " in done.out


@pytest.mark.parametrize("every", ["soon", "0s", "2d"])
def test_how_often_it_looks_is_a_length_of_time(shown: Desk, every: str) -> None:
    assert shown.run("scheduler", "--every", every).code == 2
