"""A report for programs: its shape is the schema's, and the schema says what every field is."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.leaks.sample_report import attribution, coverage, finding, known, report, rich_report
from vantage_secrets.leaks.finding import Finding, Place, Report
from vantage_secrets.leaks.reports.json_report import SCHEMA_FILE, SCHEMA_VERSION, to_json

SCHEMA = json.loads(SCHEMA_FILE.read_text("utf-8"))


def read(result: Report) -> dict[str, Any]:
    content = json.loads(to_json(result))
    jsonschema.Draft202012Validator(SCHEMA).validate(content)
    assert isinstance(content, dict)
    return content


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["properties"]["schema_version"] == {"const": SCHEMA_VERSION}


def test_a_report_with_everything_in_it_is_valid() -> None:
    content = read(rich_report())
    assert content["started_at"] == "2026-01-01T00:00:00Z"
    assert content["seconds"] == 0.417
    assert content["exit_code"] == 1
    assert content["is_complete"] is False
    assert content["summary"] == {
        "new": 12,
        "baseline": 1,
        "suppressed": 1,
        "dangerous": 3,
        "new_by_confidence": {"high": 10, "medium": 2, "low": 0},
    }
    assert len(content["findings"]) == 14


def test_a_clean_report_is_valid() -> None:
    content = read(report())
    assert (content["findings"], content["exit_code"], content["is_complete"]) == ([], 0, True)


@pytest.mark.parametrize("field", Finding._fields)
def test_every_field_of_a_finding_is_there(field: str) -> None:
    given = finding(known=known(), attribution=attribution("config/app.env"), decoded=("hex",), reason="why")
    told = read(report(given))["findings"][0]
    name = {"length": "length_bytes"}.get(field, field)
    value = getattr(given, field)
    if field in ("place", "known", "attribution"):
        assert set(value._fields) <= set(told[name])
    elif field == "decoded":
        assert told[name] == ["hex"]
    else:
        assert told[name] == value


def test_a_value_of_ours_says_whether_it_is_dangerous() -> None:
    said = [read(report(finding(known=known(stage))))["findings"][0]["known"] for stage in ("current", "retired")]
    assert [each["is_dangerous"] for each in said] == [True, False]
    assert said[0]["consumers"] == ["worker", "collector"]


def test_what_was_not_read_is_there_with_its_place() -> None:
    covered = coverage()
    covered.miss(Place("repo", "", "ab" * 20, "blob"), "object is missing")
    content = read(report(covered=covered))
    place = {"source": "repo", "path": "", "object_id": "ab" * 20, "kind": "blob", "detail": ""}
    assert content["coverage"]["unread"] == [{"place": place, "reason": "object is missing"}]
    assert content["exit_code"] == 3


def test_a_report_that_says_more_or_less_than_the_schema_is_refused() -> None:
    content = json.loads(to_json(rich_report()))
    for change in ({"value": "x"}, {"rule": None}):
        wrong = {**content, "findings": [{**content["findings"][0], **change}]}
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.Draft202012Validator(SCHEMA).validate(wrong)


@given(st.text(st.characters()))
def test_any_text_from_outside_gives_json_that_every_reader_can_read(text: str) -> None:
    content = to_json(report(finding(place=Place(text, text), reason=text), targets=(text,)))
    jsonschema.Draft202012Validator(SCHEMA).validate(json.loads(content))
    json.loads(content)["findings"][0]["place"]["path"].encode("utf-8")
    assert content.isascii()
