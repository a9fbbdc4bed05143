"""How a hook hands a push to the daemon on the same machine: one line of JSON over a Unix socket, one word back."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import stat
from collections.abc import Callable, Sequence
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingMixIn, UnixStreamServer

from vantage_secrets.errors import InvalidInputError
from vantage_secrets.leaks.watch.pushes import UPDATES_MAX, Push, RefUpdate

_LINE_BYTES_MAX = 1_000_000
_SECONDS = 10.0


class PushSocket(ThreadingMixIn, UnixStreamServer):
    """Listens for hooks. Only this user can reach it: the socket has mode 0600.

    Args:
        path: Where; a socket that an earlier process left there is replaced.
        accept: Keeps a push, and says whether its repository is watched.

    Raises:
        InvalidInputError: It cannot listen there.
    """

    daemon_threads = True

    def __init__(self, path: Path, accept: Callable[[Push], bool]) -> None:
        self.accept = accept
        try:
            if path.exists() and stat.S_ISSOCK(path.lstat().st_mode):
                path.unlink()
            before = os.umask(0o177)
            try:
                super().__init__(str(path), _Handler)
            finally:
                os.umask(before)
        except OSError as error:
            raise InvalidInputError(
                f"Cannot listen on the socket '{path}': {error.strerror or 'its path is too long'}.",
                hint="Name another path with --socket; it may have 107 bytes at the most.",
            ) from error

    def handle_error(self, request: object, client_address: object) -> None:
        """Hang up without a word: the hook then scans by itself."""


class _Handler(StreamRequestHandler):
    server: PushSocket
    timeout = _SECONDS

    def handle(self) -> None:
        line = self.rfile.readline(_LINE_BYTES_MAX)
        try:
            push = Push.of(json.loads(line))._replace(origin="hook")
        except ValueError:
            return
        self.wfile.write(b"accepted\n" if self.server.accept(push) else b"unknown\n")


def hand_over(path: Path, repository: Path, updates: Sequence[RefUpdate]) -> str:
    """Return ``accepted`` when the daemon has kept the push, ``unknown`` when it does not watch the repository.

    Returns nothing when there is no daemon, or when it did not answer.

    Args:
        path: Its socket.
        repository: The repository's folder.
        updates: What was pushed.
    """
    push = Push(os.path.realpath(repository), "hook", tuple(updates[:UPDATES_MAX]))
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as opened:
        opened.settimeout(_SECONDS)
        opened.connect(str(path))
        opened.sendall(json.dumps(push.plain()).encode() + b"\n")
        with opened.makefile("rb") as answer:
            return answer.readline(20).decode("ascii", "replace").strip()
    return ""
