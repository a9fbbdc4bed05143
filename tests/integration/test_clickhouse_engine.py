"""What a current engine itself says of users that stand in its files, and how far it goes with our statements.

``chdb`` has no place where SQL could put users, but it reads ``users.xml``: what it shows of those is the engine's own.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path

import pytest

from tests.canary import canary
from tests.servers.clickhouse_fixtures import CLICKHOUSE_GROUP
from vantage_secrets.clock import utc_now
from vantage_secrets.credential import Credential
from vantage_secrets.secret import SecretValue
from vantage_secrets.targets.clickhouse.connection import AnswerError, Server
from vantage_secrets.targets.clickhouse.rights import Assigned, Rights, read_rights
from vantage_secrets.targets.clickhouse.servers import Servers
from vantage_secrets.targets.clickhouse.statements import (
    Method,
    alter_end,
    alter_methods,
    create_closed,
    drop,
    kill_queries,
)
from vantage_secrets.targets.clickhouse.user_entries import UserEntries

pytestmark = CLICKHOUSE_GROUP

_READ_ONLY, _NO_PLACE = 495, 514
"""ACCESS_STORAGE_READONLY and ACCESS_STORAGE_FOR_INSERTION_NOT_FOUND: all before was right."""

_CONFIG = """\
<clickhouse>
    <users_config>{path}</users_config>
    <logger><console>0</console></logger>
    <profiles><default/><writer><max_threads>2</max_threads></writer></profiles>
    <quotas>
        <default/>
        <writer><interval><duration>3600</duration><queries>1000</queries></interval></writer>
    </quotas>
    <users>
        <default>
            <password/><access_management>1</access_management>
            <networks><ip>::/0</ip></networks><profile>default</profile><quota>default</quota>
        </default>
        <worker>
            <password_sha256_hex>{digest}</password_sha256_hex>
            <networks><ip>10.0.0.0/8</ip><host>example.com</host></networks>
            <profile>writer</profile><quota>writer</quota><default_database>vantage</default_database>
            <grants>
                <query>GRANT SELECT ON vantage.*</query>
                <query>GRANT INSERT ON vantage.events WITH GRANT OPTION</query>
                <query>REVOKE SELECT(secret) ON vantage.events</query>
            </grants>
        </worker>
        <both>
            <auth_methods>
                <one><password_sha256_hex>{digest}</password_sha256_hex></one>
                <two><password_double_sha1_hex>{sha1}</password_double_sha1_hex></two>
            </auth_methods>
            <networks/>
        </both>
    </users>
</clickhouse>
"""

_PROGRAM = """\
import json, re, sys
from chdb import session
engine = session.Session()
for line in sys.stdin:
    try:
        answer = engine.query(json.loads(line)).bytes().decode()
    except RuntimeError as exc:
        answer = int(re.search("Code: ([0-9]+)", str(exc))[1])
    print(json.dumps(answer), flush=True)
