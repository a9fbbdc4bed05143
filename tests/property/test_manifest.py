"""Over many documents: parser and schema agree, what is added is read back, and every key's line is found."""

from __future__ import annotations

import copy
import json
import tempfile
import tomllib
from datetime import timedelta
from pathlib import Path
from typing import Any

import jsonschema
from hypothesis import given, settings
from hypothesis import strategies as st

from vantage_secrets.errors import ManifestError
from vantage_secrets.manifest import SecretSpec, add_secret, json_schema, load, parse, render_default
from vantage_secrets.manifest.locator import locate
from vantage_secrets.secret import SecretName

VALIDATOR = jsonschema.Draft202012Validator(json_schema())
PATH = Path("m.toml")

# One value of each kind that some key might take, and neighbours of those that it takes.
VALUES = st.one_of(
    st.sampled_from(
        [
            "",
            " ",
            "a",
            "a-b",
            "a--b",
            "A",
            "a/b",
            "x" * 41,
            "x" * 201,
            "a b",
            "always",
            "never",
            "spool",
            "static",
            "api-key",
            "90d",
            "1h30m",
            "0s",
            "30m1h",
            "1.5h",
            "12345678d",
            "embedded:x",
            "embedded:",
            "vault://a:b@c",
            "vault://a@c",
            "sqlite:///:memory:",
            "NoScheme",
            "kafka-sasl",
            "other-feature",
            "a\tb",
            "a\x9bb",
            "ü",
        ]
    ),
    st.booleans(),
    st.integers(-1, 2_000_000_000),
    st.sampled_from([65_535, 65_536, 1_073_741_824, 1_073_741_825]),
    st.lists(st.sampled_from(["a", "b", "A", ""]), max_size=3),
    st.lists(st.integers(0, 3), max_size=2),
    st.just({}),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n\r"), max_size=10),
)


def base() -> dict[str, Any]:
    return tomllib.loads(render_default(audit_public_key="key"))


def places(table: dict[str, Any], path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found = []
    for key, value in table.items():
        found.append((*path, key))
        if isinstance(value, dict):
            found += places(value, (*path, key))
    return found


PLACES = [
    *places(base()),
    ("database", "url"),
    ("store", "passphrase_file"),
    ("secrets", "API_KEY", "required_with"),
    ("secrets", "API_KEY", "unknown"),
    ("secrets", "lower_case"),
    ("secrets", "9_TAIL"),
    ("secrets", "WITH-HYPHEN"),
    ("features", "Two Words"),
    ("unknown",),
]


def toml(document: dict[str, Any], path: tuple[str, ...] = ()) -> str:
    """Write a document as TOML, keys before tables; JSON's texts, numbers and lists are TOML's too."""

    def quoted(value: object) -> str:
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")

    lines = [f"{quoted(key)} = {quoted(value)}\n" for key, value in document.items() if not isinstance(value, dict)]
    for key, value in document.items():
        if isinstance(value, dict):
            header = ".".join(quoted(part) for part in (*path, key))
            lines.append(f"[{header}]\n{toml(value, (*path, key))}")
    return "".join(lines)


def outcome_of(text: str) -> ManifestError | None:
    try:
        parse(text, PATH)
    except ManifestError as exc:
        return exc
    return None


# What compares two keys is the parser's alone.
BEYOND_SCHEMA = (
    "is not shorter than max_age",
    "is shorter than 'client.refresh_interval'",
    "is no time at all",
    "is the name of",
    "would both be written as",
    "names a feature that [features] does not have",
)


@given(st.sampled_from(PLACES), st.one_of(st.none(), VALUES))
@settings(max_examples=1500)
def test_the_schema_and_the_parser_agree_on_a_document_with_one_change(place: tuple[str, ...], value: Any) -> None:
    document = copy.deepcopy(base())
    table = document
    for part in place[:-1]:
        table = table.setdefault(part, {})
    if value is None:
        table.pop(place[-1], None)
    else:
        table[place[-1]] = value
    by_schema = VALIDATOR.is_valid(document)
    mistake = outcome_of(toml(document))
    lines = str(mistake or "").splitlines()
    if by_schema and lines and all(any(words in line for words in BEYOND_SCHEMA) for line in lines):
        return
    assert by_schema == (mistake is None), str(mistake)


WORDS = st.from_regex(r"[a-z0-9]{1,8}(-[a-z0-9]{1,8}){0,2}", fullmatch=True)
LINES = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=60).filter(
    lambda text: text[0] != " "
)
SPECS = st.builds(
    SecretSpec,
    key=st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,20}", fullmatch=True),
    name=st.lists(WORDS, min_size=1, max_size=3).map(lambda parts: SecretName("/".join(parts))),
    kind=st.sampled_from(["api-key", "static"]),
    purpose=LINES,
    owner=LINES,
    consumers=st.lists(WORDS, max_size=3, unique=True).map(tuple),
    max_age=st.integers(86_401, 10**8).map(lambda seconds: timedelta(seconds=seconds)),
    grace=st.integers(0, 86_400).map(lambda seconds: timedelta(seconds=seconds)),
    required=st.booleans(),
    feature=st.none(),
    target=st.none(),
    account=st.from_regex(r"([A-Za-z_][A-Za-z0-9_.-]{0,59})?", fullmatch=True),
    quiet=st.integers(0, 86_400).map(lambda seconds: timedelta(seconds=seconds)),
    at_grace_end=st.sampled_from(["force", "hold"]),
)


@given(st.lists(SPECS, max_size=4, unique_by=(lambda s: s.key, lambda s: str(s.name).replace("/", "-"))), st.booleans())
@settings(max_examples=40, deadline=None)
def test_secrets_that_are_added_are_read_back_in_their_order(specs: list[SecretSpec], with_windows_ends: bool) -> None:
    text = 'environment = "test"\n[store]\nurl = "embedded:secrets.db"\n'
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "vantage-secrets.toml"
        path.write_bytes((text.replace("\n", "\r\n") if with_windows_ends else text).encode())
        for spec in specs:
            add_secret(path, spec)
        assert load(path).secrets == tuple(specs)
        assert VALIDATOR.is_valid(tomllib.loads(path.read_bytes().decode()))


KEYS = st.one_of(st.from_regex(r"[A-Za-z0-9_-]{1,6}", fullmatch=True), st.text(max_size=6))
SCALARS = st.one_of(st.integers(), st.booleans(), st.text(max_size=20), st.lists(st.text(max_size=5), max_size=3))
DOCUMENTS = st.dictionaries(
    KEYS, SCALARS | st.dictionaries(KEYS, SCALARS | st.dictionaries(KEYS, SCALARS, max_size=3), max_size=3), max_size=4
)


@given(DOCUMENTS)
@settings(max_examples=150)
def test_every_key_of_a_document_is_found_on_a_line_that_holds_it(document: dict[str, Any]) -> None:
    text = toml(document)
    assert tomllib.loads(text) == document
    lines = locate(text)
    assert set(lines) == set(places(document))
    for path, line in lines.items():
        quoted = json.dumps(path[-1], ensure_ascii=False).replace("\x7f", "\\u007f")
        assert quoted in text.split("\n")[line - 1]


@given(st.text(max_size=200) | st.binary(max_size=200).map(lambda raw: raw.decode("latin-1")))
@settings(max_examples=150)
def test_any_text_is_a_manifest_or_a_mistake_with_a_line_and_a_hint(text: str) -> None:
    found = outcome_of(text)
    if found is not None:
        assert found.line is None or 1 <= found.line <= text.count("\n") + 1
        assert found.hint
