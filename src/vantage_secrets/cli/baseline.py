"""``baseline``: findings that are known, so that a scan fails on new ones only."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vantage_secrets.cli.output import print_json, print_rows, say
from vantage_secrets.cli.session import JsonOption

if TYPE_CHECKING:
    from vantage_secrets.leaks.baseline.conversion import Unmatched
    from vantage_secrets.leaks.baseline.entry import Entry
    from vantage_secrets.leaks.baseline.known import Baseline
    from vantage_secrets.leaks.finding import Finding, Report
    from vantage_secrets.leaks.fingerprint import FingerprintKey

app = typer.Typer(help="Know findings, so that only new ones fail.", no_args_is_help=True)

_COLUMNS = {"path": "Place", "line": "Line", "rule": "Rule", "verdict": "Verdict", "added": "Since", "note": "Note"}
_INCOMPLETE = 3

PathsArgument = Annotated[
    list[Path] | None, typer.Argument(metavar="[PATH]...", help="What to scan; this folder when left out.")
]
FileOption = Annotated[Path, typer.Option("--baseline", metavar="FILE", help="The baseline.")]
KeyOption = Annotated[
    Path | None, typer.Option("--key-file", metavar="FILE", help="The fingerprint key.", show_default=False)
]
HistoryOption = Annotated[bool, typer.Option("--history", help="Scan every object of the repository instead.")]

FILE = Path(".vantage-secrets-baseline.json")


@app.callback()
def group() -> None:
    """Keep findings that are known in a file beside the code; it holds keyed fingerprints, never a value."""


@app.command()
def create(
    paths: PathsArgument = None,
    history: HistoryOption = False,
    baseline: FileOption = FILE,
    key_file: KeyOption = None,
) -> None:
    """Write a baseline of everything that a scan finds now.

    Whoever scans with it needs the fingerprint key that it was made with.
    """
    from vantage_secrets.leaks.baseline.document import require_absent
    from vantage_secrets.leaks.baseline.known import Baseline

    require_absent(baseline)
    key = _lasting_key(key_file)
    made = Baseline(baseline, key.key_id)
    report = scan_files(paths or [Path()], key, history=history)
    _add_new(made, report)
    made.save()
    print(f"{_findings(len(made.entries))} written to {baseline}.")
    print(f"Whoever scans with it needs the fingerprint key {key.key_id}, from {key.origin}.")
    _end(report)


@app.command()
def update(
    paths: PathsArgument = None,
    history: HistoryOption = False,
    prune: Annotated[bool, typer.Option("--prune", help="Remove what is not there any more.")] = False,
    baseline: FileOption = FILE,
    key_file: KeyOption = None,
) -> None:
    """Add what a scan finds now, and tell what is not there any more.

    Verdicts and notes stay. What the scan did not read stays too.
    """
    from vantage_secrets.leaks.baseline.known import Baseline, covered

    key = _key(key_file)
    known = Baseline.load(baseline, key)
    scanned = paths or [Path()]
    report = scan_files(scanned, key, history=history)
    added = _add_new(known, report)
    stale = known.stale(report.findings, covered(scanned, baseline.absolute().parent, history=history))
    is_certain = report.coverage.is_complete
    if prune and is_certain:
        known.remove(stale)
    known.save()
    print(f"{_findings(added)} added to {baseline}; it has {len(known.entries)}.")
    _tell_stale(stale, is_removed=prune and is_certain)
    _end(report)


def _tell_stale(stale: Sequence[Entry], *, is_removed: bool) -> None:
    if not stale:
        return
    print(f"{'Removed, as' if is_removed else 'Stale:'} {_findings(len(stale))} {_is(len(stale))} not there any more:")
    for entry in stale:
        print(f"  {_place(entry)}  {entry.rule}")
    if not is_removed:
        say("Run 'vantage-secrets baseline update --prune' to remove them, once everything can be read.")


@app.command()
def show(
    baseline: FileOption = FILE,
    verdict: Annotated[
        str, typer.Option("--verdict", metavar="open|true|false", help="Only these.", show_default=False)
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Show what the baseline holds: places, rules and verdicts."""
    from vantage_secrets.leaks.baseline.known import Baseline

    rows = [_row(entry) for entry in Baseline.load(baseline).entries if verdict in ("", entry.verdict)]
    print_rows(_COLUMNS, rows, as_json=as_json, empty="Nothing.")


