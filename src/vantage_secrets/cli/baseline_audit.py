"""The conversation of ``baseline audit``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from vantage_secrets.errors import InvalidInputError

if TYPE_CHECKING:
    from vantage_secrets.leaks.baseline.entry import Entry
    from vantage_secrets.leaks.baseline.review import Item, Review

HELP = "t real, f no secret, s skip, b back, q quit; words after t or f are kept as a note"


def require_terminal() -> None:
    """Return when there is somebody to be asked.

    Raises:
        InvalidInputError: Standard input is no terminal.
    """
    if not sys.stdin.isatty():
        raise InvalidInputError(
            "Nobody can be asked: standard input is no terminal.",
            hint="Run it at a terminal, or see what is open: vantage-secrets baseline show --verdict open",
        )


def judge_all(review: Review, today: str) -> None:
    """Ask for a verdict on each open entry, and keep each at once, until the end or until the person quits.

    Raises:
        VersionConflictError: Somebody else changed the baseline meanwhile.
        StoreUnavailableError: It cannot be written.
    """
    entries, position, judged = review.open_entries(), 0, set()
    if entries:
        print(HELP)
    while position < len(entries):
        _show(review.item(entries[position]), position + 1, len(entries))
        word, note = _answer()
        if word == "q":
            break
        if word == "b":
            position = max(0, position - 1)
            continue
        if word != "s":
            entry = _judge(review, entries[position], word, note, today)
            if entry is None:
                continue
            entries[position] = entry
            judged.add(position)
        position += 1
    print(f"{len(judged)} judged; {len(review.open_entries())} open.")


def _judge(review: Review, entry: Entry, word: str, note: str, today: str) -> Entry | None:
    from vantage_secrets.leaks.baseline.entry import Verdict

    try:
        return review.judge(entry, Verdict.TRUE if word == "t" else Verdict.FALSE, note, today)
    except InvalidInputError as error:
        print(error.message)
        return None


def _answer() -> tuple[str, str]:
    while True:
        try:
            word, _blank, note = input("real? ").strip().partition(" ")
        except EOFError:
            return "q", ""
        if word in ("t", "f") or (word in ("s", "b", "q") and not note):
            return word, note.strip()
        print(HELP)


def _show(item: Item, number: int, count: int) -> None:
    entry, finding = item.entry, item.finding
    line = finding.line if finding is not None else entry.line
    print(f"\n{number} of {count}: {entry.location}{f':{line}' if line else ''}  {entry.rule}")
    if entry.reported_by != "vantage-secrets":
        print(f"  reported by {entry.reported_by}")
    if finding is not None and finding.known is not None:
        print(f"  This is {finding.known.secret}, {finding.known.verdict}.")
    for shown in item.lines:
        print(f"  {'>' if shown.is_finding else ' '} {shown.number:>5}  {shown.text}")
    if not item.lines:
        print(f"  {_why_nothing(item)}")


def _why_nothing(item: Item) -> str:
    if item.entry.object_id:
        return f"It is in the history: git show {item.entry.object_id[:12]} (which shows the value)."
    if item.finding is None:
        return "The scan does not find it there now, so there is nothing that could be masked and shown."
    return "Its lines cannot be shown."
