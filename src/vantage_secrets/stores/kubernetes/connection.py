"""Calls on one Secret object: bounded in time, repeated where that may help, with a fresh login when one expired."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

from vantage_secrets.errors import StoreUnavailableError
from vantage_secrets.stores.kubernetes.errors import Verb, error_for, failure_of
from vantage_secrets.stores.kubernetes.others import FIELD_MANAGER
from vantage_secrets.stores.kubernetes.place import Place

CONNECT_SECONDS_MAX: Final = 3.0
READ_SECONDS_MAX: Final = 10.0
_PAUSE_SECONDS: Final = (0.1, 2.0)  # The first pause between two tries at the most, and the longest.

Document = dict[str, Any]
Send = Callable[[Any, dict[str, Any]], Any]
"""Calls a method of the client with these arguments, and returns urllib3's response."""


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
        return self._call(
            Verb.GET, lambda client, how: _core(client).read_namespaced_secret(name, namespace, **how), until
        )

    def put(self, body: Document, until: float) -> bool:
        """Create or replace the object; return ``False`` when another writer was first, and nothing was written.

        After an answer that was lost the call is repeated, and then its own first try may be that other writer: the
        caller reads the object again and looks.

        Raises:
            StoreError: The server refused or did not answer.
        """
        namespace, name = self.place
        if "resourceVersion" not in body["metadata"]:
            create: Send = lambda client, how: _core(client).create_namespaced_secret(  # noqa: E731
                namespace, body, field_manager=FIELD_MANAGER, **how
            )
            return self._call(Verb.CREATE, create, until) is not None
        replace: Send = lambda client, how: _core(client).replace_namespaced_secret(  # noqa: E731
            name, namespace, body, field_manager=FIELD_MANAGER, **how
        )
        return self._call(Verb.UPDATE, replace, until) is not None

    def review(self, kind: str, spec: Document) -> Document:
        """Return the status of a review: what the server says of this login itself. Changes nothing.

        Args:
            kind: ``SelfSubjectReview``, who it is, or ``SelfSubjectAccessReview``, whether it may do something.
            spec: What is asked.

        Raises:
            StoreError: The server refused or did not answer.
        """

        def send(client: Any, how: dict[str, Any]) -> Any:
            group = "authentication" if kind == "SelfSubjectReview" else "authorization"
            body = {"apiVersion": f"{group}.k8s.io/v1", "kind": kind, "spec": spec}
            if group == "authentication":
                return _sdk().AuthenticationV1Api(client).create_self_subject_review(body, **how)
            return _sdk().AuthorizationV1Api(client).create_self_subject_access_review(body, **how)

        found = self._call(Verb.CREATE, send, self.deadline())
        return dict((found or {}).get("status") or {})

    def stream(self, version: str | None, seconds: int) -> Any:
        """Return a response whose lines are the changes of the object, each as it comes, for so many seconds.

        Args:
            version: Only changes after this ``resourceVersion``; ``None`` for the object as it is, then its changes.
            seconds: After how long the server ends the stream.

        Raises:
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
            return _core(self._open_client()).list_namespaced_secret(
                self.place.namespace,
                **arguments,
                _preload_content=False,
                _request_timeout=(CONNECT_SECONDS_MAX, seconds + READ_SECONDS_MAX),
            )
        except Exception as exc:  # The client raises urllib3's errors and its own.
            failure = failure_of(exc)
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
        """Return what was answered; ``None`` for absence and for a conflict."""
        renewed = False
        for pause in pauses():
            left = until - time.monotonic()
            seconds = max(0.05, min(CONNECT_SECONDS_MAX, left)), max(0.05, min(READ_SECONDS_MAX, left))
            try:
                response = send(self._open_client(), {"_preload_content": False, "_request_timeout": seconds})
                return _parsed(response.data)
            except StoreUnavailableError:
                raise
            except Exception as exc:  # The client raises urllib3's errors and its own.
                failure = failure_of(exc)
            if failure.is_absence or failure.is_conflict:
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


def pauses() -> Iterator[float]:
    """Yield how long to wait between two tries, seconds: random below a bound that doubles."""
    bound, longest = _PAUSE_SECONDS
    while True:
        yield random.uniform(0, bound)  # noqa: S311  # Spreads clients; nothing is guessed from it.
        bound = min(2 * bound, longest)


def _sdk() -> Any:
    import kubernetes.client

    return kubernetes.client


def _core(client: Any) -> Any:
    return _sdk().CoreV1Api(client)


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
