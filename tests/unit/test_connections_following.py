"""What all connections that follow a rotation share: the login, news of another one, the receipt, the errand."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator

import pytest

from tests.canary import canary
from tests.servers.connections_steps import NAME, ChangingSecret, wait_until
from vantage_secrets.connections.following import Errand, FollowedSecret, missing_library
from vantage_secrets.connections.refusals import is_clickhouse_refusal, is_refusal
from vantage_secrets.errors import InvalidInputError, SecretNotFoundError, StoreAccessDeniedError


@pytest.fixture
def secret() -> Iterator[ChangingSecret]:
    secret = ChangingSecret()
    with secret.client:
        yield secret


class _Listener:
    def __init__(self) -> None:
        self.count = 0

    def hear(self) -> None:
        self.count += 1


def follow(secret: ChangingSecret, account: str = "") -> FollowedSecret:
    return FollowedSecret(secret.client, NAME, account=account, kind="producer")


def test_a_login_brings_its_own_user_version_and_mechanism(secret: ChangingSecret) -> None:
    password = canary()
    version = secret.put_login("worker-a", password, mechanism="SCRAM-SHA-256")
    login = follow(secret, account="nobody").now()
    assert (login.version_id, login.username, login.mechanism) == (version, "worker-a", "SCRAM-SHA-256")
    assert login.password.matches(password)
    assert password not in repr(login)


def test_a_password_alone_is_the_accounts_and_of_no_mechanism(secret: ChangingSecret) -> None:
    secret.put(canary())
    login = follow(secret, account="worker").now()
    assert (login.username, login.mechanism) == ("worker", "")
    with pytest.raises(InvalidInputError, match="no user name"):
        follow(secret).now()


def test_a_secret_that_is_not_there_cannot_be_followed(secret: ChangingSecret) -> None:
    with pytest.raises(SecretNotFoundError):
        follow(secret)


def test_a_version_is_outdated_once_the_client_has_heard_of_another_and_not_before(secret: ChangingSecret) -> None:
    first = secret.put_login("a", canary())
    following = follow(secret)
    assert following.now().version_id == first
    second = secret.put_login("b", canary())
    assert not following.is_outdated(first)
    secret.tell()
    assert following.is_outdated(first)
    assert not following.is_outdated(second)
    assert secret.fetch_count == 2


def test_a_listener_is_called_at_once_and_for_each_version_until_it_is_dropped_or_closed(
    secret: ChangingSecret,
) -> None:
    secret.put_login("a", canary())
    following, listener = follow(secret), _Listener()
    following.listen(listener.hear)
    assert listener.count == 1
    secret.put_login("b", canary())
    secret.tell()
    assert listener.count == 2
    following.close()
    secret.put_login("a", canary())
    secret.tell()
    assert listener.count == 2


def test_after_a_refusal_the_store_is_asked_and_while_it_is_away_what_is_known_stays(secret: ChangingSecret) -> None:
    first = secret.put_login("a", canary())
    following = follow(secret)
    with secret.store.outage():
        assert following.after_refusal().version_id == first
    second = secret.put_login("b", canary())
    assert following.after_refusal().version_id == second


def test_what_the_store_says_of_a_refused_login_is_raised(secret: ChangingSecret) -> None:
    secret.put_login("a", canary())
    following = follow(secret)
    secret.store.denied.add(NAME)
    with pytest.raises(StoreAccessDeniedError):
        following.after_refusal()


def test_a_read_that_has_to_fetch_tells_of_the_change_itself_and_does_not_wait_for_itself(
    secret: ChangingSecret,
) -> None:
    secret.put_login("a", canary())
    following, listener = follow(secret), _Listener()
    following.listen(listener.hear)
    secret.store.denied.add(NAME)
    with pytest.raises(StoreAccessDeniedError):
        secret.tell()  # The value is dropped.
    secret.store.denied.clear()
    second = secret.put_login("b", canary())
    found: list[str] = []
    thread = threading.Thread(target=lambda: found.append(following.now().version_id), daemon=True)
    thread.start()
    thread.join(20)
    assert found == [second]
    assert listener.count == 2


def test_each_connection_has_a_receipt_of_its_own_that_ends_with_it(secret: ChangingSecret) -> None:
    version = secret.put_login("a", canary())
    first, second = follow(secret), follow(secret)
    assert secret.held == {}
    first.confirm(version)
    second.confirm(version)
    assert secret.held == {first.connection: version, second.connection: version}
    first.close()
    first.close()
    assert secret.held == {second.connection: version}


def test_a_connection_that_was_dropped_and_not_closed_ends_its_receipt_when_there_is_another_version(
    secret: ChangingSecret,
) -> None:
    version = secret.put_login("a", canary())
    following = follow(secret)
    following.confirm(version)
    del following
    gc.collect()
    secret.put_login("b", canary())
    secret.tell()
    assert secret.held == {}


class _Work:
    def __init__(self) -> None:
        self.begun = threading.Event()
        self.may_end = threading.Event()
        self.done: list[str] = []

    def do(self) -> None:
        self.begun.set()
        self.may_end.wait(20)
        self.done.append(threading.current_thread().name)


def test_an_errand_that_is_asked_for_while_it_runs_is_done_once_more() -> None:
    work = _Work()
    errand = Errand(work.do)
    errand.ask()
    assert work.begun.wait(20)
    for _ in range(5):
        errand.ask()
    work.may_end.set()
    wait_until(lambda: len(work.done) == 2 and errand._thread is None)
    assert threading.current_thread().name not in work.done
    errand.stop()
    errand.ask()
    assert len(work.done) == 2


def test_a_pause_of_an_errand_ends_when_it_is_stopped() -> None:
    errand = Errand(_Work().do)
    assert errand.pause(0)
    threading.Timer(0.01, errand.stop).start()
    assert not errand.pause(20)


class _VendorError(Exception):
    def __init__(self, *args: object, **attributes: object) -> None:
        super().__init__(*args)
        vars(self).update(attributes)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (_VendorError("no", sqlstate="28P01"), True),
        (_VendorError("no", pgcode="28000"), True),
        (_VendorError('FATAL: password authentication failed for user "x"', sqlstate="57P03"), False),
        (_VendorError('connection failed: FATAL:  password authentication failed for user "x"'), True),
        (_VendorError('FATAL:  role "x" is not permitted to log in'), True),
        (_VendorError('FATAL:  role "x" does not exist'), True),
        (_VendorError('connection refused: is the server running on host "x"?'), False),
        (_VendorError('FATAL:  database "x" does not exist'), False),
        (_VendorError(1045, "Access denied for user"), True),
        (_VendorError(2003, "Can't connect"), False),
        (_VendorError("Code: 516. DB::Exception: x: Authentication failed"), True),
        (_VendorError("no", code=193), True),
        (_VendorError("Code: 60. DB::Exception: Table x doesn't exist"), False),
        (TimeoutError("timed out"), False),
    ],
)
def test_a_refusal_is_told_from_everything_else(error: Exception, expected: bool) -> None:
    assert is_refusal(error) is expected


def test_a_clickhouse_code_goes_before_the_text() -> None:
    assert not is_clickhouse_refusal(_VendorError("Code: 516 was found in the log", code=60))


def test_a_library_that_is_missing_is_named_with_the_command_that_installs_it() -> None:
    error = missing_library("aiokafka")
    assert error.hint == "pip install aiokafka"
    assert "aiokafka" in str(error)
