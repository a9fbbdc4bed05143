"""Names and values, over many of them: maps are reversible, collisions are refused, nothing is shown."""

from __future__ import annotations

import secrets

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vantage_secrets.errors import InvalidSecretNameError, NameCollisionError
from vantage_secrets.secret import NAME_LENGTH_MAX, NameMap, SecretName, SecretValue, Spelling

PATHS = st.from_regex(r"[ab0]{1,2}(-[ab0]{1,2}){0,2}(/[ab0]{1,2}(-[ab0]{1,2}){0,1}){0,2}", fullmatch=True)
FIELDS_OF_A_PATH = st.from_regex(r"[ab0_]{1,3}", fullmatch=True)
NAMES = st.one_of(PATHS, st.tuples(PATHS, FIELDS_OF_A_PATH).map("#".join)).map(SecretName)
PLAIN_NAMES = PATHS.map(SecretName)
PLAIN = st.text(min_size=8, max_size=40).map(lambda text: f"{text}§")


@given(st.one_of(st.text(max_size=140), st.text("ab0-/#_", max_size=140)))
@settings(max_examples=300)
def test_a_text_is_a_name_exactly_when_it_follows_the_grammar(text: str) -> None:
    path, mark, field = text.partition("#")
    parts = [word for part in path.split("/") for word in part.split("-")]
    alphabet = set("abcdefghijklmnopqrstuvwxyz0123456789")
    fits = all(word and set(word) <= alphabet for word in parts) and len(text) <= NAME_LENGTH_MAX
    fits = fits and bool(mark) == bool(field) and set(field) <= {*alphabet, "_"} and len(field) <= 64
    if fits:
        assert str(SecretName(text)) == text
    else:
        with pytest.raises(InvalidSecretNameError):
            SecretName(text)


@given(st.lists(NAMES, unique=True, max_size=8), st.sampled_from(Spelling))
@settings(max_examples=200)
def test_a_map_either_goes_back_to_every_name_or_is_refused(names: list[SecretName], spelling: Spelling) -> None:
    distinct = len({name.spelled(spelling) for name in names}) == len(names)
    if distinct:
        table = NameMap(names, spelling)
        assert [table.name(table.spell(name)) for name in names] == names
    else:
        with pytest.raises(NameCollisionError):
            NameMap(names, spelling)


@given(NAMES)
def test_a_name_is_its_path_and_the_field_behind_it(name: SecretName) -> None:
    assert str(name) == (f"{name.path}#{name.field}" if name.field else name.path)
    assert SecretName(name.path).field == ""


@given(st.lists(NAMES, unique=True, min_size=2, max_size=8))
def test_the_spelling_of_a_path_keeps_packed_secrets_apart_too(names: list[SecretName]) -> None:
    table = NameMap(names, Spelling.PATH)
    assert {table.name(table.spell(name)) for name in names} == set(names)


@given(st.lists(PLAIN_NAMES, unique=True, min_size=2, max_size=8))
@settings(max_examples=200)
def test_spellings_that_keep_both_marks_apart_never_collide(names: list[SecretName]) -> None:
    for spelling in (Spelling.PATH, Spelling.GOOGLE, Spelling.KUBERNETES):
        table = NameMap(names, spelling)
        assert {table.name(table.spell(name)) for name in names} == set(names)


@given(st.lists(NAMES, unique=True, min_size=2, max_size=2))
def test_an_explicit_spelling_that_another_name_has_is_refused(names: list[SecretName]) -> None:
    first, second = names
    with pytest.raises(NameCollisionError):
        NameMap(names, Spelling.PATH, {second: first.spelled(Spelling.PATH)})


@given(st.lists(NAMES, max_size=8))
def test_names_sort_and_hash_as_their_texts(names: list[SecretName]) -> None:
    assert [str(name) for name in sorted(names)] == sorted(str(name) for name in names)
    assert len(set(names)) == len({str(name) for name in names})


@given(PLAIN)
def test_no_way_of_showing_a_value_shows_it(plain: str) -> None:
    value = SecretValue(plain)
    for shown in (str(value), repr(value), f"{value}", f"{value!a:>60}", "%s".__mod__(value), repr([{"k": value}])):
        assert plain not in shown


@given(st.text(min_size=1, max_size=40), st.text(max_size=40))
def test_a_value_matches_its_own_text_and_no_other(plain: str, other: str) -> None:
    value = SecretValue(plain)
    assert value.matches(plain)
    assert value.matches(other) == (plain == other)
    assert (value == SecretValue(other or "x")) == (plain == (other or "x"))


FIELDS = st.dictionaries(st.text(min_size=1, max_size=5), st.text(min_size=1, max_size=5), min_size=1, max_size=3)


@given(FIELDS, FIELDS)
@settings(max_examples=200)
def test_named_fields_are_equal_exactly_when_their_dictionaries_are(one: dict[str, str], two: dict[str, str]) -> None:
    assert (SecretValue(one) == SecretValue(two)) == (one == two)
    assert SecretValue(one).reveal() == one


@given(st.binary(min_size=1, max_size=60))
def test_bytes_come_back_as_they_went_in(raw: bytes) -> None:
    value = SecretValue(raw)
    assert value.reveal() == raw
    assert value.matches(raw)
    assert not value.matches(raw + secrets.token_bytes(1))
