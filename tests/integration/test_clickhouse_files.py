"""Users in files of a real ClickHouse 18.16: what is written, what is refused, and what nobody notices meanwhile."""

from __future__ import annotations

import stat
import threading
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from clickhouse_driver.errors import ServerException

from tests.canary import canary, leaks_below, leaks_in
from tests.servers.certificate import Certificate
from tests.servers.clickhouse import RIGHTS, ClickHouseServer, running_clickhouse
from tests.servers.clickhouse_fixtures import (  # noqa: F401  # Fixtures.
    CLICKHOUSE_GROUP,
    clickhouse_fixture,
    impatient_fixture,
    login_of,
    next_of,
    open_target,
)
from tests.targets import reading
from vantage_secrets.errors import (
    CredentialAcceptedError,
    CredentialRefusedError,
    RotationError,
    TargetUnavailableError,
)
from vantage_secrets.secret import SecretReading, SecretValue
from vantage_secrets.targets.clickhouse import ClickHouseTarget, user_entries
from vantage_secrets.targets.contract import Overlap

pytestmark = CLICKHOUSE_GROUP

_QUERY_CANCELLED = 394
_WRITER = "<networks><ip>127.0.0.1</ip></networks><profile>writer</profile><quota>writer</quota>"
_SERIAL = count(1)


@pytest.fixture(name="account")
def account_fixture() -> str:
    """Return a name that no test had before: the server's log of queries is not emptied."""
    return f"files_{next(_SERIAL)}"


@pytest.fixture(name="current")
def current_fixture(clickhouse: ClickHouseServer, account: str) -> SecretReading:
    """Return the password of an account of ``users.xml`` with rights of its own."""
    password = canary("first")
    clickhouse.set_users({account: password}, {account: _WRITER})
    return reading(SecretValue(password), "imported")


@pytest.fixture(name="target")
def target_fixture(clickhouse: ClickHouseServer, account: str, current: SecretReading) -> Iterator[ClickHouseTarget]:
    """Yield a target that finds its strategy by itself."""
    target = open_files(clickhouse, account)
    yield target
    target.close()


def open_files(server: ClickHouseServer, account: str, **settings: Any) -> ClickHouseTarget:
    """Return a target that is told of the server's files."""
    return open_target(server, account, users_file=server.users_file, users_folder=server.users_folder, **settings)


def rotate(target: ClickHouseTarget, current: SecretReading) -> SecretReading:
    """Return the version that is accepted alone, after a whole rotation."""
    pending = next_of(target, current)
    target.install(pending, keep=current)
    target.verify(pending)
    target.verify(current)
    target.revoke(current, keep=pending)
    target.verify_refused(current)
    return pending


def test_a_server_without_sql_users_takes_files_and_says_so(target: ClickHouseTarget) -> None:
    probe = target.probe()
    assert probe.overlap is Overlap.ALTERNATING_USERS
    assert "18.16.1" in probe.summary
    assert "users-files" in probe.summary
    assert probe.accepted_count == 1
    assert "have no end" in probe.warnings[-1]


def test_the_users_have_the_accounts_rights_and_users_xml_stays_as_it_is(
    clickhouse: ClickHouseServer, target: ClickHouseTarget, account: str, current: SecretReading
) -> None:
    before = clickhouse.users_file.read_text()
    for _ in range(3):
        current = rotate(target, current)
        name, password = login_of(current, account)
        client = clickhouse.client(name, password)
        setting = client.execute("SELECT value FROM system.settings WHERE name = 'max_memory_usage'")
        client.disconnect()
        assert setting == [("2000000000",)]  # of the profile 'writer'
    assert clickhouse.users_file.read_text() == before
    assert sorted(path.name for path in clickhouse.users_folder.iterdir()) == [
        f"vantage-secrets-{account}.xml",
        f"vantage-secrets-{account}_a.xml",
    ]


def test_a_password_that_a_person_brings_is_left_as_it_is_or_takes_the_place_of_users_xml(
    clickhouse: ClickHouseServer, target: ClickHouseTarget, account: str, current: SecretReading
) -> None:
    target.install(current, keep=None)
    assert not list(clickhouse.users_folder.iterdir())
    brought = reading(SecretValue(canary("brought")), "brought")
    target.install(brought, keep=None)
    target.verify(brought)
    target.verify_refused(current)
    newest = rotate(target, brought)
    target.verify_refused(current)
    assert login_of(newest, account)[0] == f"{account}_a"


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644])
def test_a_file_is_as_readable_as_users_xml(
    clickhouse: ClickHouseServer, target: ClickHouseTarget, account: str, current: SecretReading, mode: int
) -> None:
    clickhouse.users_file.chmod(mode)
    rotate(target, current)
    like = clickhouse.users_file.stat()
    for path in clickhouse.users_folder.iterdir():
        found = path.stat()
        assert (stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid) == (mode, like.st_uid, like.st_gid)


