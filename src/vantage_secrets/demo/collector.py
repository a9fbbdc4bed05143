"""The demo's collector: an HTTP server that takes events from whoever shows a valid ``X-API-Key``.

A process of its own, as an adopter would write it: it knows the manifest and nothing else.
"""

from __future__ import annotations

import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from vantage_secrets.database import Database
from vantage_secrets.manifest import find_manifest, load
from vantage_secrets.secret import SecretName
from vantage_secrets.targets.api_key import ApiKeyVerifier

KEY_NAME = SecretName("vantage/api-key")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    verifier: ApiKeyVerifier

    def do_POST(self) -> None:
        """Take one event: 202, or 401 when the key opens nothing."""
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        accepted = self.verifier.verify(KEY_NAME, self.headers.get("X-API-Key"))
        self.send_response(202 if accepted else 401)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing: a request line is no news."""


def serve(folder: Path) -> None:
    """Serve on a free port of this machine until standard input is closed; the port is the first line printed."""
    manifest = load(find_manifest(folder))
    _Handler.verifier = ApiKeyVerifier(Database(manifest.database.url))
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    print(server.server_address[1], flush=True)
    import threading

    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()  # whoever started us is gone or has closed its end
    server.shutdown()
    _Handler.verifier.flush()
    os._exit(0)  # connections that a client keeps open would hold their threads


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
