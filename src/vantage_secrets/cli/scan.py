"""``vantage-secrets scan``: has anything leaked, and is it still dangerous?"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vantage_secrets.bootstrap import Workspace
    from vantage_secrets.leaks.finding import Report
    from vantage_secrets.leaks.fingerprint import FingerprintKey
    from vantage_secrets.leaks.scanner import Scan, Settings
    from vantage_secrets.leaks.sources.contract import Source
    from vantage_secrets.leaks.validation import Candidates


def scan(words: Sequence[str], manifest: Path | None = None) -> int:
    """Scan what ``words`` ask for, write the report and return the exit code.

    Args:
        words: What stands behind ``scan``.
        manifest: The manifest that was named in front of it; it is opened for what needs one only.
    """
    from vantage_secrets.cli.scan_words import parser

    if words[:1] == ["watch"]:
        from vantage_secrets.cli.watch import watch

        return watch(words[1:], manifest)
    chosen = parser().parse_args(words)
    candidates = _candidates(chosen)
    return _write(_scanned(chosen, manifest, candidates), chosen, candidates)


def _scanned(chosen: argparse.Namespace, manifest: Path | None, candidates: Candidates | None) -> Scan:
    """Return the scan when it has read everything."""
    from vantage_secrets.cli.progress import Progress
    from vantage_secrets.leaks.scanner import Scan

    with ExitStack() as stack:
        progress = stack.enter_context(Progress())
        workspace = stack.enter_context(_workspace(chosen, manifest)) if _needs_manifest(chosen) else None
        listener = candidates.take if candidates is not None else None
        made = Scan(settings_of(chosen)._replace(progress=progress, notice=progress.say, listener=listener))
        if chosen.known and workspace:
            made.look_for(*workspace.known_values(made.coverage, made.recorder.key))
        for path in _histories(chosen):
            made.read_history(Path(path))
        for source, words in _sources(chosen, workspace):
            made.read(source, words)
    return made


def settings_of(chosen: argparse.Namespace) -> Settings:
    """Return the settings of a scan that the command's words amount to."""
    from vantage_secrets.leaks.scanner import Settings

    settings = Settings(
        key=lambda: fingerprint_key(chosen),
        cache_folder=cache_folder(os.environ),
        keeps_objects=not chosen.no_cache,
        more_rules=[Path(name) for name in chosen.rules],
        cores=chosen.jobs or len(os.sched_getaffinity(0)),
        size_max=chosen.max_file_size,
    )
    if chosen.baseline:
        from vantage_secrets.leaks.baseline import load_known

        settings = settings._replace(baseline=load_known(Path(chosen.baseline), fingerprint_key(chosen)))
    return settings


def _needs_manifest(chosen: argparse.Namespace) -> bool:
    return bool(chosen.known or chosen.clickhouse or chosen.kafka)


@contextmanager
def _workspace(chosen: argparse.Namespace, manifest: Path | None) -> Iterator[Workspace]:
    """Give the workspace of the manifest; what the scan reads there is on record under its words."""
    from vantage_secrets.cli.session import recorded_session

    words = " ".join(["scan", *(f"--{name}" for name in ("known", "clickhouse", "kafka") if getattr(chosen, name))])
    with recorded_session(manifest, words) as workspace:
        yield workspace


def _histories(chosen: argparse.Namespace) -> list[str]:
    return (chosen.paths or ["."]) if chosen.history else []


def _sources(chosen: argparse.Namespace, workspace: Workspace | None) -> Iterator[tuple[Source, str]]:
    """Yield what is to be read, each with its words for the report; folders when nothing else is asked for."""
    is_alone = True
    for source in (*_process_sources(chosen), *_server_sources(chosen, workspace)):
        is_alone = False
        yield source
    if not chosen.history and (chosen.paths or is_alone):
        from vantage_secrets.leaks.sources.files import TreeSource

        paths = chosen.paths or ["."]
        tree = TreeSource(paths, exclude=chosen.exclude, size_max=chosen.max_file_size)
        yield tree, ", ".join(paths)