def test_no_password_stands_in_a_file_or_log_of_the_server(
    clickhouse: ClickHouseServer, target: ClickHouseTarget, account: str, current: SecretReading
) -> None:
    used = [current]
    for _ in range(2):
        used.append(rotate(target, used[-1]))
        clickhouse.query("SELECT 1", *login_of(used[-1], account))
    clickhouse.query("SYSTEM FLUSH LOGS")
    values = (*(login_of(one, account)[1] for one in used), clickhouse.admin_password)
    log = clickhouse.query("SELECT * FROM system.query_log FORMAT JSONEachRow")
    assert account in log
    assert not leaks_in(log.encode(), values)
    assert not leaks_below(clickhouse.folder, values)


def test_a_query_of_the_old_user_is_ended_by_revoke_and_one_of_the_new_goes_on(
    clickhouse: ClickHouseServer, target: ClickHouseTarget, account: str, current: SecretReading
) -> None:
    pending = next_of(target, current)
    target.install(pending, keep=current)
    client, ended = clickhouse.client(*login_of(current, account)), []

    def ask_for_long() -> None:
        try:
            client.execute("SELECT count() FROM system.numbers WHERE number < 0")
        except ServerException as exc:
            ended.append(exc.code)

    newer = clickhouse.client(*login_of(pending, account))
    assert newer.execute("SELECT 1") == [(1,)]
    thread = threading.Thread(target=ask_for_long)
    thread.start()
    running = "SELECT count() FROM system.processes WHERE user = '{}'"
    while clickhouse.query(running.format(account)) != "1\n":
        assert thread.is_alive(), "the query ended by itself"
    target.revoke(current, keep=pending)
    thread.join(30)
    client.disconnect()
    assert ended == [_QUERY_CANCELLED]
    assert newer.execute("SELECT 1") == [(1,)]
    newer.disconnect()


def test_rights_changed_at_one_of_two_places_are_drift(
    clickhouse: ClickHouseServer, target: ClickHouseTarget, account: str, current: SecretReading
) -> None:
    newer = rotate(target, current)
    folder = {path.name: path.read_bytes() for path in clickhouse.users_folder.iterdir()}
    clickhouse.set_users({account: canary("template")}, {account: RIGHTS})
    for name, content in folder.items():
        (clickhouse.users_folder / name).write_bytes(content)
    with pytest.raises(RotationError, match="unequal rights") as refused:
        target.install(next_of(target, newer), keep=newer)
    assert f"only {account} has profile default" in str(refused.value)
    assert f"only {account}_a has profile writer" in str(refused.value)
    assert "say the same" in refused.value.hint
    assert {path.name: path.read_bytes() for path in clickhouse.users_folder.iterdir()} == folder


def test_rights_in_two_files_are_not_guessed(
    clickhouse: ClickHouseServer, target: ClickHouseTarget, account: str, current: SecretReading
) -> None:
    more = f"<yandex><users><{account}><quota>default</quota></{account}></users></yandex>"
    (clickhouse.users_folder / "more.xml").write_text(more)
    with pytest.raises(RotationError, match="must stand in one file") as refused:
        target.install(next_of(target, current), keep=current)
    assert "more.xml" in str(refused.value)
    target.verify(current)


def test_somebody_elses_user_of_that_name_is_not_taken(
    clickhouse: ClickHouseServer, target: ClickHouseTarget, account: str, current: SecretReading
) -> None:
    path = clickhouse.users_folder / "people.xml"
    path.write_text(f"<yandex><users><{account}_a>{RIGHTS}</{account}_a></users></yandex>")
    with pytest.raises(RotationError, match="a file that is not ours"):
        target.install(next_of(target, current), keep=current)
    assert path.exists()


def test_a_user_who_logs_in_by_something_else_is_refused(
    clickhouse: ClickHouseServer, target: ClickHouseTarget, account: str, current: SecretReading
) -> None:
    text = clickhouse.users_file.read_text()
    clickhouse.users_file.write_text(text.replace(f"<{account}>", f"<{account}><ldap><server>x</server></ldap>"))
    with pytest.raises(RotationError, match="logs in by ldap"):
        target.install(next_of(target, current), keep=current)


