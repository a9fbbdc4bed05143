"""What a rule is: one kind of secret, described as data."""

from __future__ import annotations

from typing import NamedTuple

REACH_MAX = 16_384
"""No match of a rule is looked for that is longer, in bytes."""


class Rule(NamedTuple):
    """One kind of secret.

    Attributes:
        id: Lower case, digits and hyphens; stable, since baselines and suppressions name it.
        title: What it is, for people: ``GitHub personal access token``.
        category: The file it stands in: ``cloud``, ``databases``, …
        source: Where the format is documented; an address, or words when the format is only known from samples.
        regex: Regular expression of Python's ``re`` for bytes. The group ``secret``, else the first group, else the
            whole match is the value.
        confidence: ``high``, ``medium`` or ``low``.
        entropy: Least Shannon entropy of the value, in bits a character; 0 asks for none.
        checksum: Name of the function in ``leaks.checksums`` that the value must pass; empty for none.
        judge: How a candidate is judged after the regular expression: ``token`` refuses placeholders, ``password``
            also refuses what people write where a password would stand (references, words, types), ``none``
            refuses nothing.
        advice: Where or how this kind is revoked, in one short sentence; may be empty.
        positive: Templates (``leaks.examples``) of texts in which this rule finds exactly one secret.
        negative: Templates of texts in which it finds none.
    """

    id: str
    title: str
    category: str
    source: str
    regex: str
    confidence: str = "high"
    entropy: float = 0.0
    checksum: str = ""
    judge: str = "token"
    advice: str = ""
    positive: tuple[str, ...] = ()
    negative: tuple[str, ...] = ()