def _row(entry: Entry) -> dict[str, Any]:
    return {
        "path": entry.location,
        "line": entry.line or None,
        "rule": entry.rule,
        "verdict": entry.verdict,
        "added": entry.added,
        "note": entry.note,
        "judged": entry.judged,
        "fingerprint": entry.fingerprint,
        "object": entry.object_id,
        "reported_by": entry.reported_by,
    }


@app.command()
def audit(baseline: FileOption = FILE, key_file: KeyOption = None) -> None:
    """Judge the open findings one by one, at a terminal.

    The lines around each are shown, with the values masked. There is no way to show a value.
    """
    from vantage_secrets.cli.baseline_audit import judge_all, require_terminal
    from vantage_secrets.leaks.baseline.known import Baseline
    from vantage_secrets.leaks.baseline.review import Review

    require_terminal()
    key = _key(key_file)
    review = Review(Baseline.load(baseline, key))
    files = review.files()
    if files:
        _tell_unread(scan_files(files, key, review.take))
    judge_all(review, _today())


@app.command()
def convert(
    old: Annotated[Path, typer.Argument(metavar="FILE", help="A .secrets.baseline of detect-secrets.")],
    baseline: FileOption = FILE,
    key_file: KeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a baseline out of one of detect-secrets, with its verdicts.

    Its files are scanned again; what our rules do not find in them is listed, and does not come over.
    """
    from vantage_secrets.errors import InvalidInputError
    from vantage_secrets.leaks.baseline.conversion import Conversion
    from vantage_secrets.leaks.baseline.detect_secrets import DetectSecretsBaseline
    from vantage_secrets.leaks.baseline.document import require_absent
    from vantage_secrets.leaks.baseline.known import Baseline

    require_absent(baseline)
    found = DetectSecretsBaseline.recognise(old)
    if found is None:
        raise InvalidInputError(f"'{old}' is no baseline of detect-secrets.", hint="Name its .secrets.baseline.")
    key = _lasting_key(key_file)
    made = Baseline(baseline, key.key_id)
    conversion = Conversion(found, made, _today())
    folder = old.absolute().parent
    files = sorted({folder / entry.path for entry in found.entries if (folder / entry.path).is_file()})
    report = scan_files(files, key, conversion.take) if files else None
    made.save()
    unmatched = conversion.unmatched(lambda path: (folder / path).is_file())
    _tell_conversion(made, unmatched, conversion.others, as_json=as_json)
    if report is not None:
        _end(report)


def _tell_conversion(
    made: Baseline, unmatched: Sequence[Unmatched], others: Sequence[Finding], *, as_json: bool
) -> None:
    if as_json:
        left = [
            {"path": entry.path, "line": entry.line, "type": entry.kind, "is_secret": entry.is_secret, "reason": reason}
            for entry, reason in unmatched
        ]
        print_json({"converted": len(made.entries), "unmatched": left, "not_in_the_old_one": len(others)})
        return
    print(f"{_findings(len(made.entries))} written to {made.path}.")
    if unmatched:
        print(f"{_findings(len(unmatched))} did not come over:")
    labels = {None: "", True: ", judged real", False: ", judged no secret"}
    for entry, reason in unmatched:
        print(f"  {entry.path}:{entry.line}  {entry.kind}{labels[entry.is_secret]}: {reason}")
    if others:
        say(f"{_findings(len(others))} of the same files {_is(len(others))} in neither; a scan tells them as new.")


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A report: JSON or JSON lines.")],
    kind: Annotated[
        str,
        typer.Option(
            "--from", metavar="TOOL", help="gitleaks, betterleaks, trufflehog, kingfisher or ggshield; found out."
        ),
    ] = "auto",
    source: Annotated[
        str, typer.Option("--source", metavar="FOLDER", help="Where that tool was run, as its paths begin there.")
    ] = ".",
    baseline: FileOption = FILE,
    key_file: KeyOption = None,
) -> None:
    """Add what another tool reported, to be judged here.

    A value in that report becomes a fingerprint and is forgotten. Delete the report: it holds values.
    """
    from vantage_secrets.leaks.baseline.known import Baseline
    from vantage_secrets.leaks.importers import read_foreign

    key = _lasting_key(key_file)
    known = Baseline.load(baseline, key) if baseline.exists() else Baseline(baseline, key.key_id)
    found = read_foreign(file, kind, key=key, source=source)
    added = sum(known.add(finding, _today()) for finding, _value in found)
    known.save()
    print(f"{_findings(added)} of {len(found)} added to {baseline}; it has {len(known.entries)}.")
    hidden = sum(value is None for _finding, value in found)
    if hidden:
        say(f"{_findings(hidden)} came without a value: kept by place, and covering nothing in a scan.")
    if hidden < len(found):
        say(f"'{file}' holds values: delete it.")


def scan_files(
    paths: Sequence[Path],
    key: FingerprintKey,
    listener: Callable[[Finding, bytes], None] | None = None,
    *,
    history: bool = False,
) -> Report:
    """Return the report of a scan of ``paths``, without a baseline.

    Args:
        paths: Folders and files; repositories when it is the history.
        key: The key of the fingerprints.
        listener: Told each finding with its value.
        history: Scan all objects instead of the files.
    """
    from vantage_secrets.cli.progress import Progress
    from vantage_secrets.cli.scan import cache_folder
    from vantage_secrets.leaks.scanner import Scan, Settings
    from vantage_secrets.leaks.sources.files import TreeSource

    with Progress() as progress:
        scan = Scan(
            Settings(
                key=lambda: key,
                cache_folder=cache_folder(os.environ),
                listener=listener,
                cores=len(os.sched_getaffinity(0)),
                progress=progress,
            )
        )
        if history:
            for path in paths:
                scan.read_history(path)
        else:
            scan.read(TreeSource([str(path) for path in paths]), ", ".join(map(str, paths)))
    return scan.report()


def _add_new(baseline: Baseline, report: Report) -> int:
    today = _today()
    return sum([baseline.add(finding, today) for finding in report.new])


def _key(file: Path | None) -> FingerprintKey:
    from vantage_secrets.leaks.fingerprint import load_key

    return load_key(file, os.environ)


def _lasting_key(file: Path | None) -> FingerprintKey:
    """Return the key.

    Raises:
        InvalidInputError: It would be gone with this process, and a baseline made with it would be of no use.
    """
    from vantage_secrets.errors import InvalidInputError

    key = _key(file)
    if key.note:
        raise InvalidInputError(key.note)
    return key


def _end(report: Report) -> None:
    if not report.coverage.is_complete:
        _tell_unread(report)
        raise typer.Exit(_INCOMPLETE)


def _tell_unread(report: Report) -> None:
    for place, reason in report.coverage.unread:
        say(f"not read: {'/'.join(filter(None, (place.source, place.path or place.object_id)))}: {reason}")


def _place(entry: Entry) -> str:
    return f"{entry.location}:{entry.line}" if entry.line else entry.location


def _findings(count: int) -> str:
    return f"{count} finding" if count == 1 else f"{count} findings"


def _is(count: int) -> str:
    return "is" if count == 1 else "are"


def _today() -> str:
    from vantage_secrets.clock import utc_now

    return utc_now().date().isoformat()
