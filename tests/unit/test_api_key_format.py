"""How an API key is written."""

from __future__ import annotations

import string

from hypothesis import given
from hypothesis import strategies as st

from vantage_secrets.targets.api_key.format import generate_key, key_id_of

_ALPHABET = string.digits + string.ascii_letters


def test_a_key_names_its_public_id_and_nothing_else_of_it_repeats() -> None:
    keys = {generate_key() for _ in range(200)}
    assert len(keys) == 200
    for key in keys:
        prefix, key_id, secret = key.split("_")
        assert (len(key), prefix, len(key_id), len(secret)) == (64, "vsk", 10, 49)
        assert key_id_of(key) == key_id
        assert set(key_id + secret) <= set(_ALPHABET)
    assert len({key_id_of(key) for key in keys}) == 200


@given(st.integers(0, 63), st.sampled_from(_ALPHABET))
def test_a_key_with_one_character_changed_is_no_key(place: int, character: str) -> None:
    key = generate_key()
    changed = key[:place] + character + key[place + 1 :]
    assert (key_id_of(changed) is None) == (changed != key)


@given(st.text(max_size=80))
def test_other_text_is_no_key(text: str) -> None:
    assert key_id_of(text) is None


def test_what_stands_around_a_key_makes_it_none() -> None:
    key = generate_key()
    assert [key_id_of(text) for text in (key + "\n", " " + key, key[:-1], key + "0", key.lower(), "")] == [None] * 6
