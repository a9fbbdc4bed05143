"""Where the embedded store's key comes from, what is said when it is missing or wrong, and how it is replaced."""

from __future__ import annotations

import base64
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import keyring
import keyring.backend
import keyring.errors
import pytest

from tests.canary import canary
from vantage_secrets.errors import (
    EncryptionKeyError,
    EncryptionKeyNotFoundError,
    EnvironmentMismatchError,
    InsecurePermissionsError,
    InvalidInputError,
    InvalidURLError,
    MissingExtraError,
    StoreIntegrityError,
    WrongEncryptionKeyError,
)
from vantage_secrets.secret import SecretName, SecretValue
from vantage_secrets.stores.embedded import EmbeddedStore, create_embedded, open_embedded
from vantage_secrets.stores.embedded.keys import DERIVATION, derive_key

NAME = SecretName("keys/api-key")


class _Keyring(keyring.backend.KeyringBackend):
    """A keyring in memory."""

    priority = 1

    def __init__(self) -> None:
        self.entries: dict[tuple[str, str], str] = {}
        self.is_locked = False

    def _check(self) -> None:
        if self.is_locked:
            raise keyring.errors.KeyringLocked("locked")

    def get_password(self, service: str, username: str) -> str | None:
        self._check()
        return self.entries.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self._check()
        self.entries[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        self._check()
        if self.entries.pop((service, username), None) is None:
            raise keyring.errors.PasswordDeleteError("absent")


@pytest.fixture
def memory_keyring() -> Iterator[_Keyring]:
    before = keyring.get_keyring()
    backend = _Keyring()
    keyring.set_keyring(backend)
    yield backend
    keyring.set_keyring(before)


@pytest.fixture(autouse=True)
def no_key_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VANTAGE_SECRETS_KEY_FILE", raising=False)
    monkeypatch.delenv("VANTAGE_SECRETS_PASSPHRASE_FILE", raising=False)


@pytest.fixture
def value() -> SecretValue:
    return SecretValue(canary())


def _filled(store: EmbeddedStore, value: SecretValue) -> EmbeddedStore:
    store.promote(NAME, store.stage(NAME, value, "first").id, expect_current=None)
    return store


def _open(folder: Path, **options: str) -> EmbeddedStore:
    return open_embedded(f"embedded://{folder}/secrets.db", environment="test", options=options)


def _private(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    path.chmod(0o600)
    return path


# key files


def test_a_new_key_file_is_private_and_holds_32_bytes_in_base64(tmp_path: Path) -> None:
    key_file = tmp_path / "keys" / "store.key"
    create_embedded(tmp_path / "deep" / "er" / "secrets.db", environment="test", key_file=key_file).close()
    assert len(base64.b64decode(key_file.read_bytes(), validate=False)) == 32
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
    for folder in (tmp_path / "keys", tmp_path / "deep", tmp_path / "deep" / "er"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_files_are_private_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        create_embedded(tmp_path / "secrets.db", environment="test", key_file=tmp_path / "key").close()
    finally:
        os.umask(before)
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}


@pytest.mark.parametrize("encode", [bytes, base64.b64encode, base64.encodebytes], ids=["raw", "base64", "with newline"])
def test_a_key_file_may_hold_raw_bytes_or_base64(tmp_path: Path, encode, value: SecretValue) -> None:
    key_file = _private(tmp_path / "key", encode(os.urandom(32)))
    _filled(create_embedded(tmp_path / "secrets.db", environment="test", key_file=key_file), value).close()
    with _open(tmp_path, key_file=str(key_file)) as store:
        assert store.read(NAME).value == value


@pytest.mark.parametrize("content", [b"", b"short", b"x" * 33, base64.b64encode(b"x" * 31), "schlüssel".encode()])
def test_a_file_that_holds_no_key_is_said_to_hold_none(tmp_path: Path, content: bytes) -> None:
    key_file = _private(tmp_path / "key", content)
    with pytest.raises(EncryptionKeyError, match="does not hold 32 bytes"):
        create_embedded(tmp_path / "secrets.db", environment="test", key_file=key_file)
    assert not (tmp_path / "secrets.db").exists()


def test_the_key_file_may_be_named_by_a_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    create_embedded(tmp_path / "secrets.db", environment="test", key_file=tmp_path / "key").close()
    monkeypatch.setenv("VANTAGE_SECRETS_KEY_FILE", str(tmp_path / "key"))
    with _open(tmp_path) as store:
        assert [*store.list()] == []


def test_without_a_key_file_the_message_tells_which_key_is_needed(tmp_path: Path) -> None:
    create_embedded(tmp_path / "secrets.db", environment="test", key_file=tmp_path / "key").close()
    with pytest.raises(EncryptionKeyNotFoundError, match="made with a key file") as caught:
        _open(tmp_path)
    assert "VANTAGE_SECRETS_KEY_FILE" in caught.value.hint
    with pytest.raises(EncryptionKeyNotFoundError, match="does not exist"):
        _open(tmp_path, key_file=str(tmp_path / "other"))
    with pytest.raises(EncryptionKeyNotFoundError, match="name of that file"):
        create_embedded(tmp_path / "b.db", environment="test")


def test_a_wrong_key_is_told_from_damage(tmp_path: Path) -> None:
    create_embedded(tmp_path / "secrets.db", environment="test", key_file=tmp_path / "key").close()
    create_embedded(tmp_path / "b.db", environment="test", key_file=tmp_path / "other").close()
    with pytest.raises(WrongEncryptionKeyError, match=r"it needs key [0-9a-f]{16} \(file\), and the key file .*other"):
        _open(tmp_path, key_file=str(tmp_path / "other"))


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
@pytest.mark.parametrize("name", ["secrets.db", "key", "secrets.db-wal"])
def test_a_file_that_others_may_read_is_refused(tmp_path: Path, name: str, mode: int) -> None:
    create_embedded(tmp_path / "secrets.db", environment="test", key_file=tmp_path / "key").close()
    (tmp_path / name).touch()
    (tmp_path / name).chmod(mode)
    with pytest.raises(InsecurePermissionsError, match=f"{name} has mode {mode:04o}; allowed is 0600"):
        _open(tmp_path, key_file=str(tmp_path / "key"))


# the keyring


def test_a_key_may_live_in_the_keyring(tmp_path: Path, memory_keyring: _Keyring, value: SecretValue) -> None:
    _filled(create_embedded(tmp_path / "secrets.db", environment="test", key_source="keyring"), value).close()
    assert [service for service, _user in memory_keyring.entries] == ["vantage-secrets"]
    with _open(tmp_path) as store:
        assert store.read(NAME).value == value


def test_an_empty_locked_or_damaged_keyring_is_named(tmp_path: Path, memory_keyring: _Keyring) -> None:
    create_embedded(tmp_path / "secrets.db", environment="test", key_source="keyring").close()
    memory_keyring.is_locked = True
    with pytest.raises(EncryptionKeyError, match="keyring did not do"):
        _open(tmp_path)
    memory_keyring.is_locked = False
    memory_keyring.entries = dict.fromkeys(memory_keyring.entries, "no key")
    with pytest.raises(EncryptionKeyError, match="does not hold a key"):
        _open(tmp_path)
    memory_keyring.entries = dict.fromkeys(memory_keyring.entries, base64.b64encode(bytes(32)).decode())
    with pytest.raises(WrongEncryptionKeyError, match="the key in the keyring gives key"):
        _open(tmp_path)
    memory_keyring.entries.clear()
    with pytest.raises(EncryptionKeyNotFoundError, match="made with a key in the operating system's keyring"):
        _open(tmp_path)


def test_without_the_keyring_package_the_pip_command_is_named(
    tmp_path: Path, memory_keyring: _Keyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_embedded(tmp_path / "secrets.db", environment="test", key_source="keyring").close()
    monkeypatch.setitem(sys.modules, "keyring", None)
    with pytest.raises(MissingExtraError) as caught:
        _open(tmp_path)
    assert caught.value.hint == "pip install 'vantage-secrets[keyring]'"


# passphrases


def test_a_key_may_be_made_from_a_passphrase(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: SecretValue
) -> None:
    words = canary("passphrase")
    store = create_embedded(
        tmp_path / "secrets.db", environment="test", key_source="passphrase", passphrase=lambda: words
    )
    _filled(store, value).close()
    file = _private(tmp_path / "passphrase-CLEAR", f"{words}\n".encode())
    monkeypatch.setenv("VANTAGE_SECRETS_PASSPHRASE_FILE", str(file))
    with _open(tmp_path) as store:
        assert store.read(NAME).value == value
    monkeypatch.delenv("VANTAGE_SECRETS_PASSPHRASE_FILE")
    url = f"embedded://{tmp_path}/secrets.db"
    with open_embedded(url, environment="test", options={}, prompt=lambda: words) as store:
        assert store.read(NAME).value == value
    with pytest.raises(WrongEncryptionKeyError, match=r"the passphrase gives key"):
        open_embedded(url, environment="test", options={}, prompt=lambda: f"{words}\n")


def test_a_missing_empty_or_readable_passphrase_file_is_named(tmp_path: Path) -> None:
    create_embedded(
        tmp_path / "secrets.db", environment="test", key_source="passphrase", passphrase=lambda: "correct horse"
    ).close()
    with pytest.raises(EncryptionKeyNotFoundError, match="made with a passphrase") as caught:
        _open(tmp_path)
    assert "VANTAGE_SECRETS_PASSPHRASE_FILE" in caught.value.hint
    with pytest.raises(EncryptionKeyNotFoundError, match="cannot be read"):
        _open(tmp_path, passphrase_file=str(tmp_path / "absent"))
    file = _private(tmp_path / "words", b"\n")
    with pytest.raises(EncryptionKeyNotFoundError, match="none is given"):
        _open(tmp_path, passphrase_file=str(file))
    file.chmod(0o640)
    with pytest.raises(InsecurePermissionsError, match="words has mode 0640"):
        _open(tmp_path, passphrase_file=str(file))


def test_the_derivation_is_argon2id_as_the_reference_implementation_computes_it() -> None:
    """The first Argon2id vector of the reference implementation's own tests (phc-winner-argon2, src/test.c)."""
    expected = "09316115d5cf24ed5a15a31a3ba326e5cf32edc24702987c02b6566f61913cf7"
    assert derive_key("password", "argon2id 65536 2 1", b"somesalt").hex() == expected
    assert DERIVATION == "argon2id 65536 3 4"


@pytest.mark.parametrize(
    "derivation",
    ["", "scrypt 65536 3 4", "argon2id 65536 3", "argon2id 99999999 3 4", "argon2id 1 1 1", "argon2id a b c"],
)
def test_a_derivation_that_we_do_not_write_is_damage(derivation: str) -> None:
    with pytest.raises(StoreIntegrityError):
        derive_key("password", derivation, b"somesalt" * 2)


# replacing the key


def _sealed(folder: Path) -> tuple[bytes, bytes]:
    import sqlite3

    with sqlite3.connect(folder / "secrets.db") as connection:
        found = connection.execute("SELECT ciphertext, wrapped_key FROM sealed_values").fetchone()
    connection.close()
    return found


def test_replacing_the_key_wraps_the_data_keys_anew_and_leaves_the_values(tmp_path: Path, value: SecretValue) -> None:
    with create_embedded(tmp_path / "secrets.db", environment="test", key_file=tmp_path / "key") as store:
        _filled(store, value)
        old_key, (ciphertext, wrapped) = (tmp_path / "key").read_bytes(), _sealed(tmp_path)
        new_id = store.rotate_key()
        assert store.read(NAME).value == value
    after = _sealed(tmp_path)
    assert after[0] == ciphertext
    assert after[1] != wrapped
    assert wrapped not in (tmp_path / "secrets.db").read_bytes()
    assert (tmp_path / "key").read_bytes() == (tmp_path / f"key.{new_id}").read_bytes() != old_key
    with _open(tmp_path, key_file=str(tmp_path / "key")) as store:
        assert store.read(NAME).value == value
    for path in tmp_path.glob("key.*"):
        path.unlink()
    with _open(tmp_path, key_file=str(tmp_path / "key")) as store:
        assert store.read(NAME).value == value
    (tmp_path / "key").write_bytes(old_key)
    with pytest.raises(WrongEncryptionKeyError, match=f"it needs key {new_id}"):
        _open(tmp_path, key_file=str(tmp_path / "key"))


def test_other_handles_find_the_new_key_by_themselves(tmp_path: Path, value: SecretValue) -> None:
    with (
        create_embedded(tmp_path / "secrets.db", environment="test", key_file=tmp_path / "key") as store,
        _open(tmp_path, key_file=str(tmp_path / "key")) as reader,
        _open(tmp_path, key_file=str(tmp_path / "key")) as writer,
    ):
        _filled(store, value)
        store.rotate_key()
        assert reader.read(NAME).value == value
        assert writer.stage(NAME, value, "second").id == "2"
        writer.rotate_key()
        assert store.read(NAME).value == value


def test_two_stores_with_one_key_file_survive_its_replacement(tmp_path: Path, value: SecretValue) -> None:
    create_embedded(tmp_path / "secrets.db", environment="test", key_file=tmp_path / "key").close()
    with create_embedded(tmp_path / "b.db", environment="test", key_file=tmp_path / "key") as other:
        _filled(other, value)
    with _open(tmp_path, key_file=str(tmp_path / "key")) as store:
        store.rotate_key()
    options = {"key_file": str(tmp_path / "key")}
    with open_embedded(f"embedded://{tmp_path}/b.db", environment="test", options=options) as other:
        assert other.read(NAME).value == value


def test_a_key_may_be_replaced_by_one_of_another_kind(
    tmp_path: Path, memory_keyring: _Keyring, value: SecretValue
) -> None:
    words = "correct horse battery staple"
    with create_embedded(tmp_path / "secrets.db", environment="test", key_file=tmp_path / "key") as store:
        _filled(store, value)
        store.rotate_key(key_source="keyring")
        store.rotate_key()
        assert len(memory_keyring.entries) == 1
        store.rotate_key(key_source="passphrase", passphrase=lambda: words)
        assert memory_keyring.entries == {}
        assert store.read(NAME).value == value
    url = f"embedded://{tmp_path}/secrets.db"
    with open_embedded(url, environment="test", options={}, prompt=lambda: words) as store:
        assert store.read(NAME).value == value
        store.rotate_key(key_source="file", key_file=tmp_path / "new-key")
    with _open(tmp_path, key_file=str(tmp_path / "new-key")) as store:
        assert store.read(NAME).value == value


def test_replacing_the_key_by_itself_is_refused(tmp_path: Path) -> None:
    with create_embedded(tmp_path / "secrets.db", environment="test", key_file=tmp_path / "key") as store:
        with pytest.raises(EncryptionKeyError, match="the key that the store has"):
            store.rotate_key(key_file=tmp_path / "key")
        assert [*store.list()] == []


# what else is asked for when a store is opened or made


def test_a_store_of_another_environment_is_refused(tmp_path: Path) -> None:
    create_embedded(tmp_path / "secrets.db", environment="production", key_file=tmp_path / "key").close()
    with pytest.raises(EnvironmentMismatchError, match="belongs to 'production', not to 'test'"):
        _open(tmp_path, key_file=str(tmp_path / "key"))


@pytest.mark.parametrize(
    "url", ["embedded:", "embedded://", "embedded://host/path.db", "embedded:///folder/", "vault:x"]
)
def test_a_url_that_names_no_file_is_refused(url: str) -> None:
    with pytest.raises(InvalidURLError):
        open_embedded(url, environment="test", options={})


def test_a_relative_url_is_relative_to_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    create_embedded(tmp_path / "secrets.db", environment="test", key_file=tmp_path / "key").close()
    monkeypatch.chdir(tmp_path)
    with open_embedded("embedded:secrets.db", environment="test", options={"key_file": "key"}) as store:
        assert store.url == f"embedded://{tmp_path}/secrets.db"


def test_unknown_options_kinds_of_key_and_empty_environments_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="no option 'keyfile'"):
        _open(tmp_path, keyfile="key")
    with pytest.raises(InvalidInputError, match="no kind of key"):
        create_embedded(tmp_path / "secrets.db", environment="test", key_source="yubikey")
    with pytest.raises(InvalidInputError, match="environment"):
        create_embedded(tmp_path / "secrets.db", environment="", key_file=tmp_path / "key")
    assert [*tmp_path.iterdir()] == []
