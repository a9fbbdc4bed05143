"""A report as a page: complete, self-contained, and nothing from outside becomes markup."""

from __future__ import annotations

import re
from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from tests.leaks.sample_report import RULES, attribution, coverage, digest, finding, known, report, rich_report
from vantage_secrets.leaks.finding import Place, Report, Status
from vantage_secrets.leaks.reports.html import to_html

EMPTY = {"meta", "input", "br", "th"}
TAGS = {
    *("html", "head", "meta", "title", "style", "body", "main", "header", "footer", "section", "div", "details"),
    *("summary", "h1", "h2", "p", "ul", "ol", "li", "br", "b", "strong", "span", "code", "a", "input", "label"),
    *("table", "thead", "tbody", "tr", "th", "td"),
}


class Page(HTMLParser):
    """Reads a page: tags, texts, ids and links; fails at what is closed and not open."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.texts: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.feed(text)
        self.close()
        assert self.open == []
        assert self.tags <= TAGS

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.texts.append(data)

    def values(self, tag: str, attribute: str) -> list[str]:
        return [value for of, name, value in self.attributes if (of, name) == (tag, attribute)]

    @property
    def text(self) -> str:
        return " ".join("".join(self.texts).split())


def page(result: Report) -> Page:
    return Page(to_html(result, RULES))


def test_a_page_has_every_finding_with_its_position_and_kind() -> None:
    read = page(rich_report())
    assert "12 findings in 9 places (1 in the baseline, 1 suppressed)." in read.text
    for said in (
        "config/app.env",
        "process 4711 (worker), GITHUB_TOKEN",
        "31:14",
        "generic-password",
        "reported by gitleaks",
    ):
        assert said in read.text
    assert len([value for value in read.values("div", "class") if value.startswith("finding ")]) == 14


def test_values_of_ours_that_open_a_door_stand_first_with_the_command() -> None:
    text = page(rich_report()).text
    assert text.index("Open doors") < text.index("Not read") < text.index("What was found")
    assert "This is KAFKA_SASL_PASSWORD, version 3, CURRENT: it opens the door now." in text
    assert "vantage-secrets rotate KAFKA_SASL_PASSWORD" in text
    assert "Open doors" not in page(report(finding(known=known("retired", "RETIRED since 2025")))).text
    assert "Open doors" not in page(report(finding(known=known(), status=Status.BASELINE))).text


def test_every_link_within_the_page_leads_somewhere_and_no_id_is_there_twice() -> None:
    read = page(rich_report())
    ids = [value for _tag, name, value in read.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    targets = {link[1:] for link in read.values("a", "href") if link.startswith("#")}
    assert targets <= set(ids)
    assert set(read.values("label", "for")) <= set(ids)


def test_a_page_loads_nothing_and_runs_nothing() -> None:
    text = to_html(rich_report(), RULES)
    assert "default-src 'none'" in text
    assert re.search(r"<script|<img|<link|<iframe|url\(|@import|\bsrc=|\bon[a-z]+=", text) is None
    outside = [link for link in Page(text).values("a", "href") if not link.startswith("#")]
    assert outside == ["https://docs.example/tokens?a=1&b=2"]


def test_the_same_value_elsewhere_is_linked() -> None:
    read = page(report(finding("a.env", 1, fingerprint=digest("x")), finding("b.env", 2, fingerprint=digest("x"))))
    assert "the same value at b.env:2" in read.text
    assert "the same value at a.env:1" in read.text


def test_of_many_places_of_a_value_the_first_are_linked_and_the_rest_is_counted() -> None:
    read = page(report(*(finding(f"f{number}.env", fingerprint=digest("x")) for number in range(9))))
    assert "the same value at f1.env:3, f2.env:3, f3.env:3, f4.env:3, f5.env:3 and 3 more" in read.text
    assert "the same value at f0.env:3, f1.env:3, f2.env:3, f3.env:3, f4.env:3 and 3 more" in read.text


def test_clean_is_said_when_all_was_read_and_never_otherwise() -> None:
    assert "Clean: nothing was found." in page(report()).text
    covered = coverage()
    covered.miss(Place(".", "data/dump.bin"), "permission denied")
    text = page(report(covered=covered)).text
    assert "lean" not in text.replace("cleanliness", "")
    assert "data/dump.bin: permission denied" in text


def test_every_rule_that_found_something_has_a_filter_that_hides_the_others() -> None:
    text = to_html(report(finding(), finding(rule="weak-hint")), RULES)
    names = re.findall(r'id="only-(r\d+)"><label for="only-r\d+">([a-z-]+)<', text)
    assert [rule for _name, rule in names] == ["github-token", "weak-hint"]
    for name, rule in names:
        assert f"body:has(#only-{name}:checked) :is(.finding:not(.{name})" in text
        assert re.search(rf'<div class="finding \w+ \w+ {name}" id="f\d+">(?:(?!<div class="finding).)*>{rule}<', text)


def test_settled_findings_are_hidden_until_asked_for_unless_there_are_no_others() -> None:
    settled = finding("b.env", status=Status.BASELINE, reason="rotated in the autumn")
    read = to_html(report(finding(), settled), RULES)
    assert 'id="settled"><label for="settled">Settled ones too (1)' in read
    assert "note: rotated in the autumn" in read
    assert 'id="settled" checked>' in to_html(report(settled), RULES)


@given(st.text(st.characters()) | st.sampled_from(["<script>alert(1)</script>", "\" onload='x'", "</style>", "&amp;"]))
def test_nothing_from_outside_becomes_markup(text: str) -> None:
    history = attribution("x", text)
    covered = coverage()
    covered.miss(Place(text, text), text)
    covered.notes.append(text)
    found = finding(
        place=Place(text, text, "ab" * 20, "blob"),
        rule=text,
        title=text,
        reason=text,
        advice=text,
        attribution=history,
        reported_by=text,
        known=known(owner=text, consumers=(text,)),
    )
    harmless = page(report(finding(reason="x"), finding(), covered=coverage()))
    read = page(report(found, finding(), covered=covered, targets=(text,)))
    assert {name for _tag, name, _value in read.attributes} <= {name for _tag, name, _value in harmless.attributes} | {
        "open"
    }
    assert re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\ud800-\udfff]", "".join(read.texts)) is None
