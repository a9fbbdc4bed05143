"""A scan puts sources together into one report, and tells what it could not examine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.canary import canary
from tests.leaks.compiled_rules import CANARY_RULE, compiled_rules  # noqa: F401 - a fixture
from tests.leaks.repositories import KEY
from vantage_secrets.leaks import examination
from vantage_secrets.leaks.finding import Coverage, KnownVersion, Place
from vantage_secrets.leaks.known import KnownSearch, KnownValue
from vantage_secrets.leaks.scanner import Scan, Settings
from vantage_secrets.leaks.sources.contract import Document
from vantage_secrets.secret import SecretValue


class Texts:
    """A source of some texts."""

    def __init__(self, *texts: bytes) -> None:
        self.texts = texts

    def documents(self, coverage: Coverage) -> Iterator[Document]:
        for number, text in enumerate(self.texts):
            coverage.add("file", 1, len(text))
            yield Document(Place("texts", f"text {number}"), text)


@pytest.fixture
def settings(compiled_rules: Path) -> Settings:  # noqa: F811 - the fixture
    return Settings(lambda: KEY, cache_folder=compiled_rules, more_rules=[CANARY_RULE])


def test_sources_come_together_in_one_report(settings: Settings) -> None:
    scan = Scan(settings)
    scan.read(Texts(b"key: " + canary().encode(), b"nothing"), "some texts")
    scan.read(Texts(canary().encode()), "another text")
    report = scan.report()
    assert report.targets == ("some texts", "another text")
    assert [each.place.path for each in report.new] == ["text 0", "text 0"]
    assert report.coverage.counts == {"file": 3}
    assert report.exit_code == 1
    assert report.rule_count > 200


def test_nothing_found_is_clean_only_when_all_was_read(settings: Settings) -> None:
    scan = Scan(settings)
    scan.read(Texts(b"nothing"), "a text")
    assert scan.report().exit_code == 0
    scan.coverage.miss(Place("texts", "lost"), "it is gone")
    assert scan.report().exit_code == 3


def test_too_much_encoded_text_is_told_at_its_place(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examination, "DECODED_MAX", 1_000)
    scan = Scan(settings)
    scan.read(Texts(b"nothing", b"a%20b%20\n" * 1_000), "texts")
    assert [(each.place.path, "encoded text" in each.reason) for each in scan.report().coverage.unread] == [
        ("text 1", True)
    ]


def test_progress_is_told_of_every_byte(settings: Settings) -> None:
    told: list[int] = []
    Scan(settings._replace(progress=told.append)).read(Texts(b"12345", b"1234567"), "texts")
    assert told == [5, 7]


def test_our_own_values_are_searched_for_from_then_on(settings: Settings) -> None:
    value = canary("ours")
    scan = Scan(settings)
    scan.look_for(
        KnownSearch([KnownValue(KnownVersion("API_KEY", "1", "current", "CURRENT"), SecretValue(value))]), None
    )
    scan.read(Texts(f"x {value} y".encode(), value.encode().hex().encode()), "texts")
    report = scan.report()
    assert [each.known.secret for each in report.findings if each.known] == ["API_KEY", "API_KEY"]
    assert report.known_count == 1
    assert {each.rule for each in report.findings} == {"known-value"}
