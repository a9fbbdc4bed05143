"""How well a scanner does on labelled files; any scanner's that tells path and line."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple


class Label(NamedTuple):
    """A secret that stands in a file.

    Attributes:
        path: The file, from the corpus' root.
        line: Where it begins, 1 for the first.
        end_line: Where it ends.
        begin: Offset of the value's first byte; the line's, where only the line is known.
        end: Offset behind its last byte.
        kind: ``password``, ``secret``, or the id of the rule that the text was made for.
        context: What it stands in, for people who look at misses.
    """

    path: str
    line: int
    end_line: int
    begin: int
    end: int
    kind: str
    context: str


class Measurement(NamedTuple):
    """What came of it.

    Attributes:
        recall: Found labels to all labels.
        precision: Found places that have a label to all found places; a place is a path and a line.
        misses: The labels that nothing was found for.
        false_alarms: The places that have no label.
    """

    recall: float
    precision: float
    misses: tuple[Label, ...]
    false_alarms: tuple[tuple[str, int], ...]


def measure(labels: Sequence[Label], findings: Iterable[tuple[str, int]]) -> Measurement:
    """Return how ``findings``, paths and lines, agree with ``labels``."""
    found = set(findings)
    labelled = {(label.path, line): label for label in labels for line in range(label.line, label.end_line + 1)}
    misses = [
        label
        for label in labels
        if not any((label.path, line) in found for line in range(label.line, label.end_line + 1))
    ]
    false_alarms = sorted(found - labelled.keys())
    return Measurement(
        1 - len(misses) / max(len(labels), 1),
        1 - len(false_alarms) / max(len(found), 1),
        tuple(misses),
        tuple(false_alarms),
    )
