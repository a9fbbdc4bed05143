"""The words that all reports share: how places, verdicts, counts and coverage are said."""

from __future__ import annotations

import re
import time

from vantage_secrets.leaks.finding import (
    Attribution,
    Confidence,
    Coverage,
    Finding,
    KnownVersion,
    Occurrence,
    Place,
    Report,
    Status,
)

CONFIDENCES = (Confidence.HIGH, Confidence.MEDIUM, Confidence.LOW)
"""Surest first."""

_UNSEEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff]"
)
_PATHS = frozenset({"file", "folder", "blob", "staged", "member", "tree"})
"""Kinds whose place is a path below the source, rather than something inside a service."""

_KINDS = {
    "file": ("file", "files"),
    "blob": ("blob", "blobs"),
    "commit": ("commit", "commits"),
    "tag": ("tag", "tags"),
    "tree": ("tree", "trees"),
    "staged": ("staged file", "staged files"),
    "stream": ("stream", "streams"),
    "process": ("process", "processes"),
    "layer": ("image layer", "image layers"),
    "image settings": ("image's settings", "images' settings"),
    "member": ("archive member", "archive members"),
    "row": ("row", "rows"),
    "record": ("record", "records"),
    "known from cache": ("object known from the cache", "objects known from the cache"),
}
_EXITS = {
    0: "nothing new was found, and everything that was asked for was read",
    1: "something was found that must be dealt with",
    3: "not everything that was asked for could be read",
}


def program_version() -> str:
    """Return the version of the package that made the report."""
    from vantage_secrets import __version__

    return __version__


def printable(text: str) -> str:
    r"""Return ``text`` with everything unseen written out, as in ``\x1b`` and ``\u202e``.

    SECURITY: names of files and authors come from whoever wrote them. A control character would steer the terminal,
    a mark that turns the direction of text would show another name, a half of a surrogate pair would end the report.
    """
    return text if text.isascii() and text.isprintable() else _UNSEEN.sub(_written_out, text)


def _written_out(found: re.Match[str]) -> str:
    code = ord(found[0])
    if 0xDC80 <= code <= 0xDCFF:
        code -= 0xDC00  # a byte of a name that is no UTF-8: PEP 383
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def where(place: Place) -> str:
    """Return ``place`` in words, without line and column; it may hold anything that a file name can hold."""
    if place.kind in ("commit", "tag", "object"):
        within = "" if place.source in ("", ".") else f" of {place.source}"
        return f"{place.kind} {short(place.object_id)}{within}"
    if place.kind in _PATHS:
        named = path_of(place) or f"{place.kind} {short(place.object_id)}"
        return f"{named}, {place.detail}" if place.detail else named
    return ", ".join(filter(None, (place.source, place.path, place.detail)))


def path_of(place: Place) -> str:
    """Return the path of ``place`` from where the scan was started; empty when it has none."""
    if place.kind not in _PATHS:
        return ""
    source = "" if place.source == "." else place.source.removeprefix("./").rstrip("/")
    if not place.path or not source:
        return place.path or (source if not place.object_id else "")
    return source if source == place.path or source.endswith(f"/{place.path}") else f"{source}/{place.path}"


def short(object_id: str) -> str:
    """Return the beginning of a commit's or object's id, or of a fingerprint; 12 digits tell all of them apart."""
    return object_id[:12]


def count(number: int, one: str, many: str = "") -> str:
    """Return ``number`` with thousands set apart and the word that goes with it."""
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"


def size(byte_count: int) -> str:
    """Return a size for people, in powers of 1,000."""
    amount, unit = float(byte_count), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if amount < 999.95:
            break
        amount, unit = amount / 1000, larger
    return f"{byte_count} B" if unit == "B" else f"{amount:.1f} {unit}"


def duration(seconds: float) -> str:
    """Return how long something took, for people."""
    if seconds < 10:
        return f"{seconds:.2f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min"


