"""A fake of Azure Key Vault's secrets on the wire: HTTPS, the vendor's paths, bodies and errors; one vault, in memory.

It is no Key Vault. It was written from the vendor's REST reference, its documented error bodies, and recorded answers
in the SDKs' own tests, and is held to them by ``tests/integration/test_azure_fake.py`` through the unmodified SDK::

    with FakeKeyVault(certificate) as vault:
        SecretClient(vault.url, credential, connection_verify=str(certificate.ca_file))
        vault.outage = True            # 503 to everything
        vault.allow("reader", "getSecret", secret="api-key")

Not there: keys, certificates, backup and restore, network rules, access policies, and the delay with which a
role assignment takes effect.
"""

from __future__ import annotations

import json
import re
import secrets
import ssl
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlencode, urlsplit

from tests.servers.certificate import Certificate

ALL_ACTIONS = frozenset({"getSecret", "readMetadata", "setSecret", "update", "delete", "purge", "recover"})
"""The data actions on secrets, short for ``Microsoft.KeyVault/vaults/secrets/ACTION/action``; delete has no ending."""

PAGE_COUNT = 25
TAGS_MAX, TAG_LENGTH_MAX, VALUE_BYTES_MAX = 15, 256, 25_600
_NAME = re.compile(r"[0-9a-zA-Z-]{1,127}", re.ASCII)
_RETENTION_SECONDS = 90 * 86_400
_NOT_FOUND = (
    "{} was not found in this key vault. If you recently deleted this secret you may be able to recover it using the "
    "correct recovery command. For help resolving this issue, please see https://go.microsoft.com/fwlink/?linkid=2125182"
)


class RefusalError(Exception):
    """An answer that is an error, with the vendor's codes."""

    def __init__(self, status: int, code: str, message: str, inner: str = "", headers: dict[str, str] | None = None):
        super().__init__(message)
        self.status = status
        self.headers = headers or {}
        self.body: dict[str, Any] = {"error": {"code": code, "message": message}}
        if inner:
            self.body["error"]["innererror"] = {"code": inner}


@dataclass
class Version:
    """One version of a secret, as the vault keeps it; times are whole seconds since 1970."""

    value: str
    content_type: str | None
    attributes: dict[str, Any]
    tags: dict[str, str] | None
    id: str = field(default_factory=lambda: secrets.token_hex(16))


@dataclass
class Secret:
    """All versions of one name, in the order in which they were written."""

    name: str
    versions: list[Version] = field(default_factory=list)

    def version(self, wanted: str) -> Version:
        if not wanted:
            return self.versions[-1]
        for version in self.versions:
            if version.id == wanted.lower():
                return version
        raise RefusalError(404, "SecretNotFound", _NOT_FOUND.format(f"A secret with (name/id) {self.name}/{wanted}"))


