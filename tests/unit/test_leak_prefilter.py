"""The widened form of a rule matches wherever the rule does, and the rule is tried where it must be."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vantage_secrets.leaks.prefilter import derive, required_words

PIECES = [
    "abc",
    "ab?",
    "(?:ab|cd)",
    "[a-c]{1,3}",
    "(?i:abc)",
    "\\d",
    "[^a]",
    "(?=a)",
    "(?<!b)",
    "\\b",
    "c*",
    "a{2,400}",
    ".",
]
REGEXES = st.lists(st.sampled_from(PIECES), min_size=1, max_size=6).map("".join)


def usable(regex: str) -> bool:
    try:
        derive(regex)
    except ValueError:
        return False
    return True


@settings(max_examples=400, deadline=None)
@given(regex=REGEXES.filter(usable), data=st.data())
def test_wherever_a_rule_matches_its_prefilter_ends_within_reach(regex: str, data: st.DataObject) -> None:
    made = derive(regex)
    text = data.draw(st.text("abcdABC1 \n", max_size=60)).encode()
    ends = [
        begin + match.end()
        for expression in made.expressions
        for begin in range(len(text))
        if (match := re.compile(expression).match(text[begin:]))
    ]
    for match in re.finditer(regex.encode(), text):
        assert any(end - made.lookback <= match.start() < end and match.end() <= end + made.reach for end in ends)


@pytest.mark.parametrize("regex", ["a*", "(?:ab)?", "(?=abc)", "a*|b"])
def test_what_can_match_nothing_has_no_prefilter(regex: str) -> None:
    with pytest.raises(ValueError, match="empty"):
        derive(regex)


def test_branches_at_the_beginning_are_expressions_of_their_own() -> None:
    assert len(derive("k(?:ab|cd(?:ef|gh))x").expressions) == 3


@pytest.mark.parametrize(
    ("regex", "words"),
    [
        ("ghp_[a-z]{30}", {(b"ghp_", False)}),
        ("(?i:password)=x", {(b"password", True)}),
        ("(?:alpha|omega)[0-9]", {(b"alpha", False), (b"omega", False)}),
        ("xo[xp]b-[0-9]", {(b"xoxb-", False), (b"xopb-", False)}),
        ("[0-9]{30}", set()),
        ("(?:alpha|[0-9])", set()),
        ("(?:alpha)?beta_", {(b"beta_", False)}),
    ],
)
def test_the_words_are_those_that_a_rule_cannot_do_without(regex: str, words: set[tuple[bytes, bool]]) -> None:
    assert set(required_words(regex)) == words
