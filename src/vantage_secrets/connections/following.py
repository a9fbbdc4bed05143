"""What every connection that follows a rotation needs: the login as it is now, news of another one, its receipt."""

from __future__ import annotations

import itertools
import threading
import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import Final, NamedTuple

from vantage_secrets.client import SecretClient
from vantage_secrets.client.readings import ClientReading
from vantage_secrets.credential import Credential
from vantage_secrets.errors import InvalidInputError, MissingExtraError, StoreUnavailableError
from vantage_secrets.secret import SecretName, SecretReading, SecretValue

MECHANISM: Final = "mechanism"
"""A value's optional third field: by which SASL mechanism Kafka knows this password."""

_NUMBERS = itertools.count(1)


class Login(NamedTuple):
    """A credential with the version that it comes from.

    Attributes:
        version_id: The version of the secret.
        username: Who logs in; no secret.
        password: With what.
        mechanism: How, where the value says so; empty otherwise.
    """

    version_id: str
    username: str
    password: SecretValue
    mechanism: str


class FollowedSecret:
    """One connection's view of one secret. Safe to use from many threads.

    Nothing is polled: the client tells of a new version, and :meth:`is_outdated` compares two words.

    Args:
        client: Reads the secret; it stays the caller's to close.
        name: The secret's name or one of its other spellings.
        account: Whose password it is, where neither the value nor the manifest says so.
        kind: What the connection is, such as ``producer``; with a number behind it that is its name in receipts.

    Raises:
        VantageSecretsError: As :meth:`SecretClient.get`.
    """

    def __init__(self, client: SecretClient, name: str | SecretName, *, account: str, kind: str) -> None:
        """Read the secret, and hear of its versions from then on."""
        self.connection = f"{kind}-{next(_NUMBERS)}"
        self._client = client
        self._name = name
        self._account = account or client.account(name)
        self._newest: str | None = None
        # Reentrant: a read that fetches tells of the change in the same thread, and comes here again.
        self._lock = threading.RLock()
        self._listener: Callable[[], Callable[[], object] | None] = lambda: None
        self._unsubscribe = _subscribe(self, client, name)

    def listen(self, on_change: Callable[[], object]) -> None:
        """Call ``on_change`` now, and in the client's thread whenever there is another version.

        Args:
            on_change: A method that returns at once. It is held weakly: who drops the connection ends this.
        """
        self._listener = weakref.WeakMethod(on_change)
        on_change()

    def now(self) -> Login:
        """Return the current login as the client has it; asks the store only where the client has none.

        Raises:
            InvalidInputError: The value is a password alone, and nobody said whose.
            VantageSecretsError: As :meth:`SecretClient.get`.
        """
        return self._login(self._take())

    def after_refusal(self) -> Login:
        """Ask the store once, and return the current login. A store that is away leaves the one that is known.

        Raises:
            VantageSecretsError: As :meth:`now`.
        """
        with suppress(StoreUnavailableError):
            self._client.refresh(self._name)
        return self.now()

    def is_outdated(self, version_id: str) -> bool:
        """Return whether the client has told of another version than this."""
        return self._newest is not None and self._newest != version_id

    def confirm(self, version_id: str) -> None:
        """Leave a receipt: this connection uses that version now, and no other."""
        self._client.confirm(self._name, version_id, connection=self.connection)

    def let_go(self) -> None:
        """End the receipt: this connection uses no version until it confirms one again. Safe to repeat."""
        self._client.let_go(self._name, connection=self.connection)

    def close(self) -> None:
        """Listen no more, and end the receipt. Safe to repeat."""
        self._unsubscribe()
        self.let_go()

    def _note(self) -> None:
        self._take()
        if (tell := self._listener()) is not None:
            tell()

    def _take(self) -> ClientReading:
        # One at a time, so that what is newest never goes back: news may come later than a read that ran ahead of it.
        with self._lock:
            reading = self._client.take(self._name)
            self._newest = reading.version.id
            return reading

    def _login(self, reading: ClientReading) -> Login:
        username, password = Credential.of(reading.value, account=self._account)
        if not username:
            raise InvalidInputError(
                f"The secret '{self._name}' holds a password alone, and no user name.",
                hint="Say whose it is: account='…', or account under the secret in vantage-secrets.toml.",
            )
        fields = reading.value.reveal()
        mechanism = fields.get(MECHANISM, "") if isinstance(fields, dict) else ""
        return Login(reading.version.id, username, password, mechanism)


def _subscribe(following: FollowedSecret, client: SecretClient, name: str | SecretName) -> Callable[[], None]:
    """Have the client tell of new versions without keeping the connection alive; return what ends that."""
    who, asked, connection = weakref.ref(following), weakref.ref(client), following.connection

    def note(_reading: SecretReading) -> None:
        if (still := who()) is not None:
            still._note()
        elif (teller := asked()) is not None:
            # It was dropped and never closed. Its receipt ends here, where it would begin to matter, and not in a
            # finalizer: that may run in the middle of anything, also where the receipts are locked.
            unsubscribe()
            teller.let_go(name, connection=connection)

    unsubscribe = client.on_change(name, note)
    return unsubscribe


class Errand:
    """Does something in a thread of its own, one at a time; asked for while it runs, it is done once more after that.

    Args:
        work: A method; held weakly, so that a connection that nobody holds any more can go.
    """

    def __init__(self, work: Callable[[], None]) -> None:
        """Start nothing yet."""
        self._work = weakref.WeakMethod(work)
        self._thread: threading.Thread | None = None
        self._is_asked = False
        self._lock = threading.Lock()
        self._stopped = threading.Event()

    def ask(self) -> None:
        """Have it done soon."""
        with self._lock:
            self._is_asked = True
            if self._thread is None and not self._stopped.is_set():
                self._thread = threading.Thread(target=self._run, name="vantage-secrets-connection", daemon=True)
                self._thread.start()

    def pause(self, seconds: float) -> bool:
        """Wait between two attempts of the work; return whether it may go on."""
        return not self._stopped.wait(seconds)

    def stop(self) -> None:
        """Have nothing done any more, and wait for the end of what is being done. Safe to repeat."""
        self._stopped.set()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def _run(self) -> None:
        while self._takes_one():
            work = self._work()
            if work is not None:
                work()
            del work

    def _takes_one(self) -> bool:
        with self._lock:
            goes_on = self._is_asked and not self._stopped.is_set()
            self._is_asked = False
            if not goes_on:
                self._thread = None
            return goes_on


def missing_library(package: str) -> MissingExtraError:
    """Return the error for a library that the application brings itself: no extra of ours has it."""
    error = MissingExtraError(package, package)
    error.hint = f"pip install {package}"
    return error