@pytest.mark.parametrize("broken", ["users_file", "users_folder"])
def test_files_that_cannot_be_read_or_written_are_told(
    clickhouse: ClickHouseServer, account: str, current: SecretReading, tmp_path: Path, broken: str
) -> None:
    places = {"users_file": clickhouse.users_file, "users_folder": clickhouse.users_folder}
    if broken == "users_file":
        places[broken] = tmp_path / "users.xml"
        places[broken].write_text("<yandex><users>")
    else:
        places[broken] = tmp_path / "nowhere"
    target = open_target(clickhouse, account, **places)
    with pytest.raises(RotationError, match="is no XML: line 1" if broken == "users_file" else "No such file") as told:
        target.install(next_of(target, current), keep=current)
    assert told.value.hint
    target.verify(current)


def test_a_server_that_does_not_read_the_folder_is_found_out(
    clickhouse: ClickHouseServer, account: str, current: SecretReading, tmp_path: Path, impatient: None
) -> None:
    target = open_target(clickhouse, account, users_file=clickhouse.users_file, users_folder=tmp_path)
    pending = next_of(target, current)
    target.install(pending, keep=current)
    with pytest.raises(CredentialRefusedError):
        target.verify(pending)
    target.revoke(current, keep=pending)
    with pytest.raises(CredentialAcceptedError):
        target.verify_refused(current)


def test_a_replica_with_a_folder_of_its_own_is_found_out(
    clickhouse: ClickHouseServer,
    account: str,
    current: SecretReading,
    tmp_path_factory: pytest.TempPathFactory,
    impatient: None,
) -> None:
    password = login_of(current, account)[1]
    with running_clickhouse(tmp_path_factory.mktemp("replica"), users={account: password}) as replica:
        replica.share_admin(clickhouse, users={account: password})
        target = open_files(clickhouse, account, replicas=(replica.url,))
        pending = next_of(target, current)
        target.install(pending, keep=current)
        with pytest.raises(CredentialRefusedError, match=str(replica.http_port)):
            target.verify(pending)
        for name in (f"vantage-secrets-{account}_a.xml",):
            (replica.users_folder / name).write_bytes((clickhouse.users_folder / name).read_bytes())
        target.install(pending, keep=current)
        target.verify(pending)
        target.verify(current)


def test_only_a_certificate_that_is_trusted_is_given_a_password(
    tmp_path_factory: pytest.TempPathFactory, account: str
) -> None:
    password = canary("first")
    certificate, another = (Certificate.make(tmp_path_factory.mktemp(name)) for name in ("server", "another"))
    with running_clickhouse(
        tmp_path_factory.mktemp("clickhouse-tls"), users={account: password}, certificate=certificate
    ) as server:
        url = f"https://localhost:{server.https_port}"
        trusting = open_files(server, account, url=url, ca_file=certificate.ca_file)
        current = reading(SecretValue(password), "imported")
        rotate(trusting, current)
        for ca_file in (another.ca_file, None):
            with pytest.raises(TargetUnavailableError, match="certificate cannot be verified"):
                open_files(server, account, url=url, ca_file=ca_file).verify_refused(current)
    assert not leaks_below(server.folder, (password,))


class _DiedError(Exception):
    """The process ended here."""


@pytest.mark.parametrize("call", ["fsync", "fchmod"])
def test_a_run_that_dies_while_it_writes_leaves_nothing_that_the_server_reads(
    clickhouse: ClickHouseServer,
    target: ClickHouseTarget,
    account: str,
    current: SecretReading,
    monkeypatch: pytest.MonkeyPatch,
    call: str,
) -> None:
    def die(*_: Any) -> None:
        raise _DiedError

    pending = next_of(target, current)
    with monkeypatch.context() as patch:
        patch.setattr(user_entries.os, call, die)
        with pytest.raises(_DiedError):
            target.install(pending, keep=current)
    assert [path.suffix for path in clickhouse.users_folder.iterdir()] == [".begun"]
    clickhouse.query("SYSTEM RELOAD CONFIG")
    target.verify(current)
    target.verify_refused(pending)
    target.install(pending, keep=current)
    target.verify(pending)
    assert [path.suffix for path in clickhouse.users_folder.iterdir()] == [".xml"]
