"""A token whose checksum is wrong is no token."""

from __future__ import annotations

import random

import pytest

from tests.leaks.slow_scan import scan
from vantage_secrets.leaks.examples import expand
from vantage_secrets.leaks.rule import Rule
from vantage_secrets.leaks.ruleset import load_rules, rule_files

CHECKED = [rule for rule in load_rules(rule_files()) if rule.checksum]


@pytest.mark.parametrize("rule", CHECKED, ids=lambda rule: rule.id)
def test_a_token_with_one_other_character_has_another_checksum(rule: Rule) -> None:
    generator = random.Random(rule.id)
    text = expand(rule.positive[0], generator).encode()
    spot = scan([rule], text)[0]
    tried = 0
    for place in range(spot.begin + 12, spot.end):
        other = b"7" if text[place : place + 1] != b"7" else b"5"
        if not text[place : place + 1].isalnum():
            continue
        tried += 1
        assert scan([rule], text[:place] + other + text[place + 1 :]) == [], place
    assert tried > 10


def test_several_vendors_have_checksums() -> None:
    assert {"github", "gitlab"} <= {rule.checksum for rule in CHECKED}
