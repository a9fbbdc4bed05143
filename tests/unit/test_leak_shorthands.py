"""What a rule's regular expression may write short means what the page on rules says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from vantage_secrets.errors import InvalidInputError
from vantage_secrets.leaks.prefilter import derive
from vantage_secrets.leaks.ruleset import load_rules
from vantage_secrets.leaks.shorthands import SHORTHANDS, written_out

RULE = """[[rule]]
id = "acme-key"
title = "Acme key"
source = "https://docs.acme.example/"
regex = '%s'
positive = ["x"]
negative = ["y"]
"""


def finds(regex: str, text: str) -> list[bytes]:
    return [match.group(1) for match in re.finditer(written_out(regex).encode(), text.encode())]


@pytest.mark.parametrize(
    "text",
    [
        "ACME_API_KEY=7f3a",
        "acme_api_key: '7f3a'",
        '{"acmeApiKey": "7f3a"}',
        "acme:\n  api_key: 7f3a",
        'Acme(api_key="7f3a")',
        "- name: ACME_API_KEY\n  value: 7f3a",
        'os.environ["ACME_KEY"] = "7f3a"',
        'acmeKey := "7f3a"',
    ],
)
def test_a_setting_is_found_in_the_ways_in_which_files_write_one(text: str) -> None:
    assert finds(r"(?i:acme){setting:key}([0-9a-f]{4}){end}", text) == [b"7f3a"]


@pytest.mark.parametrize(
    "text", ["ACME_KEY=7f3a", "acme-cli --key 7f3a", 'acme: {key: "7f3a"}', "acme key: str = '7f3a'"]
)
def test_a_near_word_is_found_on_a_command_line_too(text: str) -> None:
    assert finds(r"(?i:acme){near:key}([0-9a-f]{4}){alone}", text) == [b"7f3a"]


@pytest.mark.parametrize("text", ["acme_key = 7f3a.b", "acme_key = 7f3a(1)", "acme_key = 7f3a[0]", "acme_key = 7f3ac"])
def test_what_goes_on_behind_the_value_does_not_stand_alone(text: str) -> None:
    assert finds(r"(?i:acme){near:key}([0-9a-f]{4}){alone}", text) == []


def test_a_setting_without_words_of_its_own_has_those_of_most_vendors() -> None:
    for word in ("key", "token", "secret", "password", "auth", "credential"):
        assert finds("(?i:acme){setting}([0-9a-f]{4}){end}", f"acme_{word}=7f3a") == [b"7f3a"]
    assert finds("(?i:acme){setting}([0-9a-f]{4}){end}", "acme_region=7f3a") == []


def test_a_repeat_is_no_shorthand_and_neither_is_an_escaped_brace() -> None:
    assert written_out(r"[0-9a-f]{32}\{end}{1,}") == r"[0-9a-f]{32}\{end}{1,}"


@pytest.mark.parametrize("name", [*SHORTHANDS, "setting", "near"])
def test_each_shorthand_is_bounded_and_can_be_searched_for(name: str) -> None:
    assert derive(written_out(f"acme{{{name}}}7f3a")).lookback < 256


@pytest.mark.parametrize("regex", ["acme{ending}", "acme{end:key}"])
def test_a_shorthand_that_there_is_not_is_told_with_its_rule(regex: str, tmp_path: Path) -> None:
    file = tmp_path / "ours.toml"
    file.write_text(RULE % regex)
    with pytest.raises(InvalidInputError, match=r"the rule 'acme-key' .*: there is no shorthand"):
        load_rules([file])


def test_the_page_on_rules_lists_every_shorthand() -> None:
    page = (Path(__file__).parents[2] / "docs/how-to/write-a-rule.md").read_text("utf-8")
    listed = re.findall(r"^\| `\{([a-z]+)(?::[^}]*)?\}` \|", page, re.MULTILINE)
    assert sorted(listed) == sorted([*SHORTHANDS, "setting", "near"])
