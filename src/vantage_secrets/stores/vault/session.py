"""Staying logged in to the server."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Final

from vantage_secrets.errors import VantageSecretsError
from vantage_secrets.stores.vault.errors import Failure, attempt
from vantage_secrets.stores.vault.login import Lease, Login

_RENEW_AT: Final = 2 / 3  # Of the time that a token has: the rest is for trying again while the server is away.
_PAUSE_SECONDS: Final = 1.0  # Before renewal is tried again after an outage.


class Session:
    """Keeps a client logged in: renews its token before it ends, and logs in anew when renewal fails.

    Args:
        client: An ``hvac.Client``.
        login: The way to a token.
        now: The time that passes, seconds.
    """

    def __init__(self, client: Any, login: Login, *, now: Callable[[], float] = time.monotonic) -> None:
        """Keep them; nothing is sent before the first call."""
        self._client = client
        self._login = login
        self._now = now
        self._lock = threading.Lock()
        self._lease: Lease | None = None
        self._renew_at = float("inf")
        self._ends_at = float("inf")

    @property
    def words(self) -> str:
        """Which way of logging in this is."""
        return self._login.words

    def ready(self) -> None:
        """Be logged in, with a token that does not end soon."""
        if self._lease is not None and self._now() < self._renew_at:
            return
        with self._lock:
            if self._lease is None:
                self._take(self._login(self._client))
            elif self._now() >= self._renew_at:
                self._renew(self._lease)

    def forget(self) -> None:
        """Hold no token any more, and no way to one. The server still knows the token."""
        with self._lock:
            self._client.token = None
            self._lease = None
            vars(self).pop("_login", None)

    def renewed(self, token: str) -> bool:
        """Return whether there is another token now than ``token``, which the server just refused to serve.

        Asks the server whether the token still lives; when it does, the refusal was one.
        """
        with self._lock:
            if self._client.token != token:
                return True
            answer = attempt(lambda: self._client.adapter.get("/v1/auth/token/lookup-self"))
            if not isinstance(answer, Failure) or answer.status not in (401, 403):
                return False
            self._take(self._login(self._client))
            return bool(self._client.token != token)

    def _renew(self, lease: Lease) -> None:
        """Renew the token; log in anew where that fails or gives no more time; wait for a server that is away."""
        answer: Any = None
        if lease.renewable:
            answer = attempt(lambda: self._client.adapter.post("/v1/auth/token/renew-self", json={}))
        left = self._ends_at - self._now()
        if answer is not None and not isinstance(answer, Failure):
            renewed = Lease(lease.token, answer["auth"]["lease_duration"], answer["auth"]["renewable"])
            if renewed.seconds > left + 1:  # Less is the end of its longest life, which no renewal moves.
                self._take(renewed)
                return
        try:
            self._take(self._login(self._client))
        except VantageSecretsError:
            if left <= 0:
                raise
            self._renew_at = self._now() + _PAUSE_SECONDS  # The token still works; the next call tries again.

    def _take(self, lease: Lease) -> None:
        self._client.token = lease.token
        self._lease = lease
        ends = lease.seconds > 0
        self._renew_at = self._now() + lease.seconds * _RENEW_AT if ends else float("inf")
        self._ends_at = self._now() + lease.seconds if ends else float("inf")
