"""What the pages on leak detection say of rules and reports is so."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path

from tests.leaks.sample_report import finding, known, report
from tests.leaks.slow_scan import scan
from tests.unit.test_leak_report_text import written
from vantage_secrets.leaks.checksums import CHECKS
from vantage_secrets.leaks.examples import ALPHABETS, expand
from vantage_secrets.leaks.reports.json_report import SCHEMA_FILE, SCHEMA_VERSION
from vantage_secrets.leaks.rule import Rule
from vantage_secrets.leaks.ruleset import load_rules

DOCS = Path(__file__).parents[2] / "docs"
RULES_PAGE = (DOCS / "how-to/write-a-rule.md").read_text("utf-8")
FORMATS_PAGE = (DOCS / "reference/report-formats.md").read_text("utf-8")


def example_rule(folder: Path) -> Rule:
    (text,) = re.findall(r"```toml\n(.*?)```", RULES_PAGE, re.DOTALL)
    file = folder / "ours.toml"
    file.write_text(text)
    (rule,) = load_rules([file])
    return rule


def test_the_rule_of_the_page_finds_its_positive_examples_and_no_negative_one(tmp_path: Path) -> None:
    rule = example_rule(tmp_path)
    generator = random.Random(1)
    for _ in range(5):
        for template in rule.positive:
            assert len(scan([rule], expand(template, generator).encode())) == 1, template
        for template in rule.negative:
            assert scan([rule], expand(template, generator).encode()) == [], template


def test_the_page_has_every_field_of_a_rule() -> None:
    fields = set(re.findall(r"^\| `([a-z]+)` \|", RULES_PAGE, re.MULTILINE))
    assert fields == set(Rule._fields) - {"category"}


def test_the_page_has_every_alphabet_and_checksum() -> None:
    alphabets = RULES_PAGE.partition("The alphabets are ")[2].partition(";")[0]
    assert re.findall(r"`(\w+)`", alphabets) == list(ALPHABETS)
    (checksums,) = re.findall(r"where the vendor has one: (.*) \|", RULES_PAGE)
    assert re.findall(r"`(\w+)`", checksums) == list(CHECKS)


def test_the_reference_has_every_field_of_the_schema() -> None:
    def names(part: object) -> set[str]:
        if isinstance(part, list):
            return set().union(*map(names, part))
        if not isinstance(part, dict):
            return set()
        return set(part.get("properties", ())).union(*map(names, part.values()))

    schema = json.loads(SCHEMA_FILE.read_text("utf-8"))
    told = set(re.findall(r"`([a-z_]+)`", FORMATS_PAGE))
    assert names(schema) - told == set()
    assert f"`schema_version` is `{SCHEMA_VERSION}`" in FORMATS_PAGE


def test_the_result_that_the_page_shows_is_what_a_scan_prints() -> None:
    page = (DOCS / "how-to/scan-for-leaks.md").read_text("utf-8")
    ours = finding(
        line=12, rule="known-value", title="One of our own values", known=known(), fingerprint="ae0bec9e9d33"
    )
    printed = written(report(ours)).splitlines()
    assert "\n".join(printed[:5]) in page
    (read,) = [line for line in printed if line.startswith("Read ")]
    assert read in page
