"""An HTTP service of the platform: keep-alive, JSON answers, and an end that loses no request."""

from __future__ import annotations

import json
import signal
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

_BODY_BYTES_MAX = 1_048_576
_IDLE_SECONDS = 60.0
_STOP_SECONDS_MAX = 20.0


class Service(ThreadingHTTPServer):
    """Serves on loopback until SIGTERM or Ctrl-C; requests that have begun are answered first."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int, handler: type[Handler]) -> None:
        """Listen on ``port``; 0 is any free one."""
        super().__init__(("127.0.0.1", port), handler)
        self.is_stopping = False
        self._idle = threading.Condition()
        self._count = 0

    def run(self) -> None:
        """Print the port, then serve; return when every request that had begun is answered."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._stop())
        print(f"listening on {self.server_address[1]}", flush=True)
        self.serve_forever(poll_interval=0.1)
        deadline = time.monotonic() + _STOP_SECONDS_MAX
        with self._idle:
            self._idle.wait_for(lambda: self._count == 0, timeout=max(0.0, deadline - time.monotonic()))
        self.server_close()

    def begin_request(self) -> None:
        """Count a request that has begun."""
        with self._idle:
            self._count += 1

    def end_request(self) -> None:
        """Count it as answered."""
        with self._idle:
            self._count -= 1
            self._idle.notify_all()

    def _stop(self) -> None:
        self.is_stopping = True
        threading.Thread(target=self.shutdown).start()  # from this thread it would wait for itself


class Handler(BaseHTTPRequestHandler):
    """One connection. A service's own handler has ``handle_get`` or ``handle_post``, which return status and answer."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # head and body in one packet
    timeout = _IDLE_SECONDS

    def handle_get(self) -> tuple[int, dict[str, Any]]:
        """Answer a GET."""
        return 405, {"error": "method not allowed"}

    def handle_post(self, body: bytes) -> tuple[int, dict[str, Any]]:  # noqa: ARG002
        """Answer a POST with that body."""
        return 405, {"error": "method not allowed"}

    def do_GET(self) -> None:
        """Answer, counted."""
        self._counted(has_body=False)

    def do_POST(self) -> None:
        """Read the body and answer, counted."""
        self._counted(has_body=True)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing: a request line is no news."""

    def _counted(self, *, has_body: bool) -> None:
        service = cast("Service", self.server)
        service.begin_request()
        try:
            self._respond(service, has_body=has_body)
        finally:
            service.end_request()

    def _respond(self, service: Service, *, has_body: bool) -> None:
        length = self.headers.get("Content-Length", "0")
        if not length.isdigit() or int(length) > _BODY_BYTES_MAX:
            self.close_connection = True  # what follows on this connection cannot be told apart
            status, answer = 413, {"error": "too long, or its length is missing"}
        else:
            body = self.rfile.read(int(length))
            status, answer = self.handle_post(body) if has_body else self.handle_get()
        data = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        if service.is_stopping:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(data)
        self.wfile.flush()
