"""The result of a scan for people and for programs: text, JSON, SARIF and HTML, each a pure function of a ``Report``.

No report holds a value: findings do not have one. What comes from outside (paths, authors, reasons) is made harmless
for where it is shown: control characters for a terminal, markup for a page.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, TextIO

from vantage_secrets.errors import InvalidInputError
from vantage_secrets.leaks.finding import Report
from vantage_secrets.leaks.rule import Rule

if TYPE_CHECKING:
    from pathlib import Path

FORMATS = ("text", "json", "sarif", "html")

_MODE = 0o644
"""A report may be read by others: it has places and keyed fingerprints, and no value."""


def write_report(
    report: Report,
    rules: Sequence[Rule],
    report_format: str,
    output: Path | None,
    *,
    stream: TextIO,
    colour: bool = False,
    width: int = 0,
    show_all: bool = False,
) -> None:
    """Write ``report`` to the file ``output``, all of it or nothing, or to ``stream`` when that is None.

    Args:
        report: What a scan found.
        rules: The rules that ran, for the formats that describe them.
        report_format: One of ``FORMATS``.
        output: The file, mode 0644; what is there is replaced. A device or pipe is written to as it is.
        stream: Where it goes without a file.
        colour: Colour a text on ``stream``; a file is never coloured.
        width: Most columns of a line of text; 0 for no end.
        show_all: Leave nothing out of a text: no caps, and judged findings too.

    Raises:
        InvalidInputError: The format is unknown, or ``output`` cannot be made where it is to be.
        OSError: The disk is full or broken; what was at ``output`` is as it was.
    """
    if report_format not in FORMATS:
        raise InvalidInputError(f"There is no report format '{report_format}'.", hint=f"One of: {', '.join(FORMATS)}.")
    if report_format == "text" and output is None:
        from vantage_secrets.leaks.reports.text import write_text

        write_text(report, stream, colour=colour, width=width, show_all=show_all)
        return
    content = _content(report, rules, report_format, width, show_all=show_all)
    if output is None:
        stream.write(content)
    else:
        _write_file(output, content.encode())


def _content(report: Report, rules: Sequence[Rule], report_format: str, width: int, *, show_all: bool) -> str:
    if report_format == "json":
        from vantage_secrets.leaks.reports.json_report import to_json

        return to_json(report)
    if report_format == "sarif":
        from vantage_secrets.leaks.reports.sarif import to_sarif

        return to_sarif(report, rules)
    if report_format == "html":
        from vantage_secrets.leaks.reports.html import to_html

        return to_html(report, rules)
    from io import StringIO

    from vantage_secrets.leaks.reports.text import write_text

    text = StringIO()
    write_text(report, text, colour=False, width=width, show_all=show_all)
    return text.getvalue()


def _write_file(path: Path, content: bytes) -> None:
    try:
        if path.exists() and not path.is_file():
            # /dev/stdout or a named pipe: replacing it would destroy it.
            path.write_bytes(content)
        else:
            _replace(path, content)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError) as error:
        raise InvalidInputError(
            f"The report cannot be written to '{path}': {(error.strerror or 'it is refused').lower()}.",
            hint="Name a file in a folder that exists and that you may write to.",
        ) from error


def _replace(path: Path, content: bytes) -> None:
    # SECURITY: a link at the path is replaced, not followed: the folder may belong to a checkout that others wrote.
    draft = path.with_name(f".{path.name}.{os.getpid()}.draft")
    file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _MODE)
    try:
        with open(file, "wb") as opened:  # noqa: PTH123 -- it is a descriptor
            os.fchmod(file, _MODE)  # whatever the umask says
            opened.write(content)
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
