"""Fingerprints and where their key comes from."""

from __future__ import annotations

import multiprocessing
import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.canary import canary
from vantage_secrets.errors import InsecurePermissionsError, InvalidInputError
from vantage_secrets.leaks.fingerprint import FILE_VARIABLE, KEY_VARIABLE, FingerprintKey, load_key


def key_file(folder: Path, name: str = "CLEAR.key", mode: int = 0o600) -> Path:
    path = folder / name
    path.write_text(os.urandom(32).hex() + "\n")
    path.chmod(mode)
    return path


def own_key(folder: Path) -> Path:
    return folder / "vantage-secrets" / "fingerprint.key"


@given(st.binary(max_size=80), st.binary(max_size=80))
def test_two_values_have_one_fingerprint_exactly_when_they_are_equal(one: bytes, other: bytes) -> None:
    key = FingerprintKey(b"k" * 32)
    assert (key.fingerprint(one) == key.fingerprint(other)) is (one == other)
    assert len(key.fingerprint(one)) == 32
    assert int(key.fingerprint(one), 16) >= 0


def test_another_key_gives_another_fingerprint_and_another_id() -> None:
    one, other = FingerprintKey(b"1" * 32), FingerprintKey(b"2" * 32)
    assert one.fingerprint(b"value") != other.fingerprint(b"value")
    assert one.key_id != other.key_id
    assert one.fingerprint(b"")[:8] != one.key_id


def test_a_fingerprint_stays_what_it_is_so_that_old_baselines_hold() -> None:
    key = FingerprintKey(bytes(range(32)))
    assert key.key_id == "a57a81b9"
    assert key.fingerprint(b"value") == "5eec0089e45eb5c2a92e404c81b22166"


def test_a_key_shows_its_id_only(tmp_path: Path) -> None:
    secret = canary("key").encode()
    key = FingerprintKey(secret, origin="here")
    assert repr(key) == f"FingerprintKey({key.key_id})"
    assert not hasattr(key, "__dict__")


def test_a_short_key_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="fewer than 32 bytes"):
        FingerprintKey(b"k" * 31)


def test_the_named_file_comes_before_the_variables_and_they_before_the_users_own(tmp_path: Path) -> None:
    given, named = key_file(tmp_path, "CLEAR-1.key"), key_file(tmp_path, "CLEAR-2.key")
    environment = {
        FILE_VARIABLE: str(named),
        KEY_VARIABLE: os.urandom(32).hex(),
        "XDG_CONFIG_HOME": str(tmp_path / "CLEAR-config"),
    }
    origins = [load_key(given, environment).origin, load_key(None, environment).origin]
    del environment[FILE_VARIABLE]
    origins.append(load_key(None, environment).origin)
    assert not own_key(tmp_path / "CLEAR-config").exists()
    del environment[KEY_VARIABLE]
    origins.append(load_key(None, environment).origin)
    assert origins == [str(given), str(named), KEY_VARIABLE, str(own_key(tmp_path / "CLEAR-config"))]


def test_the_users_own_key_is_made_once_and_only_the_user_can_read_it(tmp_path: Path) -> None:
    environment = {"HOME": str(tmp_path), "XDG_CONFIG_HOME": "relative/is/skipped"}
    first, again = load_key(None, environment), load_key(None, environment)
    path = own_key(tmp_path / ".config")
    assert first.key_id == again.key_id
    assert first.note == ""
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [entry.name for entry in path.parent.iterdir()] == ["fingerprint.key"]


def key_id_of(home: str) -> str:
    return load_key(None, {"HOME": home}).key_id


def test_processes_that_need_the_first_key_at_once_get_the_same(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        key_ids = pool.map(key_id_of, [str(tmp_path)] * 8, chunksize=1)
    assert len(set(key_ids)) == 1


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666])
def test_a_key_file_that_others_have_a_right_to_is_refused(tmp_path: Path, mode: int) -> None:
    with pytest.raises(InsecurePermissionsError, match=f"{mode:04o}"):
        load_key(key_file(tmp_path, mode=mode), {})


def test_a_missing_key_file_is_told_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"away.key.*No such file"):
        load_key(tmp_path / "away.key", {})


def test_what_is_no_key_is_refused_without_being_quoted(tmp_path: Path) -> None:
    path = key_file(tmp_path)
    path.write_text(canary("key"))
    for file, environment in [(path, {}), (None, {KEY_VARIABLE: canary("key")})]:
        with pytest.raises(InvalidInputError, match="hexadecimal") as caught:
            load_key(file, environment)
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__


def test_without_a_folder_for_it_the_key_is_good_for_this_process_only(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    keys = [load_key(None, {}), load_key(None, {}), load_key(None, {"HOME": str(tmp_path / "file")})]
    assert len({key.key_id for key in keys}) == 3
    assert all(FILE_VARIABLE in key.note for key in keys)