class FakeKeyVault:
    """The vault and its server; a test may look at and change everything here while it runs.

    Attributes:
        url: Where it is, ``https://127.0.0.1:PORT``.
        purge_protection: Whether deleted secrets can be purged by nobody.
        outage: While true, every request is answered with 503.
        requests: What arrived, as ``METHOD /path``, in order; those without a login too.
        roles: Data actions of each principal: of the whole vault under ``""``, of one secret under its name.
        expired: Principals whose login counts no more.
        throttled: How many requests from now on get 429.
        retry_after: What 429 says in ``Retry-After``, whole seconds.
        latency: How long every answer is held back, seconds.
        slow_deletes: How many looks at a secret that was just deleted, or is just purged, find it still under way.
        challenge_resource: What a challenge asks a token for, in place of the vault's parent domain.
        before: Called with ``METHOD /path`` before each request is handled, outside any lock.
    """

    def __init__(self, certificate: Certificate, *, port: int = 0) -> None:
        self.purge_protection = False
        self.outage = False
        self.requests: list[str] = []
        self.roles: dict[str, dict[str, frozenset[str]]] = {"officer": {"": ALL_ACTIONS}}
        self.expired: set[str] = set()
        self.throttled, self.retry_after, self.latency, self.slow_deletes = 0, 1, 0.0, 0
        self.challenge_resource = ""
        self.before: Callable[[str], object] | None = None
        self.secrets: dict[str, Secret] = {}
        self.deleted: dict[str, tuple[Secret, int]] = {}
        self._under_way: Counter[str] = Counter()
        self.lock = threading.RLock()
        self._server = _Server(("127.0.0.1", port), self, certificate.server_context())
        self.port = self._server.server_address[1]
        self.url = f"https://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop serving; connections that are open end."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def reset(self) -> None:
        """Be as if newly made, at the same place."""
        with self.lock:
            self.secrets.clear()
            self.deleted.clear()
            self._under_way.clear()
            self.requests.clear()
            self.expired.clear()
            self.roles = {"officer": {"": ALL_ACTIONS}}
            self.purge_protection = self.outage = False
            self.throttled, self.retry_after, self.latency, self.slow_deletes = 0, 1, 0.0, 0
            self.challenge_resource, self.before = "", None

    def allow(self, principal: str, *actions: str, secret: str = "") -> None:
        """Assign ``actions`` to ``principal``, on one secret or on the whole vault, in place of those before."""
        assert set(actions) <= ALL_ACTIONS, actions
        self.roles.setdefault(principal, {})[secret.lower()] = frozenset(actions)

    # what the handler calls: the same order of checks as the service has: load, login, permission, request

    def answer(self, method: str, url: str, base: str, token: str, body: dict[str, Any]) -> dict[str, Any] | None:
        """Return the body of the answer, or ``None`` for 204."""
        parts = urlsplit(url)
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        path = [part for part in parts.path.split("/") if part]
        with self.lock:
            self.requests.append(f"{method} {parts.path}")
            self._check_load()
            principal = self._principal(token, base)
            if "api-version" not in query:
                raise RefusalError(400, "BadParameter", "api-version must be specified")
            handle, action, name = self._route(method, path)
            self._authorize(principal, action, name)
            if name and _NAME.fullmatch(name) is None:
                raise RefusalError(400, "BadParameter", f"The request URI contains an invalid name: {name}")
            return handle(base, query, body)

    def _check_load(self) -> None:
        if self.outage:
            raise RefusalError(503, "ServiceUnavailable", "The service is temporarily unavailable.")
        if self.throttled > 0:
            self.throttled -= 1
            message = "Request was not processed because too many requests were received."
            raise RefusalError(429, "Throttled", message, headers={"Retry-After": str(self.retry_after)})

    def _principal(self, token: str, base: str) -> str:
        if token in self.roles and token not in self.expired:
            return token
        # The SDK insists that the resource is a parent domain of the vault; of 127.0.0.1:PORT that is 0.0.1:PORT.
        resource = self.challenge_resource or "https://" + urlsplit(base).netloc.partition(".")[2]
        challenge = f'Bearer authorization="https://login.microsoftonline.com/{"0" * 32}", resource="{resource}"'
        message = "AKV10000: Request is missing a Bearer or PoP token."
        if token:
            message = "[TokenExpired] Error validating token: 'S2S12086'."
        raise RefusalError(401, "Unauthorized", message, headers={"WWW-Authenticate": challenge})

    def _authorize(self, principal: str, action: str, name: str) -> None:
        roles = self.roles[principal]
        if action in roles.get("", ()) or (name and action in roles.get(name.lower(), ())):
            return
        full = f"Microsoft.KeyVault/vaults/secrets/{action}" + ("" if action == "delete" else "/action")
        message = (
            "Caller is not authorized to perform action on resource.\r\nIf role assignments, deny assignments or role "
            "definitions were changed recently, please observe propagation time.\r\n"
            f"Caller: appid={principal}\r\nAction: '{full}'\r\nResource: 'secrets/{name}'\r\n"
            "Assignment: (not found)\r\nDenyAssignmentId: null\r\nDecisionReason: null\r\n"
        )
        raise RefusalError(403, "Forbidden", message, "ForbiddenByRbac")

    def _route(self, method: str, path: list[str]) -> tuple[Callable[..., dict[str, Any] | None], str, str]:
        """Return what handles the request, the data action that it needs, and the secret's name."""
        collection, name, rest = (*path, "", "", "")[:3]
        found: tuple[Callable[..., dict[str, Any] | None], str] | None
        if collection == "secrets" and name:
            found = {
                "PUT": (self._set, "setSecret"),
                "PATCH": (self._update, "update"),
                "DELETE": (self._delete, "delete"),
                "GET": (self._versions, "readMetadata") if rest == "versions" else (self._get, "getSecret"),
            }.get(method)
        elif collection == "deletedsecrets" and name:
            found = {
                ("GET", ""): (self._get_deleted, "readMetadata"),
                ("DELETE", ""): (self._purge, "purge"),
                ("POST", "recover"): (self._recover, "recover"),
            }.get((method, rest))
        else:
            listed = {"secrets": self._list, "deletedsecrets": self._list_deleted}
            found = (listed[collection], "readMetadata") if method == "GET" and collection in listed else None
        if found is None:
            raise RefusalError(404, "NotFound", "The request URI names no resource of this service.")
        handle: Callable[..., dict[str, Any] | None] = found[0]
        action = found[1]
        if name:
            return lambda *others: handle(name, rest, *others), action, name
        return handle, action, ""

    # reading

    def _get(self, name: str, version: str, base: str, _query: object, _body: object) -> dict[str, Any]:
        secret = self._secret(name)
        found = secret.version(version)
        if not found.attributes["enabled"]:
            raise RefusalError(403, "Forbidden", "Operation get is not allowed on a disabled secret.", "SecretDisabled")
        return self._item(base, secret, found) | {"value": found.value}

    def _versions(self, name: str, _rest: str, base: str, query: dict[str, str], _body: object) -> dict[str, Any]:
        """Return a page of versions in the order of their ids; a name that is not there has none."""
        secret = self.secrets.get(name.lower()) or Secret(name)
        items = [self._item(base, secret, found) for found in sorted(secret.versions, key=lambda found: found.id)]
        return _page(items, f"{base}/secrets/{name}/versions", query)

    def _list(self, base: str, query: dict[str, str], _body: object) -> dict[str, Any]:
        found = [secret for _name, secret in sorted(self.secrets.items())]
        items = [self._item(base, secret, secret.versions[-1], with_version=False) for secret in found]
        return _page(items, f"{base}/secrets", query)

    def _item(self, base: str, secret: Secret, version: Version, *, with_version: bool = True) -> dict[str, Any]:
        level = "Recoverable" if self.purge_protection else "Recoverable+Purgeable"
        item: dict[str, Any] = {
            "id": f"{base}/secrets/{secret.name}" + (f"/{version.id}" if with_version else ""),
            "attributes": version.attributes | {"recoveryLevel": level, "recoverableDays": 90},
        }
        if version.tags is not None:
            item["tags"] = version.tags
        if version.content_type is not None:
            item["contentType"] = version.content_type
        return item

    # writing

    def _set(self, name: str, _rest: str, base: str, _query: object, body: dict[str, Any]) -> dict[str, Any]:
        key = name.lower()
        if self._still_under_way(key):
            words = f"Secret {name} is currently being deleted and cannot be re-created; retry later."
            raise RefusalError(409, "Conflict", words, "ObjectIsBeingDeleted")
        if key in self.deleted:
            words = (
                f"Secret {name} is currently in a deleted but recoverable state, and its name cannot be reused; in "
                "this state, the secret can only be recovered or purged."
            )
            raise RefusalError(409, "Conflict", words, "ObjectIsDeletedButRecoverable")
        value = body.get("value")
        if not isinstance(value, str) or len(value.encode("utf-8", "surrogatepass")) > VALUE_BYTES_MAX:
            raise RefusalError(400, "BadParameter", "Property has invalid value\r\n")
        now = int(time.time())
        attributes = _attributes(body) | {"created": now, "updated": now}
        version = Version(value, body.get("contentType"), {"enabled": True} | attributes, _tags(body))
        secret = self.secrets.setdefault(key, Secret(name))
        secret.versions.append(version)
        return self._item(base, secret, version) | {"value": value}

    def _update(self, name: str, rest: str, base: str, _query: object, body: dict[str, Any]) -> dict[str, Any]:
        secret = self._secret(name)
        version = secret.version(rest)
        if (tags := _tags(body)) is not None:
            version.tags = tags
        version.content_type = body.get("contentType", version.content_type)
        version.attributes |= _attributes(body) | {"updated": int(time.time())}
        return self._item(base, secret, version)

    # deleting

    def _delete(self, name: str, _rest: str, base: str, _query: object, _body: object) -> dict[str, Any]:
        secret = self._secret(name)
        self.deleted[name.lower()] = (self.secrets.pop(name.lower()), int(time.time()))
        self._under_way[name.lower()] = self.slow_deletes
        return self._deleted_item(base, secret)

    def _get_deleted(self, name: str, _rest: str, base: str, _query: object, _body: object) -> dict[str, Any]:
        if self._still_under_way(name.lower()):
            raise RefusalError(404, "SecretNotFound", _NOT_FOUND.format(f"Deleted Secret: {name}"))
        return self._deleted_item(base, self._deleted_secret(name))

    def _list_deleted(self, base: str, query: dict[str, str], _body: object) -> dict[str, Any]:
        items = [self._deleted_item(base, secret) for _name, (secret, _at) in sorted(self.deleted.items())]
        return _page(items, f"{base}/deletedsecrets", query)

    def _purge(self, name: str, _rest: str, _base: str, _query: object, _body: object) -> None:
        self._deleted_secret(name)
        if self.purge_protection:
            message = (
                'Operation "purge" is not allowed because purge protection is enabled for this vault. Key Vault '
                "service will automatically purge it after the retention period has passed.\r\n"
            )
            raise RefusalError(403, "Forbidden", message)
        del self.deleted[name.lower()]
        self._under_way[name.lower()] = self.slow_deletes

    def _recover(self, name: str, _rest: str, base: str, _query: object, _body: object) -> dict[str, Any]:
        secret = self._deleted_secret(name)
        del self.deleted[name.lower()]
        self.secrets[name.lower()] = secret
        return self._item(base, secret, secret.versions[-1])

    def _deleted_item(self, base: str, secret: Secret) -> dict[str, Any]:
        _secret, at = self.deleted[secret.name.lower()]
        return self._item(base, secret, secret.versions[-1]) | {
            "recoveryId": f"{base}/deletedsecrets/{secret.name}",
            "deletedDate": at,
            "scheduledPurgeDate": at + _RETENTION_SECONDS,
        }

    def _still_under_way(self, key: str) -> bool:
        under_way = self._under_way[key] > 0
        self._under_way[key] -= under_way
        return under_way

    def _secret(self, name: str) -> Secret:
        if name.lower() not in self.secrets:
            raise RefusalError(404, "SecretNotFound", _NOT_FOUND.format(f"A secret with (name/id) {name}"))
        return self.secrets[name.lower()]

    def _deleted_secret(self, name: str) -> Secret:
        if name.lower() not in self.deleted:
            raise RefusalError(404, "SecretNotFound", _NOT_FOUND.format(f"Deleted Secret: {name}"))
        return self.deleted[name.lower()][0]


