"""One fetch at a time for each secret: whoever asks meanwhile gets the same result, or the same error."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from vantage_secrets.secret import SecretName

Result = TypeVar("Result")


class _Flight(Generic[Result]):
    __slots__ = ("error", "landed", "result", "serial")

    def __init__(self, serial: int) -> None:
        self.serial = serial
        self.landed = threading.Event()
        self.result: Result | None = None
        self.error: Exception | None = None


class Flights(Generic[Result]):
    """Runs at most one fetch per secret at a time. Fetches of different secrets do not wait for each other."""

    def __init__(self) -> None:
        """Begin with no flight."""
        self.wait_count = 0
        self._serial = 0
        self.renew()

    def renew(self) -> None:
        """Forget all flights and locks: in a forked child, the threads that held them are not there."""
        self._lock = threading.Lock()
        self._open: dict[SecretName, _Flight[Result]] = {}

    def run(self, name: SecretName, fetch: Callable[[], Result], *, begun_now: bool = False) -> Result:
        """Return what ``fetch`` returns, called here or by a thread that was first.

        Args:
            name: The secret.
            fetch: What to call if nobody else is at it; it must not run into :meth:`run` for the same name.
            begun_now: Accept only a fetch that begins after this call, which sees everything written before it.

        Raises:
            Exception: Whatever ``fetch`` raised, in every thread that waited for it.
        """
        asked_after = self._serial if begun_now else -1
        while True:
            flight, leads = self._board(name)
            if leads:
                return self._lead(name, flight, fetch)
            flight.landed.wait()
            if flight.serial <= asked_after:
                continue
            if flight.error is not None:
                raise flight.error
            if flight.result is not None:
                return flight.result
            # The thread that led was interrupted (KeyboardInterrupt): the next one takes over.

    def join(self, name: SecretName, timeout_seconds: float) -> bool:
        """Wait for the flight of ``name`` that is open now; return whether there was one."""
        with self._lock:
            flight = self._open.get(name)
        if flight is None:
            return False
        flight.landed.wait(timeout_seconds)
        return True

    def is_open(self, name: SecretName) -> bool:
        """Return whether a fetch of ``name`` is under way."""
        return name in self._open

    def _board(self, name: SecretName) -> tuple[_Flight[Result], bool]:
        with self._lock:
            flight = self._open.get(name)
            if flight is not None:
                self.wait_count += 1
                return flight, False
            self._serial += 1
            flight = self._open[name] = _Flight(self._serial)
            return flight, True

    def _lead(self, name: SecretName, flight: _Flight[Result], fetch: Callable[[], Result]) -> Result:
        try:
            flight.result = result = fetch()
        except Exception as exc:
            flight.error = exc
            raise
        finally:
            with self._lock:
                # After a fork in the middle of a fetch the child's table is a new one.
                if self._open.get(name) is flight:
                    del self._open[name]
            flight.landed.set()
        return result
