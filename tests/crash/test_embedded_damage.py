"""Flipped bits anywhere in the file give right answers or a named error, never a wrong answer."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.canary import canary
from vantage_secrets.errors import (
    SecretNotFoundError,
    StoreError,
    StoreIntegrityError,
    WrongEncryptionKeyError,
)
from vantage_secrets.secret import SecretName, SecretReading, SecretValue, Stage
from vantage_secrets.stores.embedded import EmbeddedStore, create_embedded, open_embedded

PAGE_BYTES = 4096
STRIDE = 23
NAMES = tuple(SecretName(f"damage/{text}") for text in ("api-key", "kafka", "token"))
ABSENT = SecretName("damage/kafkb")


class WrongAnswerError(Exception):
    """The store answered, and not what was written."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A store with every stage, named fields, a value over several pages, and a deleted secret."""
    contents = [canary(), {"username": "ingest", "password": canary()}, canary().ljust(9_000, "x"), canary()]
    with create_embedded(tmp_path / "secrets.db", environment="test", key_file=tmp_path / "key") as store:
        for name in NAMES:
            for number, content in enumerate(contents[:3], 1):
                store.stage(name, SecretValue(content), f"token-{number}")
                store.promote(name, str(number), expect_current=str(number - 1) if number > 1 else None)
        store.stage(NAMES[0], SecretValue(contents[3]), "token-4")
        gone = SecretName("damage/gone")
        store.stage(gone, SecretValue(contents[3]), "token-1")
        store.delete(gone)
    return tmp_path


def _open(folder: Path) -> EmbeddedStore:
    options = {"key_file": str(folder / "key")}
    return open_embedded(f"embedded://{folder}/secrets.db", environment="test", options=options)


def _answers(store: EmbeddedStore) -> list[object]:
    """All that the store tells, with values; absence and retirement are answers too."""
    answers: list[object] = [[*store.list()]]
    for name in (*NAMES, ABSENT):
        answers.append(_answer(lambda name=name: store.describe(name)))
        answers += [_answer(lambda name=name, stage=stage: store.read(name, stage=stage)) for stage in Stage]
        answers += [
            _answer(lambda name=name, version=version: store.read(name, version=version)) for version in ("1", "3", "9")
        ]
    return answers


def _answer(call: Callable[[], object]) -> object:
    try:
        found = call()
    except SecretNotFoundError as exc:
        return type(exc)
    return (found.value.reveal(), found.version) if isinstance(found, SecretReading) else found


def _places(pristine: bytes) -> Iterator[tuple[int, int]]:
    """Yield offsets and masks: every byte of the file's and the pages' headers and first cell pointers, and of the
    rest a sample that is dense enough to meet every cell several times, and that begins elsewhere in each run."""
    begin = random.randrange(STRIDE)
    for offset, byte in enumerate(pristine):
        if offset < 100 or offset % PAGE_BYTES < 24:
            yield offset, (0xFF, 1, 4)[offset % 3]
        elif byte and offset % STRIDE == begin:
            yield offset, 1 << random.randrange(8)


def test_a_flipped_byte_gives_right_answers_or_a_named_error(folder: Path) -> None:
    path = folder / "secrets.db"
    pristine = path.read_bytes()
    with _open(folder) as store:
        right = _answers(store)
    assert pristine == path.read_bytes(), "reading changed the file"
    wrong: list[str] = []
    named = 0
    for offset, mask in _places(pristine):
        damaged = bytearray(pristine)
        damaged[offset] ^= mask
        path.write_bytes(damaged)
        try:
            with _open(folder) as store:
                if _answers(store) != right:
                    raise WrongAnswerError
        except WrongEncryptionKeyError:
            wrong.append(f"byte {offset} ^ {mask}: damage was taken for a wrong key")
        except StoreError:
            named += 1
        except Exception as exc:
            wrong.append(f"byte {offset} ^ {mask}: {type(exc).__name__}")
        for suffix in ("-wal", "-shm"):
            Path(f"{path}{suffix}").unlink(missing_ok=True)
    assert not wrong, f"{len(wrong)} wrong: {wrong[:20]}"
    assert named > 500, "too little of the file is authenticated, or the test flips unused bytes"


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE secrets SET current = 2, previous = 3 WHERE name = 'damage/kafka'",
        "UPDATE secrets SET name = 'damage/kafkb' WHERE name = 'damage/kafka'",
        "DELETE FROM secrets WHERE name = 'damage/kafka'",
        "UPDATE secrets SET last = 2, first = 3 WHERE name = 'damage/kafka'",
        "DELETE FROM versions WHERE name = 'damage/kafka' AND number = 1",
        "DELETE FROM versions WHERE name = 'damage/kafka' AND number = 3",
        "UPDATE versions SET promoted_at = promoted_at - 1 WHERE name = 'damage/kafka' AND number = 3",
        "DELETE FROM sealed_values WHERE name = 'damage/kafka' AND number = 3",
        "UPDATE sealed_values SET (wrapped_key, ciphertext) = (SELECT wrapped_key, ciphertext FROM sealed_values"
        " WHERE name = 'damage/api-key' AND number = 3) WHERE name = 'damage/kafka' AND number = 3",
        "UPDATE store SET environment = 'production'",
        "UPDATE store SET key_id = '0000000000000000'",
        "UPDATE store SET secret_count = secret_count - 1",
        "DELETE FROM store",
        "DROP TABLE sealed_values",
        "CREATE TABLE more (x)",
    ],
)
def test_rows_that_were_changed_swapped_or_removed_are_noticed(folder: Path, statement: str) -> None:
    with sqlite3.connect(folder / "secrets.db") as connection:
        connection.execute(statement)
    connection.close()
    with pytest.raises(StoreIntegrityError), _open(folder) as store:
        _answers(store)


def test_an_older_row_of_a_version_that_was_retired_since_is_noticed(folder: Path) -> None:
    with sqlite3.connect(folder / "secrets.db") as connection:
        query = "SELECT * FROM versions WHERE name = 'damage/kafka' AND number = 2"
        older = connection.execute(query).fetchone()
        with _open(folder) as store:
            store.retire(NAMES[1], "2")
        connection.execute(f"REPLACE INTO versions VALUES ({', '.join('?' * len(older))})", older)
    connection.close()
    with _open(folder) as store, pytest.raises(StoreIntegrityError):
        store.describe(NAMES[1])


def test_absence_is_not_reported_while_a_name_is_damaged(folder: Path) -> None:
    with sqlite3.connect(folder / "secrets.db") as connection:
        connection.execute("UPDATE secrets SET name = 'damage/kafkb' WHERE name = 'damage/kafka'")
    connection.close()
    with _open(folder) as store:
        for call in (store.read, store.describe, store.delete):
            with pytest.raises(StoreIntegrityError):
                call(SecretName("damage/kafka"))
        with pytest.raises(StoreIntegrityError):
            store.stage(SecretName("damage/other"), SecretValue(canary()), "token")
        with pytest.raises(StoreIntegrityError):
            store.list()


@pytest.mark.parametrize("content", [b"", b"not a database at all, but long enough to have a header" * 4])
def test_a_file_that_is_no_store_is_an_integrity_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "secrets.db"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(StoreIntegrityError):
        _open(tmp_path)
    assert path.read_bytes() == content


def test_a_file_that_was_cut_off_is_an_integrity_error(folder: Path) -> None:
    path = folder / "secrets.db"
    path.write_bytes(path.read_bytes()[: 3 * PAGE_BYTES])
    with pytest.raises(StoreIntegrityError), _open(folder) as store:
        _answers(store)
