"""The demo's load: applications that send events with the key that their client holds."""

from __future__ import annotations

import http.client
import threading
import time
from collections import Counter
from types import TracebackType
from typing import Self

from vantage_secrets.client import SecretClient
from vantage_secrets.secret import SecretName, SecretValue

EVENT = b'{"event": "demo"}'


def send_event(connection: http.client.HTTPConnection, key: SecretValue) -> int:
    """Send one event with ``key`` and return the HTTP status."""
    connection.request("POST", "/v1/events", body=EVENT, headers={"X-API-Key": key.reveal_text()})
    response = connection.getresponse()
    response.read()
    return response.status


class Load:
    """Threads that send events without a pause until the block ends, and count what comes back.

    Attributes:
        statuses: How often each HTTP status came back; ``0`` stands for a connection that failed.
    """

    def __init__(self, port: int, client: SecretClient, name: SecretName, *, threads: int = 4) -> None:
        """Get ready to send to ``127.0.0.1:port`` with the secret ``name``."""
        self._port = port
        self._client = client
        self._name = name
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._send, daemon=True) for _ in range(threads)]
        self._counts: list[Counter[int]] = []
        self.statuses: Counter[int] = Counter()
        self.seconds = 0.0

    def __enter__(self) -> Self:
        self._began = time.monotonic()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        self.seconds = time.monotonic() - self._began
        for counts in self._counts:
            self.statuses += counts

    def _send(self) -> None:
        counts: Counter[int] = Counter()
        self._counts.append(counts)
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=10)
        while not self._stop.is_set():
            try:
                counts[send_event(connection, self._client.get(str(self._name)))] += 1
            except (OSError, http.client.HTTPException):
                counts[0] += 1
                connection.close()
