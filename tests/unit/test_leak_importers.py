"""Reports of other tools become findings of ours, and no value stays in them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.canary import canary
from tests.leaks.made_findings import KEY
from vantage_secrets.errors import InvalidInputError
from vantage_secrets.leaks.finding import Finding, Place
from vantage_secrets.leaks.importers import TOOLS, read_foreign

COMMIT = "dd02d15dce55964180cb3bf7c6f7257072527f0d"
AUTHOR = "Dev <dev@example.org>"
AT = 1_767_312_000  # 2026-01-02 00:00 UTC


def gitleaks(value: str, *, commit: str = COMMIT, line: int = 3) -> dict[str, Any]:
    return {
        "RuleID": "github-pat",
        "Description": "A GitHub token.",
        "StartLine": line,
        "EndLine": line,
        "StartColumn": 1 + (line > 1),
        "EndColumn": 9 + len(value),
        "Match": f'TOKEN = "{value}"',
        "Secret": value,
        "File": "src/config.py",
        "SymlinkFile": "",
        "Commit": commit,
        "Entropy": 4.9,
        "Author": "Dev" if commit else "",
        "Email": "dev@example.org" if commit else "",
        "Date": "2026-01-02T00:00:00Z" if commit else "",
        "Message": f"remove {value}",
        "Tags": [],
        "Fingerprint": "…",
    }


def betterleaks(value: str) -> dict[str, Any]:
    return {
        "rule_id": "github-pat",
        "rule_hash": "fa24",
        "description": "A GitHub token.",
        "confidence": "high",
        "match": {"full": f'TOKEN = "{value}"', "value": value, "fingerprint": "f1dd"},
        "attributes": {
            "git.author_email": "dev@example.org",
            "git.author_name": "Dev",
            "git.date": "2026-01-02T00:00:00Z",
            "git.sha": COMMIT,
            "resource": "git.patch_content",
        },
        "location": {
            "path": "src/config.py",
            "start_line": 3,
            "end_line": 3,
            "start_column": 1,
            "end_column": 9 + len(value),
        },
    }


def kingfisher(value: str) -> dict[str, Any]:
    return {
        "rule": {"title": "GITHUB-PAT", "name": "github-pat", "id": "kingfisher.github-pat", "description": "A token."},
        "finding": {
            "snippet": value,
            "fingerprint": "7906",
            "confidence": "high",
            "entropy": "4.90",
            "validation": {"outcome": "not_attempted", "status": "Not Attempted", "response": ""},
            "language": "Python",
            "line": 3,
            "column_start": 9,
            "column_end": 8 + len(value),
            "path": "src/config.py",
            "git_metadata": {
                "repository_url": "repo",
                "commit": {
                    "id": COMMIT,
                    "date": "2026-01-02",
                    "author": {"name": "Dev", "email": "dev@example.org"},
                },
            },
            "validate_command": f"kingfisher validate '{value}'",
        },
    }


def trufflehog(value: str, kind: str = "Git", **more: object) -> dict[str, Any]:
    about = {
        "commit": COMMIT,
        "file": "src/config.py",
        "email": AUTHOR,
        "repository": "https://host.example/repo",
        "timestamp": "2026-01-01 16:00:00 -0800 PST",
        "line": 3,
    }
    return {
        "SourceMetadata": {"Data": {kind: {**about, **more}}},
        "SourceID": 1,
        "SourceType": 16,
        "SourceName": "trufflehog - git",
        "DetectorType": 8,
        "DetectorName": "Github",
        "DecoderName": "PLAIN",
        "Verified": True,
        "Raw": value,
        "RawV2": "",
        "Redacted": "",
        "ExtraData": None,
        "StructuredData": None,
    }


def ggshield(value: str) -> dict[str, Any]:
    match = {"match": value, "type": "apikey", "line_start": 3, "line_end": 3}
    match |= {"index_start": 9, "index_end": 9 + len(value)}
    host = {"match": "host.example", "type": "host", "line_start": 3, "line_end": 3, "index_start": 0, "index_end": 1}
    incident = {"policy": "Secrets detection", "type": "GitHub Token", "validity": "valid", "ignore_sha": "ab12"}
    entity = {"mode": "NEW", "filename": "src/config.py", "total_incidents": 1, "total_occurrences": 1}
    inner = {
        "id": COMMIT,
        "type": "commit",
        "extra_info": {"author": "Dev", "email": "dev@example.org", "date": "Fri Jan 2 00:00:00 2026 +0000"},
        "entities_with_incidents": [{**entity, "incidents": [{**incident, "occurrences": [host, match]}]}],
    }
    return {"id": "HEAD~1..", "type": "commit-ranges", "total_incidents": 1, "total_occurrences": 1, "scans": [inner]}


def lines(*records: dict[str, Any]) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


REPORTS: dict[str, Callable[[str], str]] = {
    "gitleaks": lambda value: json.dumps([gitleaks(value)]),
    "betterleaks": lambda value: json.dumps({"schema_version": "1", "findings": [betterleaks(value)], "scan": {}}),
    "betterleaks lines": lambda value: lines(
        {"schema_version": "1", "finding": betterleaks(value)}, {"schema_version": "1", "scan": {"state": "complete"}}
    ),
    "kingfisher": lambda value: json.dumps({"findings": [kingfisher(value)], "audit": {}, "metadata": {}}),
    "kingfisher lines": lambda value: lines(kingfisher(value), {"audit": {}}),
    "trufflehog": lambda value: lines(
        {"level": "info-0", "ts": "2026-01-02T00:00:00Z", "msg": "scanning"}, trufflehog(value)
    ),
    "ggshield": lambda value: json.dumps(ggshield(value)),
}


def write(folder: Path, text: str) -> Path:
    path = folder / "CLEAR-report.json"
    path.write_text(text)
    return path


def read(folder: Path, text: str, kind: str = "auto") -> list[tuple[Finding, bytes | None]]:
    return read_foreign(write(folder, text), kind, key=KEY, source="/repo")


@pytest.mark.parametrize("name", REPORTS)
def test_a_report_is_recognised_and_its_secret_is_where_it_says(tmp_path: Path, name: str) -> None:
    value = canary()
    tool = name.partition(" ")[0]
    text = REPORTS[name](value)
    ((found, with_it),) = read(tmp_path, text)
    assert read(tmp_path, text, tool) == [(found, with_it)]
    assert with_it == value.encode()
    assert found.fingerprint == KEY.fingerprint(value.encode())
    assert (found.reported_by, found.place) == (tool, Place("/repo", "src/config.py", "", "blob"))
    is_without_columns = tool == "trufflehog"
    column = 1 if is_without_columns else 10
    assert (found.line, found.column, found.end_line, found.end_column) == (3, column, 3, column + len(value))
    assert found.attribution is not None
    assert found.attribution.first == (COMMIT, "src/config.py", AUTHOR, AT)
    assert value not in repr(found)
    assert found.length == len(value)


@pytest.mark.parametrize("name", REPORTS)
def test_a_redacted_report_gives_places_without_fingerprints(tmp_path: Path, name: str) -> None:
    masks = {"kingfisher": ["[REDACTED:5824cec7]"], "ggshield": ["ghp_********Ur"], "trufflehog": [""]}
    for mask in masks.get(name.partition(" ")[0], ["REDACTED", "ghp_ujOe..."]):
        ((found, value),) = read(tmp_path, REPORTS[name](mask))
        assert (value, found.fingerprint, found.length) == (None, "", 0)
        assert (found.place.path, found.line) == ("src/config.py", 3)


def test_gitleaks_of_a_folder_has_a_file_and_no_history(tmp_path: Path) -> None:
    value = canary()
    ((found, _value),) = read(tmp_path, json.dumps([gitleaks(value, commit="", line=1)]))
    assert found.place == Place("/repo", "src/config.py")
    assert found.attribution is None
    assert (found.line, found.column, found.end_column) == (1, 10, 10 + len(value))


def test_trufflehog_of_a_folder_a_host_and_a_message(tmp_path: Path) -> None:
    value = canary()
    folder = trufflehog(value, "Filesystem", commit="")
    host = trufflehog(value, "Github")
    message = trufflehog(value, file="")
    places = [found.place for found, _value in read(tmp_path, lines(folder, host, message))]
    assert places == [
        Place("/repo", "src/config.py"),
        Place("https://host.example/repo", "src/config.py", kind="record"),
        Place("/repo", "", COMMIT, "commit"),
    ]


def test_both_parts_of_a_credential_are_findings(tmp_path: Path) -> None:
    first, second = canary("id"), canary("key")
    fisher = kingfisher(first)
    fisher["finding"]["dependent_captures"] = {"AWS_SECRET_ACCESS_KEY": second}
    leaks = betterleaks(first)
    component = {key: leaks[key] for key in ("rule_hash", "location")}
    component |= {"rule_id": "aws-key", "match": {"full": second, "value": second}}
    leaks["component_sets"] = [{"components": [component]}]
    for text in (lines(fisher, {"audit": {}}), lines({"schema_version": "1", "finding": leaks})):
        found = read(tmp_path, text)
        assert [value for _finding, value in found] == [first.encode(), second.encode()]
        assert all(finding.attribution and finding.attribution.first for finding, _value in found)


def test_ggshield_names_commits_in_its_file_names_too(tmp_path: Path) -> None:
    report = ggshield(canary())
    inner = report["scans"][0]
    inner["type"], inner["id"] = "commit-range", "x"
    for name, commit in ((f"commit://{COMMIT}/a.py", COMMIT), ("commit://staged/a.py", "")):
        inner["entities_with_incidents"][0]["filename"] = name
        ((found, _value),) = read(tmp_path, json.dumps(report))
        assert found.place.path == "a.py"
        assert (found.attribution.first.commit if found.attribution and found.attribution.first else "") == commit


def test_words_about_a_value_do_not_hold_it_nor_control_characters(tmp_path: Path) -> None:
    value = canary()
    record = gitleaks(value)
    record["Description"] = f"Found {value}\x1b[2J"
    record["RuleID"] = f"rule-{value}"
    record["File"] = "a\x1b.py"
    ((found, _value),) = read(tmp_path, json.dumps([record]))
    assert (found.title, found.rule, found.place.path) == ("Found ••• [2J", "rule-•••", "a\\x1b.py")


def test_an_empty_report_is_clean_when_its_tool_is_named(tmp_path: Path) -> None:
    assert read(tmp_path, "[]", "gitleaks") == []
    assert read(tmp_path, "", "trufflehog") == []
    with pytest.raises(InvalidInputError, match="reports nothing") as caught:
        read(tmp_path, "[]")
    assert "--from" in caught.value.hint


@pytest.mark.parametrize("name", REPORTS)
def test_a_report_without_a_needed_field_is_damaged_and_quotes_no_value(tmp_path: Path, name: str) -> None:
    text = REPORTS[name](canary()).replace('"src/config.py"', "{}").replace('"line', '"n').replace('"Start', '"x')
    text = text.replace('"Raw"', '"Rew"').replace('"location"', '"place"').replace('"occurrences"', '"seen"')
    with pytest.raises(InvalidInputError, match=f"no whole report of {name.partition(' ')[0]}") as caught:
        read(tmp_path, text)
    assert "Expected is" in caught.value.hint
    assert caught.value.__suppress_context__


def test_a_number_without_end_is_damage(tmp_path: Path) -> None:
    text = json.dumps([gitleaks(canary()) | {"StartLine": float("inf")}])
    with pytest.raises(InvalidInputError, match="damaged"):
        read(tmp_path, text)


def test_what_is_no_report_is_refused_by_what_it_is(tmp_path: Path) -> None:
    value = canary()
    for text, message in [
        (f'{{"a": "{value}', "not JSON: see line 1"),
        (f'{{}}\n{{"a": "{value}"', "not JSON: see line 2"),
        ("[" * 100_000, "not JSON"),
        (f'["{value}"]', "something else than objects"),
        (f'{{"a": "{value}"}}', "no importer knows"),
    ]:
        with pytest.raises(InvalidInputError, match=message):
            read(tmp_path, text)
    with pytest.raises(InvalidInputError, match="no report of gitleaks"):
        read(tmp_path, REPORTS["kingfisher"](value), "gitleaks")
    with pytest.raises(InvalidInputError, match="no importer for 'nobody'"):
        read(tmp_path, "[]", "nobody")
    with pytest.raises(InvalidInputError, match="No such file"):
        read_foreign(tmp_path / "away", key=KEY)
    (tmp_path / "CLEAR-report.json").write_bytes(b"\xff\xfe[]")
    with pytest.raises(InvalidInputError, match="not UTF-8"):
        read_foreign(tmp_path / "CLEAR-report.json", key=KEY)


ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(TOOLS), st.data())
def test_a_report_that_somebody_tampered_with_never_brings_it_down(
    tmp_path: Path, tool: str, data: st.DataObject
) -> None:
    document = json.loads(REPORTS[tool]("x" * 30).splitlines()[-1])
    node, parent, key = document, None, None
    while isinstance(node, dict | list) and node and (parent is None or data.draw(st.booleans())):
        parent = node
        key = data.draw(st.sampled_from(sorted(node) if isinstance(node, dict) else range(len(node))))
        node = node[key]
    parent[key] = data.draw(ODD)
    try:
        found = read(tmp_path, json.dumps(document), tool)
    except InvalidInputError:
        return
    assert all(isinstance(finding, Finding) for finding, _value in found)
