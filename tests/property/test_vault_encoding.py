"""What the store in Vault writes comes back as it was, over many values and histories."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from vantage_secrets.secret import SecretName, SecretValue, Stage
from vantage_secrets.stores.vault.encoding import (
    Encoded,
    Entry,
    Shape,
    decode,
    encode,
    entry_key,
    read_entries,
    read_time,
)
from vantage_secrets.stores.vault.ledger import (
    History,
    Ledger,
    Promotion,
    Record,
    digest_of,
    is_digest_of,
)
from vantage_secrets.stores.vault.ledger_text import read_ledger, write_ledger

NAME = SecretName("a/b")
TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
FIELDS = st.dictionaries(TEXT, TEXT, min_size=1, max_size=3)
VALUES = st.one_of(TEXT, st.binary(min_size=1, max_size=20), FIELDS).map(SecretValue)
TIMES = st.datetimes(min_value=datetime(2000, 1, 1), timezones=st.just(UTC))  # The zone is the strategy's.
NUMBERS = st.integers(1, 10_000)


@given(VALUES)
def test_a_value_comes_back_in_its_shape(value: SecretValue) -> None:
    encoded = encode(NAME, value)
    sent = json.loads(json.dumps(encoded.at("")))
    assert decode(NAME, encoded.shape, sent) == value
    assert type(decode(NAME, encoded.shape, sent).reveal()) is type(value.reveal())


@given(st.one_of(TEXT, st.binary(min_size=1, max_size=20)).map(SecretValue), st.dictionaries(TEXT, TEXT, max_size=3))
def test_a_packed_value_comes_back_from_among_its_neighbours(value: SecretValue, others: dict[str, str]) -> None:
    name = SecretName("a/b#part_1")
    encoded = encode(name, value)
    assert decode(name, encoded.shape, {**others, **encoded.at("part_1")}) == value


@given(st.lists(st.tuples(st.from_regex(r"[a-z0-9_]{0,64}", fullmatch=True), NUMBERS), unique=True, max_size=5), TIMES)
def test_entries_come_back_from_among_other_metadata_and_keep_the_server_s_limits(
    keys: list[tuple[str, int]], at: datetime
) -> None:
    entries = {key: Entry("0123456789abcdef", Shape.TEXT, at, at, key[1] - 1 or None) for key in keys}
    custom = {entry_key(*key): entry.written() for key, entry in entries.items()}
    assert all(len(key.encode()) <= 128 and len(text.encode()) <= 512 for key, text in custom.items())
    others = {"owner": "team", "vantage-secrets.environment": "test", "vantage-secrets.7x": "x", "5": "{}"}
    assert read_entries({**custom, **others, "vantage-secrets.99999": "{}"}) == entries


@given(VALUES, VALUES)
@settings(max_examples=20)
def test_a_digest_is_of_one_value(one: SecretValue, two: SecretValue) -> None:
    digest = digest_of(encode(NAME, one))
    assert is_digest_of(digest, encode(NAME, one))
    assert is_digest_of(digest, encode(NAME, two)) == (encode(NAME, one) == encode(NAME, two))
    assert digest != digest_of(encode(NAME, one))


@given(TIMES, st.sampled_from(["", ".1", ".123456", ".123456789"]))
def test_a_time_of_the_server_is_read_to_the_microsecond(at: datetime, digits: str) -> None:
    whole = at.replace(microsecond=0)
    found = read_time(f"{whole:%Y-%m-%dT%H:%M:%S}{digits}Z")
    assert found == whole.replace(microsecond=int(f"{digits[1:7]:0<6}"))


STEPS = st.lists(st.tuples(st.sampled_from(["stage", "promote", "roll back", "retire", "foreign"]), TIMES), max_size=12)


@given(STEPS, VALUES)
@settings(max_examples=200)
def test_a_history_has_one_version_in_a_stage_and_comes_back_from_the_ledger(
    steps: list[tuple[str, datetime]], value: SecretValue
) -> None:
    encoded = encode(NAME, value)
    history, number = History(), 0
    for index, (step, at) in enumerate(steps):
        before = history
        history, number = _after(history, step, at, f"version-{index}", number, encoded)
        _assert_sound(history, before, step)
    promotion = Promotion("", "version-0", number + 1, datetime.now(UTC), encoded, None)
    ledger = Ledger("test", {"": history.shortened(), "part": History()}, promotion, "mark", 3, 4)
    assert read_ledger("a/b--pending", json.loads(json.dumps(write_ledger(ledger)))) == ledger


def _after(history: History, step: str, at: datetime, new_id: str, number: int, value: Encoded) -> tuple[History, int]:
    chosen = history.record(history.pending if step == "promote" else history.previous)
    if step == "stage" and history.pending is None:
        return history.with_pending(Record(new_id, new_id, "", Shape.TEXT, at), value), number
    if step in ("promote", "roll back") and chosen is not None:
        return history.with_current(chosen, number + 1, at), number + 1
    if step == "foreign":
        record = Record(new_id, "", "", None, at, first=number + 1)
        return history.with_foreign(record).with_current(record, number + 1, at), number + 1
    if step == "retire":
        return history.without(history.pending or history.previous, at), number
    return history, number


def _assert_sound(history: History, before: History, step: str) -> None:
    stages = [history.stage_of(record) for record in history.records]
    assert all(stages.count(stage) <= 1 for stage in (Stage.PENDING, Stage.CURRENT, Stage.PREVIOUS))
    assert {*history.values} == ({history.pending} if history.pending else set())
    assert len({record.id for record in history.records}) == len(history.records)
    if history.current != before.current:
        assert history.previous == before.current
    if step != "retire":
        gone = {one for one in (before.current,) if one} - {history.current, history.previous}
        assert not gone
    current = history.record(history.current)
    assert current is None or (current.first is not None and current.until is None)
