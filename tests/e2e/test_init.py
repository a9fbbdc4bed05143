"""``init``: what it makes, how private that is, and what it refuses."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from tests.canary import canary
from tests.e2e.desk import Desk
from vantage_secrets.manifest import load

KEYRING = """
import json
from pathlib import Path
from keyring.backend import KeyringBackend

STORE = Path(__file__).with_name("CLEAR-keyring.json")


class FileKeyring(KeyringBackend):
    priority = 1

    def _all(self):
        return json.loads(STORE.read_text()) if STORE.exists() else {}

    def get_password(self, service, username):
        return self._all().get(f"{service}/{username}")

    def set_password(self, service, username, password):
        STORE.write_text(json.dumps(self._all() | {f"{service}/{username}": password}))

    def delete_password(self, service, username):
        left = self._all()
        left.pop(f"{service}/{username}")
        STORE.write_text(json.dumps(left))
"""


def test_init_makes_a_manifest_a_store_a_key_and_an_audit_log_that_are_private(bare_desk: Desk) -> None:
    done = bare_desk.ok("init", "--environment", "staging")
    manifest = load(bare_desk.folder / "vantage-secrets.toml")
    assert manifest.environment == "staging"
    assert len(manifest.secrets) == 5
    assert "vantage-secrets.toml" in done.out
    assert "migrate import .env" in done.err, "the next step is named"
    assert "cd " not in done.err
    state = bare_desk.folder / ".vantage-secrets"
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in state.rglob("*") if path.name != ".gitignore"}
    assert {state / "key", state / "secrets.db", state / "audit" / "signing.key"} <= set(modes)
    assert all(mode & 0o077 == 0 for mode in modes.values()), modes
    assert (state / ".gitignore").read_text() == "*\n"


def test_init_does_not_overwrite(desk: Desk) -> None:
    before = {path: path.read_bytes() for path in desk.folder.rglob("*") if path.is_file()}
    done = desk.run("init")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("error[invalid_input]: 'vantage-secrets.toml' exists already.\nhint: ")
    assert {path: path.read_bytes() for path in desk.folder.rglob("*") if path.is_file()} == before


def test_init_does_not_touch_a_store_that_lost_its_manifest(desk: Desk) -> None:
    (desk.folder / "vantage-secrets.toml").unlink()
    store = (desk.folder / ".vantage-secrets/secrets.db").read_bytes()
    done = desk.run("init")
    assert done.code == 2
    assert "no manifest for it" in done.err
    assert (desk.folder / ".vantage-secrets/secrets.db").read_bytes() == store


def test_init_elsewhere_says_where_to_go_and_prints_json_when_asked(bare_desk: Desk) -> None:
    done = bare_desk.ok("init", "--directory", "sub")
    assert "Next: cd sub\n" in done.err
    assert "sub/vantage-secrets.toml" in done.out
    record = bare_desk.ok("init", "--directory", "other", "--json").json
    assert record == {
        "manifest": str(bare_desk.folder / "other/vantage-secrets.toml"),
        "state": str(bare_desk.folder / "other/.vantage-secrets"),
        "environment": "production",
    }


@pytest.mark.parametrize("environment", ["", 'x"y'])
def test_an_environment_that_is_no_name_is_refused_before_anything_is_made(bare_desk: Desk, environment: str) -> None:
    done = bare_desk.run("init", "--environment", environment)
    assert done.code == 2
    assert "error[invalid_" in done.err
    assert not (bare_desk.folder / ".vantage-secrets").exists()


def test_a_passphrase_is_asked_for_twice_hidden_and_opens_the_store(bare_desk: Desk) -> None:
    phrase, value = canary("phrase"), canary()
    twice = [("Passphrase for the store: ", phrase + "\n"), ("again: ", phrase + "\n")]
    made = bare_desk.at_terminal("init", "--key", "passphrase", answers=twice)
    assert made.code == 0, made.text
    typed = [
        ("VANTAGE_API_KEY: ", value + "\n"),
        ("again: ", value + "\n"),
        ("Passphrase of the store: ", phrase + "\n"),
    ]
    done = bare_desk.at_terminal("set", "VANTAGE_API_KEY", answers=typed)
    assert done.code == 0, done.text
    secret = bare_desk.folder / "CLEAR-phrase"
    secret.touch(mode=0o600)
    secret.write_text(phrase)
    env = {"VANTAGE_SECRETS_PASSPHRASE_FILE": str(secret)}
    assert bare_desk.ok("get", "VANTAGE_API_KEY", env=env, reveals=True).out == value
    refused = bare_desk.run("get", "VANTAGE_API_KEY")
    assert refused.code == 5
    assert "error[encryption_key_not_found]" in refused.err


def test_two_different_passphrases_make_nothing_and_init_can_be_run_again(bare_desk: Desk) -> None:
    answers = [("Passphrase for the store: ", canary() + "\n"), ("again: ", canary() + "\n")]
    done = bare_desk.at_terminal("init", "--key", "passphrase", answers=answers)
    assert done.code == 2
    assert "The two entries differ." in done.text
    assert not (bare_desk.folder / "vantage-secrets.toml").exists()
    bare_desk.ok("init")


def test_a_passphrase_needs_a_terminal(bare_desk: Desk) -> None:
    done = bare_desk.run("init", "--key", "passphrase", stdin=canary())
    assert (done.code, done.out) == (2, "")
    assert "no terminal" in done.err


def test_the_key_can_be_kept_in_the_keyring(bare_desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "file_keyring.py").write_text(KEYRING)
    env = {"PYTHON_KEYRING_BACKEND": "file_keyring.FileKeyring", "PYTHONPATH": str(tmp_path)}
    bare_desk.ok("init", "--key", "keyring", env=env)
    assert not (tmp_path / ".vantage-secrets/key").exists()
    value = canary()
    bare_desk.ok("set", "VANTAGE_API_KEY", stdin=value, env=env)
    assert bare_desk.ok("get", "VANTAGE_API_KEY", env=env, reveals=True).out == value


def test_without_the_keyring_package_the_missing_extra_is_named(bare_desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "keyring.py").write_text("raise ModuleNotFoundError(\"No module named 'keyring'\", name='keyring')\n")
    done = bare_desk.run("init", "--key", "keyring", env={"PYTHONPATH": str(tmp_path)})
    assert done.code == 2
    assert "error[missing_extra]" in done.err
    assert "hint: pip install 'vantage-secrets[keyring]'\n" in done.err
