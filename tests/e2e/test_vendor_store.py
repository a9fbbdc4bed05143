"""The whole day of a workspace whose store is a real OpenBao: init, doctor, import, read, rotate, copy, status."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.canary import canary
from tests.e2e.desk import Desk
from tests.servers.vault import Engine, engine_fixture, vault_server_fixture  # noqa: F401


class _Login:
    """The desk's way into the server: a token in the environment, as a shell has it."""

    def __init__(self, desk: Desk, engine: Engine) -> None:
        self.desk = desk
        self.env = {"VAULT_TOKEN": engine.server.token}
        self.url = f"{engine.url()}?tls=off"


@pytest.fixture
def vault(tmp_path: Path, engine: Engine) -> _Login:
    login = _Login(Desk(tmp_path), engine)
    login.desk.ok("init", "--environment", "test", "--store", login.url)
    return login


def test_init_with_a_store_makes_no_embedded_one(vault: _Login) -> None:
    state = vault.desk.folder / ".vantage-secrets"
    assert not (state / "secrets.db").exists()
    assert not (state / "key").exists()
    assert (state / "audit").is_dir()
    assert vault.desk.ok("status", "--json", env=vault.env).json[0]["state"] == "missing"


def test_the_doctor_tells_what_works_and_without_a_login_what_to_do(vault: _Login) -> None:
    parts = {row["part"]: row["health"] for row in vault.desk.ok("doctor", "--json", env=vault.env).json}
    assert parts["opening"] == "works"
    assert set(parts.values()) <= {"works", "warning"}
    lost = vault.desk.run("doctor", "--json")
    assert lost.code == 1
    assert "VAULT_TOKEN" in lost.json[-1]["next_action"]


def test_a_dotenv_moves_in_is_read_and_a_key_rotates(vault: _Login, engine: Engine) -> None:
    desk, values = vault.desk, {key: canary() for key in ("VANTAGE_API_KEY", "API_KEY", "WORKER_CLICKHOUSE_PASSWORD")}
    file = desk.folder / "CLEAR.env"
    file.write_text("".join(f"{key}={value}\n" for key, value in values.items()))
    assert desk.ok("migrate", "import", "CLEAR.env", "--yes", "--json", env=vault.env).json["complete"] is True
    for key, value in values.items():
        assert desk.ok("get", key, env=vault.env, reveals=True).out == value
    assert engine.plain_read("vantage/api-key") == {"value": values["VANTAGE_API_KEY"]}
    report = desk.ok("rotate", "VANTAGE_API_KEY", "--grace", "0s", "--json", env=vault.env).json
    assert report["steps"][-2:] == ["verify-refused", "retire"]
    assert engine.plain_read("vantage/api-key") != {"value": values["VANTAGE_API_KEY"]}
    stages = [row["stage"] for row in desk.ok("history", "VANTAGE_API_KEY", "--json", env=vault.env).json]
    assert stages == ["current", "retired"]
    assert desk.ok("audit", "verify", "--json", env=vault.env).json["intact"] is True


def test_a_store_is_copied_into_an_embedded_one_and_nothing_is_left_to_write(vault: _Login) -> None:
    desk = vault.desk
    for key in ("VANTAGE_API_KEY", "API_KEY"):
        desk.ok("set", key, stdin=canary(), env=vault.env)
    copy_url = desk.ok("store", "create", "standby.db", env=vault.env).out.strip()
    words = ("copy", "--from", vault.url, "--to", copy_url, "--json")
    assert [row["outcome"] for row in desk.ok(*words, env=vault.env).json] == ["copied", "copied"]
    assert [row["outcome"] for row in desk.ok(*words, env=vault.env).json] == ["unchanged", "unchanged"]


def test_an_outage_ends_with_seven_and_a_refusal_with_five(vault: _Login, engine: Engine) -> None:
    refused = vault.desk.run("get", "API_KEY", env={"VAULT_TOKEN": "s.nobody-knows-this"})
    assert refused.code == 5
    away = vault.desk.folder / "vantage-secrets.toml"
    away.write_text(away.read_text().replace(f":{engine.server.port}/", ":1/"))
    assert vault.desk.run("get", "API_KEY", env=vault.env).code == 7
