"""Ways to log in to the server: token, AppRole, Kubernetes."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

from vantage_secrets.errors import InsecurePermissionsError, StoreAccessDeniedError
from vantage_secrets.stores.vault.errors import Failure, as_error, attempt

KUBERNETES_TOKEN: Final = "/var/run/secrets/kubernetes.io/serviceaccount/token"  # noqa: S105  # A path.
"""Where Kubernetes puts a pod's own token."""


@dataclass(frozen=True, slots=True)
class Lease:
    """A token and how long it lasts.

    Attributes:
        token: For the server.
        seconds: How long it lasts from now on; 0 where it does not end, or nobody knows.
        renewable: Whether it can be renewed.
    """

    token: str = field(repr=False)
    seconds: float = 0.0
    renewable: bool = False


class Login(Protocol):
    """A way to a token."""

    words: str
    """Which way, for messages: ``AppRole``."""

    def __call__(self, client: Any) -> Lease:
        """Return a token that works now.

        Raises:
            StoreAccessDeniedError: The server refuses, or what is needed to log in is not there.
            InsecurePermissionsError: A file with a secret may be read by others.
            StoreUnavailableError: The server does not answer.
        """


class TokenLogin:
    """Takes a token that somebody else got; read anew at each login, because an agent may have replaced it.

    Args:
        read: Returns it.
        source: Where it comes from, for messages.
    """

    def __init__(self, read: Callable[[], str], source: str) -> None:
        """Keep them."""
        self._read = read
        self.words = f"token from {source}"

    def __call__(self, client: Any) -> Lease:
        """Return the token, with what the server tells of it; see :class:`Login`."""
        token = self._read()
        answer = attempt(lambda: _asked(client, token).get("/v1/auth/token/lookup-self"))
        if isinstance(answer, Failure):
            if answer.status in (401, 403):
                return Lease(token)  # Ended, or a policy without lookup-self: the call that is to come will tell.
            raise as_error(answer, address=client.url, doing="tell about our token")
        return Lease(token, answer["data"]["ttl"], answer["data"]["renewable"])


class AppRoleLogin:
    """Logs in with a role id and a secret id, both from files.

    Args:
        role_id_file: File with the role id.
        secret_id_file: File with the secret id, or with the token that wraps it.
        wrapped: Whether it is wrapped; it is unwrapped once and then kept in memory for further logins.
        mount: Where AppRole is mounted.
    """

    words = "AppRole"

    def __init__(self, role_id_file: Path, secret_id_file: Path, *, wrapped: bool, mount: str) -> None:
        """Keep them; nothing is read before the first login."""
        self._role_id_file = role_id_file
        self._secret_id_file = secret_id_file
        self._wrapped = wrapped
        self._mount = mount
        self._secret_id = ""

    def __call__(self, client: Any) -> Lease:
        """Log in; see :class:`Login`."""
        secret_id = self._secret_id or read_private(self._secret_id_file)
        if self._wrapped and not self._secret_id:
            secret_id = self._secret_id = self._unwrap(client, secret_id)
        body = {"role_id": _read(self._role_id_file), "secret_id": secret_id}
        return _logged_in(client, self._mount, body, self.words)

    def _unwrap(self, client: Any, token: str) -> str:
        """Return the secret id that ``token`` wraps.

        SECURITY: first the server is asked who wrapped it, so that a token put there by somebody else is not
        opened; and a token that was opened already means that somebody else has the secret id.
        """
        body = {"token": token}
        found = attempt(lambda: _asked(client, "").post("/v1/sys/wrapping/lookup", json=body))
        path = found["data"]["creation_path"] if not isinstance(found, Failure) else ""
        opened: Any = None
        if re.fullmatch(rf"auth/{re.escape(self._mount)}/role/[^/]+/secret-id", path):
            opened = attempt(lambda: _asked(client, token).post("/v1/sys/wrapping/unwrap", json={}))
        failure = next((one for one in (opened, found) if isinstance(one, Failure)), None)
        if failure is not None and failure.status not in (400, 403, 404):
            raise as_error(failure, address=client.url, doing="unwrap the secret id")
        if opened is None or isinstance(opened, Failure):
            raise StoreAccessDeniedError(
                f"{self._secret_id_file} holds no wrapped secret id of '{self._mount}' that can still be opened.",
                hint="Have a new one wrapped. If none of you opened this one, somebody else did: destroy it.",
            )
        return str(opened["data"]["secret_id"])


