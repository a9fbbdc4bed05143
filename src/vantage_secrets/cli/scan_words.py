"""The words of ``vantage-secrets scan``, in a parser of the standard library.

A pre-commit hook starts the command at each commit, and Typer alone would take longer than the whole scan of a few
files (ADR 0023).
"""

from __future__ import annotations

import argparse
import os
import re
from typing import NoReturn

from vantage_secrets.errors import InvalidInputError

DESCRIPTION = """\
Find secrets where they should not be: in folders and files, in a whole Git
history, in what is staged, in a stream, in processes, images, databases and
topics. No value is ever shown."""

EPILOG = """\
What is pushed to a Git server: vantage-secrets scan watch --help
Exit codes: 0 clean, 1 findings, 2 usage, 3 not everything could be read."""


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command's words."""
    made = Parser(
        prog="vantage-secrets scan",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=_Formatter,
        allow_abbrev=False,
        add_help=False,
    )
    made.add_argument("paths", nargs="*", metavar="PATH", help="folders and files; with --history repositories (here)")
    _add_sources(made.add_argument_group("what to scan"))
    _add_search(made.add_argument_group("what to look for"))
    _add_result(made.add_argument_group("the result"))
    more = made.add_argument_group("more")
    more.add_argument("-j", "--jobs", type=positive, metavar="N", help="cores to use (all)")
    more.add_argument("--no-cache", action="store_true", help="read all of a history again, and keep nothing")
    more.add_argument("-h", "--help", action="help", help="show this and end")
    return made


def _add_sources(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--history", action="store_true", help="every object of the repositories, on any branch or none")
    group.add_argument("--staged", action="store_true", help="what the next commit would bring")
    group.add_argument("--stdin", action="store_true", help="what comes on standard input, as it comes")
    group.add_argument(
        "--env-of", type=_pid, action="append", default=[], metavar="PID|all", help="environments of processes"
    )
    group.add_argument("--image", action="append", default=[], metavar="FILE", help="a container image that was saved")
    group.add_argument(
        "--clickhouse", action="append", default=[], metavar="TARGET", help="its logs of queries and text"
    )
    group.add_argument(
        "--kafka", type=_topic, action="append", default=[], metavar="TARGET[:TOPIC]", help="its records"
    )
    group.add_argument("--since", type=_instant, metavar="TIME", help="of those two what is younger: 7d, 2026-01-31")
    group.add_argument(
        "--exclude", action="append", default=[], metavar="GLOB", help="leave out files of this name or path"
    )
    group.add_argument(
        "--max-file-size", type=size, default=268_435_456, metavar="SIZE", help="largest to read (256MB)"
    )


def _add_search(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--known", action="store_true", help="the values in the manifest's store, all versions; on record"
    )
    group.add_argument("--rules", action="append", default=[], metavar="FILE", help="rules of yours besides ours")
    group.add_argument(
        "--validate", action="store_true", help="ask vendors whether it is live; sends each value to its vendor"
    )
    group.add_argument(
        "--validate-at",
        type=_endpoint,
        action="append",
        default=[],
        metavar="VARIABLE=URL",
        help="a vendor's server of your own, such as GITLAB_BASE_URL=https://git.example.com",
    )


def _add_result(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--baseline", metavar="FILE", help="what is known already; also a .secrets.baseline")
    group.add_argument("--key-file", metavar="FILE", help="the key of the fingerprints (one of your own)")
    group.add_argument(
        "--format", choices=("text", "json", "sarif", "html"), default="text", help="of the report (text)"
    )
    group.add_argument("--output", metavar="FILE", help="where the report goes (standard output)")
    group.add_argument("--all", action="store_true", help="show each finding, also those that are known or allowed")


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """The standard library's, which asks ``shutil`` for the width, and that takes longer than all the words."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=_columns() - 2)


def _columns() -> int:
    told = os.environ.get("COLUMNS", "")
    if told.isdecimal() and int(told):
        return int(told)
    try:
        return os.get_terminal_size().columns or 80
    except (OSError, ValueError):
        return 80


class Parser(argparse.ArgumentParser):
    """Tells what is wrong with the command's words as an error of ours."""

    def format_help(self) -> str:
        """Return the help, begun as that of the other commands is."""
        return super().format_help().replace("usage:", "Usage:", 1)

    def error(self, message: str) -> NoReturn:
        """Raise it."""
        said = _without_values(message)
        raise InvalidInputError(
            f"{said[:1].upper()}{said[1:]}.", hint=f"Run '{self.prog} --help' to see what it takes."
        )


_TYPED = re.compile(r"(invalid choice:|ignored explicit argument) (?:'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\")")
_UNKNOWN = "unrecognized arguments: "


def _without_values(message: str) -> str:
    """Return what argparse complains about. SECURITY: without what was typed, which may be a value."""
    if message.startswith(_UNKNOWN):
        words = message.removeprefix(_UNKNOWN).split(" ")
        names = [word.partition("=")[0] if word.startswith("--") else word[:2] for word in words if word[:1] == "-"]
        return _UNKNOWN + " ".join(names)
    return _TYPED.sub(r"\1 what was given", message)


def positive(text: str) -> int:
    """Return the number that ``text`` is, 1 or more."""
    if text.isdecimal() and int(text):
        return int(text)
    raise argparse.ArgumentTypeError("a number of cores, 1 or more")


def _pid(text: str) -> int | None:
    if text == "all":
        return None
    if text.isdecimal():
        return int(text)
    raise argparse.ArgumentTypeError("the number of a process, or all")


def _endpoint(text: str) -> tuple[str, str]:
    variable, sign, url = text.partition("=")
    if variable and sign and url:
        return variable, url
    raise argparse.ArgumentTypeError("a variable and a URL, such as GITLAB_BASE_URL=https://git.example.com")


def _topic(text: str) -> tuple[str, str]:
    target, _colon, topic = text.partition(":")
    return target, topic


def _instant(text: str) -> float:
    from datetime import UTC, datetime

    from vantage_secrets.clock import parse_duration, utc_now

    try:
        if text[:4].isdecimal() and "-" in text:
            at = datetime.fromisoformat(text)
            return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
        return (utc_now() - parse_duration(text)).timestamp()
    except (ValueError, InvalidInputError):
        raise argparse.ArgumentTypeError("a length of time such as 7d, or a day such as 2026-01-31") from None


_UNITS = {"": 1, "B": 1, "KB": 1_000, "MB": 1_000_000, "GB": 1_000_000_000, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def size(text: str) -> int:
    """Return the bytes that ``text`` says, such as ``500MB``."""
    number = text.rstrip("BKMGbkmg")
    unit = _UNITS.get(text[len(number) :].upper())
    if number.isdecimal() and unit:
        return int(number) * unit
    raise argparse.ArgumentTypeError("a size such as 500MB or 2GB")
