"""Opening Google Secret Manager by its URL: options, credentials, connection."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from vantage_secrets.clock import parse_duration
from vantage_secrets.errors import InvalidInputError, StoreAccessDeniedError, StoreError
from vantage_secrets.stores.gcp.calls import Calls
from vantage_secrets.stores.gcp.errors import LOGIN_HINT, LOGIN_REFUSED, missing_extra, translated
from vantage_secrets.stores.gcp.place import parse_url
from vantage_secrets.stores.gcp.store import GoogleStore

_OPTIONS: Final = frozenset({"endpoint", "location", "kms_key", "replication", "timeout"})
_LOOPBACK: Final = re.compile(r"(?:127(?:\.\d{1,3}){3}|localhost|\[::1\]):\d{1,5}", re.ASCII)
_ENDPOINT: Final = re.compile(r"[a-z0-9-]+(?:\.[a-z0-9-]+)*:\d{1,5}", re.ASCII)
_KMS_KEY: Final = re.compile(r"projects/[^/]+/locations/[^/]+/keyRings/[^/]+/cryptoKeys/[^/]+", re.ASCII)
_TIMEOUT: Final = "10s"

# gRPC waits up to 120 s between its tries to connect anew; a store that is back must be found sooner.
_CHANNEL_OPTIONS: Final = (
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 3_000),  # How long one try to connect may take.
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.max_receive_message_length", -1),
)


def open_gcp(
    url: str,
    *,
    environment: str,
    options: Mapping[str, str],
    prompt: Callable[[], str] | None = None,  # noqa: ARG001  # Application Default Credentials ask nobody.
) -> GoogleStore:
    """Return Google Secret Manager as a store. Nothing is sent yet.

    Credentials are Google's Application Default Credentials: ``GOOGLE_APPLICATION_CREDENTIALS``, the login of
    ``gcloud auth application-default login``, or the workload's own service account, in this order.

    Args:
        url: ``gcp://PROJECT``, or ``gcp://PROJECT/PREFIX``, where PREFIX stands before ``_`` in every secret's id.
        environment: Which environment's secrets it holds, such as ``production``; a label and an annotation say so.
        options: ``endpoint`` (``HOST:PORT``; in the clear and without login where HOST is a loopback address),
            ``location`` (for regional secrets, such as ``europe-west3``), ``replication`` of new global secrets
            (``automatic``, or ``user-managed:europe-west3,europe-west1``), ``kms_key`` for new secrets (its full
            name), ``timeout`` of one call with all its tries (such as ``10s``).
        prompt: Not used.

    Raises:
        InvalidURLError: The URL names no project.
        InvalidInputError: There is an option that this store does not have, or one cannot be understood.
        MissingExtraError: The SDK is not installed.
        StoreAccessDeniedError: There are no credentials.
    """
    unknown = sorted(set(options) - _OPTIONS)
    if unknown:
        raise InvalidInputError(
            f"Google Secret Manager has no option '{unknown[0]}'.", hint=f"Use one of: {', '.join(sorted(_OPTIONS))}."
        )
    place = parse_url(url, options.get("location", ""))
    timeout = parse_duration(options.get("timeout", _TIMEOUT)).total_seconds()
    if timeout <= 0:
        raise InvalidInputError("A timeout of 0 leaves no time to answer.", hint="Use one such as 10s.")
    template = _template(place.location, options.get("replication", ""), options.get("kms_key", ""))
    endpoint = _endpoint(options.get("endpoint", ""), place.location)
    try:
        credentials = None if _LOOPBACK.fullmatch(endpoint) else default_credentials()
        calls = connect(endpoint, credentials, timeout)
    except ModuleNotFoundError as exc:
        raise missing_extra(exc) from None
    return GoogleStore(place, calls, environment=environment, template=template, endpoint=endpoint)


def default_credentials() -> Any:
    """Return Google's Application Default Credentials.

    Raises:
        StoreAccessDeniedError: There are none, or they cannot be read.
    """
    from google import auth
    from google.auth.exceptions import GoogleAuthError

    failure: StoreError
    try:
        credentials, _project = auth.default(scopes=["https://www.googleapis.com/auth/cloud-platform"])
    except GoogleAuthError as exc:
        failure = translated(exc, "looking for credentials")
    else:
        return credentials
    raise StoreAccessDeniedError("There are no credentials for Google here.", hint=LOGIN_HINT) from failure


def connect(endpoint: str, credentials: Any, timeout: float) -> Calls:
    """Return the calls, on a channel of our own.

    Args:
        endpoint: ``HOST:PORT``; a loopback address is spoken to in the clear.
        credentials: Of google-auth; ``None`` to send none.
        timeout: How long one call may take, seconds.
    """
    import logging

    import grpc
    from google.cloud.secretmanager_v1 import SecretManagerServiceClient
    from google.cloud.secretmanager_v1.services.secret_manager_service.transports import (
        SecretManagerServiceGrpcTransport as Transport,
    )

    logging.getLogger(Transport.__module__).addFilter(_drop)
    secure = grpc.local_channel_credentials() if _LOOPBACK.fullmatch(endpoint) else grpc.ssl_channel_credentials()
    if credentials is not None:
        secure = grpc.composite_channel_credentials(secure, grpc.metadata_call_credentials(_login(credentials)))
    channel = grpc.secure_channel(endpoint, secure, options=_CHANNEL_OPTIONS)
    return Calls(SecretManagerServiceClient(transport=Transport(channel=channel)), timeout)


def _login(credentials: Any) -> Callable[[Any, Any], None]:
    """Return what gRPC calls for the headers of each request."""
    from google.auth.exceptions import RefreshError
    from google.auth.transport.grpc import AuthMetadataPlugin
    from google.auth.transport.requests import Request

    if hasattr(credentials, "with_always_use_jwt_access"):
        credentials = credentials.with_always_use_jwt_access(True)  # A key signs its own tokens: no server is asked.
    plugin = AuthMetadataPlugin(  # type: ignore[no-untyped-call]
        credentials, Request(), default_host="secretmanager.googleapis.com"
    )

    def add_headers(context: Any, callback: Any) -> None:
        try:
            plugin(context, callback)
        except RefreshError as exc:
            if exc.retryable:
                raise
            # gRPC makes an outage of every exception here, and keeps its words alone; these are looked for.
            raise RefreshError(LOGIN_REFUSED) from None  # type: ignore[no-untyped-call]

    return add_headers


def _drop(_record: object) -> bool:
    """Let no log record through.

    SECURITY: where a program logs at DEBUG, the SDK's transport attaches every request and every answer to its log
    records, payloads and access tokens included, and structured loggers write them out. A filter stays when logging
    is configured anew; a level does not.
    """
    return False


def _endpoint(given: str, location: str) -> str:
    if not given:
        return f"secretmanager.{location}.rep.googleapis.com:443" if location else "secretmanager.googleapis.com:443"
    if _LOOPBACK.fullmatch(given) is None and _ENDPOINT.fullmatch(given) is None:
        raise InvalidInputError(f"'{given}' is no endpoint.", hint="Use HOST:PORT.")
    return given


def _template(location: str, replication: str, kms_key: str) -> dict[str, Any]:
    """Return what every new secret begins with: where its copies are, and which key encrypts them."""
    if kms_key and _KMS_KEY.fullmatch(kms_key) is None:
        raise InvalidInputError(
            f"'{kms_key}' is no key.", hint="Use projects/P/locations/L/keyRings/R/cryptoKeys/K, without a version."
        )
    encryption = {"customer_managed_encryption": {"kms_key_name": kms_key}} if kms_key else {}
    if location:
        if replication:
            raise InvalidInputError("A regional secret is not replicated.", hint="Leave 'replication' out.")
        return encryption
    kind, _colon, places = replication.partition(":")
    if kind in ("", "automatic") and not places:
        return {"replication": {"automatic": encryption}}
    found = [one.strip() for one in places.split(",")]
    if kind != "user-managed" or not all(found):
        raise InvalidInputError(
            f"'{replication}' is no replication.", hint="Use automatic, or user-managed:europe-west3,europe-west1."
        )
    if kms_key and len(found) > 1:
        raise InvalidInputError(
            "One key cannot encrypt copies in several locations: each needs a key of its own location.",
            hint="Name one location, use automatic with a global key, or leave 'kms_key' out.",
        )
    return {"replication": {"user_managed": {"replicas": [{"location": one, **encryption} for one in found]}}}
