"""What works at the server, what is missing, and the next command: for a person, without changing anything."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from vantage_secrets.errors import StoreAccessDeniedError, StoreUnavailableError, VantageSecretsError
from vantage_secrets.stores.contract import Examination, Health
from vantage_secrets.stores.vault.connection import Connection
from vantage_secrets.stores.vault.errors import UNSEAL
from vantage_secrets.stores.vault.writing import PENDING_MARK

_NEEDED: Final[dict[str, dict[tuple[str, str], set[str]]]] = {
    "read": {("data", ""): {"read"}},
    "list": {("metadata", ""): {"list"}},
    "describe": {("metadata", ""): {"read"}, ("data", PENDING_MARK): {"read"}},
    "write": {
        ("data", ""): {"read", "create", "update", "patch"},
        ("data", PENDING_MARK): {"read", "create", "update"},
        ("metadata", ""): {"read", "create", "patch", "delete"},
        ("metadata", PENDING_MARK): {"delete"},
        ("destroy", ""): {"update"},
        ("destroy", PENDING_MARK): {"update"},
    },
}
"""What each kind of verb needs, by the kind of path and what stands behind the name."""


def examine(connection: Connection, folder: str) -> Iterator[Examination]:
    """Yield how server, login, engine, permissions and settings stand; end where the rest depends on what is broken.

    Permissions are asked for and not tried (``sys/capabilities-self``), so that nothing is written.
    """
    for look in (_server, _transport, _login, _engine, _permissions, _settings):
        found: list[Examination] = []
        try:
            found += look(connection, folder)
        except VantageSecretsError as exc:
            found.append(Examination(look.__name__.strip("_"), Health.BROKEN, exc.message, exc.hint))
        yield from found
        if any(one.health is Health.BROKEN for one in found):
            return


def _server(connection: Connection, _folder: str) -> Iterator[Examination]:
    health = connection.health()
    if health.get("sealed"):
        raise StoreUnavailableError("The server is sealed.", hint=UNSEAL)
    yield Examination("server", Health.WORKS, f"{connection.address} answers, version {health.get('version', '?')}.")


def _transport(connection: Connection, _folder: str) -> Iterator[Examination]:
    if connection.address.startswith("https:"):
        yield Examination("TLS", Health.WORKS, "The connection is encrypted, and the server's certificate is verified.")
    else:
        yield Examination(
            "TLS",
            Health.WARNING,
            "The connection is not encrypted; it does not leave this machine.",
            "Leave out tls=off for any server but one for trying things out.",
        )


def _login(connection: Connection, _folder: str) -> Iterator[Examination]:
    way = connection.login_words
    try:
        answer = connection.ask("get", "/v1/auth/token/lookup-self") or {}
    except StoreAccessDeniedError:
        hint = "Log in anew; if the token is good, give its policy 'read' on \"auth/token/lookup-self\"."
        yield Examination("login", Health.BROKEN, f"The server does not know our login ({way}), or does not say.", hint)
        return
    token = answer["data"]
    policies = ", ".join(token["policies"])
    if "root" in token["policies"]:
        words = f"Logged in ({way}) as root, who may do everything."
        yield Examination("login", Health.WARNING, words, "Make a policy and an AppRole; see docs/stores/vault.md.")
    elif token["ttl"] and not token["renewable"] and token["type"] == "service" and way.startswith("token"):
        words = f"Logged in ({way}) with {policies}; the token ends in {token['ttl']} s and cannot be renewed."
        yield Examination("login", Health.WARNING, words, "Use AppRole or Kubernetes, which log in anew by themselves.")
    else:
        yield Examination("login", Health.WORKS, f"Logged in ({way}) with the policies {policies}.")


def _engine(connection: Connection, _folder: str) -> Iterator[Examination]:
    mount = connection.mount
    try:
        answer = connection.ask("get", f"/v1/sys/internal/ui/mounts/{mount}") or {}
    except StoreAccessDeniedError:
        words = f"There is no engine at '{mount}', or nothing in it is ours to see."
        yield Examination("engine", Health.BROKEN, words, f"vault secrets enable -path={mount} -version=2 kv")
        return
    engine = answer["data"]
    version = (engine.get("options") or {}).get("version", "1")
    if (engine["type"], version) == ("kv", "2"):
        yield Examination("engine", Health.WORKS, f"There is a KV engine of version 2 at '{mount}'.")
    else:
        words = f"The engine at '{mount}' is {engine['type']} of version {version}; KV of version 2 is needed."
        command = f"vault secrets enable -path={mount}-2 -version=2 kv"
        if engine["type"] == "kv":
            command = f"vault kv enable-versioning {mount}"
        yield Examination("engine", Health.BROKEN, words, command)


def _permissions(connection: Connection, folder: str) -> Iterator[Examination]:
    """Ask about a name that nobody has: policies for a folder hold for it, those for single secrets cannot be told."""
    paths = {
        (kind, mark): f"{connection.mount}/{kind}/{folder}examination{mark}"
        for needs in _NEEDED.values()
        for kind, mark in needs
    }
    answer = connection.ask("post", "/v1/sys/capabilities-self", {"paths": sorted({*paths.values()})}) or {}
    given = {key: {*answer["data"].get(path, ())} for key, path in paths.items()}
    for verb, needs in _NEEDED.items():
        lacks: dict[str, set[str]] = {}
        for (kind, mark), need in needs.items():
            missing = set() if "root" in given[kind, mark] else need - given[kind, mark]
            lacks.setdefault(kind, set()).update(missing)
        lines = [_line(f"{connection.mount}/{kind}/{folder}", words) for kind, words in lacks.items() if words]
        part = f"permission to {verb}"
        if lines:
            words = f"With this login we cannot {verb} every secret here."
            yield Examination(part, Health.MISSING, words, f"Add to its policy: {' '.join(lines)}")
        else:
            yield Examination(part, Health.WORKS, f"With this login we can {verb} every secret here.")


def _line(path: str, lacks: set[str]) -> str:
    words = ", ".join(f'"{word}"' for word in sorted(lacks))
    return f'path "{path}*" {{ capabilities = [{words}] }}'


def _settings(connection: Connection, _folder: str) -> Iterator[Examination]:
    try:
        answer = connection.ask("get", f"/v1/{connection.mount}/config") or {}
    except StoreAccessDeniedError:
        words = "The engine's settings are not ours to read; each path is given room for its versions as it is written."
        yield Examination("settings", Health.WORKS, words)
        return
    settings: dict[str, Any] = answer["data"]
    trouble = _trouble_with(settings, connection.mount)
    if trouble:
        yield Examination("settings", Health.WARNING, *trouble)
    else:
        yield Examination("settings", Health.WORKS, "Versions are kept until they are retired.")


def _trouble_with(settings: dict[str, Any], mount: str) -> tuple[str, str] | None:
    if settings.get("delete_version_after", "0s") != "0s":
        words = (
            f"The engine deletes every version {settings['delete_version_after']} after it was written, in use or not."
        )
        return words, f"vault write {mount}/config delete_version_after=0s"
    if settings.get("metadata_cas_required"):
        words = "The engine takes metadata only with check-and-set, which this release does not send: promotions fail."
        return words, f"bao write {mount}/config metadata_cas_required=false"
    return None
