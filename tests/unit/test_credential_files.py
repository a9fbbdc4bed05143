"""Names lead to parsers, and each kind of secret is told, tried and findable in a history."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.canary import canary
from tests.leaks.marked_files import Case, kinds_in
from tests.unit import (
    test_credential_files_clients,
    test_credential_files_data,
    test_credential_files_settings,
)
from vantage_secrets.leaks.credential_files import BASE_NAMES, KINDS, MARKS, SUFFIXES, parser_for, parser_of_text
from vantage_secrets.leaks.finding import Confidence
from vantage_secrets.leaks.ruleset import load_rules, rule_files

CASES: tuple[Case, ...] = (
    *test_credential_files_clients.CASES,
    *test_credential_files_data.CASES,
    *test_credential_files_settings.CASES,
)
BINARY = {"dbeaver-credentials", "vnc-password"}
"""Kinds that are a whole binary file; they have tests of their own."""


def test_each_kind_is_tried_in_a_file() -> None:
    tried = set().union(*(kinds_in(case.template) for case in CASES)) | BINARY
    assert tried == set(KINDS)


def test_each_kind_tells_what_it_is_what_to_do_and_where_it_is_documented() -> None:
    for title, advice, confidence, source in KINDS.values():
        assert title
        assert advice.endswith(".")
        assert Confidence(confidence)
        assert source.startswith("https://") or len(source.split()) >= 3, title


def test_no_kind_has_the_id_of_a_rule() -> None:
    assert not KINDS.keys() & {rule.id for rule in load_rules(rule_files())}


def test_a_history_can_find_each_file_by_its_base_name_its_suffix_or_its_text() -> None:
    in_folder = (b".conf", b".xml", b".yaml", b".yml", b".py", b".key")
    lost = []
    for path, template in CASES:
        base = path.rpartition("/")[2].lower().encode()
        is_named = base in BASE_NAMES or base.startswith(b".env.") or base.endswith((*SUFFIXES, *in_folder))
        if not is_named and not any(mark in template.encode() for mark in MARKS):
            lost.append(path)
    assert lost == []


def test_upper_and_lower_case_are_one() -> None:
    assert parser_for("HOME/.NetRC") is parser_for("home/.netrc") is not None


def test_a_member_of_an_archive_has_the_parser_of_its_own_name() -> None:
    assert parser_for("backup.tar!.netrc") is parser_for(".netrc")
    assert parser_for("backup.tar!home/.aws/credentials") is parser_for(".aws/credentials") is not None


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "README.md",
        "src/main.py",
        "config",
        "docs/credentials",
        "a/token",
        "net.rc",
        "src/settings.rs",
        "etc/passwd",
    ],
)
def test_an_ordinary_file_has_none(path: str) -> None:
    assert parser_for(path) is None


def test_a_text_with_a_mark_is_read_by_its_syntax() -> None:
    value = canary()
    as_json = f'{{"kind": "Secret", "stringData": {{"a": "{value}"}}}}'.encode()
    as_yaml = f"kind: Secret\nstringData:\n  a: {value}\n".encode()
    for data in (as_json, as_yaml):
        assert any(mark in data for mark in MARKS)
        assert [data[field.begin : field.end] for field in parser_of_text(data)(data)] == [value.encode()]


def test_names_are_looked_up_without_loading_any_format() -> None:
    code = (
        "import sys; from vantage_secrets.leaks.credential_files import parser_for; parser_for('src/main.py');"
        "folder = 'vantage_secrets.leaks.credential_files.'; "
        "print(sorted(name.removeprefix(folder) for name in sys.modules if name.startswith(folder)))"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert loaded.strip() == "['contract', 'kinds', 'names']"
