"""A TCP proxy for tests that cuts one chosen request, or is away, or is slow.

Put it in front of any server on loopback and point the client at ``proxy.address``::

    with CuttingProxy("127.0.0.1", server_port) as proxy:
        proxy.cut(2, Cut.AFTER)        # the second request from now on is done, but nobody hears of it
        ...                            # the proxy is down from then on: connections are refused
        proxy.mend()                   # and now it is up again
        proxy.requests                 # ["GET /v1/a", "POST /v1/b"], what arrived since it was last mended

It reads HTTP/1.1, one request after another on each connection, or with ``http2=True`` the frames of clear HTTP/2,
as gRPC speaks it, where every stream is one request. For a server or a client that insists on TLS it takes the
context of either side and reads what is inside. Threads only; a test closes it and all of them are gone.

An answer that never ends, such as a Kubernetes watch, is passed on as it comes and can be cut only before.
"""

from __future__ import annotations

import queue
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from enum import Enum
from io import BufferedReader
from itertools import chain
from typing import Any, Self

_PREFACE_BYTES = 24  # RFC 9113, section 3.4: what an HTTP/2 client sends before its first frame.
_DATA, _HEADERS, _RST_STREAM, _CONTINUATION = 0x0, 0x1, 0x3, 0x9  # RFC 9113, section 6.
_END_STREAM = 0x1
_PIECE_BYTES = 65_536


class Cut(Enum):
    """At which moment of a request the connection breaks."""

    BEFORE = "before"
    """The server never hears of the request."""
    AFTER = "after"
    """The server has done it and answered; the client never hears of that."""


