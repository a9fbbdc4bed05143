"""A report as one page: nothing is loaded from elsewhere, no script runs, it reads by day, by night and on paper.

Its filters are plain CSS (``:has`` over checked inputs), one line of it for each rule that found something.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from pathlib import Path

from vantage_secrets.leaks.finding import Finding, Report, Status
from vantage_secrets.leaks.reports import wording
from vantage_secrets.leaks.reports.wording import count, printable
from vantage_secrets.leaks.rule import Rule

_STYLE = Path(__file__).with_name("report.css")
# SECURITY: even if something slipped through the escaping, the browser would run and load nothing.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
_SAME = 5
"""Most other places of the same value that one finding names."""
_OPEN = 20
"""Places that are open at first; a longer page is easier to look over closed."""


def to_html(report: Report, rules: Sequence[Rule]) -> str:
    """Return ``report`` as an HTML page.

    Args:
        report: What a scan found.
        rules: The rules that ran; where their formats are documented is linked.
    """
    kinds = Counter(finding.rule for finding in report.findings)
    classes = {rule: f"r{number}" for number, (rule, _count) in enumerate(kinds.most_common())}
    title = f"Leak report: {wording.verdict(report)}"
    body = (
        _head(report),
        _alarm(report),
        _unread(report),
        _rules(report, rules, kinds),
        _findings(report, classes),
        _next(report),
        f"<footer>vantage-secrets {wording.program_version()}, ruleset {_text(report.ruleset)}. "
        "No value is in this page: a fingerprint tells that two findings are one value, and nothing else.</footer>",
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_text(title)}</title>\n<style>\n{_STYLE.read_text('utf-8')}{_filter_style(classes)}</style>\n"
        f"</head>\n<body>\n<main>\n{''.join(body)}\n</main>\n</body>\n</html>\n"
    )


def _text(text: str) -> str:
    """Return ``text`` for a page, also for an attribute in double quotes."""
    return escape(printable(text))


def _filter_style(classes: Mapping[str, str]) -> str:
    return "".join(
        f"body:has(#only-{name}:checked) :is(.finding:not(.{name}), details:not(:has(.{name}))) {{ display: none; }}\n"
        for name in classes.values()
    )


def _head(report: Report) -> str:
    alarm = wording.dangerous(report)
    colour = "red" if alarm or report.new else "green" if report.exit_code == 0 else "amber"
    targets = ", ".join(re.sub(r"(^| )\.$", r"\1this folder", target) for target in report.targets)
    statuses = Counter(finding.status for finding in report.findings)
    coverage = report.coverage
    tiles = (
        ("red" if report.new else "", f"{len(report.new):,}", "to deal with"),
        ("red" if alarm else "", f"{len(alarm):,}", "values of ours that open a door"),
        ("", f"{statuses[Status.BASELINE]:,}", "in the baseline"),
        ("", f"{statuses[Status.SUPPRESSED]:,}", "suppressed"),
        ("amber" if coverage.unread else "", f"{len(coverage.unread):,}", "not read"),
    )
    shown = "".join(
        f'<div class="tile"><b class="{style}">{number}</b><span>{label}</span></div>' for style, number, label in tiles
    )
    verdict = f'<p class="verdict {colour}">{_text(wording.verdict(report))}</p>'
    notes = "".join(f'<p class="soft">Note: {_text(note)}</p>' for note in coverage.notes)
    return (
        f"<header>\n<h1>Leak report of {_text(targets)}</h1>\n{verdict}\n"
        f'<p class="soft">Read {_text(wording.what_was_read(coverage))}, {wording.what_was_searched(report)}, '
        f"on {wording.instant(report.started_at).replace('T', ' at ').replace('Z', ' UTC')}.</p>{notes}\n</header>\n"
        f'<div class="tiles">{shown}</div>\n'
    )


def _alarm(report: Report) -> str:
    places: dict[str, list[str]] = {}
    commands: dict[str, str] = {}
    for number, finding in enumerate(report.findings):
        if finding.known and finding.known.is_dangerous and finding.status is Status.NEW:
            sentence = wording.known_sentence(finding.known)
            places.setdefault(sentence, []).append(_link(number, finding))
            commands[sentence] = wording.known_command(finding.known)
    if not places:
        return ""
    entries = "".join(
        f'<li><strong>{_text(sentence)}</strong> <code class="run">{_text(commands[sentence])}</code>'
        f"<br>At {_listed(links, len(links))}.</li>"
        for sentence, links in places.items()
    )
    return f'<section class="card alarm"><h2 class="red">Open doors</h2><ul>{entries}</ul></section>\n'


def _listed(links: Sequence[str], number: int) -> str:
    more = f" and {number - _SAME:,} more" if number > _SAME else ""
    return ", ".join(links[:_SAME]) + more


def _link(number: int, finding: Finding) -> str:
    return f'<a href="#f{number}">{_text(wording.where(finding.place))}:{finding.line}</a>'


def _unread(report: Report) -> str:
    if report.coverage.is_complete:
        return ""
    entries = "".join(
        f"<li><code>{_text(wording.where(miss.place))}</code>: {_text(miss.reason)}</li>"
        for miss in report.coverage.unread
    )
    return (
        '<section class="card warn"><h2 class="amber">Not read</h2>Whether something leaked there is not known.'
        f"<ul>{entries}</ul></section>\n"
    )


def _rules(report: Report, rules: Sequence[Rule], kinds: Mapping[str, int]) -> str:
    if not kinds:
        return ""
    known = {rule.id: rule for rule in rules}
    firsts = {finding.rule: finding for finding in reversed(report.findings)}
    rows = "".join(
        f"<tr><td>{_text(firsts[rule].title)}<br><code>{_text(rule)}</code></td>"
        f"<td>{_text(firsts[rule].advice)}</td><td>{_documented(known.get(rule))}</td>"
        f'<td class="count">{number:,}</td></tr>'
        for rule, number in kinds.items()
    )
    return (
        "<h2>What was found</h2>\n<div class=card><table><thead><tr><th>Kind<th>Where it is ended<th>Format<th>Findings"
        f"</tr></thead><tbody>{rows}</tbody></table></div>\n"
    )


def _documented(rule: Rule | None) -> str:
    if rule is None or not rule.source.startswith("https://"):
        return ""
    return f'<a href="{_text(rule.source)}" rel="noreferrer">documented</a>'


def _findings(report: Report, classes: Mapping[str, str]) -> str:
    if not report.findings:
        return ""
    places: dict[str, list[tuple[int, Finding]]] = {}
    same: dict[str, list[tuple[int, Finding]]] = {}
    for number, finding in enumerate(report.findings):
        places.setdefault(wording.where(finding.place), []).append((number, finding))
        if finding.fingerprint:
            same.setdefault(finding.fingerprint, []).append((number, finding))
    is_open = " open" if len(places) <= _OPEN else ""
    groups = "".join(
        f"<details{is_open}><summary>{_text(heading)}<span class=number>{count(len(group), 'finding')}</span></summary>"
        f"{''.join(_finding(number, finding, classes, same) for number, finding in group)}</details>\n"
        for heading, group in places.items()
    )
    return f"<h2>Findings</h2>\n{_filters(report, classes)}{groups}"


def _filters(report: Report, classes: Mapping[str, str]) -> str:
    sure = (("all", "All"), ("medium", "Medium and high"), ("high", "High only"))
    confidence = "".join(_choice("radio", "sure", f"sure-{key}", label, is_on=key == "all") for key, label in sure)
    settled = len(report.findings) - len(report.new)
    if settled:
        label = f"Settled ones too ({settled:,})"
        confidence += _choice("checkbox", "settled", "settled", label, is_on=not report.new)
    if len(classes) < 2:
        return f'<div class="filters">{confidence}</div>\n'
    kinds = _choice("radio", "only", "only-all", "Every kind", is_on=True) + "".join(
        _choice("radio", "only", f"only-{name}", rule, is_on=False) for rule, name in classes.items()
    )
    return f'<div class="filters">{confidence}</div>\n<div class="filters">{kinds}</div>\n'


def _choice(kind: str, group: str, name: str, label: str, *, is_on: bool) -> str:
    checked = " checked" if is_on else ""
    return f'<input type="{kind}" name="{group}" id="{name}"{checked}><label for="{name}">{_text(label)}</label>'


def _finding(
    number: int, finding: Finding, classes: Mapping[str, str], same: Mapping[str, Sequence[tuple[int, Finding]]]
) -> str:
    confidence, status = finding.confidence.value, finding.status.value
    settled = "" if finding.status is Status.NEW else f'<span class="chip settled">{status}</span>'
    fingerprint = (
        f'<code class="soft">{_text(wording.short(finding.fingerprint))}</code>' if finding.fingerprint else ""
    )
    twins = _twins(number, same.get(finding.fingerprint, ()))
    details = "".join(f'<p class="soft">{_text(line)}</p>' for line in _details(finding))
    return (
        f'<div class="finding {confidence} {status} {classes[finding.rule]}" id="f{number}">'
        f'<a class="mono" href="#f{number}">{finding.line}:{finding.column}</a><div>'
        f'<p><strong>{_text(finding.title)}</strong><span class="chip">{_text(finding.rule)}</span>'
        f'<span class="chip {confidence}">{confidence}</span>{settled} {fingerprint}</p>'
        f"{_verdict(finding)}{details}{twins}</div></div>"
    )


def _twins(number: int, same: Sequence[tuple[int, Finding]]) -> str:
    """Return links to the first other places of the value; there may be thousands, and as many findings ask."""
    if len(same) < 2:
        return ""
    links = [_link(other, finding) for other, finding in same[: _SAME + 1] if other != number][:_SAME]
    return f'<p class="soft">the same value at {_listed(links, len(same) - 1)}</p>'


def _verdict(finding: Finding) -> str:
    if not finding.known:
        return ""
    command = wording.known_command(finding.known)
    run = f' <code class="run">{_text(command)}</code>' if command else ""
    style = "live" if finding.known.is_dangerous else "dead"
    return f'<p class="{style}">{_text(wording.known_sentence(finding.known))}{run}</p>'


def _details(finding: Finding) -> Iterator[str]:
    people = wording.known_people(finding.known) if finding.known else ""
    lines: Iterable[str] = (people, wording.validity(finding), wording.encodings(finding))
    yield from filter(None, lines)
    if finding.attribution:
        yield from wording.attribution_lines(finding.attribution, finding.place)
    if finding.reason:
        yield f"note: {finding.reason}"
    if finding.reported_by != "vantage-secrets":
        yield f"reported by {finding.reported_by}"


def _next(report: Report) -> str:
    if not report.new:
        return ""
    return (
        '<section class="card"><h2>Next</h2><ol><li>Who saw the value has it. Replace it first; taking it out of the '
        "file does not take it back.</li><li>Then take it out of the file, and out of the history where others can "
        "fetch it.</li><li>No secret? Say so, with a comment in its line, "
        f"<code>vantage-secrets: allow {_text(report.new[0].rule)} reason=&quot;…&quot;</code>, or in the baseline: "
        "<code>vantage-secrets baseline audit</code>.</li></ol></section>\n"
    )
