"""Opening a store by its URL: where the server is, how to reach it, how to log in."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import unquote, urlsplit

from vantage_secrets.clock import Clock, parse_duration, utc_now
from vantage_secrets.errors import InvalidInputError, InvalidURLError, MissingExtraError
from vantage_secrets.stores.vault.connection import Connection
from vantage_secrets.stores.vault.login import login_named_by
from vantage_secrets.stores.vault.session import Session
from vantage_secrets.stores.vault.store import READERS_COUNT, VaultStore

if TYPE_CHECKING:
    from urllib3.connectionpool import ConnectionPool
    from urllib3.response import BaseHTTPResponse

OPTIONS: Final = frozenset(
    {"namespace", "ca_file", "tls", "timeout", "token_file", "role_id_file", "secret_id_file", "secret_id_wrapped"}
    | {"kubernetes_role", "jwt_file", "auth_mount"}
)
DEFAULT_PORT: Final = 8200
CONNECT_SECONDS: Final = 3.0
TIMEOUT: Final = "10s"
"""How long a call waits for its answer, after connecting."""

BACKOFF_SECONDS: Final = 0.2
"""Before the second retry twice this long, before the third four times, each with as much jitter again."""

_CA_VARIABLES: Final = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")  # As requests looks for them.
_SWITCHES: Final = ("tls", "secret_id_wrapped")
_SEGMENT: Final = re.compile(r"[A-Za-z0-9._-]+")
_BUSY_STATUSES: Final = (412, 429, 502, 503)  # Not yet replicated, rate limit, gateway, sealed or starting.


@dataclass(frozen=True, slots=True)
class Place:
    """Where a store is.

    Attributes:
        address: The server, as ``https://vault.example:8200``.
        url: The store, without options.
        mount: Where the KV engine is mounted.
        folder: Where the secrets stand in the engine, with a slash behind it; empty for all of it.
    """

    address: str
    url: str
    mount: str
    folder: str


def open_vault(
    url: str,
    *,
    environment: str,
    options: Mapping[str, str],
    prompt: Callable[[], str] | None = None,  # noqa: ARG001  # Nothing is asked of a person.
    clock: Clock = utc_now,
) -> VaultStore:
    """Return the store that ``url`` names; nothing is sent before its first call.

    Args:
        url: ``vault://HOST:PORT/MOUNT/PATH``; the port is 8200 where none is given, the path may be empty, and a
            slash in the mount is written ``%2F``.
        environment: Which environment's secrets may be written, such as ``production``.
        options: ``namespace``; ``ca_file`` (a PEM file, else ``VAULT_CACERT`` or ``BAO_CACERT``); ``tls`` (``off`` for
            a server on this machine); ``timeout`` (for an answer, such as ``10s``). For the login one of
            ``token_file``; ``role_id_file``, ``secret_id_file`` and ``secret_id_wrapped`` (``on``);
            ``kubernetes_role`` and ``jwt_file``; and ``auth_mount`` where the method is mounted elsewhere. Without
            any: ``VAULT_TOKEN``, ``BAO_TOKEN``, ``~/.vault-token``.
        prompt: Not used.
        clock: Tells the time that versions bear.

    Raises:
        InvalidURLError: The URL names no server and mount, or asks for no TLS to another machine.
        InvalidInputError: There is an option that this store does not have, a switch that is neither on nor off, or
            no certificate where ``ca_file`` says.
        MissingExtraError: hvac is not installed.
        StoreAccessDeniedError: Nothing says how to log in.
    """
    _check(options)
    ca_file = options.get("ca_file") or os.environ.get("VAULT_CACERT") or os.environ.get("BAO_CACERT")
    if ca_file and not Path(ca_file).is_file():
        raise InvalidInputError(
            f"There is no file '{ca_file}' with a certificate.", hint="Check ca_file or VAULT_CACERT."
        )
    place = place_in(url, tls=options.get("tls", "on") == "on")
    login = login_named_by(options)
    client = _client(place, options, ca_file)
    connection = Connection(client, Session(client, login), address=place.address, mount=place.mount, clock=clock)
    return VaultStore(connection, url=place.url, folder=place.folder, environment=environment, clock=clock)


def place_in(url: str, *, tls: bool = True) -> Place:
    """Return the place that ``url`` names.

    Raises:
        InvalidURLError: It names none; or ``tls`` is off and the host is not this machine.
    """
    malformed = InvalidURLError(
        "The URL names no server and mount.", hint="Write it as vault://vault.example:8200/secret/vantage."
    )
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or DEFAULT_PORT
    except ValueError:
        raise malformed from None
    segments = [unquote(segment) for segment in parts.path.strip("/").split("/")]
    words = [word for segment in segments for word in segment.split("/")]
    if parts.scheme != "vault" or not host or parts.username is not None or not all(map(_SEGMENT.fullmatch, words)):
        raise malformed
    if not tls and not _is_here(host):
        # SECURITY: without TLS everybody on the way reads the token and every value.
        raise InvalidURLError(
            f"Without TLS only a server on this machine is spoken to, not '{host}'.",
            hint="Leave out tls=off, and name a private authority's certificate with ca_file.",
        )
    netloc = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    address = f"{'https' if tls else 'http'}://{netloc}"
    folder = "".join(f"{segment}/" for segment in segments[1:])
    return Place(address, f"vault://{netloc}{parts.path.rstrip('/')}", segments[0], folder)


def _is_here(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _check(options: Mapping[str, str]) -> None:
    unknown = sorted(set(options) - OPTIONS)
    if unknown:
        raise InvalidInputError(
            f"A store of 'vault:' has no option '{unknown[0]}'.", hint=f"Use one of: {', '.join(sorted(OPTIONS))}."
        )
    for switch in _SWITCHES:
        if options.get(switch, "on") not in ("on", "off"):
            raise InvalidInputError(f"The option '{switch}' is 'on' or 'off'.")


def _client(place: Place, options: Mapping[str, str], ca_file: str | None) -> Any:
    """Return the SDK's client, with retries that end."""
    try:
        import hvac
        import requests
        from requests.adapters import HTTPAdapter
    except ModuleNotFoundError as exc:
        if exc.name is None or exc.name.partition(".")[0] not in ("hvac", "requests"):
            raise
        raise MissingExtraError("hvac", "vault") from None
    session = requests.Session()
    # The environment's proxies and certificates are looked up once, not for every call; and SECURITY: no ~/.netrc.
    session.trust_env = False
    session.proxies = requests.utils.get_environ_proxies(place.address)
    session.verify = ca_file or next((os.environ[one] for one in _CA_VARIABLES if os.environ.get(one)), True)
    adapter = HTTPAdapter(pool_connections=1, pool_maxsize=READERS_COUNT, max_retries=_retries())
    session.mount(place.address, adapter)
    timeout = (CONNECT_SECONDS, parse_duration(options.get("timeout", TIMEOUT)).total_seconds())
    return hvac.Client(
        url=place.address,
        token="",
        session=session,
        timeout=timeout,
        namespace=options.get("namespace"),
        allow_redirects=False,
    )


