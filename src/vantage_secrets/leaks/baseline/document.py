"""The baseline's file: JSON with an entry a line, sorted, so that a change of one entry is a change of one line."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from vantage_secrets.errors import InvalidInputError, StoreUnavailableError, VersionConflictError
from vantage_secrets.leaks.baseline.entry import Entry, Verdict

VERSION = 1
FILE_MODE = 0o644  # it is meant to be committed

_KEYS = {"location": "path", "object_id": "object"}
"""Names in the file where they differ from the entry's own."""
_FIELDS = {_KEYS.get(field, field): field for field in Entry._fields}
_NEEDED = ("path", "fingerprint", "rule")


def written(key_id: str, entries: Iterable[Entry]) -> bytes:
    """Return the file's content."""
    import json

    lines = [_line_of(entry) for entry in sorted(entries, key=_order)]
    body = ",\n  ".join(lines)
    entries_text = f"[\n  {body}\n ]" if lines else "[]"
    text = f'{{\n "version": {VERSION},\n "key_id": {json.dumps(key_id)},\n "entries": {entries_text}\n}}\n'
    return text.encode()


def parsed(content: bytes, name: str) -> tuple[str, list[Entry]]:
    """Return the key's id and the entries that ``content`` holds.

    Raises:
        InvalidInputError: It is no baseline of ours; the message names the first mistake.
    """
    import json

    try:
        document = json.loads(content.decode())
    except ValueError as error:
        raise InvalidInputError(
            f"The baseline '{name}' is not JSON: {_where(error)}.",
            hint="Where a merge left conflict marks, keep the entries of both sides, with a comma between them.",
        ) from None
    if not isinstance(document, dict) or document.get("version") != VERSION:
        raise InvalidInputError(
            f"'{name}' is no baseline of version {VERSION}.", hint="Make one with: vantage-secrets baseline create"
        )
    key_id, tables = document.get("key_id"), document.get("entries")
    if not isinstance(key_id, str) or not isinstance(tables, list):
        raise InvalidInputError(f"The baseline '{name}' has no key_id or no list of entries.")
    return key_id, [_entry_of(table, f"Entry {number} of '{name}'") for number, table in enumerate(tables, 1)]


def _where(error: ValueError) -> str:
    # SECURITY: not the error's own text, which may quote what stands there.
    line = getattr(error, "lineno", None)
    return f"see line {line}" if line else "it is not UTF-8"


def _line_of(entry: Entry) -> str:
    import json

    table = _table_of(entry)
    line = json.dumps(table, ensure_ascii=False)
    # A file's name need not be text; what UTF-8 cannot write stands there as an escape.
    return line if line.isprintable() else json.dumps(table)


def _table_of(entry: Entry) -> dict[str, Any]:
    shown = {name: getattr(entry, field) for name, field in _FIELDS.items()}
    defaults = {_KEYS.get(field, field): default for field, default in Entry._field_defaults.items()}
    return {name: value for name, value in shown.items() if name in _NEEDED or value != defaults[name]}


def _entry_of(table: Any, place: str) -> Entry:
    if not isinstance(table, dict):
        raise InvalidInputError(f"{place} is no object.")
    unknown, missing = table.keys() - set(_FIELDS), [name for name in _NEEDED if name not in table]
    if unknown or missing:
        raise InvalidInputError(
            f"{place} has {'an unknown' if unknown else 'no'} {', '.join(sorted(unknown) or missing)}.",
            hint=f"An entry has {', '.join(_FIELDS)}.",
        )
    fields = {_FIELDS[name]: value for name, value in table.items()}
    wrong = [name for name, value in table.items() if type(value) is not (int if name == "line" else str)]
    if wrong or table.get("verdict", "open") not in tuple(Verdict):
        raise InvalidInputError(
            f"{place} has a {wrong[0] if wrong else 'verdict'} that cannot be.",
            hint=f"'line' is a number, the rest is text; a verdict is one of {', '.join(Verdict)}.",
        )
    return Entry(**{**fields, "verdict": Verdict(fields.get("verdict", "open"))})


def _order(entry: Entry) -> tuple[str, ...]:
    # Not by line: an entry would change its place whenever somebody adds a line to its file.
    return entry.location, entry.rule, entry.fingerprint, str(entry.line), entry.reported_by


def replace_file(path: Path, content: bytes, expected: bytes | None) -> None:
    """Put ``content`` into the file ``path``, wholly or not at all.

    Args:
        path: The file; a link stays a link, and the file that it leads to is replaced.
        content: What is in it afterwards.
        expected: What must be in it before; ``None`` when there must be no file.

    Raises:
        VersionConflictError: Something else is there; nothing was written.
        StoreUnavailableError: It cannot be written.
    """
    target = path.resolve()
    try:
        with _held(target) as mode:
            found = target.read_bytes() if mode is not None else None
            if found != expected:
                raise _conflict(path, is_new=expected is None)
            _put(target, content, FILE_MODE if mode is None else mode, is_new=mode is None)
    except FileExistsError:
        raise _conflict(path, is_new=True) from None
    except OSError as error:
        raise StoreUnavailableError(
            f"The baseline '{path}' cannot be written: {error.strerror}.", hint="Free some space, or name another file."
        ) from error


def require_absent(path: Path) -> None:
    """Return when a new baseline can be written to ``path``.

    Raises:
        VersionConflictError: Something is there.
    """
    if path.exists():
        raise _conflict(path, is_new=True)


def _conflict(path: Path, *, is_new: bool) -> VersionConflictError:
    if is_new:
        return VersionConflictError(
            f"The baseline '{path}' is there already; nothing was written.",
            hint="Run 'vantage-secrets baseline update' to add to it, or name another file with --baseline.",
        )
    return VersionConflictError(
        f"The baseline '{path}' was changed by somebody else meanwhile; nothing was written.",
        hint="Run the same command again.",
    )


@contextlib.contextmanager
def _held(target: Path) -> Iterator[int | None]:
    """Keep other writers of the file out, and give its mode; ``None`` when there is none."""
    import fcntl

    while True:
        try:
            descriptor = os.open(target, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            yield None
            return
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            status = os.fstat(descriptor)
            if not _is_same_file(status, target):
                continue  # It was replaced while we waited: the lock is of the old one.
            yield status.st_mode & 0o777
            return
        finally:
            os.close(descriptor)


def _is_same_file(status: os.stat_result, target: Path) -> bool:
    try:
        return os.path.samestat(status, target.stat())
    except FileNotFoundError:
        return False


def _put(target: Path, content: bytes, mode: int, *, is_new: bool) -> None:
    draft = target.with_name(f".{target.name}.{os.urandom(6).hex()}.draft")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, mode)
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        if is_new:
            os.link(draft, target)  # Unlike a rename, it never replaces what is there.
        else:
            draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)
