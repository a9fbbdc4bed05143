"""Calls on one Secret object: bounded in time, repeated where that may help, with a fresh login when one expired."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

from vantage_secrets.errors import StoreUnavailableError, VantageSecretsError
from vantage_secrets.stores.kubernetes.errors import Verb, error_for, failure_of
from vantage_secrets.stores.kubernetes.others import FIELD_MANAGER
from vantage_secrets.stores.kubernetes.place import Place

CONNECT_SECONDS_MAX: Final = 3.0
READ_SECONDS_MAX: Final = 10.0

Document = dict[str, Any]
Send = Callable[[Any, dict[str, Any]], Any]
"""Calls a method of the client with these arguments, and returns urllib3's response."""


class GoneError(Exception):
    """The server no longer has the changes after the ``resourceVersion`` that was named: 410 Gone."""


class Connection:
    """Reads and writes one Secret object. Safe to use from several threads.

    Whole documents travel as JSON and not as the client's models: those drop fields that they do not know, so that
    writing one back would lose them, and their ``repr`` shows values.

    Args:
        login: Makes a client with fresh credentials; called again when the server does not know them any more.
        place: The object.
        timeout: How long one verb may take with all its repetitions, seconds.
    """

    def __init__(self, login: Callable[[], Any], place: Place, timeout: float) -> None:
        self.place = place
        self.timeout = timeout
        self._login = login
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._client = login()

    @property
    def host(self) -> str:
        """The API server's address."""
        return str(self._client.configuration.host)

    @property
    def checks_certificates(self) -> bool:
        """Whether the API server must show a certificate that the login trusts."""
        return self.host.startswith("https:") and bool(self._client.configuration.verify_ssl)

    def deadline(self) -> float:
        """Return until when, on the monotonic clock, a verb that begins now may try."""
        return time.monotonic() + self.timeout

    def get(self, until: float) -> Document | None:
        """Return the object, or ``None`` when there is none.

        Raises:
            StoreError: The server refused or did not answer.
        """
        namespace, name = self.place
        return self._call(Verb.GET, lambda client, how: _core(client, "read", name, namespace, **how), until)

    def put(self, body: Document, until: float) -> bool:
        """Create or replace the object; return ``False`` when another writer was first, and nothing was written.

        After an answer that was lost the call is repeated, and then its own first try may be that other writer: the
        caller reads the object again and looks.

        Raises:
            StoreError: The server refused or did not answer.
        """
        namespace, name = self.place
        is_new = "resourceVersion" not in body["metadata"]
        method, place = ("create", (namespace,)) if is_new else ("replace", (name, namespace))

        def send(client: Any, how: dict[str, Any]) -> Any:
            return _core(client, method, *place, body, field_manager=FIELD_MANAGER, **how)

        return self._call(Verb.CREATE if is_new else Verb.UPDATE, send, until) is not None

    def review(self, question: Document | None = None) -> Document | None:
        """Return what the server says of this login itself; ``None`` when it does not say. Changes nothing.

        Args:
            question: Whether the login may do something, as the ``spec`` of a ``SelfSubjectAccessReview``; without it,
                as whom the server sees it.

        Raises:
            StoreError: The server did not know the login, or did not answer.
        """

        def send(client: Any, how: dict[str, Any]) -> Any:
            if question is None:
                body: Document = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
                return _unchecked(_sdk().AuthenticationV1Api(client), "create_self_subject_review", body, **how)
            body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": question}
            return _unchecked(_sdk().AuthorizationV1Api(client), "create_self_subject_access_review", body, **how)

        found = self._call(Verb.REVIEW, send, self.deadline())
        return None if found is None else found["status"]

    def stream(self, version: str | None, seconds: int) -> Any:
        """Return a response whose lines are the changes of the object, each as it comes, for so many seconds.

        Args:
            version: Only changes after this ``resourceVersion``; ``None`` for the object as it is, then its changes.
            seconds: After how long the server ends the stream.

        Raises:
            GoneError: The changes after ``version`` are no longer there.
            StoreError: The server refused or did not answer.
        """
        arguments = {
            "watch": True,
            "field_selector": f"metadata.name={self.place.secret}",
            "allow_watch_bookmarks": True,
            "timeout_seconds": seconds,
            **({} if version is None else {"resource_version": version}),
        }
        try:
            return _core(
                self._open_client(),
                "list",
                self.place.namespace,
                **arguments,
                _preload_content=False,
                _request_timeout=(CONNECT_SECONDS_MAX, seconds + READ_SECONDS_MAX),
            )
        except VantageSecretsError:
            raise
        except Exception as exc:  # The client raises urllib3's errors and its own.
            failure = failure_of(exc)
        if failure.status == 410:
            raise GoneError
        if failure.status == 401:
            self._renew()
        raise error_for(failure, Verb.WATCH, self.place)

    def wait(self, seconds: float) -> None:
        """Wait, or less when the connection is closed meanwhile."""
        self._closed.wait(seconds)

    def close(self) -> None:
        """Let go of connections and credentials. Safe to repeat."""
        self._closed.set()
        self._client.close()

    def _call(self, verb: Verb, send: Send, until: float) -> Document | None:
        """Return what was answered; ``None`` for absence, for a conflict, and for a refused review."""
        renewed = False
        for pause in pauses():
            left = until - time.monotonic()
            seconds = max(0.05, min(CONNECT_SECONDS_MAX, left)), max(0.05, min(READ_SECONDS_MAX, left))
            try:
                response = send(self._open_client(), {"_preload_content": False, "_request_timeout": seconds})
                return _parsed(response.data)
            except VantageSecretsError:
                raise
            except Exception as exc:  # The client raises urllib3's errors and its own.
                failure = failure_of(exc)
            if failure.is_absence or failure.is_conflict or (failure.status == 403 and verb is Verb.REVIEW):
                return None
            if failure.status == 401 and not renewed:
                renewed = True
                self._renew()
                continue
            wait = max(pause, failure.retry_after)
            if not failure.is_passing or time.monotonic() + wait >= until:
                break
            self.wait(wait)
        raise error_for(failure, verb, self.place)

    def _open_client(self) -> Any:
        if self._closed.is_set():
            raise StoreUnavailableError("The store is closed.", hint="Open it again.")
        return self._client

    def _renew(self) -> None:
        """Log in anew: the token's file or the kubeconfig may hold a newer one, an exec plugin may fetch one."""
        with self._lock:
            old, self._client = self._client, self._login()
        old.close()


