"""The endpoint that forges send pushes to. It says nothing to those who do not know the secret."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from vantage_secrets.errors import InvalidInputError, VantageSecretsError
from vantage_secrets.leaks.watch.pushes import Push
from vantage_secrets.leaks.watch.webhook import is_authentic, push_of

PATH = "/push"
HEALTH_PATH = "/health"
BODY_BYTES_MAX = 25_000_000
"""GitHub: "payloads are capped at 25 MB" ("Webhook events and payloads")."""
SECRET_BYTES_MIN = 16
_CONNECTIONS_MAX = 8
"""At the same time, so that strangers' bodies never take more than 200 MB; forges try again when one is refused."""
_SILENCE_SECONDS = 10.0
_REQUEST_SECONDS = 60.0
"""After so long a request is cut off, whether it still drips or not."""

Secrets = Callable[[], Sequence[bytes]]
"""Gives the secrets that are valid now."""


class WebhookServer(ThreadingHTTPServer):
    """Listens for pushes.

    Args:
        address: Host and port; port 0 is any free one.
        secrets: The webhook's secrets.
        accept: Keeps a push, and says whether its repository is watched.
        problem: Told in a sentence what went wrong.

    Raises:
        InvalidInputError: It cannot listen there.
    """

    daemon_threads = True  # a request that is cut off was not accepted, and its sender knows
    request_queue_size = 64

    def __init__(
        self,
        address: tuple[str, int],
        secrets: Secrets,
        accept: Callable[[Push], bool],
        problem: Callable[[str], None],
    ) -> None:
        self.secrets, self.accept, self.problem = secrets, accept, problem
        self._places = threading.BoundedSemaphore(_CONNECTIONS_MAX)
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        try:
            super().__init__(address, _Handler)
        except OSError as error:
            raise InvalidInputError(
                f"Cannot listen on {address[0]} port {address[1]}: {error.strerror or 'no such address'}.",
                hint="Name a free address with --listen HOST:PORT.",
            ) from error

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread of its own, if there is room for one; else hang up."""
        if self._places.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer, and make room."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - they say nothing
        """Say which kind of error it was; those of the connection are everyday."""
        error = sys.exception()
        if not isinstance(error, OSError):
            self.problem(f"A request failed with an unexpected {type(error).__name__}.")


class _Handler(BaseHTTPRequestHandler):
    server: WebhookServer
    server_version = "vantage-secrets"
    sys_version = ""  # SECURITY: nobody needs to know which Python this is
    timeout = _SILENCE_SECONDS

    def setup(self) -> None:
        super().setup()
        self._deadline = threading.Timer(_REQUEST_SECONDS, self._cut_off)
        self._deadline.daemon = True
        self._deadline.start()

    def finish(self) -> None:
        self._deadline.cancel()
        super().finish()

    def _cut_off(self) -> None:
        try:
            self.connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # it ended meanwhile

    def do_GET(self) -> None:
        self._answer(200 if self.path == HEALTH_PATH else 404)

    def do_POST(self) -> None:
        if self.path != PATH:
            return self._answer(404)
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdecimal()):
            return self._answer(411)
        if int(length[:20]) > BODY_BYTES_MAX:
            return self._answer(413)
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            return None  # it hung up
        return self._answer(self._verdict(body))

    def _verdict(self, body: bytes) -> int:
        """Return 202 when a scan will come of it, 204 when not, 401 to those who do not know the secret."""
        try:
            if not is_authentic(self.headers, body, self.server.secrets()):  # type: ignore[arg-type]
                return 401
            push = push_of(self.headers, body)  # type: ignore[arg-type]
            return 202 if push and self.server.accept(push) else 204
        except (VantageSecretsError, OSError) as error:
            words = error.message if isinstance(error, VantageSecretsError) else error.strerror
            self.server.problem(f"A push could not be accepted: {words}")
            return 503  # forges show it, and some try again

    def _answer(self, code: int) -> None:
        self.send_response(code)
        if code != 204:
            self.send_header("Content-Length", "0")
        self.send_header("Connection", "close")
        self.end_headers()

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:  # noqa: ARG002
        """Answer with the code alone: the usual page repeats what was sent."""
        self._answer(code)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is http.server's
        """Write nothing: what strangers ask for may be anything."""
