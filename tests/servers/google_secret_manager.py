"""A fake of Google Secret Manager on the wire: a real gRPC server made of the SDK's own messages.

It is a fake: nobody but us wrote it, and it was never compared with the service itself. It was written against the
messages and comments of ``google-cloud-secret-manager`` 2.32, the error texts that people quote in public issues
(``Secret Version [...] is in DISABLED state.``), and Google's pages on etags, aliases, filters, IAM and quotas. What
is an assumption of ours is marked ``Assumed:``.

Any client connects to it in the clear. A request without a token is made by the project's owner; the bearer token of
the others is the name of a member (``user:reader@example.com``), or a JWT that a service account signed for itself::

    with FakeSecretManager() as fake:
        fake.grant("user:reader@example.com", "roles/secretmanager.secretAccessor", "vantage_api-key")
        client = plain_client(fake.address, token="user:reader@example.com")

Run as a program it serves until its input ends, and prints its address first.
"""

from __future__ import annotations

import base64
import json
import re
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NoReturn, Self

import google_crc32c
import grpc
from google.cloud.secretmanager_v1.types import resources, service
from google.iam.v1 import iam_policy_pb2, policy_pb2
from google.protobuf import empty_pb2
from grpc import StatusCode

PROJECT: Final = "vantage-test"
PROJECT_NUMBER: Final = "731402665918"
PAYLOAD_BYTES_MAX: Final = 64 << 10
ANNOTATION_BYTES_MAX: Final = 16 << 10
ALIASES_MAX: Final = 50
LABELS_MAX: Final = 64
PAGE_MAX: Final = 25_000

_SERVICE = "google.cloud.secretmanager.v1.SecretManagerService"
_RESOURCE = re.compile(
    r"projects/(?P<project>[^/]+)(?:/locations/(?P<location>[^/]+))?(?:/secrets/(?P<secret>[\w-]{1,255}))?"
    r"(?:/versions/(?P<version>[\w-]+))?",
    re.ASCII,
)
_LABEL = re.compile(r"[a-z][a-z0-9_-]{0,62}", re.ASCII)
_LABEL_VALUE = re.compile(r"[a-z0-9_-]{0,63}", re.ASCII)
_ANNOTATION = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?", re.ASCII)
_ALIAS = re.compile(r"[A-Za-z][\w-]{0,62}", re.ASCII)
_MUTABLE = {"labels", "annotations", "version_aliases", "ttl", "expire_time", "topics", "version_destroy_ttl"}
_STATE = resources.SecretVersion.State
_ENABLED: Any = _STATE.ENABLED
_DISABLED: Any = _STATE.DISABLED
_DESTROYED: Any = _STATE.DESTROYED

_SECRETS = {
    f"secretmanager.secrets.{verb}"
    for verb in ["create", "delete", "get", "getIamPolicy", "list", "setIamPolicy", "update"]
}
_VERSIONS = {
    f"secretmanager.versions.{verb}" for verb in ("access", "add", "destroy", "disable", "enable", "get", "list")
}
ROLES: Final[dict[str, set[str]]] = {
    "roles/owner": _SECRETS | _VERSIONS,
    "roles/secretmanager.admin": _SECRETS | _VERSIONS,
    "roles/secretmanager.secretAccessor": {"secretmanager.versions.access"},
    "roles/secretmanager.secretVersionAdder": {"secretmanager.versions.add"},
    "roles/secretmanager.secretVersionManager": _VERSIONS - {"secretmanager.versions.access"},
    "roles/secretmanager.viewer": {
        *("secretmanager.secrets.get", "secretmanager.secrets.list", "secretmanager.secrets.getIamPolicy"),
        *("secretmanager.versions.get", "secretmanager.versions.list"),
    },
}
"""What the predefined roles hold, as Google's page of roles lists it, as far as this service is concerned."""

_PERMISSIONS = {
    **{f"{verb}Secret": f"secretmanager.secrets.{verb.lower()}" for verb in ("Create", "Get", "Update", "Delete")},
    **{
        f"{verb}SecretVersion": f"secretmanager.versions.{verb.lower()}"
        for verb in ("Add", "Get", "Access", "Disable", "Enable", "Destroy")
    },
    "ListSecrets": "secretmanager.secrets.list",
    "ListSecretVersions": "secretmanager.versions.list",
    "GetIamPolicy": "secretmanager.secrets.getIamPolicy",
    "SetIamPolicy": "secretmanager.secrets.setIamPolicy",
    "TestIamPermissions": "",
}


