"""How rows and records are printed for programs and for pipes; terminals are tried in tests/e2e."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest

from tests.canary import canary
from vantage_secrets.cli.output import print_record, print_rows
from vantage_secrets.secret import SecretName, SecretValue, Stage

INSTANT = datetime(2026, 1, 2, 3, 4, 5, 678_900, tzinfo=timezone(timedelta(hours=2)))
ROW = {
    "name": SecretName("a/b"),
    "stage": Stage.CURRENT,
    "at": INSTANT,
    "age": timedelta(days=1, hours=2),
    "names": ("x", "y"),
    "yes": True,
    "none": None,
    "count": 3,
    "inner": {"at": INSTANT.astimezone(UTC)},
}


def test_json_has_every_key_with_seconds_and_instants(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows({"name": "Name"}, [ROW], as_json=True)
    assert json.loads(capsys.readouterr().out) == [
        {
            "name": "a/b",
            "stage": "current",
            "at": "2026-01-02T03:04:05.678900+02:00",
            "age": 93_600.0,
            "names": ["x", "y"],
            "yes": True,
            "none": None,
            "count": 3,
            "inner": {"at": "2026-01-02T01:04:05.678900+00:00"},
        }
    ]


def test_piped_rows_are_tab_separated_under_their_keys(capsys: pytest.CaptureFixture[str]) -> None:
    columns = {key: key.title() for key in ("name", "at", "age", "names", "yes", "none")}
    print_rows(columns, [ROW], as_json=False)
    assert capsys.readouterr().out.splitlines() == [
        "name\tat\tage\tnames\tyes\tnone",
        "a/b\t2026-01-02T01:04:05+00:00\t1d2h\tx,y\tyes\t",
    ]


def test_a_cell_cannot_break_out_of_its_row(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows({"a": "A", "b": "B"}, [{"a": "x\ty\nz", "b": "1"}], as_json=False)
    assert capsys.readouterr().out.splitlines()[1] == "x y z\t1"


def test_one_column_has_no_heading_and_no_rows_are_no_lines(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows({"name": "Name"}, [ROW], as_json=False)
    print_rows({"name": "Name"}, [], as_json=False, empty="Nothing.")
    assert capsys.readouterr().out == "a/b\n"
    print_rows({"name": "Name"}, [], as_json=True)
    assert capsys.readouterr().out == "[]\n"


def test_a_record_is_a_line_for_each_key(capsys: pytest.CaptureFixture[str]) -> None:
    print_record({"due_at": INSTANT, "n": None}, as_json=False)
    assert capsys.readouterr().out.splitlines() == ["due at:  2026-01-02T01:04:05+00:00", "n:       "]


def test_a_value_that_gets_in_by_mistake_stays_redacted(capsys: pytest.CaptureFixture[str]) -> None:
    row = {"value": SecretValue(canary()), "other": ""}
    print_rows({"value": "Value", "other": "Other"}, [row], as_json=False)
    print_record(row, as_json=True)
    assert capsys.readouterr().out.count("***") == 2
