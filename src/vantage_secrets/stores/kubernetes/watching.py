"""Being told of changes: one stream from the API server for each watch, in a thread of its own."""

from __future__ import annotations

import json
import logging
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, Final

from vantage_secrets.errors import StoreUnavailableError, VantageSecretsError
from vantage_secrets.secret import SecretName
from vantage_secrets.stores.kubernetes.bundle import Bundle
from vantage_secrets.stores.kubernetes.connection import Connection, Document, GoneError, pauses

STREAM_SECONDS: Final = (100, 120)
"""After how long a stream is ended and begun anew, at random between the two, so that many watchers spread.

A connection that died in silence is noticed 10 seconds after that; the server keeps what was missed for minutes.
"""

_PAUSE_SECONDS_MAX: Final = 10.0

_LOG = logging.getLogger(__name__)


class Watch:
    """Tells of each secret's new current version, until it is ended.

    Each stream goes on after the last ``resourceVersion`` that was seen, in a change or in a bookmark. When the
    server has forgotten that one (410 Gone), or none is known, the stream begins with the object as it is; that is
    compared with what was told before. So nothing is missed, whatever happened to the connection.

    Args:
        connection: To the object.
        parse: Makes a bundle of a document.
    """

    def __init__(self, connection: Connection, parse: Callable[[Document | None], Bundle]) -> None:
        self._connection = connection
        self._parse = parse
        self._known: dict[SecretName, str] = {}
        self._version: str | None = None
        self._response: Any = None
        self._ended = threading.Event()

    @property
    def has_ended(self) -> bool:
        """Whether ``end`` was called."""
        return self._ended.is_set()

    def begin(self, on_change: Callable[[SecretName], None]) -> None:
        """Note what is current, open the stream, and tell of changes from now on.

        Raises:
            StoreError: The object cannot be read or watched.
        """
        document = self._connection.get(self._connection.deadline())
        self._known = self._parse(document).current_ids()
        self._open()
        threading.Thread(target=self._run, args=(on_change,), name="vantage-secrets-watch", daemon=True).start()

    def end(self) -> None:
        """Tell of nothing from now on. Safe to repeat."""
        self._ended.set()
        self._drop()

    def _run(self, on_change: Callable[[SecretName], None]) -> None:
        waits = pauses(_PAUSE_SECONDS_MAX)
        while not self._ended.is_set():
            try:
                if self._response is None:
                    self._open()
                for document in self._documents():
                    waits = pauses(_PAUSE_SECONDS_MAX)  # It works: the next pause is a short one again.
                    for name in self._changed(document):
                        self._tell(on_change, name)
            except GoneError:
                self._version = None
            except Exception as exc:  # Whatever breaks a stream, the next one goes on from there.
                # SECURITY: of what is not ours only its name, its text may hold what the server sent.
                why = exc.message if isinstance(exc, VantageSecretsError) else type(exc).__name__
                _LOG.info("The watch on %s begins anew: %s", self._connection.place, why)
            self._drop()
            self._ended.wait(next(waits))

    def _open(self) -> None:
        self._response = self._connection.stream(self._version, random.randint(*STREAM_SECONDS))  # noqa: S311

    def _drop(self) -> None:
        """Break the stream, also for the thread that waits in it for the next change."""
        response, self._response = self._response, None
        if response is not None:
            with suppress(Exception):
                getattr(response, "shutdown", response.close)()  # Waking the other thread: urllib3 2.3 and later.
            with suppress(Exception):
                response.close()

    def _documents(self) -> Iterator[Document]:
        """Yield the object after each change; remember how far we are."""
        response = self._response
        if response is None or self._ended.is_set():  # Ended while the stream was being opened.
            return
        for line in _lines(response):
            event = json.loads(line)
            if event["type"] == "ERROR":
                raise GoneError if event["object"].get("code") == 410 else StoreUnavailableError("It was refused.")
            self._version = event["object"]["metadata"]["resourceVersion"]
            if event["type"] in ("ADDED", "MODIFIED"):
                yield event["object"]
            elif event["type"] == "DELETED":
                self._known = {}

    def _changed(self, document: Document) -> list[SecretName]:
        """Return the secrets that have another current version than was told before."""
        try:
            found = self._parse(document).current_ids()
        except VantageSecretsError as exc:  # The next reader is told the same, and can do something about it.
            _LOG.warning("The watch on %s: %s", self._connection.place, exc.message)
            return []
        changed = [name for name, version in found.items() if self._known.get(name) != version]
        self._known = found
        return changed

    def _tell(self, on_change: Callable[[SecretName], None], name: SecretName) -> None:
        if self._ended.is_set():
            return
        try:
            on_change(name)
        except Exception as exc:  # SECURITY: not even the error's text, it may hold a value.
            _LOG.warning("What was to be told of '%s' raised %s", name, type(exc).__name__)


def _lines(response: Any) -> Iterator[bytes]:
    """Yield the lines of a response as they come."""
    rest = b""
    for piece in response.stream(amt=None, decode_content=False):
        *lines, rest = (rest + piece).split(b"\n")
        yield from (line for line in lines if line)