class _RefusedError(Exception):
    def __init__(self, code: StatusCode, words: str) -> None:
        super().__init__(words)
        self.code = code


@dataclass
class _Version:
    about: resources.SecretVersion
    payload: bytes | None


@dataclass
class _Secret:
    about: resources.Secret
    versions: list[_Version] = field(default_factory=list)
    policy: policy_pb2.Policy = field(default_factory=policy_pb2.Policy)


@dataclass(frozen=True)
class _Place:
    """What a resource name says."""

    location: str
    secret: str
    version: str


class FakeSecretManager:
    """The server, and the switches that tests turn.

    Attributes:
        address: Where it listens, ``127.0.0.1:PORT``.
        etag_code: What an etag that is not the current one is answered with; Google's pages name both codes.
        outage: While set, every call is answered with this code.
        latency: How long every answer takes at least, seconds.
        throttled: Method -> how many of its next calls are answered with ``RESOURCE_EXHAUSTED``.
        denied: Permissions that nobody has while they are in here.
        expired: Tokens that are no longer good.
        calls: How often each method was called, refused calls included.
        before: Called with method and request before each call, outside the lock.
        roles: Role -> permissions; a test adds its own.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._methods = self._handlers()
        self.reset()
        self._server = grpc.server(ThreadPoolExecutor(32), options=[("grpc.so_reuseport", 0)])
        handlers = {name: self._rpc(name, *method) for name, method in self._methods.items()}
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(_SERVICE, handlers),))
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()

    def reset(self) -> None:
        """Forget every secret, and turn every switch back."""
        with self._lock:
            self._secrets: dict[tuple[str, str], _Secret] = {}
            self._policy = policy_pb2.Policy()
            self._serial = 0
            self.etag_code = StatusCode.FAILED_PRECONDITION
            self.outage: StatusCode | None = None
            self.latency = 0.0
            self.throttled: Counter[str] = Counter()
            self.denied: set[str] = set()
            self.expired: set[str] = set()
            self.calls: Counter[str] = Counter()
            self.before: Callable[[str, Any], object] | None = None
            self.roles = {role: {*permissions} for role, permissions in ROLES.items()}

    def grant(self, member: str, role: str, secret: str = "") -> None:
        """Bind ``role`` to ``member``, on one secret or on the whole project."""
        with self._lock:
            policy = self._secrets["", secret].policy if secret else self._policy
            policy.bindings.append(policy_pb2.Binding(role=role, members=[member]))

    def close(self) -> None:
        """Stop; calls under way are cut."""
        self._server.stop(None).wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # the wire

    def _handlers(self) -> dict[str, tuple[Callable[..., Any], Any, Any]]:
        secret, version = resources.Secret, resources.SecretVersion
        iam = iam_policy_pb2
        acts: dict[str, tuple[Callable[..., Any], Any]] = {
            "CreateSecret": (self._create, secret),
            "GetSecret": (self._get, secret),
            "UpdateSecret": (self._update, secret),
            "DeleteSecret": (self._delete, empty_pb2.Empty),
            "ListSecrets": (self._list, service.ListSecretsResponse),
            "AddSecretVersion": (self._add, version),
            "GetSecretVersion": (self._get_version, version),
            "AccessSecretVersion": (self._access, service.AccessSecretVersionResponse),
            "ListSecretVersions": (self._list_versions, service.ListSecretVersionsResponse),
            **{f"{verb}SecretVersion": (self._change_state, version) for verb in ("Enable", "Disable", "Destroy")},
            "GetIamPolicy": (self._get_policy, policy_pb2.Policy),
            "SetIamPolicy": (self._set_policy, policy_pb2.Policy),
            "TestIamPermissions": (self._test_permissions, iam.TestIamPermissionsResponse),
        }
        return {
            name: (act, getattr(iam if "Iam" in name else service, f"{name}Request"), answer)
            for name, (act, answer) in acts.items()
        }

    def _rpc(self, name: str, act: Callable[..., Any], asked: Any, answered: Any) -> grpc.RpcMethodHandler:
        serialize = getattr(answered, "serialize", None) or answered.SerializeToString

        def answer(request: Any, context: grpc.ServicerContext) -> Any:
            if self.before is not None:
                self.before(name, request)
            if self.latency:
                time.sleep(self.latency)
            try:
                with self._lock:
                    member = self._member(name, dict(context.invocation_metadata()))
                    place = _place(_name_in(request))
                    self._check_permission(member, _PERMISSIONS[name], place, _name_in(request))
                    return serialize(act(request, place, member if name == "TestIamPermissions" else name))
            except _RefusedError as exc:
                context.abort(exc.code, str(exc))

        return grpc.unary_unary_rpc_method_handler(
            answer,
            request_deserializer=getattr(asked, "deserialize", None) or asked.FromString,
            response_serializer=None,  # The answer is made into bytes under the lock.
        )

    def _member(self, name: str, metadata: dict[str, Any]) -> str:
        """Count the call, and return who makes it; empty for the owner."""
        self.calls[name] += 1
        if self.outage is not None:
            _refuse(self.outage, "The service is currently unavailable.")
        token = str(metadata.get("authorization", "")).removeprefix("Bearer ")
        if token in self.expired and token:
            _refuse(StatusCode.UNAUTHENTICATED, "Request had invalid authentication credentials.")
        if self.throttled[name] > 0:
            self.throttled[name] -= 1
            _refuse(StatusCode.RESOURCE_EXHAUSTED, "Quota exceeded for quota metric of this service.")
        if token.count(".") == 2 and "@" not in token:
            claims = token.split(".")[1]
            return f"serviceAccount:{json.loads(base64.urlsafe_b64decode(claims + '=' * (-len(claims) % 4)))['sub']}"
        return token

    def _check_permission(self, member: str, permission: str, place: _Place, resource: str) -> None:
        if permission and permission not in self._allowed(member, place):
            _refuse(
                StatusCode.PERMISSION_DENIED,
                f"Permission '{permission}' denied for resource '{resource}' (or it may not exist).",
            )

    def _allowed(self, member: str, place: _Place) -> set[str]:
        if not member:
            return self.roles["roles/owner"] - self.denied
        secret = self._secrets.get((place.location, place.secret))
        bindings = [*self._policy.bindings, *(secret.policy.bindings if secret else ())]
        held = (self.roles.get(binding.role, set()) for binding in bindings if member in binding.members)
        return set().union(*held) - self.denied

    # secrets

    def _create(self, request: Any, place: _Place, _name: str) -> resources.Secret:
        key = (place.location, request.secret_id)
        if re.fullmatch(r"[\w-]{1,255}", request.secret_id, re.ASCII) is None:
            _refuse(StatusCode.INVALID_ARGUMENT, "The secret_id does not match [[a-zA-Z_0-9]+].")
        if key in self._live():
            _refuse(StatusCode.ALREADY_EXISTS, f"Secret [{_spelled(*key)}] already exists.")
        about = resources.Secret(request.secret)
        has_replication = "automatic" in about.replication or bool(about.replication.user_managed.replicas)
        if has_replication == bool(place.location):
            _refuse(StatusCode.INVALID_ARGUMENT, "Secret.replication is required here, or forbidden (regional).")
        if about.version_aliases:
            _refuse(StatusCode.INVALID_ARGUMENT, "A secret without versions has no aliases.")
        _check_metadata(about)
        about.name, about.create_time, about.etag = _spelled(*key), self._now(), self._etag()
        _start_to_live(about, about.create_time)
        self._secrets[key] = _Secret(about)
        return about

    def _get(self, _request: Any, place: _Place, _name: str) -> resources.Secret:
        return self._secret(place).about

    def _update(self, request: Any, place: _Place, _name: str) -> resources.Secret:
        secret = self._secret(place)
        paths = set(request.update_mask.paths)
        if not paths or paths - _MUTABLE:
            _refuse(StatusCode.INVALID_ARGUMENT, "The update_mask is empty, or names what cannot be changed.")
        self._check_etag(request.secret.etag, secret.about.etag)
        changed = resources.Secret(secret.about)
        for path in paths:
            setattr(changed, path, getattr(request.secret, path))
        _check_metadata(changed)
        known = {int(version.about.name.rpartition("/")[2]) for version in secret.versions}
        if {*changed.version_aliases.values()} - known:  # Assumed: an alias cannot name a version that never was.
            _refuse(StatusCode.INVALID_ARGUMENT, "A version alias names a version that does not exist.")
        changed.etag = self._etag()
        _start_to_live(changed, self._now())
        secret.about = changed
        return changed

    def _delete(self, request: Any, place: _Place, _name: str) -> empty_pb2.Empty:
        self._check_etag(request.etag, self._secret(place).about.etag)
        del self._secrets[place.location, place.secret]
        return empty_pb2.Empty()

    def _list(self, request: Any, place: _Place, _name: str) -> service.ListSecretsResponse:
        found = [one.about for key, one in self._live().items() if key[0] == place.location]
        page, token, count = _paged([one for one in reversed(found) if _fits(one, request.filter)], request)
        return service.ListSecretsResponse(secrets=page, next_page_token=token, total_size=count)

    # versions

    def _add(self, request: Any, place: _Place, _name: str) -> resources.SecretVersion:
        secret, payload = self._secret(place), request.payload
        if not payload.data or len(payload.data) > PAYLOAD_BYTES_MAX:
            _refuse(StatusCode.INVALID_ARGUMENT, "The payload must have 1 to 65536 bytes.")
        sent = "data_crc32c" in payload
        if sent and payload.data_crc32c != google_crc32c.value(payload.data):
            _refuse(StatusCode.INVALID_ARGUMENT, "The checksum of the payload does not match.")
        about = resources.SecretVersion(
            name=f"{secret.about.name}/versions/{len(secret.versions) + 1}",
            create_time=self._now(),
            state=_ENABLED,
            etag=self._etag(),
            client_specified_payload_checksum=sent,
        )
        secret.versions.append(_Version(about, payload.data))
        return about

    def _get_version(self, _request: Any, place: _Place, _name: str) -> resources.SecretVersion:
        return self._version(place).about

    def _access(self, _request: Any, place: _Place, _name: str) -> service.AccessSecretVersionResponse:
        version = self._version(place)
        if version.about.state != _ENABLED or version.payload is None:
            state = _STATE(version.about.state).name
            _refuse(StatusCode.FAILED_PRECONDITION, f"Secret Version [{version.about.name}] is in {state} state.")
        payload = {"data": version.payload, "data_crc32c": google_crc32c.value(version.payload)}
        return service.AccessSecretVersionResponse(name=version.about.name, payload=payload)

    def _list_versions(self, request: Any, place: _Place, _name: str) -> service.ListSecretVersionsResponse:
        found = [one.about for one in reversed(self._secret(place).versions) if _fits(one.about, request.filter)]
        page, token, count = _paged(found, request)
        return service.ListSecretVersionsResponse(versions=page, next_page_token=token, total_size=count)

    def _change_state(self, request: Any, place: _Place, name: str) -> resources.SecretVersion:
        version, about = self._version(place), self._version(place).about
        if about.state == _DESTROYED:
            _refuse(StatusCode.FAILED_PRECONDITION, f"Secret Version [{about.name}] is in DESTROYED state.")
        self._check_etag(request.etag, about.etag)
        about.etag = self._etag()
        about.state = {"EnableSecretVersion": _ENABLED, "DisableSecretVersion": _DISABLED}.get(name, _DESTROYED)
        delay = self._secret(place).about.version_destroy_ttl
        if about.state == _DESTROYED and delay:
            about.state, about.scheduled_destroy_time = _DISABLED, self._now() + delay
        elif about.state == _DESTROYED:
            about.destroy_time, version.payload = self._now(), None
        return about

    # access

    def _get_policy(self, _request: Any, place: _Place, _name: str) -> policy_pb2.Policy:
        return self._secret(place).policy

    def _set_policy(self, request: Any, place: _Place, _name: str) -> policy_pb2.Policy:
        secret = self._secret(place)
        secret.policy = policy_pb2.Policy()
        secret.policy.CopyFrom(request.policy)
        return secret.policy

    def _test_permissions(self, request: Any, place: _Place, member: str) -> iam_policy_pb2.TestIamPermissionsResponse:
        allowed = self._allowed(member, place)
        return iam_policy_pb2.TestIamPermissionsResponse(
            permissions=[one for one in request.permissions if one in allowed]
        )

    # what all need

    def _live(self) -> dict[tuple[str, str], _Secret]:
        """Return the secrets that are there, without those whose time to live is over."""
        now = self._now()
        for key in [
            key for key, one in self._secrets.items() if one.about.expire_time and one.about.expire_time <= now
        ]:
            del self._secrets[key]
        return self._secrets

    def _secret(self, place: _Place) -> _Secret:
        found = self._live().get((place.location, place.secret))
        if found is None:
            _refuse(StatusCode.NOT_FOUND, f"Secret [{_spelled(place.location, place.secret)}] not found.")
        return found

    def _version(self, place: _Place) -> _Version:
        secret = self._secret(place)
        number = secret.about.version_aliases.get(place.version) or 0
        if place.version == "latest":
            number = len(secret.versions)  # The newest that was created, whatever became of it.
        elif place.version.isdecimal():
            number = int(place.version)
        if not 0 < number <= len(secret.versions):  # Assumed: an unknown alias is answered as an unknown number is.
            _refuse(StatusCode.NOT_FOUND, f"Secret Version [{secret.about.name}/versions/{place.version}] not found.")
        return secret.versions[number - 1]

    def _check_etag(self, given: str, current: str) -> None:
        if given and given != current:
            _refuse(self.etag_code, "The etag that was given does not match the current one.")

    def _etag(self) -> str:
        self._serial += 1
        return f'"{self._serial:016x}"'

    def _now(self) -> datetime:
        return datetime.now(UTC)


def _name_in(request: Any) -> str:
    for attribute in ("name", "parent", "resource"):
        if name := getattr(request, attribute, ""):
            return str(name)
    return str(request.secret.name)


def _place(name: str) -> _Place:
    found = _RESOURCE.fullmatch(name)
    if found is None:
        _refuse(StatusCode.INVALID_ARGUMENT, f"The resource name '{name}' is malformed.")
    if found["project"] not in (PROJECT, PROJECT_NUMBER):
        _refuse(StatusCode.PERMISSION_DENIED, f"Permission denied on resource project {found['project']}.")
    return _Place(found["location"] or "", found["secret"] or "", found["version"] or "")


def _spelled(location: str, secret: str) -> str:
    """Return a secret's full name, which has the project's number whatever the request had."""
    return f"projects/{PROJECT_NUMBER}{f'/locations/{location}' if location else ''}/secrets/{secret}"


def _refuse(code: StatusCode, words: str) -> NoReturn:
    raise _RefusedError(code, words)


def _check_metadata(about: resources.Secret) -> None:
    labels_fit = all(_LABEL.fullmatch(key) and _LABEL_VALUE.fullmatch(text) for key, text in about.labels.items())
    if len(about.labels) > LABELS_MAX or not labels_fit:
        _refuse(StatusCode.INVALID_ARGUMENT, "A label does not conform.")
    size = sum(len(key.encode()) + len(text.encode()) for key, text in about.annotations.items())
    if size >= ANNOTATION_BYTES_MAX or not all(_ANNOTATION.fullmatch(key) for key in about.annotations):
        _refuse(StatusCode.INVALID_ARGUMENT, "An annotation does not conform, or all together are too large.")
    reserved = {"latest", "new"} & {alias.lower() for alias in about.version_aliases}
    if len(about.version_aliases) > ALIASES_MAX or reserved or not all(map(_ALIAS.fullmatch, about.version_aliases)):
        _refuse(StatusCode.INVALID_ARGUMENT, "A version alias does not conform, or there are too many.")


def _start_to_live(about: resources.Secret, now: datetime) -> None:
    if about.ttl:
        lifetime: timedelta = about.ttl
        about.expire_time = now + lifetime


def _fits(about: Any, wanted: str) -> bool:
    """Return whether a secret or a version fits a filter; of the language it knows ``AND``, ``=`` and ``:``."""
    for term in filter(None, wanted.split(" AND ")):
        found = re.fullmatch(r"(labels\.([\w-]+)|name|state)([=:])([\w-]*)", term.strip(), re.ASCII)
        if found is None:
            _refuse(StatusCode.INVALID_ARGUMENT, "The filter cannot be understood.")
        subject, label, operator, text = found.groups()
        value = about.labels.get(label) if label else str(about.name)
        if subject == "state":
            value = _STATE(about.state).name
        if value is None or not (value == text if operator == "=" else text in value):
            return False
    return True


def _paged(found: list[Any], request: Any) -> tuple[list[Any], str, int]:
    if request.page_size < 0:
        _refuse(StatusCode.INVALID_ARGUMENT, "The page_size is negative.")
    start = int(request.page_token or 0)
    end = start + min(request.page_size or PAGE_MAX, PAGE_MAX)
    return found[start:end], str(end) if end < len(found) else "", 0 if request.filter else len(found)


if __name__ == "__main__":
    with FakeSecretManager() as served:
        served.latency = float(sys.argv[1]) if len(sys.argv) > 1 else 0.0
        print(served.address, flush=True)
        sys.stdin.read()