class KubernetesLogin:
    """Logs in with a pod's service account.

    Args:
        role: The role at the server.
        jwt_file: File with the service account's token; read anew at each login, because Kubernetes replaces it.
        mount: Where the method is mounted.
    """

    words = "Kubernetes"

    def __init__(self, role: str, jwt_file: Path, *, mount: str) -> None:
        """Keep them; nothing is read before the first login."""
        self._role = role
        self._jwt_file = jwt_file
        self._mount = mount

    def __call__(self, client: Any) -> Lease:
        """Log in; see :class:`Login`."""
        return _logged_in(client, self._mount, {"role": self._role, "jwt": _read(self._jwt_file)}, self.words)


def login_named_by(options: Mapping[str, str], environ: Mapping[str, str] = os.environ) -> Login:
    """Return the way to log in that ``options`` name, or the environment, or ``~/.vault-token``.

    Raises:
        StoreAccessDeniedError: There is none.
    """
    if "role_id_file" in options or "secret_id_file" in options:
        return AppRoleLogin(
            Path(options.get("role_id_file", "")),
            Path(options.get("secret_id_file", "")),
            wrapped=options.get("secret_id_wrapped", "off") == "on",
            mount=options.get("auth_mount", "approle"),
        )
    if "kubernetes_role" in options:
        jwt_file = Path(options.get("jwt_file", KUBERNETES_TOKEN))
        return KubernetesLogin(options["kubernetes_role"], jwt_file, mount=options.get("auth_mount", "kubernetes"))
    if "token_file" in options:
        file = Path(options["token_file"])
        return TokenLogin(lambda: read_private(file), str(file))
    variable = next((one for one in ("VAULT_TOKEN", "BAO_TOKEN") if environ.get(one)), None)
    if variable is not None:
        return TokenLogin(lambda: environ[variable].strip(), variable)
    file = Path(environ.get("HOME", "/nowhere"), ".vault-token")
    if file.is_file():
        return TokenLogin(lambda: read_private(file), str(file))
    raise StoreAccessDeniedError(
        "Nothing says how to log in.",
        hint="Set VAULT_TOKEN, run 'vault login', or give role_id_file and secret_id_file, or kubernetes_role.",
    )


def read_private(path: Path) -> str:
    """Return the contents of a file that holds a secret.

    Raises:
        InsecurePermissionsError: Everybody may read it. The group may: agents and Kubernetes hand files over so.
        StoreAccessDeniedError: It cannot be read, or there is nothing in it.
    """
    text = _read(path)
    if path.stat().st_mode & 0o007:
        raise InsecurePermissionsError(
            f"Everybody on this machine may use {path}.",
            hint=f"Run 'chmod 600 {path}' (in Kubernetes: defaultMode: 0400) and replace what it holds.",
        )
    return text


def _read(path: Path) -> str:
    try:
        text = path.read_text().strip()
    except (OSError, UnicodeDecodeError):
        text = ""
    if not text:
        raise StoreAccessDeniedError(
            f"What is needed to log in cannot be read from '{path}'.", hint="Check the path, and who may read the file."
        )
    return text


def _asked(client: Any, token: str) -> Any:
    """Return an adapter like the client's, with another token: to ask without being logged in."""
    adapter = type(client.adapter).from_adapter(client.adapter)
    adapter.token = token
    return adapter


def _logged_in(client: Any, mount: str, body: dict[str, str], words: str) -> Lease:
    answer = attempt(lambda: _asked(client, "").post(f"/v1/auth/{mount}/login", json=body))
    if isinstance(answer, Failure):
        if answer.status in (400, 401, 403, 404):
            raise StoreAccessDeniedError(
                f"{client.url} refuses the login by {words} at 'auth/{mount}'.",
                hint="Check the role, that what it logs in with is not used up, and the method's mount (auth_mount).",
            )
        raise as_error(answer, address=client.url, doing=f"log in by {words}")
    auth = answer["auth"]
    return Lease(auth["client_token"], auth["lease_duration"], auth["renewable"])
