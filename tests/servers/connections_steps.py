"""What tests of connections that follow share: a secret that changes, a client that writes receipts down, a load."""

from __future__ import annotations

import functools
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from vantage_secrets.client import SecretClient
from vantage_secrets.secret import SecretName
from vantage_secrets.testing import MemoryStore

NAME = SecretName("vantage/login")
SECONDS_MAX = 40.0
TEST_SECONDS_MAX = 100.0


class ChangingSecret:
    """A secret in memory, and a client whose receipts are kept in a list.

    Attributes:
        store: Where it lies.
        client: Reads it; asks the store only where a test says so, or a connection does.
        held: The version that each connection says it uses, by the connection's name.
    """

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.held: dict[str, str] = {}
        self.client = _NotingClient(self)

    def put(self, value: Any) -> str:
        """Make a value current in the store; the client has not heard of it yet. Return the version's id."""
        return self.store.put(NAME, value).id

    def put_login(self, username: str, password: str, **more: str) -> str:
        """As :meth:`put`, with a user name and a password."""
        return self.put({"username": username, "password": password, **more})

    def tell(self) -> None:
        """Have the client fetch what is current."""
        self.client.refresh(NAME)

    @property
    def fetch_count(self) -> int:
        """How often the store was asked."""
        return self.store.reads[NAME]

    def is_held_by_all(self, version_id: str) -> bool:
        """Return whether there are connections, and each uses this version."""
        return set(self.held.values()) == {version_id}


class _NotingClient(SecretClient):
    def __init__(self, secret: ChangingSecret) -> None:
        super().__init__(secret.store, background=False)
        self._secret = secret

    def confirm(self, name: str | SecretName, version_id: str, connection: str = "") -> None:
        super().confirm(name, version_id, connection)
        self._secret.held[connection] = version_id

    def let_go(self, name: str | SecretName, connection: str = "") -> None:
        super().let_go(name, connection)
        self._secret.held.pop(connection, None)


def wait_until(is_so: Callable[[], object], what: str = "it") -> None:
    """Return when ``is_so()`` is true."""
    deadline = time.monotonic() + SECONDS_MAX
    while not is_so():
        assert time.monotonic() < deadline, f"{what} never came to be"
        time.sleep(0.01)


class Load:
    """Calls something again and again in a thread, and keeps what it raised.

    Attributes:
        done_count: How often it returned.
        errors: What it raised, as text.
    """

    def __init__(self, step: Callable[[int], object], *, per_second: float) -> None:
        self.done_count = 0
        self.errors: list[str] = []
        self.longest_seconds = 0.0
        self._step, self._pause = step, 1 / per_second
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def wait_for(self, more: int) -> None:
        """Return when it was done ``more`` times more."""
        wanted = self.done_count + more
        wait_until(lambda: self.done_count >= wanted or self.errors, f"{more} more")

    def _run(self) -> None:
        number = 0
        while not self._stopped.is_set():
            began = time.monotonic()
            try:
                self._step(number)
                self.done_count += 1
            except Exception as exc:
                self.errors.append(f"{type(exc).__name__}: {exc}")
            self.longest_seconds = max(self.longest_seconds, time.monotonic() - began)
            number += 1
            self._stopped.wait(self._pause)

    @contextmanager
    def running(self) -> Iterator[Load]:
        """Go on until the block ends."""
        self._thread.start()
        try:
            yield self
        finally:
            self._stopped.set()
            self._thread.join(SECONDS_MAX)
            assert not self._thread.is_alive(), f"a step hangs: {_place_of(self._thread)}"


def _place_of(thread: threading.Thread) -> str:
    """Return where a thread is, without the values that it works with."""
    frame = sys._current_frames().get(thread.ident or 0)
    return "".join(traceback.format_stack(frame)) if frame is not None else "nowhere"


def ending(test: Callable[..., None]) -> Callable[..., None]:
    """Have a test fail when it hangs, also in a call that no signal ends, and say where."""

    @functools.wraps(test)
    def run(**given: Any) -> None:
        raised: list[BaseException] = []

        def body() -> None:
            try:
                test(**given)
            except BaseException as exc:
                raised.append(exc)

        thread = threading.Thread(target=body, daemon=True)
        thread.start()
        thread.join(TEST_SECONDS_MAX)
        assert not thread.is_alive(), f"the test did not end in {TEST_SECONDS_MAX:.0f} s: {_place_of(thread)}"
        if raised:
            raise raised[0]

    return run
