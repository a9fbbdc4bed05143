"""Files as repositories have them, with secrets in them and a label for each; the same seed gives the same files."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, TypeVar
from urllib.parse import quote

from tests.leaks.corpus.contexts import Context, contexts
from tests.leaks.corpus.decoys import decoys
from tests.leaks.corpus.measuring import Label
from tests.leaks.corpus.values import PASSWORD_NAMES, SECRET_NAMES, password, secret, styled
from vantage_secrets.leaks.examples import ALPHABETS, expand
from vantage_secrets.leaks.rule import Rule

_Chosen = TypeVar("_Chosen")

_HOLE = re.compile(r"\{([a-z][A-Za-z0-9-]*(?::\d+)?)\}")
_HOLES = {*ALPHABETS, "uuid"}
_USERS = ("app", "worker", "reader", "svc-shop", "admin2", "jdoe", "deploy", "backup", "reporting", "analytics")
_HOSTS = ("db.corp.net", "mq1.corp.net", "10.4.0.17", "cache-0", "pg-main.internal", "ch3.corp.net")
_TOKEN = re.compile(
    r"(?<![^\s\"'=:/])([A-Za-z][A-Za-z0-9]{1,12}[_\-.][A-Za-z0-9_.\-]*\{[A-Za-z0-9_.\-{}:]+\})(?=[\s\"',;@]|$)"
)
"""A token that begins with a word of its own, in the template of an example."""
_MARKED_UP = {
    "xml", "html", "sh", "php", "ps1", "properties", "bat", "service", "pl", "groovy", "kt", "exs",
}  # fmt: skip
"""Where some marks mean something even in quotes, so that people choose a value without them."""
_VALUE = re.compile(r"@V(?![a-z])")
_TEMPLATED = {"yaml", "json"}
"""Kinds of files that templates are often written in."""
_LIKE = {
    "kt": "java", "scala": "java", "groovy": "java", "swift": "ts", "rs": "go", "cpp": "go", "pl": "php", "lua": "py",
    "exs": "rb", "service": "env", "bat": "env", "url": "env", "cron": "sh", "diff": "yaml", "ansible": "yaml",
    "values": "yaml", "html": "xml", "clickhouse": "xml", "notebook": "ipynb", "kafka": "properties",
}  # fmt: skip
"""Kinds of files that have the decoys of another."""
_ADDRESS = re.compile(r"://@?U?:@V|://.*[?&]password=@V")
"""Where some marks must be written as percent signs with digits."""
_FOLDERS = ("src", "config", "deploy", "scripts", "docs", "services/orders", "services/users", "infra", "lib", "tools")
_CONTEXT_CATEGORIES = ("databases", "generic", "headers", "urls")


class Snippet(NamedTuple):
    """A piece of a file; ``begin`` is -1 where it has no secret."""

    text: str
    begin: int = -1
    end: int = -1
    kind: str = ""
    context: str = ""


class File(NamedTuple):
    """A file and what is in it."""

    path: str
    content: bytes
    labels: tuple[Label, ...]


def corpus(rules: Sequence[Rule], seed: int, file_count: int) -> Iterator[File]:
    """Yield ``file_count`` files of every kind in turn, with about three secrets and ten decoys each.

    Args:
        rules: Every one's positive examples are placed, a few of them a file.
        seed: Another seed gives another tree.
        file_count: How many files.
    """
    ways, lures = contexts(), decoys()
    kinds = sorted(ways.keys() | lures.keys())
    tokens = _tokens_of(rules)
    samples = [(rule, template) for rule in rules for template in rule.positive]
    for index in range(file_count):
        generator = random.Random(f"{seed}/{index}")
        kind = kinds[index % len(kinds)]
        pieces = [
            Snippet(_filled(lure, _LIKE.get(kind, kind) in _TEMPLATED, generator))
            for lure in _some(generator, lures[_LIKE.get(kind, kind)], 6, 14)
        ]
        pieces += [_secret_in(way, generator, tokens) for way in _some(generator, ways.get(kind, ()), 1, 5)]
        if kind in ("md", "log", "env", "sh", "yaml"):
            pieces += [_sample(*samples[(seed + index * 3 + turn) % len(samples)], generator) for turn in range(4)]
        generator.shuffle(pieces)
        yield _file(kind, ways, index, pieces, generator)


def _some(generator: random.Random, choices: Sequence[_Chosen], least: int, most: int) -> list[_Chosen]:
    return generator.choices(choices, k=generator.randint(least, most)) if choices else []


def _filled(lure: str, has_templates: bool, generator: random.Random) -> str:
    """Fill the holes of a decoy; where no templates are written, double braces stand for single ones."""

    def fill(hole: re.Match[str]) -> str:
        name = hole[1].partition(":")[0]
        return expand(hole[0], generator) if name in _HOLES and (":" in hole[1] or name == "uuid") else hole[0]

    kept = _HOLE.sub(fill, lure.replace("{{", "\0").replace("}}", "\1"))
    return kept.replace("\0", "{{" if has_templates else "{").replace("\1", "}}" if has_templates else "}")


def _tokens_of(rules: Sequence[Rule]) -> list[tuple[str, str]]:
    """Return rule ids and templates of tokens with a prefix of their own, taken out of the rules' examples."""
    found = {}
    for rule in rules:
        if rule.category not in _CONTEXT_CATEGORIES and rule.confidence == "high":
            for template in rule.positive:
                for token in _TOKEN.findall(template):
                    found[token] = rule.id
    return [(rule_id, token) for token, rule_id in found.items()]


