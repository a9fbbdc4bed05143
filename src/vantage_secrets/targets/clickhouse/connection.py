"""One ClickHouse server by HTTP: a fresh connection and a fresh login for each question.

HTTP, because every release from 18 to today speaks it, and because there each request logs in by itself.
The standard library, because ``clickhouse-connect`` refuses old servers.
"""

from __future__ import annotations

import re
import ssl
from base64 import b64encode
from collections.abc import Mapping
from functools import cached_property
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from pathlib import Path
from urllib.parse import SplitResult, urlencode, urlsplit

from vantage_secrets.credential import Credential
from vantage_secrets.errors import RotationError, TargetUnavailableError

USER_AGENT = "vantage-secrets-rotation"
"""What our own requests are called in the server's query log, so that they are not taken for a consumer's."""

TIMEOUT_SECONDS = 30
"""How long one answer may take; a statement on a cluster is told to give up before."""

_BODY_BYTES_MAX = 16_777_216
_LOGIN_REFUSALS = frozenset({192, 193, 516})
"""Unknown user, wrong password (before 20.10), authentication failed (since): what says no to a credential."""

_NO_STATE = frozenset({3, 159, 160, 202, 203, 209, 210, 241, 242, 243, 252, 279, 319, 415, 425, 999})
"""Too busy, out of memory, a replica or ZooKeeper away: answers that say nothing about what was asked."""

_HINTS = {
    62: "The server does not know this syntax: name another 'strategy' in the manifest's table of this target.",
    195: "Allow this machine in the user's list of hosts (HOST, or <networks>).",
    495: "That user stands in the server's files: give users_folder and users_file, or make the user by SQL.",
    497: "Grant the administrator what the page of this target lists.",
}


class AnswerError(Exception):
    """The server answered with an error. Its text is not kept: it can hold parts of a statement.

    Attributes:
        code: ClickHouse's number of the error.
    """

    def __init__(self, code: int) -> None:
        """Keep the number."""
        super().__init__(f"Code: {code}")
        self.code = code

    @property
    def is_login_refusal(self) -> bool:
        """Whether it says no to the credential."""
        return self.code in _LOGIN_REFUSALS


