"""Printing: JSON when asked, a Rich table where a person looks, plain text when piped."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any, TypeVar

from vantage_secrets.clock import format_duration

STYLES = {
    "missing": "bold red",
    "expired": "bold red",
    "due": "yellow",
    "overlap": "cyan",
    "rotating": "cyan",
    "ok": "green",
    "unused": "dim",
    "current": "green",
    "previous": "cyan",
    "pending": "yellow",
    "retired": "dim",
    "success": "green",
    "denied": "bold red",
    "failed": "red",
    "copied": "green",
    "create": "green",
    "replace": "yellow",
    "works": "green",
    "warning": "yellow",
    "broken": "bold red",
    "holds": "green",
    "unknown": "yellow",
    "no receipt": "yellow",
}
"""How a word in a table is coloured."""


_IN_ONE_PIECE = frozenset({"key", "name", "part", "version", "seq", "instance"})
"""Columns that say what a line is about: a name broken over two lines cannot be copied."""

_PROGRESS_MIN = 20
"""Fewer steps than this are done before a bar could be read."""

_Item = TypeVar("_Item")


def is_terminal() -> bool:
    """Return whether a person looks at standard output."""
    return sys.stdout.isatty()


def print_rows(
    columns: Mapping[str, str], rows: Iterable[Mapping[str, Any]], *, as_json: bool, empty: str = ""
) -> None:
    """Print rows: JSON with every key, a table of ``columns`` at a terminal, tab-separated lines when piped.

    Args:
        columns: Key of each column and its heading.
        rows: The rows; keys that are no column appear in JSON only.
        as_json: Print a JSON array.
        empty: What to say at a terminal when there are no rows.
    """
    if as_json:
        print_json([{key: json_value(value) for key, value in row.items()} for row in rows])
        return
    if not is_terminal():
        if len(columns) > 1:
            print("\t".join(columns))
        for row in rows:
            print("\t".join(_plain(row.get(key)) for key in columns))
        return
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
    for key, heading in columns.items():
        table.add_column(heading, overflow="fold", no_wrap=key in _IN_ONE_PIECE)
    for row in rows:
        words = [_human(row.get(key)) for key in columns]
        table.add_row(*(Text(word, style=STYLES.get(word, "")) for word in words))
    if table.row_count:
        Console().print(table)
    elif empty:
        print(empty)


def tracked(items: Iterable[_Item], words: str, *, total: int) -> Iterator[_Item]:
    """Yield ``items``, with a bar on standard error where a person waits for more than a moment.

    Args:
        items: What is worked through.
        words: What is done.
        total: How many there will be.
    """
    if total < _PROGRESS_MIN or not sys.stderr.isatty():
        yield from items
        return
    from rich.console import Console
    from rich.progress import track

    yield from track(items, words, total=total, console=Console(stderr=True), transient=True)


def print_record(record: Mapping[str, Any], *, as_json: bool) -> None:
    """Print one thing: JSON, or a line for each key."""
    if as_json:
        print_json({key: json_value(value) for key, value in record.items()})
        return
    convert = _human if is_terminal() else _plain
    width = max(len(key) for key in record) + 2
    for key, value in record.items():
        print(f"{key.replace('_', ' ')}:".ljust(width), convert(value))


def print_json(value: object) -> None:
    """Print ``value`` as JSON, one object or array, readable."""
    import json

    print(json.dumps(value, indent=2, ensure_ascii=False))


def print_json_line(record: Mapping[str, Any]) -> None:
    """Print one record of an endless row of them, as JSON on a line of its own, at once."""
    import json

    print(json.dumps({key: json_value(value) for key, value in record.items()}, ensure_ascii=False), flush=True)


def say(text: str) -> None:
    """Tell a person how it goes, on standard error, so that piped output stays clean."""
    print(text, file=sys.stderr)


def json_value(value: object) -> object:
    """Return ``value`` as JSON can write it."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(key): json_value(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [json_value(item) for item in value]
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def _plain(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="seconds")
    if isinstance(value, timedelta):
        return format_duration(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ",".join(_plain(item) for item in value)
    return str(value).replace("\t", " ").replace("\n", " ")


def _human(value: object) -> str:
    if value is None or value in ("", (), []):
        return "-"
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%Y-%m-%d %H:%M}"
    if isinstance(value, timedelta):
        return format_duration(value, parts=1)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(_human(item) for item in value)
    return _plain(value)
