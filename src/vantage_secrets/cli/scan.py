"""``vantage-secrets scan``: has anything leaked, and is it still dangerous?

It has its own parser of the standard library: a pre-commit hook starts it at each commit, and Typer alone would take
longer than the whole scan of a few files (ADR 0022).
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from vantage_secrets.errors import InvalidInputError

if TYPE_CHECKING:
    from vantage_secrets.leaks.scanner import Scan

DESCRIPTION = """\
Find secrets where they should not be: in folders and files, in a whole Git history, in what is staged, in a stream,
in processes, images, databases and topics. No value is ever shown."""

EPILOG = """\
Exit codes: 0 clean, 1 findings, 2 usage, 3 not everything could be read."""


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command's words."""
    made = _Parser(
        prog="vantage-secrets scan",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        add_help=False,
    )
    made.add_argument("paths", nargs="*", metavar="PATH", help="folders and files; with --history repositories (here)")
    _add_sources(made.add_argument_group("what to scan"))
    _add_search(made.add_argument_group("what to look for"))
    _add_result(made.add_argument_group("the result"))
    more = made.add_argument_group("more")
    more.add_argument("-j", "--jobs", type=_positive, metavar="N", help="cores to use (all)")
    more.add_argument("--no-cache", action="store_true", help="keep nothing of this scan, and use nothing kept")
    more.add_argument("-h", "--help", action="help", help="show this and end")
    return made


def _add_sources(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--history", action="store_true", help="every object of the repositories, on any branch or none")
    group.add_argument("--staged", action="store_true", help="what the next commit would bring")
    group.add_argument("--stdin", action="store_true", help="what comes on standard input, as it comes")
    group.add_argument("--env-of", action="append", default=[], metavar="PID|all", help="environments of processes")
    group.add_argument("--image", action="append", default=[], metavar="FILE", help="a container image that was saved")
    group.add_argument(
        "--clickhouse", action="append", default=[], metavar="TARGET", help="its logs of queries and text"
    )
    group.add_argument("--kafka", action="append", default=[], metavar="TARGET:TOPIC", help="the records of a topic")
    group.add_argument("--since", metavar="TIME", help="of --clickhouse and --kafka, what is younger: 7d, 2026-01-31")
    group.add_argument(
        "--exclude", action="append", default=[], metavar="GLOB", help="leave out files of this name or path"
    )
    group.add_argument(
        "--max-file-size", type=_size, default=268_435_456, metavar="SIZE", help="largest to read (256MB)"
    )


def _add_search(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--known", action="store_true", help="the values in the manifest's store, all versions; on record"
    )
    group.add_argument("--rules", action="append", default=[], metavar="FILE", help="rules of yours besides ours")


def _add_result(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--baseline", metavar="FILE", help="what is known already; also a .secrets.baseline")
    group.add_argument("--key-file", metavar="FILE", help="the key of the fingerprints (one of your own)")
    group.add_argument(
        "--format", choices=("text", "json", "sarif", "html"), default="text", help="of the report (text)"
    )
    group.add_argument("--output", metavar="FILE", help="where the report goes (standard output)")
    group.add_argument("--all", action="store_true", help="show each finding, also those that are known or allowed")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        # SECURITY: what was typed behind '=' may be a value; it is not repeated.
        said = " ".join(word.partition("=")[0] for word in message.split(" "))
        raise InvalidInputError(
            f"{said[:1].upper()}{said[1:]}.", hint=f"Run '{self.prog} --help' to see what it takes."
        )


def _positive(text: str) -> int:
    if text.isdecimal() and int(text):
        return int(text)
    raise argparse.ArgumentTypeError("a number of cores, 1 or more")


_UNITS = {"": 1, "B": 1, "KB": 1_000, "MB": 1_000_000, "GB": 1_000_000_000, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def _size(text: str) -> int:
    number = text.rstrip("BKMGbkmg")
    unit = _UNITS.get(text[len(number) :].upper())
    if number.isdecimal() and unit:
        return int(number) * unit
    raise argparse.ArgumentTypeError("a size such as 500MB or 2GB")


def scan(words: Sequence[str], manifest: Path | None = None) -> int:
    """Scan what ``words`` ask for, print the report and return the exit code."""
    if words[:1] == ["watch"]:
        from vantage_secrets.cli.watch import watch

        return watch(words[1:])
    chosen = parser().parse_args(words)
    from vantage_secrets.leaks.reports import write_report

    report, rules = _run(chosen, manifest)
    output = Path(chosen.output) if chosen.output else None
    is_terminal = sys.stdout.isatty()
    write_report(
        report,
        rules,
        chosen.format,
        output,
        stream=sys.stdout,
        colour=is_terminal and not os.environ.get("NO_COLOR"),
        width=_width() if is_terminal else 0,
        show_all=chosen.all,
    )
    return report.exit_code


def _width() -> int:
    from shutil import get_terminal_size

    return get_terminal_size().columns


def _run(chosen: argparse.Namespace, manifest: Path | None):
    from vantage_secrets.cli.progress import Progress
    from vantage_secrets.leaks.scanner import Scan, Settings

    with Progress() as progress:
        scan = Scan(
            Settings(
                key=lambda: _key(chosen),
                cache_folder=None if chosen.no_cache else cache_folder(os.environ),
                more_rules=[Path(name) for name in chosen.rules],
                cores=chosen.jobs or len(os.sched_getaffinity(0)),
                progress=progress,
                size_max=chosen.max_file_size,
            )
        )
        for step in _steps(chosen):
            step(scan)
    return scan.report(), [active.rule for active in scan.examiner.matcher.rules]


def _key(chosen):
    from vantage_secrets.leaks.fingerprint import load_key

    return load_key(Path(chosen.key_file) if chosen.key_file else None, os.environ)


def cache_folder(environment) -> Path | None:
    """Return where this user's compiled rules and read objects are kept; nothing when there is no home."""
    base = environment.get("XDG_CACHE_HOME") or (environment.get("HOME") and environment["HOME"] + "/.cache")
    return Path(base) / "vantage-secrets" / "leaks" if base else None


def _steps(chosen) -> list[Callable[[Scan], None]]:
    """Return what is to be read, as functions of the scan."""
    steps = []
    paths = chosen.paths
    if chosen.history:
        steps += [lambda scan, path=path: scan.read_history(Path(path)) for path in paths or ["."]]
    elif paths or not steps:
        steps.append(lambda scan: _read_trees(scan, paths or ["."], chosen))
    return steps


def _read_trees(scan, paths, chosen):
    from vantage_secrets.leaks.sources.files import TreeSource

    scan.read(TreeSource(paths, exclude=chosen.exclude, size_max=chosen.max_file_size), ", ".join(paths))
