"""Which session of Kafka comes after the one in use, tried without Kafka: refusals, denials, outages."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.canary import canary
from tests.servers.connections_steps import NAME, ChangingSecret, wait_until
from vantage_secrets.connections.confluent_kafka import session, succession
from vantage_secrets.connections.confluent_kafka.session import Session, checked
from vantage_secrets.connections.confluent_kafka.succession import Succession
from vantage_secrets.connections.following import FollowedSecret, Login
from vantage_secrets.errors import CredentialRefusedError, MissingExtraError, TargetUnavailableError
from vantage_secrets.secret import SecretValue


class _Broker:
    """Says which users may log in, and whether it answers at all."""

    def __init__(self) -> None:
        self.refused: set[str] = set()
        self.is_away = False
        self.sessions: list[_Session] = []

    def build(self, login: Login, on_refused: Callable[[Session], None]) -> Session:
        session = _Session(self, login, on_refused)
        self.sessions.append(session)
        return session


class _Session(Session):
    def __init__(self, broker: _Broker, login: Login, on_refused: Callable[[Session], None]) -> None:
        super().__init__(lambda settings: settings, {}, login, on_refused)
        self._broker = broker

    def prove(self, goes_on: Callable[[], bool]) -> None:
        assert goes_on()
        if self._broker.is_away:
            raise TargetUnavailableError("away")
        if self.login.username in self._broker.refused:
            raise CredentialRefusedError("no")


@pytest.fixture
def secret() -> Iterator[ChangingSecret]:
    secret = ChangingSecret()
    with secret.client:
        yield secret


@pytest.fixture
def broker() -> _Broker:
    return _Broker()


@pytest.fixture
def begin(secret: ChangingSecret, broker: _Broker, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], Any]]:
    """Return what begins a succession with the secret as it is now."""
    monkeypatch.setattr(succession, "RETRY_SECONDS", 0.01)
    begun: list[Succession] = []

    def begin() -> Succession:
        following = FollowedSecret(secret.client, NAME, account="", kind="producer")
        begun.append(Succession(following, broker.build, lambda: None))
        begun[-1].start()
        return begun[-1]

    yield begin
    for each in begun:
        each.close()


Begin = Callable[[], Succession]


def test_the_first_login_that_is_refused_is_tried_once_more_after_a_refresh(
    secret: ChangingSecret, broker: _Broker, begin: Begin
) -> None:
    secret.put_login("a", canary())
    secret.client.read(NAME)
    version = secret.put_login("b", canary())
    broker.refused.add("a")
    assert begin().current.login.username == "b"
    assert secret.is_held_by_all(version)
    assert broker.sessions[0].client is None  # What was refused is let go.


def test_a_login_that_is_refused_again_is_an_error_and_leaves_no_receipt(
    secret: ChangingSecret, broker: _Broker, begin: Begin
) -> None:
    secret.put_login("a", canary())
    broker.refused.add("a")
    with pytest.raises(CredentialRefusedError):
        begin()
    assert secret.fetch_count == 2
    assert secret.held == {}


def test_an_outage_at_the_beginning_ends_with_a_proven_session_and_no_refresh(
    secret: ChangingSecret, broker: _Broker, begin: Begin
) -> None:
    version = secret.put_login("a", canary())
    broker.is_away = True
    used = begin()
    assert used.current.login.username == "a"
    assert secret.held == {}
    broker.is_away = False
    wait_until(lambda: used.ready is not None)
    used.retire(used.advance())
    wait_until(lambda: secret.is_held_by_all(version))
    assert secret.fetch_count == 1


def test_the_receipt_moves_when_the_session_before_is_let_go_and_not_sooner(
    secret: ChangingSecret, broker: _Broker, begin: Begin
) -> None:
    first = secret.put_login("a", canary())
    used = begin()
    second = secret.put_login("b", canary())
    secret.tell()
    wait_until(lambda: used.ready is not None)
    before = used.advance()
    assert used.current.login.username == "b"
    assert secret.is_held_by_all(first)
    used.retire(before)
    wait_until(lambda: secret.is_held_by_all(second))
    assert before.client is None


def test_a_session_that_waits_is_replaced_when_there_is_a_newer_version(
    secret: ChangingSecret, broker: _Broker, begin: Begin
) -> None:
    secret.put_login("a", canary())
    used = begin()
    secret.put_login("b", canary())
    secret.tell()
    wait_until(lambda: used.ready is not None)
    waiting = used.ready
    secret.put_login("c", canary())
    secret.tell()
    wait_until(lambda: used.ready is not waiting)
    assert used.ready is not None
    assert used.ready.login.username == "c"
    assert waiting is not None
    wait_until(lambda: waiting.client is None)


def test_a_refusal_of_a_session_that_is_not_in_use_any_more_means_nothing(
    secret: ChangingSecret, broker: _Broker, begin: Begin
) -> None:
    secret.put_login("a", canary())
    used = begin()
    secret.put_login("b", canary())
    secret.tell()
    wait_until(lambda: used.ready is not None)
    before = used.advance()
    used.suspect(before)
    assert not used.is_refused
    assert secret.fetch_count == 2


def test_a_false_refusal_within_a_change_of_principal_is_no_error(
    secret: ChangingSecret, broker: _Broker, begin: Begin
) -> None:
    secret.put_login("a", canary())
    used = begin()
    used.suspect(used.current)  # The broker says so; a fresh login with the same version is let in.
    wait_until(lambda: used.ready is not None)
    assert used.take_failure() is None


def test_a_live_session_that_is_refused_for_good_is_told_once(
    secret: ChangingSecret, broker: _Broker, begin: Begin
) -> None:
    secret.put_login("a", canary())
    used = begin()
    broker.refused.add("a")
    used.suspect(used.current)
    found: list[Any] = []
    wait_until(lambda: found.append(used.take_failure()) or found[-1])
    assert isinstance(found[-1], CredentialRefusedError)
    assert used.take_failure() is None
    assert secret.fetch_count == 2
    assert not used.is_refused


def test_a_right_that_the_current_version_lacks_is_looked_up_once(
    secret: ChangingSecret, broker: _Broker, begin: Begin
) -> None:
    secret.put_login("a", canary())
    used = begin()
    assert used.deny()
    assert used.wait(20)
    used.retire(used.advance())
    assert not used.deny()
    assert secret.fetch_count == 2


def test_no_settings_are_kept_with_a_password_in_them(secret: ChangingSecret, broker: _Broker, begin: Begin) -> None:
    password = canary()
    secret.put_login("a", password)
    session = begin().current
    assert session.client.pop("sasl.password") == password  # What the library was given, and nobody else keeps.
    assert password not in repr(vars(session))


def test_the_libraries_are_loaded_when_a_connection_is_made_and_not_before() -> None:
    modules = ["aiokafka", "confluent_kafka", "clickhouse_connect", "clickhouse_driver", "sqlalchemy"]
    load = "importlib.import_module('vantage_secrets.connections.' + name)"
    code = (
        f"import sys, importlib\nfor name in {modules}: {load}\n"
        f"print([name for name in {modules} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_missing_library_is_named_with_the_extra_that_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "confluent_kafka", None)
    with pytest.raises(MissingExtraError) as caught:
        checked({})
    assert caught.value.hint == "pip install 'vantage-secrets[kafka]'"


def test_a_client_that_does_not_come_to_its_end_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = threading.Event()

    class Hanging:
        def __del__(self) -> None:
            ended.wait(10)

    monkeypatch.setattr(session, "RELEASE_SECONDS_MAX", 0.01)
    login = Login("version-1", "worker", SecretValue(canary()), "")
    one = Session(lambda _settings: Hanging(), {}, login, lambda _session: None)
    released = threading.Thread(target=one.release, daemon=True)
    released.start()
    released.join(5)
    assert not released.is_alive()
    assert not ended.is_set()
    ended.set()
