"""What ``import vantage_secrets`` offers, and how little it costs."""

from __future__ import annotations

import hashlib
import inspect
import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import vantage_secrets
from tests.canary import canary
from vantage_secrets.bootstrap import initialise, open_workspace
from vantage_secrets.client import SecretClient
from vantage_secrets.errors import SecretNotFoundError
from vantage_secrets.secret import SecretName, SecretValue
from vantage_secrets.testing import MemoryStore

KEY = SecretName("vantage/api-key")
HEAVY = {
    "azure", "boto3", "fastapi", "google", "hvac", "kubernetes", "pydantic", "pydantic_settings", "rich", "sqlalchemy",
    "starlette", "typer",
}  # fmt: skip


def test_the_public_names_are_these_and_all_are_there() -> None:
    assert set(vantage_secrets.__all__) == {
        "Credential", "SecretClient", "SecretName", "SecretReading", "SecretValue", "SecretVersion", "Stage",
        "__version__", "default_client", "errors", "get_credential", "get_secret",
    }  # fmt: skip
    for name in vantage_secrets.__all__:
        assert getattr(vantage_secrets, name) is not None
        assert name in dir(vantage_secrets)
    assert vantage_secrets.SecretClient is SecretClient
    assert vantage_secrets.errors.SecretNotFoundError is SecretNotFoundError
    assert inspect.ismodule(vantage_secrets.errors)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        vantage_secrets.nothing  # type: ignore[attr-defined]


def test_the_version_is_the_distribution_s() -> None:
    assert vantage_secrets.__version__ == version("vantage-secrets")


def test_get_secret_is_one_look_up_once_it_is_cached_and_finds_the_successor_of_a_closed_client(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first, second = canary("first"), canary("second")
    clients = [
        SecretClient(MemoryStore({str(KEY): value}), aliases={"VANTAGE_API_KEY": KEY}, background=False)
        for value in (first, second)
    ]
    asked: list[int] = []

    def own() -> SecretClient:
        asked.append(1)
        return next(client for client in clients if not client.is_closed)

    monkeypatch.setattr(vantage_secrets, "default_client", own)
    monkeypatch.setattr(vantage_secrets, "_fresh_values", {})
    for _ in range(5):
        assert vantage_secrets.get_secret("VANTAGE_API_KEY").matches(first)
        assert vantage_secrets.get_secret("vantage/api-key").matches(first)
    assert len(asked) == 1
    clients[0].close()
    assert vantage_secrets.get_secret("vantage/api-key").matches(second)
    clients[1].close()


@pytest.fixture
def workspace(tmp_path: Path) -> tuple[Path, str]:
    """A folder with a manifest, an embedded store and one secret, and the secret's value."""
    value = canary()
    initialise(tmp_path, environment="test")
    opened = open_workspace(tmp_path / "vantage-secrets.toml", why="test")
    staged = opened.store.stage(KEY, SecretValue(value), "first")
    opened.store.promote(KEY, staged.id, expect_current=None)
    opened.close()
    return tmp_path, value


def _run(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-X", "faulthandler", "-W", "error", "-c", code],
        cwd=folder, env={}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_importing_imports_next_to_nothing(tmp_path: Path) -> None:
    done = _run("import sys, json, vantage_secrets; print(json.dumps(sorted(sys.modules)))", tmp_path)
    loaded = json.loads(done.stdout)
    assert [name for name in loaded if name.startswith("vantage_secrets")] == ["vantage_secrets"]
    assert not {name.partition(".")[0] for name in loaded} & {
        *HEAVY,
        "cryptography",
        "sqlite3",
        "dataclasses",
        "logging",
    }


def test_with_nothing_but_the_manifest_both_spellings_work_and_no_heavy_package_is_imported(
    workspace: tuple[Path, str],
) -> None:
    folder, value = workspace
    below = folder / "service" / "worker"
    below.mkdir(parents=True)
    code = (
        "import hashlib, json, sys\n"
        "from vantage_secrets import get_secret\n"
        "values = [get_secret(n).reveal_text() for n in ('vantage/api-key', 'VANTAGE_API_KEY')]\n"
        "print(json.dumps([[hashlib.sha256(v.encode()).hexdigest() for v in values], sorted(sys.modules)]))\n"
    )
    done = _run(code, below)
    assert (done.returncode, done.stderr) == (0, "")
    digests, loaded = json.loads(done.stdout)
    assert digests == [hashlib.sha256(value.encode()).hexdigest()] * 2
    assert {name.partition(".")[0] for name in loaded} & HEAVY == set()
    assert not {"dataclasses", "inspect", "importlib.metadata"} & set(loaded), "see docs/adr/0007"


def test_the_migration_guide_s_line_works_with_nothing_but_the_manifest(workspace: tuple[Path, str]) -> None:
    folder, _value = workspace
    code = (
        "from secrets_manager import SecretManager, get_secret\n"
        "key = get_secret('vantage/api-key')\n"
        "print(SecretManager().validate_secret(key), SecretManager().validate_secret('wrong'))\n"
    )
    done = _run(code, folder)
    assert (done.stdout, done.stderr) == ("True False\n", "")


def test_an_interpreter_ends_cleanly_while_the_background_thread_is_reading(workspace: tuple[Path, str]) -> None:
    folder, _value = workspace
    code = (
        "from datetime import timedelta\n"
        "from vantage_secrets.bootstrap import open_workspace\n"
        "from vantage_secrets import SecretClient\n"
        "client = SecretClient(open_workspace().store, refresh_interval=timedelta(milliseconds=1))\n"
        "client.get('vantage/api-key')\n"
        "while client.stats().store_reads < 5: pass\n"
    )
    for _ in range(3):
        done = _run(code, folder)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_an_interpreter_ends_though_the_store_hangs(tmp_path: Path) -> None:
    code = (
        "import threading\n"
        "from datetime import timedelta\n"
        "from vantage_secrets import SecretClient\n"
        "from vantage_secrets.testing import MemoryStore\n"
        "store, hanging = MemoryStore({'vantage/api-key': 'not-a-secret'}), threading.Event()\n"
        "client = SecretClient(store, refresh_interval=timedelta(milliseconds=1))\n"
        "client.get('vantage/api-key')\n"
        "store.before_read = lambda name: (hanging.set(), threading.Event().wait())\n"
        "assert hanging.wait(20)\n"
    )
    done = _run(code, tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
