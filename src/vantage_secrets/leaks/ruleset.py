"""The rules, read from their files and checked."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from vantage_secrets.errors import InvalidInputError
from vantage_secrets.leaks.rule import Rule
from vantage_secrets.leaks.shorthands import written_out

RULES_FOLDER = Path(__file__).parent / "rules"

_ID = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_JUDGES = ("token", "password", "none")
_CONFIDENCES = ("high", "medium", "low")
_TEXTS = ("id", "title", "source", "regex")
_LISTS = ("positive", "negative")


def rule_files(more: Iterable[Path] = ()) -> tuple[Path, ...]:
    """Return the files of our own rules, sorted, and then ``more``."""
    return (*sorted(RULES_FOLDER.glob("*.toml")), *more)


def load_rules(files: Sequence[Path]) -> tuple[Rule, ...]:
    """Return the rules of ``files``, in their order.

    Raises:
        InvalidInputError: A file cannot be read, or a rule in it has a mistake; the message names file and rule.
    """
    rules: dict[str, Rule] = {}
    for file in files:
        for rule in _rules_of(file):
            if rule.id in rules:
                raise InvalidInputError(
                    f"{file.name}: the rule '{rule.id}' is there twice.", hint="Give one of the two another id."
                )
            rules[rule.id] = rule
    return tuple(rules.values())


def _rules_of(file: Path) -> Iterable[Rule]:
    import tomllib

    try:
        content = tomllib.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidInputError(
            f"The rules of '{file}' cannot be read: {error}.", hint="A rule file is TOML with [[rule]] tables in it."
        ) from error
    unknown = content.keys() - {"rule"}
    if unknown or not isinstance(content.get("rule"), list):
        raise InvalidInputError(
            f"{file.name}: a rule file holds [[rule]] tables and nothing else.",
            hint=f"Remove {', '.join(sorted(unknown))}." if unknown else "Begin with a line [[rule]].",
        )
    for table in content["rule"]:
        yield _rule_of(table, file)


def _rule_of(table: dict[str, Any], file: Path) -> Rule:
    place = f"{file.name}: the rule '{table.get('id', '?')}'"
    unknown = table.keys() - set(Rule._fields) - {"category"}
    missing = [key for key in (*_TEXTS, *_LISTS) if not table.get(key)]
    if unknown or missing:
        raise InvalidInputError(
            f"{place} has {'an unknown' if unknown else 'no'} {', '.join(sorted(unknown) or missing)}.",
            hint=f"A rule has {', '.join(field for field in Rule._fields if field != 'category')}.",
        )
    fields: dict[str, Any] = {key: tuple(value) if key in _LISTS else value for key, value in table.items()}
    try:
        fields["regex"] = written_out(fields["regex"])
    except ValueError as error:
        raise InvalidInputError(
            f"{place} cannot be read: {error}.", hint="docs/how-to/write-a-rule.md lists the shorthands."
        ) from error
    rule = Rule(**fields, category=file.stem)
    _check(rule, place)
    return rule


def _check(rule: Rule, place: str) -> None:
    from vantage_secrets.leaks.checksums import CHECKS

    if not _ID.fullmatch(rule.id):
        raise InvalidInputError(f"{place} has an id with other characters.", hint="Lower case, digits and hyphens.")
    try:
        re.compile(rule.regex.encode())
    except re.error as error:
        raise InvalidInputError(f"{place} has a regex that is none: {error}.", hint="See Python's 're'.") from error
    choices = (
        ("judge", rule.judge, _JUDGES),
        ("confidence", rule.confidence, _CONFIDENCES),
        ("checksum", rule.checksum, ("", *CHECKS)),
    )
    for field, given, allowed in choices:
        if given not in allowed:
            raise InvalidInputError(
                f"{place} has an unknown {field} '{given}'.", hint=f"One of: {', '.join(filter(None, allowed))}."
            )
