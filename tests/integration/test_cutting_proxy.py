"""The proxy that cuts requests does what the tests of the stores believe it does."""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
from collections.abc import Iterator
from concurrent import futures
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import grpc
import pytest

from tests.servers.certificate import Certificate
from tests.servers.cutting_proxy import Cut, CuttingProxy


class _Server(ThreadingHTTPServer):
    """Remembers what reached it; answers with a length, in chunks, or until the end of the connection."""

    daemon_threads = False
    block_on_close = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.seen: list[str] = []


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        self.server.seen.append(self.path)
        self.send_response(200)
        if self.path == "/chunks":
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n")
        elif self.path == "/until-the-end":
            self.close_connection = True
            self.end_headers()
            self.wfile.write(b"hello world")
        else:
            self.send_header("Content-Length", "11")
            self.end_headers()
            self.wfile.write(b"hello world")

    def do_HEAD(self) -> None:
        self.server.seen.append(self.path)
        self.send_response(200)
        self.send_header("Content-Length", "11")
        self.end_headers()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.seen.append(f"{self.path} {body.decode()}")
        self.send_response(204)
        self.end_headers()

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[_Server]:
    with _Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def proxy(server: _Server) -> Iterator[CuttingProxy]:
    with CuttingProxy(*server.server_address) as proxy:
        yield proxy


def _ask(connection: http.client.HTTPConnection, path: str, method: str = "GET", body: bytes | None = None) -> bytes:
    connection.request(method, path, body)
    return connection.getresponse().read()


@pytest.fixture
def connection(proxy: CuttingProxy) -> Iterator[http.client.HTTPConnection]:
    connection = http.client.HTTPConnection(proxy.address, timeout=10)
    yield connection
    connection.close()


def test_every_kind_of_answer_passes_and_every_request_is_counted(
    proxy: CuttingProxy, connection: http.client.HTTPConnection
) -> None:
    assert _ask(connection, "/length") == b"hello world"
    assert _ask(connection, "/length", "HEAD") == b""
    assert _ask(connection, "/chunks") == b"hello world"
    assert _ask(connection, "/body", "POST", b"x" * 100_000) == b""
    assert _ask(connection, "/until-the-end") == b"hello world"
    assert proxy.requests == ["GET /length", "HEAD /length", "GET /chunks", "POST /body", "GET /until-the-end"]
    assert proxy.has_cut is False


def test_a_cut_before_never_reaches_the_server_and_the_proxy_stays_down_until_mended(
    proxy: CuttingProxy, server: _Server, connection: http.client.HTTPConnection
) -> None:
    _ask(connection, "/one")
    proxy.cut(2, Cut.BEFORE)
    _ask(connection, "/two")
    with pytest.raises(ConnectionError):
        _ask(connection, "/three")
    assert server.seen == ["/one", "/two"]
    assert proxy.has_cut is True
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", proxy.port))
    proxy.mend()
    connection.close()
    assert _ask(connection, "/four") == b"hello world"
    assert proxy.requests == ["GET /four"]
    assert proxy.has_cut is False


@pytest.mark.parametrize("path", ["/length", "/chunks", "/until-the-end"])
def test_a_cut_after_is_done_by_the_server_and_nobody_hears_of_it(
    proxy: CuttingProxy, server: _Server, connection: http.client.HTTPConnection, path: str
) -> None:
    proxy.cut(1, Cut.AFTER)
    with pytest.raises(ConnectionError):
        _ask(connection, path)
    assert server.seen == [path]
    assert proxy.has_cut is True


def test_a_proxy_that_need_not_stay_down_takes_the_next_try(
    proxy: CuttingProxy, connection: http.client.HTTPConnection
) -> None:
    proxy.cut(1, Cut.BEFORE, stay_down=False)
    with pytest.raises(ConnectionError):
        _ask(connection, "/one")
    connection.close()
    assert _ask(connection, "/two") == b"hello world"
    assert proxy.requests == ["GET /one", "GET /two"]


def test_while_it_refuses_open_connections_are_dropped_and_new_ones_refused(
    proxy: CuttingProxy, server: _Server, connection: http.client.HTTPConnection
) -> None:
    _ask(connection, "/one")
    with proxy.refusing():
        with pytest.raises(ConnectionError):
            _ask(connection, "/two")
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", proxy.port))
    connection.close()
    assert _ask(connection, "/three") == b"hello world"
    assert server.seen == ["/one", "/three"]


