"""What ClickHouse writes about itself: texts of queries, of errors and of its log, on each server of a target.

Read in slices of time that are small enough for one answer each; a minute that is not, in slices by a hash of its rows.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import Any, NamedTuple

from vantage_secrets.credential import Credential
from vantage_secrets.errors import TargetError
from vantage_secrets.leaks.finding import Coverage, Place
from vantage_secrets.leaks.sources.contract import Document
from vantage_secrets.leaks.sources.recognition import shown
from vantage_secrets.manifest import TargetSettings
from vantage_secrets.targets.clickhouse.connection import Server
from vantage_secrets.targets.clickhouse.servers import Servers
from vantage_secrets.targets.clickhouse.statements import quoted_name, quoted_text

TABLES = ("system.query_log", "system.text_log")
"""What is read unless told otherwise; a server that has one of them not is not read completely."""

WHERE_THERE = (
    "system.query_thread_log",
    "system.query_views_log",
    "system.asynchronous_insert_log",
    "system.opentelemetry_span_log",
    "system.processes",
)
"""What is read beside ``TABLES`` on servers that have it."""

SLICE_BYTES = 4_194_304
"""How much text one question asks for; an answer may be four times as long, quotes and backslashes being doubled."""

_ROW_BYTES = 1_024
"""What a row is taken to have beside its long texts."""

_HASHES_MAX = 4_096
_SEEN_MAX = 200_000
_DAY_SECONDS, _MINUTE_SECONDS = 86_400, 60

_PLAIN = re.compile(r"(?:Nullable\(|LowCardinality\()*(?:Fixed)?String")
_LISTED = re.compile(r"Array\((?:Nullable\(|LowCardinality\()*(?:Fixed)?String|Map\(.*String.*,.*String")
_BORING = frozenset({"ProfileEvents.Names", "query_id", "initial_query_id"})
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_HINTS = {
    "system.query_log": "it is written with log_queries = 1 in the users' profile, and <query_log> in config.xml",
    "system.text_log": "it is written where config.xml has <text_log>, since 19.14",
}


class ClickHouseSource:
    """Texts in tables of ClickHouse's own, or in others.

    A text that comes again is told once, at the first time: each query stands in ``query_log`` when it begins and when
    it ends. What was logged within the last seconds may not be in the tables yet.

    Args:
        settings: The table ``[targets.NAME]`` of kind ``clickhouse``.
        administrator: Returns a login that may read the tables.
        tables: ``database.table`` each; by default ``TABLES``, and of ``WHERE_THERE`` what a server has.
        since: Seconds since 1970-01-01 UTC; rows with an ``event_time`` before it are left out.

    Raises:
        RotationError: The settings hold no address of a server.
    """

    def __init__(
        self,
        settings: TargetSettings,
        administrator: Callable[[], Credential],
        tables: Sequence[str] = (),
        *,
        since: float | None = None,
    ) -> None:
        """Ask nothing yet."""
        urls, ca_file = (settings.text("url"), *settings.texts("replicas")), settings.path("ca_file")
        self._servers = Servers([Server(url, ca_file) for url in urls], "", administrator)
        self._tables = tuple(tables) or TABLES
        self._optional = () if tables else WHERE_THERE
        self._since = int(since or 0)
        self._seen = set[int]()

    def documents(self, coverage: Coverage) -> Iterator[Document]:
        """Yield each text of each row, its column as the path.

        Raises:
            TargetError: A server did not answer at the beginning, or refused the login.
        """
        until = int(time.time())
        for server in self._servers.all:
            self._servers.rows("SELECT 1 AS one", server)
        for server in self._servers.all:
            yield from self._server(server, until, coverage)

    def _server(self, server: Server, until: int, coverage: Coverage) -> Iterator[Document]:
        for name in (*self._tables, *self._optional):
            place = Place(self._source(server, name), kind="row")
            try:
                found = self._with_older(server, name)
                if not found and name in self._tables:
                    hint = _HINTS.get(name, "look for it with: SELECT database, name FROM system.tables")
                    coverage.miss(place, f"there is no such table; {hint}")
                for table in found:
                    reading = _Reading(
                        self._servers, server, table, place._replace(source=self._source(server, table.name)), coverage
                    )
                    yield from self._fresh(reading.documents(self._since, until))
            except TargetError as exc:
                coverage.miss(place, f"{exc} The rest was not read.")

    def _source(self, server: Server, table: str) -> str:
        where = f"{server.name} " if len(self._servers.all) > 1 else ""
        return f"clickhouse {where}{shown(table)}"

    def _with_older(self, server: Server, name: str) -> list[_Table]:
        """Return the table, and those that an update of the server has put aside under its name and a number."""
        database, _, table = name.rpartition(".")
        where = f"database = {quoted_text(database or 'default')}"
        pattern = quoted_text(f"^{re.escape(table)}(_[0-9]+)?$" if database == "system" else f"^{re.escape(table)}$")
        query = f"SELECT table, name, type FROM system.columns WHERE {where} AND match(table, {pattern})"  # noqa: S608
        columns: dict[str, dict[str, str]] = {}
        for row in self._servers.rows(query, server):
            columns.setdefault(row["table"], {})[row["name"]] = row["type"]
        return [_Table(database or "default", found, columns[found]) for found in sorted(columns)]

    def _fresh(self, documents: Iterator[Document]) -> Iterator[Document]:
        for document in documents:
            key = hash((document.place.path, document.data))
            if key not in self._seen:
                if len(self._seen) >= _SEEN_MAX:
                    self._seen.clear()
                self._seen.add(key)
                yield document


class _Table(NamedTuple):
    """A table, and the types of its columns."""

    database: str
    table: str
    columns: dict[str, str]

    @property
    def name(self) -> str:
        return f"{self.database}.{self.table}"

    @property
    def plain(self) -> list[str]:
        return [name for name, kind in self.columns.items() if _PLAIN.match(kind) and name not in _BORING]

    @property
    def texts(self) -> list[str]:
        listed = [name for name, kind in self.columns.items() if _LISTED.match(kind) and name not in _BORING]
        return self.plain + listed


class _Slice(NamedTuple):
    """Some rows of a table: of a time, and of those the ones whose hash leaves ``rest`` when divided by ``hashes``.

    ``row_count`` is how many rows of that time there were, whatever their hash.
    """

    begin: int
    end: int
    row_count: int
    hashes: int = 1
    rest: int = 0


class _Reading:
    """One table of one server."""

    def __init__(self, servers: Servers, server: Server, table: _Table, place: Place, coverage: Coverage) -> None:
        self._servers = servers
        self._server = server
        self._table = table
        self._place = place
        self._coverage = coverage
        self._from = f"FROM {quoted_name(table.database)}.{quoted_name(table.table)}"
        lengths = "".join(f" + sum(ifNull(length({quoted_name(name)}), 0))" for name in table.plain)
        self._sizes = f"count() AS row_count, {_ROW_BYTES} * count(){lengths} AS byte_count"
        self._has_time = table.columns.get("event_time", "").startswith("DateTime")

    def documents(self, since: int, until: int) -> Iterator[Document]:
        """Yield the texts of all rows between two times, or of all rows where they have none."""
        if not self._table.texts:
            return
        for (begin, _end, row_count), parts in groupby(self._slices(since, until), lambda part: part[:3]):
            found = 0
            for part in parts:
                rows = list(self._rows(part))
                found += len(rows)
                for row in rows:
                    yield from self._texts(row)
            self._coverage.add("row", found)
            if found < row_count:
                place = self._place._replace(detail=_time(begin))
                self._coverage.miss(place, f"{row_count - found:,} rows were not there any more")

    def _slices(self, since: int, until: int) -> Iterator[_Slice]:
        if not self._has_time:
            for row in self._ask(f"SELECT {self._sizes} {self._from}"):
                # Without a time, rows come and go as they like: none is missed.
                yield from _hashed(_Slice(0, 0, 0), int(row["byte_count"]))
            return
        for day, row_count, byte_count in self._grouped(since, until + 1, _DAY_SECONDS):
            begin, end = max(since, day), min(until + 1, day + _DAY_SECONDS)
            if byte_count <= SLICE_BYTES:
                yield _Slice(begin, end, row_count)
            else:
                yield from _joined(self._grouped(begin, end, _MINUTE_SECONDS), begin, end)

    def _grouped(self, begin: int, end: int, seconds: int) -> list[tuple[int, int, int]]:
        """Return begin, rows and bytes of each span of so many seconds that has any."""
        span = f"intDiv(toUInt32(event_time), {seconds}) AS span"
        where = f"WHERE {self._between(begin, end)} GROUP BY span ORDER BY span"
        query = f"SELECT {span}, {self._sizes} {self._from} {where}"
        return [(int(row["span"]) * seconds, int(row["row_count"]), int(row["byte_count"])) for row in self._ask(query)]

    def _between(self, begin: int, end: int) -> str:
        days = ""
        if self._table.columns.get("event_date") == "Date":  # by which the tables are divided; one more for time zones
            first, last = max(begin - _DAY_SECONDS, 0), end + _DAY_SECONDS
            days = f"event_date >= toDate(toDateTime({first})) AND event_date <= toDate(toDateTime({last})) AND "
        return f"{days}event_time >= toDateTime({begin}) AND event_time < toDateTime({end})"

    def _rows(self, part: _Slice) -> Iterator[dict[str, Any]]:
        """Yield the rows of a slice; one whose answer is too long is asked for in halves."""
        columns = [f"{quoted_name(name)} AS text_{number}" for number, name in enumerate(self._table.texts)]
        columns += ["toUInt32(event_time) AS at"] if self._has_time else []
        columns += ["query_id"] if "query_id" in self._table.columns else []
        conditions = [self._between(part.begin, part.end)] if self._has_time else []
        if part.hashes > 1:
            # A hash of NULL is NULL, and leaves no rest.
            names = ", ".join(f"ifNull(toString({quoted_name(name)}), '')" for name in self._table.plain)
            conditions.append(f"cityHash64({names}) % {part.hashes} = {part.rest}")
        where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        query = f"SELECT {', '.join(columns)} {self._from}{where} FORMAT JSONEachRow"
        answer = self._servers.ask(query, self._server, doing="tell its logs")
        if not answer or answer.endswith("}\n"):
            for line in answer.splitlines():
                yield json.loads(line)
        elif part.hashes < _HASHES_MAX and self._table.plain:
            for rest in (part.rest, part.rest + part.hashes):
                yield from self._rows(part._replace(hashes=part.hashes * 2, rest=rest))
        else:
            self._coverage.miss(self._place._replace(detail=_time(part.begin)), "a row is too long for one answer")

    def _ask(self, query: str) -> list[dict[str, Any]]:
        return self._servers.rows(query, self._server, doing="tell how long its logs are")

    def _texts(self, row: dict[str, Any]) -> Iterator[Document]:
        told = [_time(row["at"])] if "at" in row else []
        # SECURITY: who asks chooses the id of a query; only one of the usual form is shown.
        told += [f"query {row['query_id']}"] if _UUID.fullmatch(row.get("query_id", "")) else []
        place = self._place._replace(detail=", ".join(told))
        for number, name in enumerate(self._table.texts):
            data = "\n".join(_flat(row[f"text_{number}"])).encode("utf-8", "replace")
            if data:
                self._coverage.add("row", 0, len(data))
                yield Document(place._replace(path=name), data)


def _hashed(part: _Slice, byte_count: int) -> Iterator[_Slice]:
    """Yield a slice divided by hashes, so that each is about as long as it may be."""
    hashes = 1
    while byte_count > SLICE_BYTES * hashes and hashes < _HASHES_MAX:
        hashes *= 2
    for rest in range(hashes):
        yield part._replace(hashes=hashes, rest=rest)


def _joined(spans: list[tuple[int, int, int]], begin: int, end: int) -> Iterator[_Slice]:
    """Yield slices of whole minutes up to the size of a slice; a minute that is longer comes divided."""
    waiting: _Slice | None = None
    size = 0
    for start, row_count, byte_count in spans:
        one = _Slice(max(begin, start), min(end, start + _MINUTE_SECONDS), row_count)
        if waiting is not None and size + byte_count <= SLICE_BYTES:
            waiting, size = waiting._replace(end=one.end, row_count=waiting.row_count + row_count), size + byte_count
            continue
        if waiting is not None:
            yield from _hashed(waiting, size)
        waiting, size = one, byte_count
    if waiting is not None:
        yield from _hashed(waiting, size)


def _flat(value: Any) -> Iterator[str]:
    """Yield the texts of a column: a text, a list, or a map, whose texts stand beside their names."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for one in value:
            yield from _flat(one)
    elif isinstance(value, dict):
        for name, one in value.items():
            yield f"{name}={one}"


def _time(seconds: int | str) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(int(seconds)))