def pauses(longest: float = 2.0) -> Iterator[float]:
    """Yield how long to wait between two tries: random, below a bound that doubles from 0.1 to ``longest`` seconds."""
    bound = 0.1
    while True:
        yield random.uniform(0, bound)  # noqa: S311  # Spreads clients; nothing is guessed from it.
        bound = min(2 * bound, longest)


def _sdk() -> Any:
    import kubernetes.client

    return kubernetes.client


def _core(client: Any, method: str, *place: Any, **arguments: Any) -> Any:
    return _unchecked(_sdk().CoreV1Api(client), f"{method}_namespaced_secret", *place, **arguments)


def _unchecked(api: Any, method: str, *arguments: Any, **named: Any) -> Any:
    """Call a method of the client without the checks that its later releases (pydantic) do on arguments.

    SECURITY: the errors of those checks quote what they were given. They also refuse fields that a newer server knows.
    """
    found = getattr(type(api), method)
    return getattr(found, "raw_function", found)(api, *arguments, **named)


def _parsed(raw: bytes) -> Document:
    try:
        found = json.loads(raw)
    except ValueError:
        found = None
    if not isinstance(found, dict) or "kind" not in found:
        # SECURITY: no part of what came is repeated, it may hold values.
        raise StoreUnavailableError(
            "What answers is no Kubernetes API server.", hint="Check 'server' in the kubeconfig."
        ) from None
    return found
