"""Files in which clients of container registries and of Kubernetes keep their logins, and Kubernetes' own Secrets."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from vantage_secrets.leaks.credential_files.contract import Entry, Field, Parser
from vantage_secrets.leaks.credential_files.plausibility import decoded, is_value, keyed
from vantage_secrets.leaks.credential_files.shapes.json_text import json_entries
from vantage_secrets.leaks.credential_files.shapes.yaml_text import yaml_entries

_DOCKER_KINDS = {
    b"auth": "docker-registry-auth",
    b"password": "docker-registry-auth",
    b"identitytoken": "docker-identity-token",
    b"registrytoken": "docker-identity-token",
}
_PACKED = (b".dockerconfigjson", b".dockercfg")
_PUBLIC_DATA = re.compile(
    rb"(?i)(?:user(?:[-_]?name)?(?:_in|_out)?|account[-_]?name|host(?:[-_]?name)?|port|namespace|region|bucket"
    rb"|database|db[-_]?name|email|(?:tls|ca)\.crt)\Z"
)
"""Keys of a Secret that, by Kubernetes' own types or by habit, hold what is no secret."""

_KIND_SECRET = re.compile(rb"""kind["']?[ \t]*+:[ \t]*+["']?Secret\b""")
_ADDRESS = re.compile(rb"(?i)(?:url|uri|address|endpoint|servers?)\Z")
"""Keys whose value is a secret only when it has a login in it."""

_KUBE_KINDS = {
    b"token": "kubeconfig-token",
    b"id-token": "kubeconfig-token",
    b"refresh-token": "kubeconfig-token",
    b"access-token": "kubeconfig-token",
    b"client-secret": "kubeconfig-token",
    b"client-key-data": "kubeconfig-client-key",
    b"password": "kubeconfig-password",
}


def docker_config(data: bytes) -> Iterator[Field]:
    """Find the logins that a Docker or Podman ``config.json`` holds under ``auths``."""
    yield from _registry_logins(data, (entry for entry in json_entries(data) if b"auths" in entry.path))


def dockercfg(data: bytes) -> Iterator[Field]:
    """Find the logins of an old ``.dockercfg``, whose registries stand at the top."""
    yield from _registry_logins(data, (entry for entry in json_entries(data) if entry.path))


def _registry_logins(data: bytes, entries: Iterable[Entry]) -> Iterator[Field]:
    for _path, key, begin, end in entries:
        value, kind = data[begin:end], _DOCKER_KINDS.get(key)
        if kind is None or not is_value(value):
            continue
        user, _colon, password = decoded(value).partition(b":")
        if key != b"auth" or (user and is_value(password.strip(b"\0"))):
            yield Field(kind, begin, end)


def auth_json(data: bytes) -> Iterator[Field]:
    """Find the logins of an ``auth.json``: Podman's and Composer's have the same name."""
    from vantage_secrets.leaks.credential_files.packages import composer

    yield from docker_config(data) if b'"auths"' in data else composer(data)


def kubernetes_yaml(data: bytes) -> Iterator[Field]:
    """Find the values of each ``kind: Secret`` in a YAML manifest."""
    yield from _secret_values(data, yaml_entries(data))


def kubernetes_json(data: bytes) -> Iterator[Field]:
    """Find the values of each ``"kind": "Secret"`` in a JSON manifest."""
    yield from _secret_values(data, json_entries(data))


def _secret_values(data: bytes, entries: Iterable[Entry]) -> Iterator[Field]:
    """Yield the values of all Secrets among ``entries``, whose ``kind`` may stand before or behind them."""
    secrets: set[tuple[bytes, ...]] = set()
    held: list[Entry] = []
    for entry in entries:
        if entry.key == b"kind" and data[entry.begin : entry.end] == b"Secret":
            secrets.add(entry.path)
        elif entry.path and entry.path[-1] in (b"data", b"stringData"):
            held.append(entry)
    for entry in held:
        if entry.path[:-1] in secrets and not _PUBLIC_DATA.search(entry.key):
            value = data[entry.begin : entry.end]
            text = decoded(value) if entry.path[-1] == b"data" else value
            is_open = _ADDRESS.search(entry.key) and b"@" not in text
            if is_value(value) and is_value(text) and not is_open:
                kind = "kubernetes-docker-config" if entry.key in _PACKED else "kubernetes-secret"
                yield Field(kind, entry.begin, entry.end)


def kubeconfig(data: bytes) -> Iterator[Field]:
    """Find the tokens, keys and passwords of a kubeconfig, be it YAML or JSON."""
    entries = json_entries(data) if data.lstrip().startswith(b"{") else yaml_entries(data)
    for path, key, begin, end in entries:
        kind = _KUBE_KINDS.get(key)
        if kind and b"users" in path and is_value(data[begin:end]):
            yield Field(kind, begin, end)


def yaml_of_any_name(data: bytes) -> Iterator[Field]:
    """Find what YAML of any name holds that tells its format by its contents: Secrets and kubeconfigs."""
    if _KIND_SECRET.search(data):
        yield from kubernetes_yaml(data)
    if b"kind: Config" in data and b"current-context" in data:
        yield from kubeconfig(data)


def json_of_any_name(data: bytes) -> Iterator[Field]:
    """Find what JSON of any name holds that tells its format by its contents."""
    from vantage_secrets.leaks.credential_files import api_clients, cloud_clients

    if _KIND_SECRET.search(data):
        yield from kubernetes_json(data)
    if b'"auths"' in data:
        yield from docker_config(data)
    if b'"service_account"' in data or b'"authorized_user"' in data:
        yield from cloud_clients.google(data)
    if b'"_postman_variable_scope"' in data:
        yield from api_clients.postman(data)
    if b'"__export_format"' in data:
        yield from api_clients.insomnia(data)


helm_repositories: Parser = keyed(yaml_entries, {b"password": "helm-repository-password"})