def _secret_in(way: Context, generator: random.Random, tokens: list[tuple[str, str]]) -> Snippet:
    kind = generator.choice(way.kinds)
    is_quoted = not way.is_calm and way.suffix not in _MARKED_UP
    if kind == "p":
        names, label = PASSWORD_NAMES, "password"
        value = password(generator, calm=not is_quoted)
    elif tokens and generator.random() < 0.4:
        names, (label, template) = SECRET_NAMES, generator.choice(tokens)
        value = expand(template, generator)
    else:
        names, label, value = SECRET_NAMES, "secret", secret(generator)
    if (
        "://@U:@V" in way.template
        or "://:@V" in way.template
        or ("password=@V" in way.template and "://" in way.template)
    ):
        value = quote(value, safe="-._~!*")
    words = generator.choice(names)
    text = way.template.replace("@N", styled(words, way.style)).replace("@U", generator.choice(_USERS))
    text = text.replace("@H", generator.choice(_HOSTS))
    place = _VALUE.search(text)
    assert place, f"the context has no value: {way.template}"
    begin = place.start()
    return Snippet(f"{text[:begin]}{value}{text[begin + 2 :]}", begin, begin + len(value), label, way.template)


def _sample(rule: Rule, template: str, generator: random.Random) -> Snippet:
    text = expand(template, generator)
    return Snippet(text, 0, len(text), rule.id, template)


def _file(
    kind: str, ways: Mapping[str, Sequence[Context]], index: int, pieces: list[Snippet], generator: random.Random
) -> File:
    suffix = ways[kind][0].suffix if kind in ways else kind
    stem = f"{generator.choice(_FOLDERS)}/{kind}{index}"
    path = f"{stem}/{suffix}" if suffix == "Dockerfile" else f"{stem}.{suffix}"
    text = b""
    labels = []
    for piece in pieces:
        encoded = piece.text.encode()
        if piece.begin >= 0:
            begin = len(text) + len(piece.text[: piece.begin].encode())
            end = len(text) + len(piece.text[: piece.end].encode())
            first = text.count(b"\n") + 1 + piece.text[: piece.begin].count("\n")
            last = first + piece.text[piece.begin : piece.end].count("\n")
            labels.append(Label(path, first, last, begin, end, piece.kind, piece.context))
        text += encoded + b"\n"
    return File(path, text, tuple(labels))
