"""The webhooks' server against callers that are slow, many or rude."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from vantage_secrets.errors import InvalidInputError, StoreUnavailableError
from vantage_secrets.leaks.watch import http_server
from vantage_secrets.leaks.watch.http_server import WebhookServer
from vantage_secrets.leaks.watch.pushes import Push

SECRET = b"a secret of the webhook"
PUSH = b'{"object_kind": "push", "project": {"path_with_namespace": "a/b"}}'
REQUEST = b"POST /push HTTP/1.0\r\nX-Gitlab-Event: Push Hook\r\nX-Gitlab-Token: %b\r\nContent-Length: %d\r\n\r\n%b" % (
    SECRET,
    len(PUSH),
    PUSH,
)


class Running:
    def __init__(self) -> None:
        self.problems: list[str] = []
        self.failure: Exception | None = None
        self.server = WebhookServer(("127.0.0.1", 0), lambda: [SECRET], self.accept, self.problems.append)
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}).start()

    def accept(self, _push: Push) -> bool:
        if self.failure is not None:
            raise self.failure
        return True

    def open(self, sent: bytes) -> socket.socket:
        opened = socket.create_connection(self.server.server_address[:2], timeout=30)  # type: ignore[arg-type]
        opened.sendall(sent)
        return opened

    def answer(self, sent: bytes) -> bytes:
        with self.open(sent) as opened, opened.makefile("rb") as file:
            return file.read()


@pytest.fixture
def running() -> Iterator[Running]:
    made = Running()
    yield made
    made.server.shutdown()
    made.server.server_close()


def test_a_request_that_never_ends_is_cut_off(monkeypatch: pytest.MonkeyPatch, running: Running) -> None:
    monkeypatch.setattr(http_server, "_REQUEST_SECONDS", 0.1)
    assert running.answer(REQUEST[:-1]) == b""
    assert running.answer(b"POST /pu") == b""


def test_those_beyond_the_limit_are_hung_up_on_and_room_comes_back(running: Running) -> None:
    slow = [running.open(REQUEST[:-1]) for _place in range(8)]
    try:
        assert running.answer(b"") == b""
    finally:
        for each in slow:
            each.close()
    while not (answered := running.answer(REQUEST)):
        pass  # until the server has seen that the others are gone
    assert answered.startswith(b"HTTP/1.0 202 ")


def test_a_push_that_cannot_be_kept_is_not_accepted(running: Running) -> None:
    for failure in (OSError(28, "No space left on device"), StoreUnavailableError("The store does not answer.")):
        running.failure = failure
        assert running.answer(REQUEST).startswith(b"HTTP/1.0 503 ")
    assert running.problems == [
        "A push could not be accepted: No space left on device",
        "A push could not be accepted: The store does not answer.",
    ]


def test_an_error_that_is_not_ours_is_told_by_its_kind_alone(running: Running) -> None:
    running.failure = RuntimeError("a secret")
    assert running.answer(REQUEST) == b""
    assert running.problems == ["A request failed with an unexpected RuntimeError."]


def test_the_answer_says_neither_version_nor_what_was_asked(running: Running) -> None:
    answered = running.answer(b"BREW /<script> HTTP/1.0\r\n\r\n") + running.answer(b"\x16\x03\x01 nonsense\r\n\r\n")
    assert b"Python" not in answered
    assert b"script" not in answered
    assert b"nonsense" not in answered


def test_an_address_that_is_taken_is_a_mistake(running: Running) -> None:
    with pytest.raises(InvalidInputError, match="Cannot listen"):
        WebhookServer(running.server.server_address[:2], lambda: [SECRET], running.accept, print)  # type: ignore[arg-type]
