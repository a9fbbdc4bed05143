"""A report for a person at a terminal: findings by place, what was read, and what to do next.

Without Rich, whose import alone takes longer than the scan of a file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, TextIO

from vantage_secrets.leaks.finding import Confidence, Finding, Report, Status
from vantage_secrets.leaks.reports import wording
from vantage_secrets.leaks.reports.page import Page

_PER_PLACE = 10
"""Most findings of one place that are listed; a file with more is one thing to look at, not a list to work off."""
_PLACES = 100
_UNREAD = 20
_SAME = 5
"""Most further lines of the same value that are named."""

_STYLES = {Confidence.HIGH: "red", Confidence.MEDIUM: "yellow", Confidence.LOW: "dim"}
_DETAIL = 9
"""Columns before what is said about a finding."""


class _Entry(NamedTuple):
    """One value at one place, with the further findings of it there (other lines, other versions of the file)."""

    first: Finding
    more: list[Finding]


def write_text(report: Report, stream: TextIO, *, colour: bool, width: int, show_all: bool = False) -> None:
    """Write ``report`` for a person.

    Args:
        report: What a scan found.
        stream: Where to; what its encoding does not have is written as an escape.
        colour: Use ANSI colours; the caller has looked at NO_COLOR and at whether it is a terminal.
        width: Most columns of a line; 0 for no end. Commands that are to be copied stay in one piece.
        show_all: Leave nothing out: no caps, and judged findings too.
    """
    page = Page(stream, colour=colour, width=width)
    shown = report.findings if show_all else report.new
    _write_findings(page, shown, show_all=show_all)
    _write_summary(page, report)
    _write_coverage(page, report, show_all=show_all)
    _write_next(page, report)


def _write_findings(page: Page, findings: Sequence[Finding], *, show_all: bool) -> None:
    places = _by_place(findings)
    listed = list(places) if show_all else _first_places(places)
    for heading in listed:
        page.line((heading, "bold"))
        entries = places[heading]
        chosen = entries if show_all else _first_entries(entries)
        for entry in chosen:
            _write_entry(page, entry, show_all=show_all)
        if len(chosen) < len(entries):
            page.line((f"  … and {len(entries) - len(chosen):,} more here", "dim"))
        page.line()
    if len(listed) < len(places):
        left = sum(len(entries) for heading, entries in places.items() if heading not in set(listed))
        page.line((f"… and {left:,} more in {wording.count(len(places) - len(listed), 'place')}", "dim"))
        page.line()


def _by_place(findings: Iterable[Finding]) -> dict[str, list[_Entry]]:
    """Return the findings by place; the same value again in one place is one entry."""
    entries: dict[tuple[str, object], _Entry] = {}
    places: dict[str, list[_Entry]] = {}
    for index, finding in enumerate(findings):
        heading = wording.where(finding.place)
        value = (finding.rule, finding.fingerprint, finding.status) if finding.fingerprint else index
        known = entries.get((heading, value))
        if known:
            known.more.append(finding)
        else:
            entry = entries[heading, value] = _Entry(finding, [])
            places.setdefault(heading, []).append(entry)
    return places


def _first_places(places: dict[str, list[_Entry]]) -> list[str]:
    """Return the places to list: all with a value of ours that opens a door, and the first of the others."""
    urgent = {heading for heading, entries in places.items() if any(map(_is_urgent, entries))}
    others = [heading for heading in places if heading not in urgent][: max(0, _PLACES - len(urgent))]
    chosen = urgent.union(others)
    return [heading for heading in places if heading in chosen]


def _first_entries(entries: list[_Entry]) -> list[_Entry]:
    """Return the entries to list, the surest, in the order of the file."""
    if len(entries) <= _PER_PLACE:
        return entries
    order = sorted(entries, key=lambda entry: wording.CONFIDENCES.index(entry.first.confidence))
    chosen = {id(entry) for entry in order[:_PER_PLACE]}
    return [entry for entry in entries if id(entry) in chosen or _is_urgent(entry)]


def _is_urgent(entry: _Entry) -> bool:
    known = entry.first.known
    return known is not None and known.is_dangerous and entry.first.status is Status.NEW


def _write_entry(page: Page, entry: _Entry, *, show_all: bool) -> None:
    finding = entry.first
    position = f"{finding.line}:{finding.column}" if finding.line else "-"
    label = "" if finding.status is Status.NEW else f"  [{finding.status.value}]"
    page.line(
        (f"  {position:<{_DETAIL - 2}}", "cyan"),
        (finding.title, "bold"),
        (f"  {finding.rule}", ""),
        (f"  {finding.confidence.value}", _STYLES[finding.confidence]),
        (f"  {wording.short(finding.fingerprint)}" if finding.fingerprint else "", "dim"),
        (label, "green"),
        indent=_DETAIL,
    )
    if finding.known:
        style = "alarm" if finding.known.is_dangerous else "green"
        page.line((wording.known_sentence(finding.known), style), indent=_DETAIL, first=_DETAIL)
        if command := wording.known_command(finding.known):
            page.line(("Run: ", "bold"), (command, "command"), indent=_DETAIL, first=_DETAIL)
    for text in _details(entry, show_all=show_all):
        page.line((text, "dim"), indent=_DETAIL + 2, first=_DETAIL)


def _details(entry: _Entry, *, show_all: bool) -> Iterator[str]:
    finding = entry.first
    if finding.known and (people := wording.known_people(finding.known)):
        yield people
    if validity := wording.validity(finding):
        yield validity
    if encodings := wording.encodings(finding):
        yield encodings
    if finding.attribution:
        yield from wording.attribution_lines(finding.attribution, finding.place)
    yield from _same_value(entry, show_all=show_all)
    if finding.reason:
        yield f"note: {finding.reason}"
    if finding.reported_by != "vantage-secrets":
        yield f"reported by {finding.reported_by}"


def _same_value(entry: _Entry, *, show_all: bool) -> Iterator[str]:
    place = entry.first.place
    lines = [f"{finding.line}:{finding.column}" for finding in entry.more if finding.place == place]
    if lines:
        shown = lines if show_all else lines[:_SAME]
        rest = f" and {len(lines) - len(shown):,} more" if len(shown) < len(lines) else ""
        yield f"the same value again at {', '.join(shown)}{rest}"
    versions = len({finding.place for finding in entry.more} - {place})
    if versions:
        yield f"the same value in {wording.count(versions, 'other version')} of it"


def _write_summary(page: Page, report: Report) -> None:
    alarm = wording.dangerous(report)
    style = "alarm" if alarm else "bold" if report.exit_code else "green"
    page.line((wording.verdict(report), style))
    if report.new:
        sure = Counter(finding.confidence for finding in report.new)
        page.line(", ".join(f"{sure[level]:,} {level.value}" for level in wording.CONFIDENCES if sure[level]), first=2)
        kinds = Counter(finding.rule for finding in report.new).most_common()
        rest = f", {wording.count(len(kinds) - 8, 'more rule')}" if len(kinds) > 8 else ""
        page.line(", ".join(f"{rule} {number:,}" for rule, number in kinds[:8]) + rest, first=2, indent=2)


def _write_coverage(page: Page, report: Report, *, show_all: bool) -> None:
    coverage = report.coverage
    page.line(f"Read {wording.what_was_read(coverage)}, {wording.what_was_searched(report)}.")
    unread = coverage.unread
    if unread:
        page.line((f"Not read: {len(unread):,}", "yellow"))
        shown = unread if show_all else unread[:_UNREAD]
        for miss in shown:
            page.line(f"{wording.where(miss.place)}: {miss.reason}", first=2, indent=4)
        if len(shown) < len(unread):
            page.line((f"… and {len(unread) - len(shown):,} more", "dim"), first=2)
    for note in coverage.notes:
        page.line(f"Note: {note}", indent=2)
    page.line((f"Exit code {report.exit_code}: {wording.exit_meaning(report.exit_code)}.", "dim"), indent=2)


def _write_next(page: Page, report: Report) -> None:
    if not report.new:
        return
    page.line()
    page.line(("Next", "bold"))
    page.line(
        "1. Who saw the value has it. Replace it first; taking it out of the file does not take it back.", indent=3
    )
    known = [finding.known for finding in wording.dangerous(report) if finding.known]
    for command in dict.fromkeys(map(wording.known_command, known)):
        page.line((command, "command"), first=3, indent=3)
    for rule, advice in dict.fromkeys((finding.rule, finding.advice) for finding in report.new if finding.advice):
        page.line(f"{rule}: {advice}", first=3, indent=5)
    page.line("2. Then take it out of the file, and out of the history where others can fetch it.", indent=3)
    page.line("3. No secret? Say so, with a comment in its line or in the baseline:", indent=3)
    page.line((f'vantage-secrets: allow {report.new[0].rule} reason="…"', "command"), first=3, indent=3)
    page.line(("vantage-secrets baseline audit", "command"), first=3, indent=3)
