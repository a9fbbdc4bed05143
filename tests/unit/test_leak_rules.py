"""Each rule finds its own positive examples, once each, and none of its negative ones."""

from __future__ import annotations

import random

import pytest

from tests.leaks.slow_scan import scan
from vantage_secrets.leaks.examples import expand
from vantage_secrets.leaks.rule import Rule
from vantage_secrets.leaks.ruleset import load_rules, rule_files

RULES = load_rules(rule_files())


def made(rule: Rule, templates: tuple[str, ...]) -> list[str]:
    generator = random.Random(rule.id)
    return [expand(template, generator) for template in templates for _ in range(5)]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_a_rule_finds_each_of_its_positive_examples(rule: Rule) -> None:
    for text in made(rule, rule.positive):
        assert len(scan([rule], text.encode())) == 1, text


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_a_rule_finds_nothing_in_its_negative_examples(rule: Rule) -> None:
    for text in made(rule, rule.negative):
        assert scan([rule], text.encode()) == [], text


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_a_rule_names_its_source(rule: Rule) -> None:
    assert rule.source.startswith("https://") or len(rule.source.split()) >= 3
