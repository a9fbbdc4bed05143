"""``who``: who holds which version, as a table, as JSON, in the past; and what ``run`` leaves on record."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.desk import Desk, wait_until
from vantage_secrets.bootstrap import open_workspace
from vantage_secrets.clock import utc_now
from vantage_secrets.manifest import FILE_NAME
from vantage_secrets.receipts import ReceiptBook, Receipts
from vantage_secrets.secret import SecretName
from vantage_secrets.testing import FakeClock

KAFKA = "KAFKA_SASL_PASSWORD"
NAME = SecretName("vantage/kafka-sasl-password")


@pytest.fixture
def stocked(desk: Desk) -> Desk:
    desk.hold(KAFKA)
    desk.hold(KAFKA)
    return desk


class Fleet:
    """Leaves receipts at a desk as processes of other hosts do."""

    def __init__(self, desk: Desk) -> None:
        self.workspace = open_workspace(desk.folder / FILE_NAME)
        self.clock = FakeClock(utc_now())
        self.workspace.clock = self.clock

    def book(self, service: str, instance: str) -> ReceiptBook:
        made = self.workspace.receipt_book(service, instance=lambda: instance, background=False)
        made.instance = instance
        return made

    def leave(self, service: str, instance: str, version: str, *, ago: timedelta = timedelta(0)) -> ReceiptBook:
        """Leave a receipt, so long ago."""
        self.clock.advance(-ago)
        made = self.book(service, instance)
        made.hand_out(NAME, version)
        assert made.flush()
        self.clock.advance(ago)
        return made


@pytest.fixture
def fleet(stocked: Desk) -> Iterator[Fleet]:
    fleet = Fleet(stocked)
    yield fleet
    fleet.workspace.close()


def _rows(desk: Desk) -> list[dict[str, Any]]:
    return list(desk.ok("who", KAFKA, "--json").json["holders"])


def test_a_table_names_each_holder_and_the_last_line_says_who_has_not_moved(stocked: Desk, fleet: Fleet) -> None:
    fleet.leave("worker", "host-1/worker/7", "2")
    fleet.leave("worker", "host-2/worker/7", "1", ago=timedelta(minutes=5))
    fleet.leave("shop", "host-3/shop/7", "1")
    done = stocked.at_terminal("who", KAFKA, width=120)
    lines = [line.split() for line in done.text.splitlines()]
    assert done.code == 0
    shown = {line[1]: (line[0], *line[2:4], line[-1]) for line in lines if len(line) > 4 and "/" in line[1]}
    assert shown == {
        "host-1/worker/7": ("worker", "2", "current", "holds"),
        "host-2/worker/7": ("worker", "1", "previous", "unknown"),
        "host-3/shop/7": ("shop", "1", "previous", "holds"),
    }
    assert "5m" in done.text
    assert done.text.splitlines()[-1] == (
        "0 of 3 consumers have moved to version 2; collector: no receipt yet; "
        "worker: 1 of 2 not heard of any more; shop: 1 of 1 on another version."
    )


def test_when_piped_the_table_is_tab_separated_and_the_last_line_goes_to_standard_error(
    stocked: Desk, fleet: Fleet
) -> None:
    fleet.leave("worker", "host-1/worker/7", "2")
    fleet.leave("collector", "host-2/collector/7", "2")
    done = stocked.ok("who", "vantage/kafka-sasl-password")
    rows = [line.split("\t") for line in done.out.splitlines()]
    assert rows[0] == ["service", "instance", "version", "stage", "since", "seen_at", "state"]
    assert [(row[0], row[1], row[6]) for row in rows[1:]] == [
        ("collector", "host-2/collector/7", "holds"),
        ("worker", "host-1/worker/7", "holds"),
    ]
    assert done.err == "2 of 2 consumers have moved to version 2.\n"


def test_json_has_stable_keys(stocked: Desk, fleet: Fleet) -> None:
    fleet.leave("worker", "host-1/worker/7", "1")
    record = stocked.ok("who", KAFKA, "--json").json
    assert set(record) == {"name", "at", "current", "holders", "consumers"}
    assert (record["name"], record["current"]) == (str(NAME), "2")
    [row] = record["holders"]
    assert set(row) == {
        *("service", "instance", "version", "stage", "since", "seen_at", "state", "ended_by", "ended_at")
    }
    assert (row["version"], row["stage"], row["state"], row["ended_by"]) == ("1", "previous", "holds", None)
    assert record["consumers"] == [
        {
            "service": "collector",
            "left_a_receipt": False,
            "instance_count": 0,
            "behind_count": 0,
            "unknown_count": 0,
            "has_moved": False,
        },
        {
            "service": "worker",
            "left_a_receipt": True,
            "instance_count": 1,
            "behind_count": 1,
            "unknown_count": 0,
            "has_moved": False,
        },
    ]


def test_a_past_time_shows_who_held_what_then_and_how_it_went_on(stocked: Desk, fleet: Fleet) -> None:
    held = fleet.leave("worker", "host-1/worker/7", "1", ago=timedelta(hours=1))
    held.hand_out(NAME, "2")
    held.flush()
    record = stocked.ok("who", KAFKA, "--at", "59m", "--json").json
    assert [(row["version"], row["state"], row["ended_by"]) for row in record["holders"]] == [("1", "holds", "moved")]
    assert record["current"] is None, "no version was current then"
    done = stocked.ok("who", KAFKA, "--at", "59m")
    assert done.out.splitlines()[0].endswith("\tended_by\tended_at")
    assert done.err == ""
    assert "moved" in stocked.at_terminal("who", KAFKA, "--at", "59m", width=160).text
    assert stocked.ok("who", KAFKA, "--at", "2h", "--json").json["holders"] == []


def test_mistakes_are_named(stocked: Desk) -> None:
    for words, said in (
        (("--at", "yesterday"), "is not an instant"),
        (("--at", "1h", "--dismiss", "x"), "--dismiss is about the present."),
        (("--dismiss", "host/x/1"), "No process 'host/x/1' holds"),
    ):
        done = stocked.run("who", KAFKA, *words)
        assert (done.code, done.out) == (2, "")
        assert said in done.err
    assert stocked.run("who", "NOBODYS_KEY").code == 4


def test_a_person_dismisses_what_is_gone_and_that_is_on_record(stocked: Desk, fleet: Fleet) -> None:
    fleet.leave("worker", "host-1/worker/7", "1", ago=timedelta(hours=1))
    fleet.leave("worker", "host-1/worker/8", "1")
    done = stocked.ok("who", KAFKA, "--dismiss", "host-1/worker/7")
    assert (done.out, done.err) == ("1 receipt(s) of host-1/worker/7 ended.\n", "")
    assert [row["instance"] for row in _rows(stocked)] == ["host-1/worker/8"]
    [event] = [event for event in stocked.events() if event["action"] == "receipts:receipt:dismiss"]
    assert (event["subject"], event["outcome"]) == (str(NAME), "success")
    assert event["why"] == f"who {KAFKA} --dismiss host-1/worker/7"
    done = stocked.ok("who", KAFKA, "--dismiss", "host-1/worker/8", "--json")
    assert done.json == {"name": str(NAME), "instance": "host-1/worker/8", "dismissed_count": 1}


def test_dismissing_what_was_heard_of_lately_says_that_it_may_come_back(stocked: Desk, fleet: Fleet) -> None:
    alive = fleet.leave("worker", "host-1/worker/7", "1")
    done = stocked.ok("who", KAFKA, "--dismiss", "host-1/worker/7")
    assert done.err == "note: It was heard of lately. If it still runs, it is back within 30 seconds.\n"
    alive.flush()
    alive.flush()
    assert [row["instance"] for row in _rows(stocked)] == ["host-1/worker/7"]


# What run leaves


@contextmanager
def _running(desk: Desk, *words: str, **options: Any) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A running ``run``, and its program's process id."""
    process = desk.start("run", *words, "--only", KAFKA, "sh", "-c", "echo $$; exec sleep 100", **options)
    with ExitStack() as stack:
        stack.callback(process.communicate)
        stack.callback(process.kill)
        assert process.stdout is not None
        child = int(process.stdout.readline())
        stack.callback(_kill, child)
        yield process, child


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def test_a_program_that_run_started_holds_what_it_was_given_until_it_ends(stocked: Desk) -> None:
    with _running(stocked, "--consumer", "worker") as (process, child):
        wait_until(lambda: _rows(stocked), "its receipt")
        [row] = _rows(stocked)
        assert (row["service"], row["version"], row["state"]) == ("worker", "2", "holds")
        assert row["instance"].endswith(f"/sh/{child}")
        process.terminate()
        assert process.wait() == 128 + signal.SIGTERM
    assert _rows(stocked) == []


