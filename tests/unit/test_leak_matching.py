"""Compiled rules are kept, and a file of them that is not what was written counts for nothing."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from tests.canary import canary
from tests.leaks.repositories import CANARY_RULE
from vantage_secrets.errors import InvalidInputError
from vantage_secrets.leaks.examination import Examiner
from vantage_secrets.leaks.matching import Matcher, open_matcher


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    file = tmp_path / "small.toml"
    file.write_text(CANARY_RULE)
    return file


def kept(folder: Path) -> list[Path]:
    return sorted(folder.glob("rules-*.bin"))


def finds(matcher: Matcher) -> bool:
    return len(Examiner(matcher).examine(f"key: {canary()}".encode())) == 1


def test_rules_are_compiled_once(rules: Path, tmp_path: Path) -> None:
    first = open_matcher([rules], tmp_path / "cache")
    (file,) = kept(tmp_path / "cache")
    made_at = file.stat().st_mtime_ns
    second = open_matcher([rules], tmp_path / "cache")
    assert file.stat().st_mtime_ns == made_at
    assert (first.anchors, first.digest) == (second.anchors, second.digest)
    assert finds(first)
    assert finds(second)


def test_other_rules_are_compiled_anew_and_few_are_kept(rules: Path, tmp_path: Path) -> None:
    digests = set()
    for number in range(8):
        rules.write_text(CANARY_RULE + "# more\n" * number + f"advice = 'number {number}'\n")
        digests.add(open_matcher([rules], tmp_path / "cache").digest)
    assert len(digests) == 8
    assert len(kept(tmp_path / "cache")) <= 5


def test_no_flipped_byte_in_kept_rules_changes_what_is_found(rules: Path, tmp_path: Path) -> None:
    digest = open_matcher([rules], tmp_path / "cache").digest
    (file,) = kept(tmp_path / "cache")
    whole = file.read_bytes()
    for position in [*range(0, 400, 11), *range(400, len(whole), len(whole) // 20)]:
        content = bytearray(whole)
        content[position] ^= 0x01
        file.write_bytes(content)
        matcher = open_matcher([rules], tmp_path / "cache")
        assert matcher.digest == digest
        assert finds(matcher), position


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.99])
def test_rules_that_were_cut_are_compiled_anew(rules: Path, tmp_path: Path, share: float) -> None:
    open_matcher([rules], tmp_path / "cache")
    (file,) = kept(tmp_path / "cache")
    file.write_bytes(file.read_bytes()[: int(file.stat().st_size * share)])
    assert finds(open_matcher([rules], tmp_path / "cache"))


def test_a_folder_that_takes_no_files_only_costs_time(rules: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("no folder")
    assert finds(open_matcher([rules], tmp_path / "cache"))


def test_several_threads_share_a_matcher(rules: Path) -> None:
    matcher = open_matcher([rules], None)
    text = f"key: {canary()}\n".encode() * 50
    found: list[int] = []
    threads = [threading.Thread(target=lambda: found.append(len(Examiner(matcher).examine(text)))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [50] * 8


@pytest.mark.parametrize("regex", ["x*", "(a)\\1bcdef", "a*|b*"])
def test_a_rule_that_cannot_be_used_is_named(rules: Path, regex: str) -> None:
    rules.write_text(CANARY_RULE.replace("\\b(cnry-[a-z]+-[0-9a-f]{32})\\b", regex))
    with pytest.raises(InvalidInputError, match="'canary'"):
        open_matcher([rules], None)