def instant(seconds: float) -> str:
    """Return an instant as RFC 3339 has it, in UTC and whole seconds."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def day(seconds: float) -> str:
    """Return the day of an instant, in UTC."""
    return instant(seconds)[:10]


def known_sentence(known: KnownVersion) -> str:
    """Return which of our values it is, and whether it is still dangerous."""
    return f"This is {known.secret}, version {known.version_id}, {known.verdict}: {_danger(known)}."


def _danger(known: KnownVersion) -> str:
    if known.stage == "current":
        return "it opens the door now"
    if known.stage == "previous":
        return "it still opens the door"
    if known.stage == "pending":
        return "it opens the door as soon as it is promoted"
    return "it opens nothing any more"


def known_command(known: KnownVersion) -> str:
    """Return the command that ends the danger; empty when there is none left."""
    if not known.is_dangerous:
        return ""
    return f"vantage-secrets rotate {known.secret}{' --finish' if known.stage == 'previous' else ''}"


def known_people(known: KnownVersion) -> str:
    """Return who owns and who reads it; empty when the manifest says neither."""
    owner = f"owner {known.owner}" if known.owner else ""
    consumers = f"read by {', '.join(known.consumers)}" if known.consumers else ""
    return "; ".join(filter(None, (owner, consumers)))


def validity(finding: Finding) -> str:
    """Return what the vendor said of a value; empty when nobody asked."""
    return {
        "active": "ACTIVE: its vendor accepts it now",
        "inactive": "inactive: its vendor refuses it",
        "unknown": "nobody could say whether it is active",
    }.get(finding.validity, "")


def encodings(finding: Finding) -> str:
    """Return the encodings around the value, from outside in; empty when there is none."""
    spelling = finding.known.spelling if finding.known else "raw"
    layers = finding.decoded or (() if spelling in ("raw", "fingerprint") else (spelling,))
    return f"written in {', in it '.join(layers)}" if layers else ""


def attribution_lines(attribution: Attribution, place: Place) -> list[str]:
    """Return where it sits in the history, one statement a line."""
    lines = []
    if attribution.first:
        lines.append(f"first seen {_occurrence(attribution.first)}")
    if attribution.last and attribution.first and attribution.last.commit != attribution.first.commit:
        lines.append(f"last seen {_occurrence(attribution.last)}")
    if attribution.commit_count > 1:
        people = f" of {count(len(attribution.authors), 'author')}" if len(attribution.authors) > 1 else ""
        lines.append(f"brought by {attribution.commit_count:,} commits{people}")
    others = [path for path in attribution.paths if path != place.path]
    if others:
        more = f" and {len(others) - 3:,} more" if len(others) > 3 else ""
        lines.append(f"also at {', '.join(others[:3])}{more}")
    if not attribution.is_reachable:
        lines.append("no branch, tag, note or stash leads to it; git keeps it until it is pruned")
    return lines


def _occurrence(occurrence: Occurrence) -> str:
    return f"{day(occurrence.committed_at)} in {short(occurrence.commit)} by {occurrence.author}"


def what_was_read(coverage: Coverage) -> str:
    """Return what was read, as ``1,070 files and 3 archive members, 12.3 MB``; ``nothing`` when it is so."""
    counts = [count(number, *_KINDS.get(kind, (kind,))) for kind, number in coverage.counts.items() if number]
    if not counts:
        return "nothing"
    listed = counts[0] if len(counts) == 1 else f"{', '.join(counts[:-1])} and {counts[-1]}"
    return f"{listed}, {size(coverage.byte_count)}"


def what_was_searched(report: Report) -> str:
    """Return how many rules and own values were searched for, and the time it took."""
    own = f" and {count(report.known_count, 'value')} of ours" if report.known_count else ""
    return f"with {count(report.rule_count, 'rule')}{own} in {duration(report.seconds)}"


def judged(report: Report) -> str:
    """Return how many findings are settled already; empty when none is."""
    numbers = {
        status: sum(finding.status is status for finding in report.findings)
        for status in (Status.BASELINE, Status.SUPPRESSED)
    }
    baseline = f"{numbers[Status.BASELINE]:,} in the baseline" if numbers[Status.BASELINE] else ""
    suppressed = f"{numbers[Status.SUPPRESSED]:,} suppressed" if numbers[Status.SUPPRESSED] else ""
    return ", ".join(filter(None, (baseline, suppressed)))


def verdict(report: Report) -> str:
    """Return the result in one sentence; ``Clean`` only when something was read, and all that was asked for was."""
    settled = judged(report)
    beside = f" ({settled})" if settled else ""
    if report.new:
        places = len({where(finding.place) for finding in report.new})
        return f"{count(len(report.new), 'finding')} in {count(places, 'place')}{beside}."
    if not report.coverage.is_complete:
        return f"Nothing new was found in what was read{beside}, but not everything was read."
    if not any(report.coverage.counts.values()):
        return "There was nothing to read."
    return f"No new finding{beside}." if settled else "Clean: nothing was found."


def dangerous(report: Report) -> tuple[Finding, ...]:
    """Return the new findings that are values of ours and still open a door."""
    return tuple(finding for finding in report.new if finding.known and finding.known.is_dangerous)


def exit_meaning(exit_code: int) -> str:
    """Return what the exit code of a scan says."""
    return _EXITS[exit_code]
