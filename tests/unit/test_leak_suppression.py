"""Comments that allow a finding."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.canary import canary
from vantage_secrets.leaks.suppression import Outcome, Suppression, suppression_for

TODAY = "2026-06-15"
VALUE = b"the-value"


def judged(text: str, rule: str = "github-token", value: bytes = VALUE) -> Suppression | None:
    data = text.encode()
    begin = data.index(value)
    return suppression_for(data, begin, begin + len(value), rule, TODAY)


def outcome(text: str, rule: str = "github-token") -> str:
    found = judged(text, rule)
    return found.outcome.value if found else "none"


@pytest.mark.parametrize(
    "text",
    [
        't = "the-value"  # vantage-secrets: allow github-token reason="made up"',
        't = "the-value" // vantage-secrets: allow github-token reason="made up"\nnext',
        "t = 'the-value' -- vantage-secrets: allow * reason='made up'",
        '/* vantage-secrets: allow github-token reason="made up" */ t = "the-value"',
        '<t>the-value</t> <!-- vantage-secrets: allow github-token reason="made up" -->\r\n',
        't=the-value ; vantage-secrets: allow github-token reason="made up"',
        't=the-value %vantage-secrets: allow github-token reason="made up"',
        't=the-value # noqa # vantage-secrets: allow github-token reason="made up"  # nosec',
        't=the-value # vantage-secrets: allow aws-key,github-token until=2026-06-15 reason="made up"',
        'x\n  # vantage-secrets: allow github-token reason="made up"\nt = the-value',
        '# vantage-secrets: allow github-token reason="made up"\r\nt = the-value\r\n',
        'first\n * vantage-secrets: allow github-token reason="made up"\n * the-value\n',
        't=the-value # vantage-secrets: allow other reason="x" # vantage-secrets: allow github-token reason="made up"',
    ],
)
def test_a_whole_comment_in_the_line_or_alone_above_it_suppresses(text: str) -> None:
    found = judged(text)
    assert found is not None
    assert (found.outcome, found.reason) == (Outcome.SUPPRESSED, "made up")
    assert found.holds


@pytest.mark.parametrize(
    ("comment", "why"),
    [
        ("allow github-token", "no reason"),
        ('allow github-token reason=""', "no reason"),
        ('allow github-token reason="  "', "no reason"),
        ('allow reason="x"', "no rule"),
        ("allow", "no rule"),
        ('allow aws-key reason="x"', "allows aws-key, and this is github-token"),
        ('allow github-token reason="x" until=2027-02-30', "no date"),
        ('allow github-token reason="x" until=soon', "no date"),
        ('allow github-token reason="x" untill=2027-01-01', "more in it"),
        ('allow github-token reason="x" for ever', "more in it"),
        ('allow github-token reason="x', "more in it"),
        ('allow github-token, aws-key reason="x"', "no rule"),
    ],
)
def test_a_comment_with_a_mistake_suppresses_nothing_and_says_why(comment: str, why: str) -> None:
    found = judged(f"t = the-value  # vantage-secrets: {comment}")
    assert found is not None
    assert found.outcome is Outcome.MALFORMED
    assert not found.holds
    assert why in found.reason


def test_a_comment_holds_through_its_last_day_and_not_longer() -> None:
    line = 't=the-value # vantage-secrets: allow * reason="until the move" until={}'
    assert outcome(line.format("2026-06-15")) == "suppressed"
    expired = judged(line.format("2026-06-14"))
    assert expired is not None
    assert expired.outcome is Outcome.EXPIRED
    assert expired.until == "2026-06-14"
    assert expired.reason.endswith("2026-06-14: until the move")


@pytest.mark.parametrize(
    "text",
    [
        "t = the-value",
        't = the-value\n# vantage-secrets: allow github-token reason="below"',
        '# vantage-secrets: allow github-token reason="two above"\n\nt = the-value',
        'u = "other"  # vantage-secrets: allow github-token reason="about that line"\nt = the-value',
        'the-value vantage-secrets: allow github-token reason="no comment"',
        "t = the-value" + " " * 20_000 + '# vantage-secrets: allow * reason="too far"',
    ],
)
def test_a_comment_elsewhere_is_none(text: str) -> None:
    assert judged(text) is None


def test_a_comment_inside_the_value_is_none() -> None:
    text = b'key # vantage-secrets: allow * reason="mine" end'
    assert suppression_for(text, 0, len(text), "private-key", TODAY) is None


def test_a_value_of_several_lines_is_allowed_above_its_first_or_behind_its_last() -> None:
    allow = '# vantage-secrets: allow * reason="old"'
    for text in (f"{allow}\nBEGIN\nmiddle\nEND\n", f"BEGIN\nmiddle\nEND {allow}\n"):
        data = text.encode()
        found = suppression_for(data, data.index(b"BEGIN"), data.index(b"END") + 3, "private-key", TODAY)
        assert found is not None
        assert found.holds


def test_everything_does_not_include_our_own_values() -> None:
    assert outcome('the-value # vantage-secrets: allow * reason="x"', "known-value") == "malformed"
    assert outcome('the-value # vantage-secrets: allow known-value reason="x"', "known-value") == "suppressed"


def test_a_reason_shows_neither_the_value_nor_control_characters() -> None:
    value = canary("reason")
    found = judged(f'{value} # vantage-secrets: allow * reason="was {value} \x1b[2J before"', value=value.encode())
    assert found is not None
    assert found.reason == "was ••• \N{REPLACEMENT CHARACTER}[2J before"


@given(st.binary(max_size=200), st.integers(0, 200), st.integers(0, 50))
def test_no_text_brings_it_down(noise: bytes, begin: int, length: int) -> None:
    data = noise + b"\n#vantage-secrets: allow" + noise
    begin = min(begin, len(data))
    found = suppression_for(data, begin, min(len(data), begin + length), "github-token", TODAY)
    assert found is None or found.reason.isprintable()