def _retries() -> Any:
    """Return when the SDK's transport tries again: bounded, so that with the time limits an outage is known in 15 s.

    Every call of ours may be repeated: what changes something does so by check-and-set, or does not mind being done
    twice. A server that took a request and says nothing has had its time and is not asked again.
    """
    from urllib3.exceptions import ReadTimeoutError
    from urllib3.util import Retry

    class Retries(Retry):
        """Retries, but not after silence."""

        def increment(
            self,
            method: str | None = None,
            url: str | None = None,
            response: BaseHTTPResponse | None = None,
            error: Exception | None = None,
            _pool: ConnectionPool | None = None,
            _stacktrace: TracebackType | None = None,
        ) -> Self:
            """Return what is left to try, or raise when nothing is."""
            if isinstance(error, ReadTimeoutError):
                raise error
            return super().increment(method, url, response, error, _pool, _stacktrace)

    return Retries(
        total=3,
        connect=1,
        read=1,
        other=0,
        status=3,
        allowed_methods=None,
        status_forcelist=_BUSY_STATUSES,
        backoff_factor=BACKOFF_SECONDS,
        backoff_jitter=BACKOFF_SECONDS,
        # A server under a rate limit may ask for more patience than a caller has; it gets StoreBusyError instead.
        respect_retry_after_header=False,
        raise_on_status=False,
    )
