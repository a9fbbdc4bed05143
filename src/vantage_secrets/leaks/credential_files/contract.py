"""What a parser of a credential file is, and what it gives."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple


class Field(NamedTuple):
    """A secret that a credential file holds.

    Attributes:
        kind: Id of its kind, a key of ``KINDS``, such as ``netrc-password``; it stands where a rule's id would.
        begin: Where the value begins, in bytes from the file's beginning.
        end: Where it ends, exclusive. The value is as the file spells it: still encoded where the format encodes.
    """

    kind: str
    begin: int
    end: int


class Kind(NamedTuple):
    """One kind of secret in credential files; what ``Rule`` says of the others.

    Attributes:
        title: What it is, for people.
        advice: Where or how it is revoked, in one short sentence.
        confidence: ``high``, ``medium`` or ``low``.
        source: Where the format is documented; an address, or words when it is only known from samples.
    """

    title: str
    advice: str
    confidence: str
    source: str


class Entry(NamedTuple):
    """One named value of a structured file, whatever its syntax.

    Attributes:
        path: Names of what it lies in, from outside in, at most ``DEPTH`` of them; list items have numbers.
        key: Its own name.
        begin: Where its value begins, quotes excluded.
        end: Where its value ends, exclusive.
    """

    path: tuple[bytes, ...]
    key: bytes
    begin: int
    end: int


DEPTH = 32
"""Levels of nesting whose names an entry tells; deeper ones are read, but cost no more."""

Parser = Callable[[bytes], Iterator[Field]]
"""Finds the secrets of one format. Raises nothing whatever the bytes are, and takes time in proportion to them."""

Shape = Callable[[bytes], Iterator[Entry]]
"""Reads one syntax, with the same two promises."""
