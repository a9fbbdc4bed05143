"""The query API: says how many events there were, to whoever shows a valid ``X-API-Key``.

    GET /v1/events/count?kind=click&seconds=60   ->   200 {"kind": "click", "seconds": 60, "count": 12}

An event that its sender sent twice counts once, by its id. Several versions of the key are valid at once while it
rotates. Its own login to ClickHouse is the secret ``API_CLICKHOUSE_PASSWORD``, and its connections follow.
"""

from __future__ import annotations

import queue
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

from events import COUNT
from serving import Handler, Service
from settings import settings
from vantage_secrets import SecretName, default_client
from vantage_secrets.database import Database
from vantage_secrets.manifest import find_manifest, load
from vantage_secrets.targets.api_key import ApiKeyVerifier

KEY = SecretName("vantage/query-api-key")
CONNECTION_COUNT = 2
SECONDS_MAX = 3_600


class Tables:
    """A few connections to the table; each serves one request at a time."""

    def __init__(self, count: int) -> None:
        """Open ``count`` of them."""
        self._idle: queue.LifoQueue[Any] = queue.LifoQueue()
        self._all = [open_table() for _ in range(count)]
        for table in self._all:
            self._idle.put(table)

    @contextmanager
    def one(self) -> Iterator[Any]:
        """Lend a connection that nobody else uses."""
        table = self._idle.get()
        try:
            yield table
        finally:
            self._idle.put(table)

    def close(self) -> None:
        """Close all."""
        for table in self._all:
            table.close()


def open_table() -> Any:
    """Return a client whose connection follows the secret; the stand-in where there is no ClickHouse."""
    if not settings.clickhouse_host:
        from standins import SqliteClient

        return SqliteClient(settings.table_file)
    from vantage_secrets.connections.clickhouse_driver import FollowingClient

    host, port = settings.clickhouse_host, settings.clickhouse_port
    return FollowingClient(default_client(), "API_CLICKHOUSE_PASSWORD", host=host, port=port, account="query_api")


class QueryApi(Handler):
    """Answers one connection."""

    verifier: ApiKeyVerifier
    tables: Tables

    def handle_get(self) -> tuple[int, dict[str, Any]]:
        """Count events: 200, 401 for a key that opens nothing, 503 when the table is away."""
        page = urlsplit(self.path)
        if page.path != "/v1/events/count":
            return 404, {"error": "no such page"}
        if self.verifier.verify(KEY, self.headers.get("X-API-Key")) is None:
            return 401, {"error": "X-API-Key is missing or opens nothing"}
        asked = {name: values[-1] for name, values in parse_qs(page.query).items()}
        kind, seconds = asked.get("kind", ""), asked.get("seconds", "60")
        if not kind or not seconds.isdigit() or not 0 < int(seconds) <= SECONDS_MAX:
            return 400, {"error": f"kind is missing, or seconds is not from 1 to {SECONDS_MAX}"}
        since = int((time.time() - int(seconds)) * 1000)
        try:
            with self.tables.one() as table:
                ((count,),) = table.execute(COUNT, {"since": since, "kind": kind})
        except Exception as exc:  # of three libraries; the caller learns no more than that it failed
            print(f"the table: {type(exc).__name__}", file=sys.stderr, flush=True)
            return 503, {"error": "the table does not answer"}
        return 200, {"kind": kind, "seconds": int(seconds), "count": count}


def main() -> None:
    """Serve until SIGTERM."""
    QueryApi.verifier = ApiKeyVerifier(Database(load(find_manifest()).database.url))
    QueryApi.tables = Tables(CONNECTION_COUNT)
    Service(settings.port, QueryApi).run()
    QueryApi.tables.close()
    QueryApi.verifier.flush()
    default_client().close()


if __name__ == "__main__":
    main()