class Server:
    """A server at an address.

    Args:
        url: Its HTTP address; a user in it is ignored.
        ca_file: Certificates that its own is checked with, instead of the system's.
    """

    def __init__(self, url: str, ca_file: Path | None = None) -> None:
        """Connect to nothing yet."""
        self._parts = _parse(url)
        self._ca_file = ca_file
        self._port = self._parts.port or (8443 if self._parts.scheme == "https" else 8123)

    @property
    def name(self) -> str:
        """Host and port, for messages."""
        return f"{self._parts.hostname}:{self._port}"

    @property
    def sends_in_clear(self) -> bool:
        """Whether passwords cross a network unencrypted on the way."""
        return self._parts.scheme == "http" and self._parts.hostname not in ("localhost", "127.0.0.1", "::1")

    def ask(self, statement: str, login: Credential, settings: Mapping[str, str] | None = None) -> str:
        """Return the answer to one statement, logged in afresh.

        Raises:
            AnswerError: The server answered with an error.
            TargetUnavailableError: It did not answer, or somebody else did.
        """
        connection = self._connection()
        try:
            connection.request("POST", self._path(settings or {}), body=statement.encode(), headers=_headers(login))
            response = connection.getresponse()
            body = response.read(_BODY_BYTES_MAX)
        except (OSError, HTTPException) as exc:
            raise TargetUnavailableError(f"ClickHouse at {self.name} {_reason(exc)}.") from None
        finally:
            connection.close()
        code = _code_of(response, body)
        if code:
            raise AnswerError(code)
        if response.status != 200:
            raise self.stranger(f"answered {response.status}")
        return body.decode("utf-8", "replace")

    def accepts(self, credential: Credential) -> bool:
        """Return whether a fresh login works.

        Raises:
            TargetUnavailableError: No answer, or one that says neither yes nor no.
        """
        try:
            answer = self.ask("SELECT 1", credential)
        except AnswerError as exc:
            if exc.is_login_refusal:
                return False
            raise TargetUnavailableError(
                f"ClickHouse at {self.name} answered a login with code {exc.code}, which is no refusal.",
                hint=_HINTS.get(exc.code),
            ) from None
        if answer.strip() != "1":  # a page that says 200 to whatever is asked lets nobody in
            raise self.stranger("answered a login with something else")
        return True

    def stranger(self, did: str) -> TargetUnavailableError:
        """Return our error for an answer that is no ClickHouse's."""
        return TargetUnavailableError(
            f"{self.name} {did}, not as ClickHouse does.",
            hint="Look at what stands between here and the server, such as a proxy.",
        )

    def error(self, exc: AnswerError, doing: str) -> RotationError | TargetUnavailableError:
        """Return our error for what the server answered to the administrator while ``doing`` something."""
        if exc.code in _NO_STATE:
            return TargetUnavailableError(f"ClickHouse at {self.name} could not {doing}: code {exc.code}.")
        if exc.is_login_refusal:
            return RotationError(
                f"ClickHouse at {self.name} refuses the administrator (code {exc.code}).",
                hint="Correct admin_user, or the password in the secret that admin_secret names.",
            )
        hint = _HINTS.get(exc.code, f"Look up code {exc.code} in the server's log; its text is not shown here.")
        return RotationError(f"ClickHouse at {self.name} refused to {doing}: code {exc.code}.", hint=hint)

    def _connection(self) -> HTTPConnection:
        host = self._parts.hostname or ""
        if self._parts.scheme == "http":
            return HTTPConnection(host, self._port, timeout=TIMEOUT_SECONDS)
        return HTTPSConnection(host, self._port, timeout=TIMEOUT_SECONDS, context=self._tls)

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        try:
            return ssl.create_default_context(cafile=self._ca_file)
        except (OSError, ssl.SSLError):
            raise RotationError(
                f"'{self._ca_file}' is no file of certificates.", hint="Correct ca_file; it is a file in PEM format."
            ) from None

    def _path(self, settings: Mapping[str, str]) -> str:
        return (self._parts.path or "/") + (f"?{urlencode(settings)}" if settings else "")


def _parse(url: str) -> SplitResult:
    """Return the parts of an HTTP address.

    Raises:
        RotationError: It is none.
    """
    try:
        parts = urlsplit(url)
        if parts.scheme in ("http", "https") and parts.hostname and parts.port != 0:
            return parts
    except ValueError:
        pass  # a port or an address of IPv6 that is none
    raise RotationError(f"'{url}' is not the HTTP address of a server.", hint="Write it as in https://clickhouse:8443.")


def _reason(exc: OSError | HTTPException) -> str:
    """Return in words why there was no answer."""
    if isinstance(exc, ssl.SSLCertVerificationError):
        return f"was not spoken to: its certificate cannot be verified ({exc.verify_message})"
    return f"did not answer: {(isinstance(exc, OSError) and exc.strerror) or type(exc).__name__}"


def _headers(login: Credential) -> dict[str, str]:
    # SECURITY: a password in the URL would stand in the logs of every proxy and of the server.
    # Basic, because a header of its own takes no letters beyond Latin-1.
    pair = f"{login.username}:{login.password.reveal_text()}".encode()
    return {"Authorization": f"Basic {b64encode(pair).decode()}", "User-Agent": USER_AGENT}


def _code_of(response: HTTPResponse, body: bytes) -> int:
    """Return ClickHouse's code of the error; 0 when there is none, or somebody else answered."""
    if response.status == 200 and not response.headers.get("X-ClickHouse-Exception-Code"):
        return 0
    text = response.headers.get("X-ClickHouse-Exception-Code") or ""
    found = re.match(rb"Code: (\d{1,5})\b", body[:40])
    return int(text) if text.isdecimal() else int(found[1]) if found else 0