@pytest.mark.parametrize(
    ("words", "variable", "service"),
    [(("--consumer", "worker"), "", "worker"), (("--consumer", "worker"), "shop", "shop"), ((), "", "sh")],
)
def test_the_environment_names_the_service_then_the_consumer_then_the_program(
    stocked: Desk, words: tuple[str, ...], variable: str, service: str
) -> None:
    with _running(stocked, *words, env={"VANTAGE_SECRETS_SERVICE": variable} if variable else None) as (_, child):
        wait_until(lambda: _rows(stocked), "its receipt")
        assert _rows(stocked)[0]["service"] == service
        environment = dict(
            entry.partition("=")[::2] for entry in Path(f"/proc/{child}/environ").read_text().split("\0") if entry
        )
        assert environment.get("VANTAGE_SECRETS_SERVICE", "") == (service if words or variable else "")


def test_a_program_whose_run_was_killed_is_still_on_record(stocked: Desk) -> None:
    with _running(stocked) as (process, child):
        wait_until(lambda: _rows(stocked), "its receipt")
        process.kill()
        process.wait()
        assert [row["instance"].endswith(f"/sh/{child}") for row in _rows(stocked)] == [True]


def test_a_program_with_its_secrets_in_the_environment_is_on_record_before_it_begins_and_unheard_of_later(
    stocked: Desk,
) -> None:
    with _running(stocked, "--env") as (process, child):
        assert process.pid == child
        [row] = _rows(stocked)
        assert row["instance"].endswith(f"/sh/{child}#env")
        assert (row["service"], row["version"], row["state"]) == ("sh", "2", "holds")
    [row] = _rows(stocked)
    assert row["state"] == "holds", "nobody said goodbye"
    fleet = Fleet(stocked)
    fleet.clock.advance(timedelta(minutes=2))
    assert [h.is_known for h in Receipts(fleet.workspace.database).holders(NAME, now=fleet.clock())] == [False]
    fleet.workspace.close()


def test_a_control_database_that_is_away_keeps_no_program_from_running(stocked: Desk) -> None:
    manifest = stocked.folder / FILE_NAME
    manifest.write_text(manifest.read_text().replace("sqlite:///.vantage-secrets/", "sqlite:////proc/nowhere/"))
    done = stocked.ok("run", "--env", "--only", KAFKA, "sh", "-c", "echo ran")
    assert done.out == "ran\n"
    assert "warning: The control database does not answer" in done.err
    assert stocked.ok("run", "--only", KAFKA, "sh", "-c", "echo ran").out == "ran\n"