"""


class _Engine(Server):
    """An engine in a process of its own, asked as if it were a server."""

    def __init__(self, folder: Path) -> None:
        super().__init__("http://localhost")
        self._process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM], cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ask(self, statement: str, login: Credential, settings: Mapping[str, str] | None = None) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        if settings:
            changed = ", ".join(f"{name} = '{value}'" for name, value in settings.items())
            statement = statement.replace(" FORMAT ", f" SETTINGS {changed} FORMAT ")
        self._process.stdin.write(json.dumps(statement) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        if isinstance(answer, int):
            raise AnswerError(answer)
        return str(answer)

    def stop(self) -> None:
        self._process.communicate()
        assert self._process.returncode == 0


@pytest.fixture(scope="module", name="engine")
def engine_fixture(tmp_path_factory: pytest.TempPathFactory) -> Iterator[_Engine]:
    folder = tmp_path_factory.mktemp("clickhouse-engine")
    path = folder / "config.xml"
    path.write_text(_CONFIG.format(path=path, digest="ab" * 32, sha1="cd" * 20))
    engine = _Engine(folder)
    yield engine
    engine.stop()


@pytest.fixture(name="login")
def login_fixture() -> Credential:
    return Credential("default", SecretValue(canary("unused")))


@pytest.fixture(name="servers")
def servers_fixture(engine: _Engine, login: Credential) -> Servers:
    return Servers([engine], "", lambda: login)


def test_the_engines_own_users_are_read_as_they_are(engine: _Engine, servers: Servers) -> None:
    assert servers.storages(("worker", "both", "nobody"), engine) == {"worker": "users_xml", "both": "users_xml"}
    worker, both = (servers.shown(name, engine) for name in ("worker", "both"))
    assert worker.methods == (("sha256_password", None, True),)
    assert worker.clauses == {
        "HOST": "IP '10.0.0.0/8' , NAME 'example.com'",
        "DEFAULT DATABASE": "vantage",
        "SETTINGS": "PROFILE `writer`",
    }
    assert [method.kind for method in both.methods] == ["sha256_password", "double_sha1_password"]
    assert both.is_closed
    assert not worker.is_closed


def test_the_engines_own_grants_and_lists_are_read_as_they_are(engine: _Engine, servers: Servers) -> None:
    rights = read_rights(servers, "worker", engine)
    assert rights.grants == {
        "GRANT SELECT ON vantage.*",
        "GRANT INSERT ON vantage.events WITH GRANT OPTION",
        "REVOKE SELECT(secret) ON vantage.events",
    }
    assert rights.assigned == (Assigned("QUOTA", "`writer`", ("worker",), is_exception=False),)


def test_the_engine_goes_with_every_statement_as_far_as_it_can_keep_users(
    engine: _Engine, servers: Servers, login: Credential
) -> None:
    rights = read_rights(servers, "worker", engine)
    policy = Assigned("ROW POLICY", "`own` ON `vantage`.`events`", ("worker",), is_exception=True)
    until = utc_now() + timedelta(hours=1)
    pair = [Method.of(login.password, until), Method.of(login.password)]
    expected = {
        alter_methods("worker", pair): _READ_ONLY,
        alter_methods("worker", [Method.nobodys()], clauses=rights.final_clauses()): _READ_ONLY,
        alter_end("worker", until): _READ_ONLY,
        create_closed("worker_a"): _NO_PLACE,
        drop("worker_a"): 0,
        kill_queries("worker"): 0,
        **dict.fromkeys(Rights({}, rights.grants, ()).grant_statements("worker", on=""), _READ_ONLY),
        rights.assigned[0].statement("both", on=""): _READ_ONLY,
        policy.statement("both", on=""): _unknown_policy(engine, login),
    }
    found = {}
    for statement in expected:
        try:
            engine.ask(statement, login)
            found[statement] = 0
        except AnswerError as exc:
            found[statement] = exc.code
    assert found == expected


def test_a_current_engine_reads_our_files_as_an_old_server_does(
    engine: _Engine, servers: Servers, login: Credential, tmp_path: Path
) -> None:
    users_file, folder = tmp_path / "users.xml", tmp_path / "users.d"
    folder.mkdir()
    config = _CONFIG.format(path=users_file, digest="ab" * 32, sha1="cd" * 20)
    users_file.write_text(config)
    (tmp_path / "config.xml").write_text(config)
    entries = UserEntries(users_file, folder)
    entries.write("worker_a", model="worker", digest="ef" * 32)
    entries.remove("worker")
    after = _Engine(tmp_path)
    try:
        found = Servers([after], "", lambda: login)
        assert found.storages(("worker", "worker_a", "worker_b"), after) == {"worker_a": "users_xml"}
        assert not read_rights(servers, "worker", engine).differences(
            read_rights(found, "worker_a", after), ("worker", "worker_a")
        )
    finally:
        after.stop()


def _unknown_policy(engine: _Engine, login: Credential) -> int:
    """Return what the engine says of a row policy that it does not have."""
    with pytest.raises(AnswerError) as refused:
        engine.ask("ALTER ROW POLICY nothing ON vantage.events TO NONE", login)
    return refused.value.code
