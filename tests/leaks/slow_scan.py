"""The slow, obvious scanner: every rule's regular expression over the whole text, one after the other.

It is what the engine is compared with, and what a rule's examples are tried with.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

from vantage_secrets.leaks.judgement import accepts, value_of
from vantage_secrets.leaks.rule import Rule


class Spot(NamedTuple):
    rule: str
    begin: int
    end: int


@cache
def compiled(regex: str) -> re.Pattern[bytes]:
    return re.compile(regex.encode())


def scan(rules: Sequence[Rule], text: bytes) -> list[Spot]:
    found = []
    for rule in rules:
        for match in compiled(rule.regex).finditer(text):
            if accepts(rule, match):
                found.append(Spot(rule.id, *value_of(match)))
    return sorted(found, key=lambda spot: (spot.begin, spot.end, spot.rule))
