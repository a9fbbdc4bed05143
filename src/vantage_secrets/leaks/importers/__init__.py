"""Findings of other tools, so that one place tracks them all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from vantage_secrets.errors import InvalidInputError
from vantage_secrets.leaks.finding import Finding
from vantage_secrets.leaks.fingerprint import FingerprintKey
from vantage_secrets.leaks.importers import betterleaks, ggshield, gitleaks, kingfisher, trufflehog
from vantage_secrets.leaks.importers.reported import Record, Reported, finding_of


class _Importer(NamedTuple):
    claims: Callable[[Sequence[Record]], bool]
    read: Callable[[Sequence[Record]], Iterator[Reported]]
    expected: str


_IMPORTERS = {
    module.__name__.rpartition(".")[2]: _Importer(module.claims, module.read, module.EXPECTED)
    for module in (betterleaks, ggshield, kingfisher, trufflehog, gitleaks)
}
TOOLS = tuple(_IMPORTERS)
AUTO = "auto"


def read_foreign(
    path: Path, kind: str = AUTO, *, key: FingerprintKey, source: str = "."
) -> list[tuple[Finding, bytes | None]]:
    """Return what another tool reported, each with its value when the report has it.

    A value stays in memory; the finding carries its fingerprint, or an empty one where the report was redacted.

    Args:
        path: The report.
        kind: Who wrote it, one of ``TOOLS``, or ``auto`` to find out.
        key: The key of the fingerprints.
        source: The folder where that tool was run, as the paths in the report are seen from there.

    Raises:
        InvalidInputError: The file cannot be read, is no report that we know, or is damaged; nothing is returned then.
    """
    if kind not in (AUTO, *TOOLS):
        raise InvalidInputError(f"There is no importer for '{kind[:40]}'.", hint=f"One of: {', '.join(TOOLS)}.")
    records = _records(path)
    tool = _tool_of(records, path) if kind == AUTO else kind
    importer, reported = _IMPORTERS[tool], []
    if records and not importer.claims(records):
        raise InvalidInputError(f"'{path}' is no report of {tool}.", hint=f"Expected is {importer.expected}.")
    try:
        for found in importer.read(records):
            reported.append(finding_of(found, tool, key, source))
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError):
        # SECURITY: without the cause, whose text may quote a value.
        raise InvalidInputError(
            f"'{path}' is no whole report of {tool}: the one after {len(reported)} findings is damaged.",
            hint=f"Expected is {importer.expected}.",
        ) from None
    return reported


def _tool_of(records: Sequence[Record], path: Path) -> str:
    if records:
        tool = next((name for name, importer in _IMPORTERS.items() if importer.claims(records)), None)
        if tool:
            return tool
    raise InvalidInputError(
        f"'{path}' {'is a report that no importer knows' if records else 'reports nothing, and not whose it is'}.",
        hint="Name the tool with --from; expected is "
        + "; ".join(f"for {name}: {importer.expected}" for name, importer in _IMPORTERS.items()),
    )


def _records(path: Path) -> list[Record]:
    """Return the objects of the file: the array's, the one object, or one of each line."""
    import json

    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise InvalidInputError(f"The report '{path}' cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise InvalidInputError(f"The report '{path}' is not UTF-8.", hint="Expected is JSON or JSON lines.") from None
    found: Any
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = _lines(text, path)
    records = found if isinstance(found, list) else [found]
    if not all(isinstance(record, dict) for record in records):
        raise InvalidInputError(f"The report '{path}' holds something else than objects.", hint="Expected is JSON.")
    return records


def _lines(text: str, path: Path) -> list[Any]:
    import json

    found = []
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                found.append(json.loads(line))
            except (ValueError, RecursionError):
                # SECURITY: without the cause, which keeps the whole line.
                raise InvalidInputError(
                    f"The report '{path}' is not JSON: see line {number}.", hint="Expected is JSON or JSON lines."
                ) from None
    return found
