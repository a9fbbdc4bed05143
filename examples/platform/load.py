"""The load: an application that sends events, or asks for counts, at a fixed rate, with the key that it reads.

The rate is open: a request goes out when its time has come, whether or not the ones before were answered, and its
duration counts from when it was due. So a service that halts for a second shows as hundreds of slow answers, not as
one ("coordinated omission"). Nothing is sent again: whatever is not answered as it should be counts as failed.

    load.py events|queries --port PORT --rate 500 --report FILE [--ids FILE] [--run WORD]

Runs until SIGTERM, waits for the answers that are due, and writes what it saw.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
from collections import Counter
from pathlib import Path

from events import KINDS
from vantage_secrets import default_client, get_secret

CONNECTION_COUNT_MAX = 64
ANSWER_SECONDS_MAX = 15.0


class Connection:
    """One keep-alive connection to a service on loopback."""

    def __init__(self, port: int) -> None:
        """Connect with the first request."""
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, request: bytes) -> int:
        """Send a request and return the HTTP status of its answer.

        Raises:
            OSError: The connection failed.
            ValueError: What came back is no answer.
        """
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = head.index(b"content-length:") + len(b"content-length:")
        await reader.readexactly(int(head[length:].split(b"\r\n", 1)[0]))
        if b"\r\nconnection: close" in head:
            self.close()
        return int(head.split(b" ", 2)[1])

    def close(self) -> None:
        """Let the next request connect anew."""
        if self._streams is not None:
            self._streams[1].close()
        self._streams = None


class Load:
    """Sends requests and counts what comes back.

    Attributes:
        statuses: How often each HTTP status came back; ``0`` stands for no answer.
        late: Seconds from when each request was due to its answer, in the order of the answers.
        accepted: Ids of the events that the collector accepted.
        seconds: From when the first request was due to when the last one was.
    """

    def __init__(self, what: str, port: int, run: str) -> None:
        """Get ready for ``events`` or ``queries`` on ``port``."""
        self._sends_events = what == "events"
        self._port = port
        self._run = run
        self._idle: list[Connection] = []
        self._free = asyncio.Semaphore(CONNECTION_COUNT_MAX)
        self.statuses: Counter[int] = Counter()
        self.late: list[float] = []
        self.accepted: list[str] = []
        self.seconds = 0.0

    async def keep_rate(self, rate: float, stop: asyncio.Event) -> None:
        """Send ``rate`` requests a second until ``stop``, then wait for the answers."""
        loop = asyncio.get_running_loop()
        began, number = loop.time(), 0
        under_way: set[asyncio.Task[None]] = set()
        while not stop.is_set():
            due = began + number / rate
            await asyncio.sleep(max(0.0, due - loop.time()))  # even where it is late, answers must be read
            task = loop.create_task(self._send(number, due))
            under_way.add(task)
            task.add_done_callback(under_way.discard)
            number += 1
        self.seconds = loop.time() - began
        if under_way:
            await asyncio.wait(under_way)

    def report(self) -> dict[str, object]:
        """Return what was seen; times in milliseconds."""
        ordered = sorted(self.late) or [0.0]
        good = 202 if self._sends_events else 200
        return {
            "seconds": round(self.seconds, 1),
            "sent": self.statuses.total(),
            "good": self.statuses[good],
            "failed": {str(status): count for status, count in self.statuses.items() if status != good},
            "median_ms": round(ordered[len(ordered) // 2] * 1000, 1),
            "p99_ms": round(ordered[len(ordered) * 99 // 100] * 1000, 1),
            "slowest_ms": round(ordered[-1] * 1000, 1),
        }

    async def _send(self, number: int, due: float) -> None:
        identifier = f"{self._run}-{number}"
        request = self._event(identifier, number) if self._sends_events else self._query(number)
        async with self._free:
            connection = self._idle.pop() if self._idle else Connection(self._port)
            try:
                status = await asyncio.wait_for(connection.ask(request), ANSWER_SECONDS_MAX)
            except (OSError, ValueError, EOFError, asyncio.LimitOverrunError):  # a timeout is an OSError
                connection.close()
                status = 0
            self._idle.append(connection)
        self.late.append(asyncio.get_running_loop().time() - due)
        self.statuses[status] += 1
        if status == 202:
            self.accepted.append(identifier)

    def _event(self, identifier: str, number: int) -> bytes:
        body = json.dumps({"id": identifier, "kind": KINDS[number % len(KINDS)]}).encode()
        key = get_secret("VANTAGE_API_KEY").reveal_text()
        head = f"POST /v1/events HTTP/1.1\r\nHost: x\r\nX-API-Key: {key}\r\nContent-Length: {len(body)}\r\n\r\n"
        return head.encode() + body

    def _query(self, number: int) -> bytes:
        key = get_secret("API_KEY").reveal_text()
        page = f"/v1/events/count?kind={KINDS[number % len(KINDS)]}&seconds=10"
        return f"GET {page} HTTP/1.1\r\nHost: x\r\nX-API-Key: {key}\r\n\r\n".encode()


async def _run(load: Load, rate: float) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    print("sending", flush=True)
    await load.keep_rate(rate, stop)


def main() -> None:
    """Send until SIGTERM, then write what was seen."""
    parser = argparse.ArgumentParser(description="Sends events or queries at a fixed rate until SIGTERM.")
    parser.add_argument("what", choices=("events", "queries"))
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--rate", type=float, required=True, help="requests a second")
    parser.add_argument("--report", type=Path, required=True, help="file for what was seen, as JSON")
    parser.add_argument("--ids", type=Path, help="file for the ids of accepted events, one a line")
    parser.add_argument("--run", default="run", help="what all ids begin with")
    options = parser.parse_args()
    get_secret("VANTAGE_API_KEY" if options.what == "events" else "API_KEY")  # the first read is the slow one
    load = Load(options.what, options.port, options.run)
    asyncio.run(_run(load, options.rate))
    options.report.write_text(json.dumps(load.report()))
    if options.ids:
        options.ids.write_text("".join(f"{identifier}\n" for identifier in load.accepted))
    default_client().close()


if __name__ == "__main__":
    main()