class CuttingProxy:
    """Passes on what it gets, until told otherwise; on a free loopback port that it keeps while it is down.

    Args:
        host: Where the server is.
        port: Its port.
        http2: Read frames of HTTP/2 in place of HTTP/1.1.
        latency: How long every answer is held back, seconds; may be changed at any time.
        accept_tls: Context with a certificate, when the client speaks TLS to this proxy.
        connect_tls: Context for the way to the server, when that speaks TLS.

    Attributes:
        requests: What arrived since the start or the last ``mend``, as ``METHOD /path``; for HTTP/2 ``stream 1``.
        latency: As given.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        http2: bool = False,
        latency: float = 0.0,
        accept_tls: ssl.SSLContext | None = None,
        connect_tls: ssl.SSLContext | None = None,
    ) -> None:
        self.latency = latency
        self.requests: list[str] = []
        self._server = (host, port)
        self._serve = self._serve_http2 if http2 else self._serve_http1
        self._accept_tls, self._connect_tls = accept_tls, connect_tls
        self._lock = threading.Lock()
        self._cut: tuple[int, Cut, bool] | None = None
        self._has_cut = False
        self._sockets: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._closing = threading.Event()
        # Bound and never listening: it keeps the port for us while the proxy is down, and connections are refused.
        self._place = _bound(0)
        self.port: int = self._place.getsockname()[1]
        self._listener: socket.socket | None = None
        self._listen()

    @property
    def address(self) -> str:
        """Where clients connect: ``127.0.0.1:PORT``."""
        return f"127.0.0.1:{self.port}"

    @property
    def has_cut(self) -> bool:
        """Whether the request that ``cut`` chose came, and was cut."""
        return self._has_cut

    def cut(self, number: int, when: Cut, *, stay_down: bool = True) -> None:
        """Break the ``number``-th request that comes from now on, counted from 1.

        Args:
            number: Which one.
            when: Before it reaches the server, or after the server's whole answer came.
            stay_down: Refuse connections afterwards, until ``mend``; else the client's next try gets through.
        """
        with self._lock:
            self._cut = (len(self.requests) + number, when, stay_down)
            self._has_cut = False

    def mend(self) -> None:
        """Be up, with no cut to come and no request counted."""
        with self._lock:
            self._cut, self._has_cut, self.requests = None, False, []
        self._listen()

    @contextmanager
    def refusing(self) -> Iterator[None]:
        """Refuse connections, and drop the open ones, until the block ends."""
        self._down()
        try:
            yield
        finally:
            self._listen()

    def close(self) -> None:
        """End every connection and thread, and give the port back. Safe to repeat."""
        self._closing.set()
        self._down()
        self._place.close()
        while self._threads:
            self._threads.pop().join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # being up and down

    def _listen(self) -> None:
        with self._lock:
            if self._listener is not None or self._closing.is_set():
                return
            self._listener = _bound(self.port)
            self._listener.listen(128)
            self._start(self._accept, self._listener)

    def _down(self) -> None:
        with self._lock:
            listener, self._listener = self._listener, None
            found = [*self._sockets]
        if listener is not None:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)  # Wakes accept(), which close() alone does not.
            listener.close()
        for one in found:
            _shut(one)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with self._lock:
                if self._listener is not listener:
                    client.close()
                    return
                self._sockets.add(client)
                self._start(self._connection, client)

    def _start(self, run: Callable[..., None], *args: Any) -> None:
        thread = threading.Thread(target=run, args=args, daemon=True)
        thread.start()
        self._threads.append(thread)

    def _connection(self, client: socket.socket) -> None:
        """Serve one client until either side ends; whatever breaks here ends this connection only."""
        sides = [client]
        with suppress(OSError, ValueError):
            sides.append(socket.create_connection(self._server))
            if self._accept_tls:
                sides[0] = self._accept_tls.wrap_socket(client, server_side=True, do_handshake_on_connect=False)
            if self._connect_tls:
                host = self._server[0]
                sides[1] = self._connect_tls.wrap_socket(sides[1], server_hostname=host, do_handshake_on_connect=False)
            with self._lock:
                self._sockets.update(sides)
                if self._listener is None:
                    raise ConnectionAbortedError("the proxy went down meanwhile")
            for side in sides:
                side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if isinstance(side, ssl.SSLSocket):
                    side.do_handshake()
            self._serve(*sides)
        with self._lock:
            self._sockets -= {client, *sides}
        for side in sides:
            _shut(side)
            side.close()

    def _fate(self, request: str) -> Cut | None:
        """Count ``request``, and say whether and when it is cut."""
        with self._lock:
            self.requests.append(request)
            chosen = self._cut if self._cut and self._cut[0] == len(self.requests) else None
        return chosen[1] if chosen else None

    def _break(self) -> None:
        """Note that the cut was made; be down from now on unless told to stay up."""
        with self._lock:
            stay_down = self._cut is not None and self._cut[2]
            self._has_cut, self._cut = True, None
        if stay_down:
            self._down()

    # HTTP/1.1

    def _serve_http1(self, client: socket.socket, server: socket.socket) -> None:
        with client.makefile("rb") as asked, server.makefile("rb") as answered:
            while head := _head(asked):
                method, path, *_ = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ")
                request = head + b"".join(_body(asked, head, without_length=False))
                fate = self._fate(f"{method} {path}")
                if fate is Cut.BEFORE:
                    self._break()
                    return
                server.sendall(request)
                heads = _answer_heads(answered)
                if self.latency:
                    self._closing.wait(self.latency)
                has_body = method != "HEAD" and _status(heads[-1]) not in (204, 304)
                body = _body(answered, heads[-1], without_length=True) if has_body else ()
                for piece in chain([b"".join(heads)], body):
                    if fate is None:
                        client.sendall(piece)
                if fate is Cut.AFTER:
                    self._break()
                if fate is Cut.AFTER or (has_body and _ends_with_connection(heads[-1])):
                    return

    # HTTP/2

    def _serve_http2(self, client: socket.socket, server: socket.socket) -> None:
        """Pass frames both ways; the answers of a doomed stream are held back, and its end is the end of all."""
        doomed: set[int] = set()
        late: queue.SimpleQueue[tuple[float, bytes] | None] = queue.SimpleQueue()
        self._start(self._answer_http2, client, server, doomed, late)
        self._start(self._send_late, client, late)
        with client.makefile("rb") as asked:
            server.sendall(asked.read(_PREFACE_BYTES))
            newest = 0
            for kind, _flags, stream, frame in _frames(asked):
                if kind == _HEADERS and stream > newest:
                    newest = stream
                    fate = self._fate(f"stream {stream}")
                    if fate is Cut.BEFORE:
                        self._break()
                        return
                    if fate is Cut.AFTER:
                        doomed.add(stream)
                server.sendall(frame)

    def _answer_http2(
        self,
        client: socket.socket,
        server: socket.socket,
        doomed: set[int],
        late: queue.SimpleQueue[tuple[float, bytes] | None],
    ) -> None:
        with suppress(OSError, ValueError), server.makefile("rb") as answered:
            for kind, flags, stream, frame in _frames(answered):
                if stream not in doomed or kind not in (_DATA, _HEADERS, _CONTINUATION, _RST_STREAM):
                    late.put((time.monotonic() + self.latency, frame))
                elif kind == _RST_STREAM or (kind != _CONTINUATION and flags & _END_STREAM):
                    self._break()
                    break
        late.put(None)
        _shut(client)
        _shut(server)

    def _send_late(self, client: socket.socket, late: queue.SimpleQueue[tuple[float, bytes] | None]) -> None:
        """Send each frame when it is due; they stay in order, and many may be under way at once."""
        with suppress(OSError):
            while (due := late.get()) is not None:
                self._closing.wait(max(0.0, due[0] - time.monotonic()))
                client.sendall(due[1])


def _bound(port: int) -> socket.socket:
    found = socket.socket()
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    found.bind(("127.0.0.1", port))
    return found


def _shut(side: socket.socket) -> None:
    with suppress(OSError):
        side.shutdown(socket.SHUT_RDWR)


def _head(stream: BufferedReader) -> bytes:
    """Return the first line and the headers of a message; nothing when the other side has ended."""
    lines = []
    while line := stream.readline(_PIECE_BYTES):
        lines.append(line)
        if line == b"\r\n":
            return b"".join(lines)
    return b""


def _header(head: bytes, name: bytes) -> bytes:
    for line in head.split(b"\r\n")[1:]:
        key, _colon, value = line.partition(b":")
        if key.strip().lower() == name:
            return value.strip().lower()
    return b""


def _status(head: bytes) -> int:
    return int(head.split(b" ", 2)[1])


def _answer_heads(stream: BufferedReader) -> list[bytes]:
    """Return the head of an answer, after those of 1xx that came before it; raise when the server has ended."""
    heads = []
    while head := _head(stream):
        heads.append(head)
        if _status(head) >= 200:
            return heads
    raise ConnectionResetError("the server ended the connection without an answer")


def _ends_with_connection(head: bytes) -> bool:
    """Return whether the end of the connection is the end of the body (RFC 9112, section 6.3, item 8)."""
    return not _header(head, b"transfer-encoding") and not _header(head, b"content-length")


def _body(stream: BufferedReader, head: bytes, *, without_length: bool) -> Iterator[bytes]:
    """Yield the body that belongs to ``head``; only an answer may have one ``without_length``."""
    if b"chunked" in _header(head, b"transfer-encoding"):
        while line := stream.readline(_PIECE_BYTES):
            size = int(line.split(b";")[0], 16)
            yield line + stream.read(size) + stream.readline(_PIECE_BYTES)
            if size == 0:
                return
    elif length := _header(head, b"content-length"):
        yield stream.read(int(length))
    elif without_length:
        while piece := stream.read1(_PIECE_BYTES):
            yield piece


def _frames(stream: BufferedReader) -> Iterator[tuple[int, int, int, bytes]]:
    """Yield kind, flags, stream and whole bytes of each frame (RFC 9113, section 4.1) until the other side ends."""
    while len(head := stream.read(9)) == 9:
        length = int.from_bytes(head[:3], "big")
        stream_id = int.from_bytes(head[5:9], "big") & 0x7FFFFFFF
        yield head[3], head[4], stream_id, head + stream.read(length)
