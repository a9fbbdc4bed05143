"""Clients of ClickHouse follow a rotation: natively on a real 18.16, by HTTP on the front with a current engine."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from clickhouse_connect.driver.exceptions import ClickHouseError
from clickhouse_driver.errors import NetworkError, ServerException

from tests.canary import canary
from tests.servers.clickhouse import ClickHouseServer, free_ports
from tests.servers.clickhouse_fixtures import (  # noqa: F401  # Fixtures.
    CLICKHOUSE_GROUP,
    clickhouse_fixture,
    front_fixture,
    front_process_fixture,
)
from tests.servers.clickhouse_front import ClickHouseFront
from tests.servers.connections_steps import NAME, ChangingSecret, Load, wait_until
from vantage_secrets.connections.clickhouse_connect import FollowingHttpClient, following_client
from vantage_secrets.connections.clickhouse_driver import FollowingClient

pytestmark = CLICKHOUSE_GROUP


@pytest.fixture
def secret() -> Iterator[ChangingSecret]:
    secret = ChangingSecret()
    with secret.client:
        yield secret


def native(server: ClickHouseServer, secret: ChangingSecret, account: str = "", **more: object) -> FollowingClient:
    return FollowingClient(secret.client, NAME, "127.0.0.1", account=account, port=server.tcp_port, **more)


def by_http(front: ClickHouseFront, secret: ChangingSecret) -> FollowingHttpClient:
    return following_client(secret.client, NAME, host="127.0.0.1", port=front.port, autogenerate_session_id=False)


def use_front(front: ClickHouseFront, **passwords: str) -> None:
    """Have these users, and no other of ours."""
    for name in ("worker_a", "worker_b"):
        front.query(f"DROP USER IF EXISTS {name}")
    for name, password in passwords.items():
        front.query(f"CREATE USER {name} IDENTIFIED WITH sha256_password BY '{password}'")
        front.query(f"GRANT ALL ON default.* TO {name}")


# the native protocol


def test_two_changes_of_user_under_load_fail_and_lose_and_double_nothing(
    clickhouse: ClickHouseServer, secret: ChangingSecret
) -> None:
    passwords = {"worker_a": canary(), "worker_b": canary()}
    clickhouse.set_users({"worker_a": passwords["worker_a"]})
    clickhouse.query("CREATE TABLE IF NOT EXISTS default.two_changes (id UInt64) ENGINE = Memory")
    secret.put_login("worker_a", passwords["worker_a"])
    with native(clickhouse, secret) as client:
        insert = Load(lambda number: client.execute("INSERT INTO two_changes VALUES", [(number,)]), per_second=500)
        with insert.running():
            insert.wait_for(50)
            for old, new in (("worker_a", "worker_b"), ("worker_b", "worker_a")):
                passwords[new] = canary()
                clickhouse.set_users(passwords)
                version = secret.put_login(new, passwords[new])
                secret.tell()
                wait_until(lambda version=version: secret.is_held_by_all(version))
                clickhouse.set_users({new: passwords[new]})
                with pytest.raises(ServerException):
                    clickhouse.client(old, passwords[old]).execute("SELECT 1")
                insert.wait_for(50)
        assert insert.errors == []
        counted = client.execute("SELECT count(), uniqExact(id) FROM two_changes")
        assert counted == [(insert.done_count, insert.done_count)]
    assert secret.held == {}


def test_a_connection_that_does_nothing_moves_too(clickhouse: ClickHouseServer, secret: ChangingSecret) -> None:
    first, second = canary(), canary()
    clickhouse.set_users({"worker_a": first, "worker_b": second})
    secret.put_login("worker_a", first)
    with native(clickhouse, secret) as client:
        assert client.execute("SELECT 1") == [(1,)]
        version = secret.put_login("worker_b", second)
        secret.tell()
        wait_until(lambda: secret.is_held_by_all(version))


def test_a_client_that_was_told_nothing_asks_when_it_is_refused(
    clickhouse: ClickHouseServer, secret: ChangingSecret
) -> None:
    first, second = canary(), canary()
    clickhouse.set_users({"worker": first})
    secret.put(first)
    with native(clickhouse, secret, account="worker") as client:
        client.execute("SELECT 1")
        version = secret.put(second)
        clickhouse.set_users({"worker": second})
        assert client.execute("SELECT 2") == [(2,)]  # The connection lives; nobody asks it for a password.
        with client.connected() as bare:
            bare.disconnect()  # As a server does that restarts: the driver connects anew by itself.
        assert client.execute("SELECT 3") == [(3,)]
        assert secret.fetch_count == 2
        assert secret.is_held_by_all(version)


def test_a_first_login_that_is_refused_is_tried_with_what_the_store_says_now(
    clickhouse: ClickHouseServer, secret: ChangingSecret
) -> None:
    good = canary()
    clickhouse.set_users({"worker": good})
    secret.put(canary())
    with native(clickhouse, secret, account="worker") as client:
        secret.put(good)
        assert client.execute("SELECT 1") == [(1,)]
        assert secret.fetch_count == 2


def test_a_login_that_is_refused_again_is_the_drivers_error_after_one_refresh(
    clickhouse: ClickHouseServer, secret: ChangingSecret
) -> None:
    clickhouse.set_users({"worker": canary()})
    secret.put(canary())
    with native(clickhouse, secret, account="worker") as client, pytest.raises(ServerException) as caught:
        client.execute("SELECT 1")
    assert caught.value.code == 193
    assert secret.fetch_count == 2
    assert secret.held == {}


def test_an_error_of_a_query_is_neither_a_refusal_nor_retried(
    clickhouse: ClickHouseServer, secret: ChangingSecret
) -> None:
    good = canary()
    clickhouse.set_users({"worker": good})
    secret.put(good)
    with native(clickhouse, secret, account="worker") as client:
        with pytest.raises(ServerException, match="nowhere"):
            client.execute("SELECT * FROM nowhere")
        assert client.execute("SELECT 1") == [(1,)]
    assert secret.fetch_count == 1


def test_a_server_that_is_away_is_an_outage_and_its_return_is_noticed(
    clickhouse: ClickHouseServer, secret: ChangingSecret
) -> None:
    good = canary()
    clickhouse.set_users({"worker": good})
    secret.put(good)
    with native(clickhouse, secret, account="worker", connect_timeout=2) as client:
        client.execute("SELECT 1")
        clickhouse.stop()
        try:
            with pytest.raises((NetworkError, EOFError)):
                client.execute("SELECT 1")
        finally:
            clickhouse.start()
        assert client.execute("SELECT 1") == [(1,)]
        assert secret.fetch_count == 1


def test_several_threads_share_a_client(clickhouse: ClickHouseServer, secret: ChangingSecret) -> None:
    good = canary()
    clickhouse.set_users({"worker": good})
    secret.put(good)
    with native(clickhouse, secret, account="worker") as client:
        answers: list[int] = []
        threads = [
            threading.Thread(target=lambda number=number: answers.append(client.execute(f"SELECT {number}")[0][0]))
            for number in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(answers) == list(range(8))


# HTTP


def test_two_changes_of_user_by_http_under_load_fail_and_lose_and_double_nothing(
    front: ClickHouseFront, secret: ChangingSecret
) -> None:
    passwords = {"worker_a": canary(), "worker_b": canary()}
    use_front(front, worker_a=passwords["worker_a"])
    front.query("DROP TABLE IF EXISTS by_http")
    front.query("CREATE TABLE by_http (id UInt64) ENGINE = MergeTree ORDER BY id")
    secret.put_login("worker_a", passwords["worker_a"])
    with by_http(front, secret) as client:
        insert = Load(lambda number: client.insert("by_http", [[number]], column_names=["id"]), per_second=100)
        with insert.running():
            insert.wait_for(10)
            for old, new in (("worker_a", "worker_b"), ("worker_b", "worker_a")):
                passwords[new] = canary()
                front.query(f"DROP USER IF EXISTS {new}")
                front.query(f"CREATE USER {new} IDENTIFIED WITH sha256_password BY '{passwords[new]}'")
                front.query(f"GRANT ALL ON default.* TO {new}")
                version = secret.put_login(new, passwords[new])
                secret.tell()
                wait_until(lambda version=version: secret.is_held_by_all(version))
                front.query(f"DROP USER {old}")
                insert.wait_for(10)
        assert insert.errors == []
        counted = client.query("SELECT count(), uniqExact(id) FROM by_http").result_rows
        assert [tuple(row) for row in counted] == [(insert.done_count, insert.done_count)]
    assert secret.held == {}


def test_a_request_that_is_refused_is_made_once_more_with_what_the_store_says_now(
    front: ClickHouseFront, secret: ChangingSecret
) -> None:
    first, second = canary(), canary()
    use_front(front, worker_a=first)
    secret.put_login("worker_a", first)
    with by_http(front, secret) as client:
        version = secret.put_login("worker_b", second)
        use_front(front, worker_b=second)
        assert client.command("SELECT 7") == 7
        assert secret.fetch_count == 2
        assert secret.is_held_by_all(version)


def test_a_request_that_is_refused_again_is_the_librarys_error(front: ClickHouseFront, secret: ChangingSecret) -> None:
    good = canary()
    use_front(front, worker_a=good)
    secret.put_login("worker_a", good)
    with by_http(front, secret) as client:
        use_front(front)
        with pytest.raises(ClickHouseError) as caught:
            client.command("SELECT 1")
        assert "516" in str(caught.value)
        assert secret.fetch_count == 2


def test_a_refused_request_that_reads_from_an_iterator_is_not_made_again(
    front: ClickHouseFront, secret: ChangingSecret
) -> None:
    first, second = canary(), canary()
    use_front(front, worker_a=first)
    front.query("DROP TABLE IF EXISTS by_stream")
    front.query("CREATE TABLE by_stream (id UInt64) ENGINE = MergeTree ORDER BY id")
    secret.put_login("worker_a", first)
    with by_http(front, secret) as client:
        secret.put_login("worker_b", second)
        use_front(front, worker_b=second)
        with pytest.raises(ClickHouseError):
            client.raw_insert("by_stream", ["id"], iter([b"1\n"]), fmt="TabSeparated")
        assert client.command("SELECT count() FROM by_stream") == 0
        client.raw_insert("by_stream", ["id"], b"1\n", fmt="TabSeparated")
        assert client.command("SELECT count() FROM by_stream") == 1


def test_a_server_that_is_away_by_http_is_an_outage(secret: ChangingSecret) -> None:
    secret.put_login("worker_a", canary())
    (port,) = free_ports(1)
    with pytest.raises(ClickHouseError):
        following_client(secret.client, NAME, host="127.0.0.1", port=port)
    assert secret.fetch_count == 1
    assert secret.held == {}
