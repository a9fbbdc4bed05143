"""ClickHouse as a source of documents: its own logs, and tables that are asked for, on a real server."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.canary import canary
from tests.servers.clickhouse import ClickHouseServer
from tests.servers.clickhouse_fixtures import (  # noqa: F401  # Fixtures.
    CLICKHOUSE_GROUP,
    clickhouse_fixture,
    front_fixture,
    front_process_fixture,
)
from tests.servers.clickhouse_front import ClickHouseFront
from tests.targets import context
from vantage_secrets.credential import Credential
from vantage_secrets.errors import RotationError, TargetUnavailableError
from vantage_secrets.leaks.finding import Coverage
from vantage_secrets.leaks.sources import clickhouse as module
from vantage_secrets.leaks.sources.clickhouse import ClickHouseSource
from vantage_secrets.leaks.sources.contract import Document
from vantage_secrets.secret import SecretValue

pytestmark = CLICKHOUSE_GROUP

WAIT_SECONDS_MAX = 30


def open_source(
    server: ClickHouseServer | ClickHouseFront,
    *tables: str,
    since: float | None = None,
    password: str = "",
    **settings: Any,
) -> ClickHouseSource:
    login = Credential(server.admin, SecretValue(password or server.admin_password))
    found = context("clickhouse-password", **{"url": server.url, **settings}).settings
    assert found is not None
    return ClickHouseSource(found, lambda: login, tables, since=since)


def read(source: ClickHouseSource, coverage: Coverage | None = None) -> list[Document]:
    return list(source.documents(Coverage() if coverage is None else coverage))


@pytest.fixture
def table(clickhouse: ClickHouseServer) -> Iterator[str]:
    """Return a table of events, empty, that no other test has."""
    name = f"default.events_{secrets.token_hex(4)}"
    clickhouse.query(
        f"CREATE TABLE {name} (event_date Date DEFAULT toDate(event_time), event_time DateTime, text String, "
        "note Nullable(String), names Array(String), number UInt64) ENGINE = MergeTree(event_date, event_time, 8192)"
    )
    yield name
    clickhouse.query(f"DROP TABLE {name}")


def fill(server: ClickHouseServer | ClickHouseFront, table: str, select: str) -> None:
    server.query(f"INSERT INTO {table} (event_time, text) SELECT {select}")


def logged(server: ClickHouseServer, value: str) -> str:
    """Run a query with ``value`` in it, and return its text when the log tells of it."""
    query = f"SELECT 'password = {value}' AS x"
    server.query(query)
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while True:
        if server.query("SELECT count() FROM system.tables WHERE database = 'system' AND name = 'query_log'") == "1\n":
            text = query.replace("'", "\\'")
            count = server.query(f"SELECT count() FROM system.query_log WHERE query = '{text}' AND type = 2")
            if count == "1\n":
                return query
        assert time.monotonic() < deadline, "the query never came into the log"
        time.sleep(0.05)


def test_a_password_in_a_query_is_found_in_the_log_once_and_its_place_tells_when(
    clickhouse: ClickHouseServer,
) -> None:
    value = canary("query")
    query = logged(clickhouse, value)
    coverage = Coverage()
    found = [one for one in read(open_source(clickhouse, "system.query_log"), coverage) if value.encode() in one.data]
    whole = [one for one in found if one.data == query.encode()]
    assert len(whole) == 1
    place = whole[0].place
    assert (place.source, place.path, place.kind) == ("clickhouse system.query_log", "query", "row")
    assert place.detail.startswith(time.strftime("%Y-", time.gmtime()))
    assert ", query " in place.detail
    assert value not in str(place)
    assert coverage.is_complete
    assert coverage.counts["row"] > 1


def test_a_server_without_a_log_is_not_read_completely(clickhouse: ClickHouseServer) -> None:
    value = canary("query")
    logged(clickhouse, value)
    coverage = Coverage()
    assert any(value.encode() in one.data for one in read(open_source(clickhouse), coverage))
    assert [(one.place.source, one.reason) for one in coverage.unread] == [
        (
            "clickhouse system.text_log",
            "there is no such table; it is written where config.xml has <text_log>, since 19.14",
        )
    ]


def test_queries_that_run_are_read(clickhouse: ClickHouseServer) -> None:
    found = {one.place.path for one in read(open_source(clickhouse, "system.processes"))}
    assert {"query", "user"} <= found


def test_all_kinds_of_texts_are_read_and_numbers_are_not(clickhouse: ClickHouseServer, table: str) -> None:
    clickhouse.query(
        f"INSERT INTO {table} (event_time, text, note, names, number) VALUES "
        "('2020-01-02 03:04:05', 'tab\\t quote\\' back\\\\slash \\xff', 'a note', ['one', 'two'], 7), "
        "('2020-01-02 03:04:06', '', NULL, [], 8)"
    )
    coverage = Coverage()
    found = {one.place.path: one.data for one in read(open_source(clickhouse, table), coverage)}
    assert found == {"text": "tab\t quote' back\\slash \ufffd".encode(), "note": b"a note", "names": b"one\ntwo"}
    assert coverage.counts == {"row": 2}


def test_the_same_text_is_told_once_at_its_first_time(clickhouse: ClickHouseServer, table: str) -> None:
    fill(clickhouse, table, "toDateTime(1600000000 + number * 100000), 'again' FROM numbers(10)")
    documents = read(open_source(clickhouse, table))
    assert [(one.data, one.place.detail) for one in documents] == [(b"again", "2020-09-13 12:26:40 UTC")]


def test_since_leaves_out_what_was_before(clickhouse: ClickHouseServer, table: str) -> None:
    fill(clickhouse, table, "toDateTime(1600000000 + number), toString(number) FROM numbers(10)")
    found = sorted(one.data for one in read(open_source(clickhouse, table, since=1_600_000_006)))
    assert found == [b"6", b"7", b"8", b"9"]


@pytest.mark.parametrize("spread", [0, 1, 61, 7_200])
def test_a_long_table_comes_in_slices_and_each_row_once(
    clickhouse: ClickHouseServer, table: str, monkeypatch: pytest.MonkeyPatch, spread: int
) -> None:
    """From all rows within one second to a row every two hours."""
    monkeypatch.setattr(module, "SLICE_BYTES", 20_000)
    fill(
        clickhouse,
        table,
        f"toDateTime(1600000000 + number * {spread}), concat('row ', toString(number)) FROM numbers(300)",
    )
    coverage = Coverage()
    found = [one.data for one in read(open_source(clickhouse, table), coverage)]
    assert sorted(found) == sorted(b"row %d" % number for number in range(300))
    assert coverage.is_complete
    assert coverage.counts == {"row": 300}


def test_an_answer_too_long_is_asked_for_in_halves(
    clickhouse: ClickHouseServer, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vantage_secrets.targets.clickhouse.connection._BODY_BYTES_MAX", 10_000)
    fill(clickhouse, table, "toDateTime(1600000000), concat('row ', toString(number)) FROM numbers(500)")
    coverage = Coverage()
    assert len(read(open_source(clickhouse, table), coverage)) == 500
    assert coverage.is_complete


def test_a_row_longer_than_an_answer_is_told(
    clickhouse: ClickHouseServer, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vantage_secrets.targets.clickhouse.connection._BODY_BYTES_MAX", 10_000)
    monkeypatch.setattr(module, "_HASHES_MAX", 8)
    fill(clickhouse, table, "toDateTime(1600000000), arrayStringConcat(arrayMap(x -> 'long', range(5000)))")
    coverage = Coverage()
    assert read(open_source(clickhouse, table), coverage) == []
    assert "a row is too long for one answer" in [one.reason for one in coverage.unread]


def test_rows_that_go_meanwhile_are_told(clickhouse: ClickHouseServer, table: str) -> None:
    fill(clickhouse, table, "toDateTime(1600000000 + number * 100000), toString(number) FROM numbers(3)")
    coverage = Coverage()
    documents = open_source(clickhouse, table).documents(coverage)
    next(documents)
    clickhouse.query(f"DROP TABLE {table}")
    clickhouse.query(
        f"CREATE TABLE {table} (event_date Date DEFAULT toDate(event_time), event_time DateTime, text String, "
        "note Nullable(String), names Array(String)) ENGINE = MergeTree(event_date, event_time, 8192)"
    )
    assert list(documents) == []
    assert [one.reason for one in coverage.unread] == ["1 rows were not there any more"] * 2


def test_a_table_that_is_not_there_is_told(clickhouse: ClickHouseServer) -> None:
    coverage = Coverage()
    assert read(open_source(clickhouse, "default.missing"), coverage) == []
    assert [one.reason.partition(";")[0] for one in coverage.unread] == ["there is no such table"]


def test_each_server_of_a_target_is_read_under_its_name(clickhouse: ClickHouseServer, table: str) -> None:
    fill(clickhouse, table, "toDateTime(1600000000), 'text'")
    other = clickhouse.url.replace("127.0.0.1", "localhost")
    coverage = Coverage()
    documents = read(open_source(clickhouse, table, replicas=(other,)), coverage)
    assert [one.place.source for one in documents] == [f"clickhouse 127.0.0.1:{clickhouse.http_port} {table}"]
    assert coverage.counts == {"row": 2}


def test_a_login_that_is_refused_and_a_server_that_is_away_are_errors(clickhouse: ClickHouseServer) -> None:
    with pytest.raises(RotationError, match="refuses the administrator"):
        read(open_source(clickhouse, password=canary("password")))
    with pytest.raises(TargetUnavailableError):
        read(open_source(clickhouse, url="http://127.0.0.1:1"))


def test_a_table_of_todays_engine_is_read(front: ClickHouseFront) -> None:
    table = f"events_{secrets.token_hex(4)}"
    front.query(
        f"CREATE TABLE default.{table} (event_date Date DEFAULT toDate(event_time), event_time DateTime, "
        "text LowCardinality(String), attributes Map(LowCardinality(String), String), "
        "counts Map(String, UInt64)) ENGINE = MergeTree ORDER BY event_time"
    )
    front.query(
        f"INSERT INTO default.{table} (event_time, text, attributes, counts) "
        "SELECT toDateTime(1600000000 + number), toString(number), map('name', 'value'), map('a', 1) FROM numbers(3)"
    )
    found = {one.data: one.place.path for one in read(open_source(front, f"default.{table}"))}
    assert found == {b"0": "text", b"1": "text", b"2": "text", b"name=value": "attributes"}