def _process_sources(chosen: argparse.Namespace) -> Iterator[tuple[Source, str]]:
    if chosen.staged:
        from vantage_secrets.leaks.sources.staged import StagedSource

        yield StagedSource(Path()), "what is staged"
    for pid in chosen.env_of:
        from vantage_secrets.leaks.sources.environment import EnvironmentSource

        yield EnvironmentSource(pid), "all processes" if pid is None else f"process {pid}"
    for image in chosen.image:
        from vantage_secrets.leaks.sources.containers import ImageSource

        yield ImageSource(image), f"image {image}"
    if chosen.stdin:
        from vantage_secrets.leaks.sources.stream import StreamSource

        yield StreamSource(), "standard input"


def _server_sources(chosen: argparse.Namespace, workspace: Workspace | None) -> Iterator[tuple[Source, str]]:
    if workspace is None:
        return
    for target in chosen.clickhouse:
        yield workspace.clickhouse_logs(target, since=chosen.since), f"the logs of ClickHouse at target {target}"
    for target, topic in chosen.kafka:
        words = f"topic {topic}" if topic else "all topics"
        yield (
            workspace.kafka_topics(target, [topic] if topic else [], since=chosen.since),
            f"{words} at target {target}",
        )


def _candidates(chosen: argparse.Namespace) -> Candidates | None:
    """Return what takes the values that vendors are asked about, when that was asked for."""
    if not (chosen.validate or chosen.validate_at):
        return None
    from vantage_secrets.leaks.validation import Candidates

    return Candidates(dict(chosen.validate_at), None if chosen.no_cache else cache_folder(os.environ))


def _validated(report: Report, candidates: Candidates) -> Report:
    """Return ``report`` after the vendors were asked; whoever runs the scan is told that values leave the machine."""
    if len(candidates):
        print(f"Asking vendors: up to {len(candidates):,} values, each is sent to its own vendor …", file=sys.stderr)
    found = candidates.validated(report.findings)
    report.coverage.notes.extend(found.notes)
    return report._replace(findings=found.findings)


def _write(done: Scan, chosen: argparse.Namespace, candidates: Candidates | None) -> int:
    from vantage_secrets.leaks.reports import write_report

    report = done.report()
    if candidates is not None:
        report = _validated(report, candidates)
    is_terminal = sys.stdout.isatty()
    write_report(
        report,
        [active.rule for active in done.examiner.matcher.rules],
        chosen.format,
        Path(chosen.output) if chosen.output else None,
        stream=sys.stdout,
        colour=is_terminal and not os.environ.get("NO_COLOR"),
        width=_width() if is_terminal else 0,
        show_all=chosen.all,
    )
    return report.exit_code


def _width() -> int:
    from shutil import get_terminal_size

    return get_terminal_size().columns


def fingerprint_key(chosen: argparse.Namespace) -> FingerprintKey:
    """Return the key of the fingerprints: the one that the command's words name, or this user's own."""
    from vantage_secrets.leaks.fingerprint import load_key

    return load_key(Path(chosen.key_file) if chosen.key_file else None, os.environ)


def cache_folder(environment: Mapping[str, str]) -> Path | None:
    """Return where this user's compiled rules and read objects are kept; nothing when there is no home.

    ``VANTAGE_SECRETS_CACHE_FOLDER`` names it, for a build that keeps it from one run to the next.
    """
    if environment.get("VANTAGE_SECRETS_CACHE_FOLDER"):
        return Path(environment["VANTAGE_SECRETS_CACHE_FOLDER"])
    home = environment.get("HOME")
    base = environment.get("XDG_CACHE_HOME") or (home and f"{home}/.cache")
    return Path(base) / "vantage-secrets" / "leaks" if base else None