def _attributes(body: dict[str, Any]) -> dict[str, Any]:
    """Return what a caller may set; ``nbf`` and ``exp`` are kept and shown, and hinder no read."""
    found = body.get("attributes") or {}
    return {key: found[key] for key in ("enabled", "nbf", "exp") if found.get(key) is not None}


def _tags(body: dict[str, Any]) -> dict[str, str] | None:
    """Return the tags, checked; those of a PATCH are in place of all before."""
    tags = body.get("tags")
    if tags is None:
        return None
    texts = [text for pair in tags.items() for text in pair]
    if len(tags) > TAGS_MAX or not all(isinstance(text, str) and len(text) <= TAG_LENGTH_MAX for text in texts):
        raise RefusalError(400, "BadParameter", "Property has invalid value\r\n")
    return dict(tags)


def _page(items: list[dict[str, Any]], url: str, query: dict[str, str]) -> dict[str, Any]:
    size = int(query.get("maxresults", PAGE_COUNT))
    if not 1 <= size <= PAGE_COUNT:
        raise RefusalError(400, "BadParameter", f"maxresults must be between 1 and {PAGE_COUNT}")
    start = int(query.get("$skiptoken", 0))
    link = None
    if start + size < len(items):
        again = {"api-version": query["api-version"], "$skiptoken": start + size, "maxresults": size}
        link = f"{url}?{urlencode(again)}"
    return {"value": items[start : start + size], "nextLink": link}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], vault: FakeKeyVault, context: ssl.SSLContext) -> None:
        self.vault = vault
        self._context = context
        super().__init__(address, _Handler)

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Speak TLS in the connection's own thread, so that a slow client holds up nobody."""
        with suppress(OSError), self._context.wrap_socket(request, server_side=True) as secured:
            super().finish_request(secured, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a client that went away; show what is a mistake of the fake."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # One write for an answer's head and body.
    server: _Server

    def _handle(self) -> None:
        vault = self.server.vault
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ").strip()
        status, headers, body = 200, {}, None
        if vault.before is not None:
            vault.before(f"{self.command} {urlsplit(self.path).path}")
        try:
            body = vault.answer(
                self.command, self.path, f"https://{self.headers['Host']}", token, json.loads(raw) if raw else {}
            )
            status = 204 if body is None else 200
        except RefusalError as refusal:
            status, headers, body = refusal.status, refusal.headers, refusal.body
        if vault.latency:
            time.sleep(vault.latency)
        self._send(status, headers, b"" if body is None else json.dumps(body).encode())

    do_GET = do_PUT = do_PATCH = do_POST = do_DELETE = _handle  # noqa: N815  # The server's own names.

    def _send(self, status: int, headers: dict[str, str], content: bytes) -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        if status != 204:
            self.send_header("Content-Type", "application/json; charset=utf-8")
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        self.wfile.flush()

    def log_message(self, *_: object) -> None:
        """Write no log of requests."""


def main(folder: str) -> None:
    """Serve in a process of its own until standard input ends, with the certificate in ``folder``; print the port.

    Each line of input is a latency in seconds, and is answered by how many requests came since the last one.
    """
    with FakeKeyVault(Certificate.load(folder)) as vault:
        print(vault.port, flush=True)
        for line in sys.stdin:
            vault.latency = float(line)
            print(len(vault.requests), flush=True)
            vault.requests.clear()


if __name__ == "__main__":
    main(sys.argv[1])