def test_an_answer_comes_no_sooner_than_the_latency(
    proxy: CuttingProxy, connection: http.client.HTTPConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    monkeypatch.setattr(proxy._closing, "wait", waited.append)
    proxy.latency = 0.25
    _ask(connection, "/one")
    assert waited == [0.25]


def test_a_server_that_is_away_ends_the_connection() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with CuttingProxy("127.0.0.1", unused.getsockname()[1]) as proxy:
            connection = http.client.HTTPConnection(proxy.address, timeout=10)
            with pytest.raises(ConnectionError):
                _ask(connection, "/one")
            connection.close()


def test_it_reads_inside_tls_on_both_sides(tmp_path: Path, server: _Server) -> None:
    certificate = Certificate.make(tmp_path)
    accepting, trusting = certificate.server_context(), certificate.client_context()
    with (
        CuttingProxy(*server.server_address, accept_tls=accepting) as inner,
        CuttingProxy("127.0.0.1", inner.port, accept_tls=accepting, connect_tls=trusting) as outer,
    ):
        connection = http.client.HTTPSConnection(outer.address, timeout=10, context=trusting)
        assert _ask(connection, "/one") == b"hello world"
        assert inner.requests == outer.requests == ["GET /one"]
        outer.cut(1, Cut.AFTER)
        with pytest.raises((ConnectionError, ssl.SSLEOFError)):
            _ask(connection, "/two")
        assert server.seen == ["/one", "/two"]
        connection.close()


@pytest.fixture
def grpc_seen() -> list[bytes]:
    return []


@pytest.fixture
def grpc_proxy(grpc_seen: list[bytes]) -> Iterator[CuttingProxy]:
    def shout(request: bytes, context: grpc.ServicerContext) -> bytes:
        grpc_seen.append(request)
        return request.upper()

    server = grpc.server(futures.ThreadPoolExecutor(4))
    handlers = {"Shout": grpc.unary_unary_rpc_method_handler(shout)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Loud", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with CuttingProxy("127.0.0.1", port, http2=True) as proxy:
        yield proxy
    server.stop(None).wait()


@pytest.fixture
def shout(grpc_proxy: CuttingProxy) -> Iterator[grpc.UnaryUnaryMultiCallable]:
    # No retries of its own, and no pause before it connects again.
    options = [
        ("grpc.enable_retries", 0),
        ("grpc.initial_reconnect_backoff_ms", 1),
        ("grpc.max_reconnect_backoff_ms", 1),
    ]
    with grpc.insecure_channel(grpc_proxy.address, options=options) as channel:
        yield channel.unary_unary("/test.Loud/Shout")


def test_each_call_of_grpc_is_one_request(
    grpc_proxy: CuttingProxy, shout: grpc.UnaryUnaryMultiCallable, grpc_seen: list[bytes]
) -> None:
    grpc_proxy.latency = 0.001
    calls = [shout.future(b"x" * size, timeout=10) for size in (1, 10, 100_000)]
    assert [call.result() for call in calls] == [b"X", b"X" * 10, b"X" * 100_000]
    assert grpc_proxy.requests == ["stream 1", "stream 3", "stream 5"]
    assert len(grpc_seen) == 3


@pytest.mark.parametrize(("when", "reached"), [(Cut.BEFORE, [b"one"]), (Cut.AFTER, [b"one", b"two"])])
def test_a_call_of_grpc_is_cut_before_or_after_the_server_did_it(
    grpc_proxy: CuttingProxy,
    shout: grpc.UnaryUnaryMultiCallable,
    grpc_seen: list[bytes],
    when: Cut,
    reached: list[bytes],
) -> None:
    grpc_proxy.cut(2, when)
    assert shout(b"one", timeout=10) == b"ONE"
    with pytest.raises(grpc.RpcError) as caught:
        shout(b"two", timeout=10)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert grpc_seen == reached
    assert grpc_proxy.has_cut is True
    grpc_proxy.mend()
    assert shout(b"three", timeout=10, wait_for_ready=True) == b"THREE"
