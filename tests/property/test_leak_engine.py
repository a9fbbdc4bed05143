"""The engine finds what the slow, obvious scanner finds: each rule's regular expression over the whole text."""

from __future__ import annotations

import random
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.leaks.compiled_rules import CANARY_RULE, compiled_rules  # noqa: F401 - a fixture
from tests.leaks.slow_scan import Spot, scan
from vantage_secrets.leaks.examination import Examiner
from vantage_secrets.leaks.examples import expand
from vantage_secrets.leaks.matching import Matcher, open_matcher
from vantage_secrets.leaks.rule import Rule
from vantage_secrets.leaks.ruleset import load_rules, rule_files

FILES = rule_files([CANARY_RULE])
RULES = load_rules(FILES)
EXAMPLES = [(rule, template) for rule in RULES for template in (*rule.positive, *rule.negative)]
GLUE = [
    "",
    " ",
    "\n",
    "\n\n",
    '"',
    "'",
    "=",
    ": ",
    "x",
    "\t",
    ";",
    "/",
    "\\n",
    "\0",
    "é",
    "  key = ",
    "-",
    "_",
    "&",
    "\r\n",
]


@pytest.fixture(scope="module")
def matcher(compiled_rules: Path) -> Matcher:  # noqa: F811 - the fixture
    return open_matcher(FILES, compiled_rules)


@cache
def expanded(number: int, seed: int) -> bytes:
    return expand(EXAMPLES[number][1], random.Random(seed)).encode()


@st.composite
def salted(draw: st.DrawFn) -> bytes:
    """Return random text with examples of rules in it, some of them cut, some of them side by side."""
    generator = random.Random(draw(st.integers(0, 1 << 32)))
    parts: list[bytes] = []
    for number in draw(st.lists(st.integers(0, len(EXAMPLES) - 1), max_size=12)):
        example = expanded(number, generator.randrange(4))
        if generator.random() < 0.15:
            example = example[: generator.randrange(len(example) + 1)]
        if generator.random() < 0.1:
            parts.append(generator.randbytes(generator.randrange(400)))
        if generator.random() < 0.1:
            parts.append(bytes(generator.choices(b"abcXYZ019_-. =\"'\n", k=generator.randrange(3_000))))
        parts += [example, generator.choice(GLUE).encode()]
    return b"".join(parts)


def engine_spots(examiner: Examiner, text: bytes) -> list[Spot]:
    """Return what the rules say before it is decided which of several findings for one text is told."""
    found = examiner.confirmed(text, examiner.survey(text))
    return sorted((Spot(each.rule, each.begin, each.end) for each in found), key=lambda s: (s.begin, s.end, s.rule))


@settings(max_examples=150, deadline=None)
@given(text=salted())
def test_the_engine_finds_what_the_rules_find_one_by_one(text: bytes, matcher: Matcher) -> None:
    assert engine_spots(Examiner(matcher), text) == scan(RULES, text)


@settings(max_examples=60, deadline=None)
@given(texts=st.lists(salted(), max_size=4))
def test_documents_in_one_buffer_are_found_as_if_alone(texts: list[bytes], matcher: Matcher) -> None:
    examiner = Examiner(matcher)
    buffer, begins = b"", []
    for text in texts:
        begins.append(len(buffer))
        buffer += text + b"\n"
    candidates = examiner.survey(memoryview(buffer))
    for begin, text in zip(begins, texts, strict=True):
        own = [(index, end - begin) for index, end in candidates if begin < end <= begin + len(text)]
        assert examiner.examine(text, candidates=own) == Examiner(matcher).examine(text)


@settings(max_examples=40, deadline=None)
@given(texts=st.lists(salted(), min_size=1, max_size=3), data=st.data())
def test_what_was_examined_before_changes_no_result(texts: list[bytes], data: st.DataObject, matcher: Matcher) -> None:
    examiner = Examiner(matcher)
    for text in texts + data.draw(st.permutations(texts)):
        assert examiner.examine(text) == Examiner(matcher).examine(text)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_the_prefilter_of_a_rule_reports_each_of_its_examples(rule: Rule, matcher: Matcher) -> None:
    index = next(number for number, active in enumerate(matcher.rules) if active.rule.id == rule.id)
    active = matcher.rules[index]
    for number, template in enumerate(rule.positive):
        text = b"\n" + expand(template, random.Random(number)).encode() + b"\n"
        ends = [end for candidate, end in matcher.find(text) if candidate == index]
        for spot in scan([rule], text):
            assert any(spot.begin < end + active.reach and end - active.lookback <= spot.end for end in ends)


@settings(max_examples=100, deadline=None)
@given(text=st.binary(max_size=3_000))
def test_no_bytes_make_the_engine_raise(text: bytes, matcher: Matcher) -> None:
    found = Examiner(matcher).examine(text)
    assert all(0 <= each.begin <= each.end <= len(text) for each in found)


def test_what_is_told_of_one_text_is_one_finding(matcher: Matcher) -> None:
    generator = random.Random(7)
    for rule, template in EXAMPLES:
        found = Examiner(matcher).examine(expand(template, generator).encode())
        for one in found:
            others = [each for each in found if each is not one and not (each.decoded or one.decoded)]
            assert not any(one.begin < other.end and other.begin < one.end for other in others), rule.id
