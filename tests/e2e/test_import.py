"""``migrate import``: names and never values, asked before anything is written, and what is left to do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from tests.canary import canary
from tests.e2e.desk import Desk

ALL = (
    *("VANTAGE_API_KEY", "API_KEY", "WORKER_CLICKHOUSE_PASSWORD"),
    *("API_CLICKHOUSE_PASSWORD", "KAFKA_SASL_PASSWORD"),
)
FILE = "CLEAR.env"


def _write(desk: Desk, lines: Mapping[str, str], *more: str) -> None:
    text = "\n".join([*(f"{key}={value}" for key, value in lines.items()), *more, ""])
    (desk.folder / FILE).write_text(text)


def _actions(record: Any) -> dict[str, str]:
    return {row["key"]: row["action"] for row in record["rows"]}


@pytest.fixture
def values(desk: Desk) -> dict[str, str]:
    """The five values, which stand in the file."""
    values = {key: canary() for key in ALL}
    _write(desk, values, "CLICKHOUSE_HOST=localhost")
    return values


def test_an_import_shows_names_and_brings_every_value_in(desk: Desk, values: dict[str, str]) -> None:
    before = (desk.folder / FILE).read_bytes()
    done = desk.ok("migrate", "import", FILE, "--yes")
    for key in ALL:
        assert key in done.out
        assert desk.held(key) == values[key]
    assert "5 secrets written, read back and compared." in done.out
    assert "Left to do:" in done.out
    assert "VANTAGE_API_KEY, API_KEY" in done.out
    assert (desk.folder / FILE).read_bytes() == before, "the file is read and not changed"


def test_a_second_import_changes_nothing(desk: Desk, values: dict[str, str]) -> None:
    desk.ok("migrate", "import", FILE, "--yes")
    record = desk.ok("migrate", "import", FILE, "--yes", "--json").json
    assert _actions(record) == dict.fromkeys(ALL, "unchanged") | {"CLICKHOUSE_HOST": "configuration"}
    assert record["complete"] is True
    assert len(desk.ok("history", "KAFKA_SASL_PASSWORD", "--json").json) == 1


def test_an_import_as_json_has_stable_keys(desk: Desk, values: dict[str, str]) -> None:
    record = desk.ok("migrate", "import", FILE, "--yes", "--json").json
    assert set(record) == {"rows", "duplicates", "problems", "missing", "complete", "left_to_do"}
    assert all(set(row) == {"key", "line", "action", "name", "version", "error"} for row in record["rows"])
    assert record["rows"][0] == {
        "key": "VANTAGE_API_KEY",
        "line": 1,
        "action": "create",
        "name": "vantage/api-key",
        "version": "1",
        "error": None,
    }


def test_nothing_is_written_where_nobody_can_be_asked(desk: Desk, values: dict[str, str]) -> None:
    for words in ([], ["--json"]):
        done = desk.run("migrate", "import", FILE, *words)
        assert done.code == 2
        assert "hint: Add --yes.\n" in done.err
        assert "written" not in done.out
    assert done.out == ""
    assert desk.ok("list").out == ""


def test_a_person_is_asked_and_can_say_no(desk: Desk, values: dict[str, str]) -> None:
    question = "Write 5 secrets to the store? [y/N]: "
    declined = desk.at_terminal("migrate", "import", FILE, answers=[(question, "n\n")])
    assert declined.code == 1
    assert "error[declined]: Nothing was changed." in declined.text
    assert desk.ok("list").out == ""
    agreed = desk.at_terminal("migrate", "import", FILE, answers=[(question, "y\n")])
    assert agreed.code == 0
    assert desk.held("API_KEY") == values["API_KEY"]


def test_another_value_is_written_only_with_replace(desk: Desk, values: dict[str, str]) -> None:
    held = desk.hold("KAFKA_SASL_PASSWORD")
    done = desk.run("migrate", "import", FILE, "--yes", "--json")
    assert done.code == 3, "something was not imported"
    assert _actions(done.json)["KAFKA_SASL_PASSWORD"] == "replace"
    assert done.json["complete"] is False
    assert desk.held("KAFKA_SASL_PASSWORD") == held
    assert desk.last_command()["outcome"] == "failed"
    desk.ok("migrate", "import", FILE, "--yes", "--replace")
    assert desk.held("KAFKA_SASL_PASSWORD") == values["KAFKA_SASL_PASSWORD"]


def test_duplicates_and_lines_that_say_nothing_are_reported_by_line(desk: Desk) -> None:
    last = canary()
    _write(desk, {"API_KEY": canary()}, "this says nothing", f"API_KEY={last}", "KAFKA_SASL_PASSWORD=")
    done = desk.ok("migrate", "import", FILE, "--yes")
    assert "note: API_KEY is set on lines 1, 3; the last one counts.\n" in done.err
    assert "note: line 2: " in done.err
    assert desk.held("API_KEY") == last
    record = desk.ok("migrate", "import", FILE, "--yes", "--json").json
    assert record["duplicates"] == [{"key": "API_KEY", "lines": [1, 3]}]
    assert [problem["line"] for problem in record["problems"]] == [2]
    assert _actions(record)["KAFKA_SASL_PASSWORD"] == "empty"
    assert "KAFKA_SASL_PASSWORD" in record["missing"]


def test_what_the_manifest_does_not_know_is_added_when_it_looks_like_a_secret_or_is_named(desk: Desk) -> None:
    values = {"STRIPE_TOKEN": canary(), "PLAIN": canary(), "OTHER_TOKEN": canary(), "COLOUR": "blue"}
    _write(desk, values)
    words = ("--include", "PLAIN", "--exclude", "OTHER_TOKEN")
    record = desk.ok("migrate", "import", FILE, "--yes", "--json", *words).json
    assert _actions(record) == {
        "STRIPE_TOKEN": "create",
        "PLAIN": "create",
        "OTHER_TOKEN": "configuration",
        "COLOUR": "configuration",
    }
    assert desk.held("STRIPE_TOKEN") == values["STRIPE_TOKEN"]
    assert desk.held("plain") == values["PLAIN"]


def test_dollars_stay_unless_interpolation_is_asked_for(desk: Desk) -> None:
    base = canary()
    _write(desk, {"BASE_TOKEN": base, "KAFKA_SASL_PASSWORD": "${BASE_TOKEN}-x"})
    desk.ok("migrate", "import", FILE, "--yes")
    assert desk.held("KAFKA_SASL_PASSWORD") == "${BASE_TOKEN}-x"
    desk.ok("migrate", "import", FILE, "--yes", "--replace", "--interpolate")
    assert desk.held("KAFKA_SASL_PASSWORD") == f"{base}-x"


def test_a_file_that_is_not_there_is_named(shown: Desk) -> None:
    done = shown.run("migrate", "import", "nowhere.env", "--yes")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("error[invalid_dotenv]: ")
    assert "nowhere.env" in done.err
