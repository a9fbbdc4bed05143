"""``list``, ``status``, ``describe``, ``history``: for programs, for pipes and for people."""

from __future__ import annotations

import csv
from datetime import UTC, datetime

import pytest

from tests.e2e.conftest import STATES
from tests.e2e.desk import ANSI, Desk

COMMANDS = (["status"], ["describe", "VANTAGE_API_KEY"], ["store", "show"])
STATUS_KEYS = {
    *("key", "name", "kind", "state", "age", "due_at", "stages", "oldest_at"),
    *("overlap_ends_at", "owner", "consumers", "max_age", "grace"),
}


def test_status_shows_every_state(shown: Desk) -> None:
    rows = shown.ok("status", "--json").json
    assert {row["key"]: row["state"] for row in rows} == STATES
    assert all(set(row) >= STATUS_KEYS for row in rows)


def test_status_as_json_gives_seconds_and_instants_with_a_zone(shown: Desk) -> None:
    rows = {row["key"]: row for row in shown.ok("status", "--json").json}
    expired = rows["WORKER_CLICKHOUSE_PASSWORD"]
    assert 100 * 86_400 <= expired["age"] < 101 * 86_400
    assert expired["max_age"] == 90 * 86_400
    assert datetime.fromisoformat(expired["due_at"]) < datetime.now(UTC)
    overlap = rows["VANTAGE_API_KEY"]
    assert overlap["stages"] == ["current 2", "previous 1"]
    assert datetime.fromisoformat(overlap["overlap_ends_at"]) > datetime.now(UTC)
    assert rows["KAFKA_SASL_PASSWORD"]["age"] is None
    assert rows["API_KEY"]["stages"] == ["pending 2", "current 1"]


def test_status_check_ends_with_one_while_something_is_due_and_prints_the_same(shown: Desk) -> None:
    done = shown.run("status", "--check", "--json")
    assert done.code == 1
    assert len(done.json) == len(STATES)
    assert shown.last_command()["outcome"] == "success"


def test_status_check_ends_with_zero_when_nothing_is_due(desk: Desk) -> None:
    (desk.folder / "vantage-secrets.toml").write_text(
        (desk.folder / "vantage-secrets.toml")
        .read_text()
        .replace('required = "always"', 'required = "never"')
        .replace("kafka-sasl = true", "kafka-sasl = false")
    )
    done = desk.ok("status", "--check", "--json")
    assert {row["state"] for row in done.json} == {"unused"}


def test_a_person_is_told_the_next_command_for_each_urgent_secret(shown: Desk) -> None:
    text = shown.at_terminal("status").text
    assert "KAFKA_SASL_PASSWORD is missing. Next: vantage-secrets set KAFKA_SASL_PASSWORD" in text
    by_hand = "WORKER_CLICKHOUSE_PASSWORD is expired. Next: vantage-secrets set WORKER_CLICKHOUSE_PASSWORD"
    assert by_hand in text, "no installed target can rotate it"
    assert "MAIL_TOKEN is" not in text


def test_the_status_of_vantage_fits_a_terminal_with_each_name_in_one_piece(shown: Desk) -> None:
    table = shown.at_terminal("status").text.split("is missing.")[0]
    assert all(len(line) <= 80 for line in table.splitlines() if "Next:" not in line)
    assert all(key in table for key in STATES)


def test_list_knows_prefixes(shown: Desk) -> None:
    assert shown.ok("list").out.splitlines() == [
        *("mail-token", "vantage/api-clickhouse-password", "vantage/api-key"),
        *("vantage/query-api-key", "vantage/worker-clickhouse-password"),
    ]
    assert shown.ok("list", "vantage/api", "--json").json == [
        {"name": "vantage/api-clickhouse-password", "key": "API_CLICKHOUSE_PASSWORD"},
        {"name": "vantage/api-key", "key": "VANTAGE_API_KEY"},
    ]
    assert "No name begins with 'nope'." in shown.at_terminal("list", "nope").text
    assert shown.ok("list", "nope").out == ""


def test_an_empty_store_names_the_first_step(desk: Desk) -> None:
    assert "Next: vantage-secrets migrate import .env" in desk.at_terminal("list").text


def test_history_shows_versions_the_newest_first(shown: Desk) -> None:
    rows = shown.ok("history", "vantage/api-key", "--json").json
    assert [(row["version"], row["stage"]) for row in rows] == [("2", "current"), ("1", "previous")]
    assert set(rows[0]) == {"version", "stage", "created_at", "promoted_at", "retired_at"}


def test_describe_has_stable_keys(shown: Desk) -> None:
    record = shown.ok("describe", "vantage/api-key", "--json").json
    assert set(record) == (STATUS_KEYS | {"purpose", "store"})
    assert record["consumers"] == ["collector"]
    assert record["store"].startswith("embedded:///")


def test_describe_shows_a_secret_that_the_store_does_not_have(shown: Desk) -> None:
    assert shown.ok("describe", "KAFKA_SASL_PASSWORD", "--json").json["state"] == "missing"


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_piped_output_is_plain_text(shown: Desk, command: list[str]) -> None:
    done = shown.ok(*command, env={"FORCE_COLOR": "1"})
    assert not ANSI.search(done.out)
    assert done.out.isascii()


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_json_is_the_same_at_a_terminal(shown: Desk, command: list[str]) -> None:
    done = shown.at_terminal(*command, "--json")
    assert done.code == 0
    assert not ANSI.search(done.out)
    assert done.json


def test_piped_rows_are_tab_separated_with_a_heading(shown: Desk) -> None:
    rows = list(csv.DictReader(shown.ok("status").out.splitlines(), delimiter="\t"))
    assert {row["key"]: row["state"] for row in rows} == STATES


@pytest.mark.parametrize("command", [["status"], ["list"]], ids=" ".join)
def test_a_terminal_gets_a_table_in_colour_unless_no_color_is_set(shown: Desk, command: list[str]) -> None:
    coloured = shown.at_terminal(*command)
    assert "─" in coloured.text
    assert "\x1b[" in coloured.out
    plain = shown.at_terminal(*command, env={"NO_COLOR": "1"})
    assert "─" in plain.text
    assert not {code for code in ANSI.findall(plain.out) if code not in ("\x1b[0m", "\x1b[1m", "\x1b[2m")}


def test_the_manifest_is_found_from_a_folder_below_and_by_name(shown: Desk) -> None:
    below = shown.folder / "some" / "where"
    below.mkdir(parents=True, exist_ok=True)
    elsewhere = Desk(below)
    assert len(elsewhere.ok("list", "--json").json) == 5
    manifest = str(shown.folder / "vantage-secrets.toml")
    assert len(Desk(shown.folder.parent / "out").ok("--manifest", manifest, "list", "--json").json) == 5
    environment = {"VANTAGE_SECRETS_MANIFEST": manifest}
    assert len(Desk(shown.folder.parent / "out").ok("list", "--json", env=environment).json) == 5
