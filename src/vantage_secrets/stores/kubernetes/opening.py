"""Opening a store by its URL: which object, and with which login."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from vantage_secrets.clock import Clock, parse_duration, utc_now
from vantage_secrets.errors import InvalidInputError, MissingExtraError, StoreAccessDeniedError
from vantage_secrets.stores.kubernetes.place import place_in

if TYPE_CHECKING:
    from vantage_secrets.stores.kubernetes.store import KubernetesStore

_OPTIONS: Final = frozenset({"kubeconfig", "context", "timeout"})
_TIMEOUT: Final = "15s"
_DEFAULT_KUBECONFIG: Final = "~/.kube/config"


class Login(NamedTuple):
    """Where the credentials come from.

    Attributes:
        kubeconfig: Path of a kubeconfig, or several joined by ``:``; empty for the pod's service account.
        context: Which of its contexts; empty for its current one.
    """

    kubeconfig: str
    context: str

    def __str__(self) -> str:
        if not self.kubeconfig:
            return "the pod's service account"
        return f"the kubeconfig {self.kubeconfig}" + (f", context '{self.context}'" if self.context else "")

    def client(self) -> Any:
        """Return a client with the credentials as they are now.

        Raises:
            StoreAccessDeniedError: They cannot be read.
        """
        config: Any = importlib.import_module("kubernetes.config")
        sdk: Any = importlib.import_module("kubernetes.client")
        settings = sdk.Configuration()
        settings.retries = False  # Ours have a bound for all of them together; see Connection.
        # SECURITY: what fails is not repeated in words, because YAML's errors quote lines, and those hold tokens.
        with suppress(Exception):
            if self.kubeconfig:
                config.load_kube_config(self.kubeconfig, self.context or None, client_configuration=settings)
            else:
                config.incluster_config.InClusterConfigLoader(
                    token_filename=config.incluster_config.SERVICE_TOKEN_FILENAME,
                    cert_filename=config.incluster_config.SERVICE_CERT_FILENAME,
                ).load_and_set(settings)
            return sdk.ApiClient(settings)
        raise StoreAccessDeniedError(
            f"The login for Kubernetes cannot be read from {self}.",
            hint="Check it with 'kubectl auth whoami', or name another file behind the URL: ?kubeconfig=PATH",
        )


def open_kubernetes(
    url: str,
    *,
    environment: str,
    options: Mapping[str, str],
    prompt: Callable[[], str] | None = None,  # noqa: ARG001  # No vendor's store asks for a passphrase.
    clock: Clock = utc_now,
) -> KubernetesStore:
    """Return the store in one Secret object of a cluster. Nothing is asked of the cluster yet.

    The login is the kubeconfig that is named, else the one of ``KUBECONFIG``, else ``~/.kube/config`` where that
    exists, else the service account of the pod that this runs in.

    Args:
        url: ``kubernetes://NAMESPACE/SECRET``.
        environment: Which environment's secrets it must hold, such as ``production``.
        options: ``kubeconfig`` (a path), ``context`` (one of its contexts), ``timeout`` (how long a verb may take
            with all repetitions, such as ``15s``).
        prompt: Not used.
        clock: Tells the time that versions bear.

    Raises:
        InvalidURLError: The URL names no Secret.
        InvalidInputError: There is an option that this store does not have.
        MissingExtraError: The package ``kubernetes`` is not installed.
        StoreAccessDeniedError: There is no login, or it cannot be read.
    """
    unknown = sorted(set(options) - _OPTIONS)
    if unknown:
        raise InvalidInputError(
            f"The Kubernetes store has no option '{unknown[0]}'.", hint=f"Use one of: {', '.join(sorted(_OPTIONS))}."
        )
    place = place_in(url)
    seconds = parse_duration(options.get("timeout", _TIMEOUT)).total_seconds()
    if seconds <= 0:
        raise InvalidInputError("The option 'timeout' must be longer than nothing.", hint=f"Write it as {_TIMEOUT}.")
    try:
        import kubernetes  # noqa: F401
    except ImportError:
        raise MissingExtraError("kubernetes", "kubernetes") from None
    from vantage_secrets.stores.kubernetes.connection import Connection
    from vantage_secrets.stores.kubernetes.store import KubernetesStore

    login = _login(options)
    connection = Connection(login.client, place, seconds)
    return KubernetesStore(connection, login=str(login), environment=environment, clock=clock)


def _login(options: Mapping[str, str]) -> Login:
    """Return where the credentials are, in the order in which kubectl looks."""
    context = options.get("context", "")
    kubeconfig = options.get("kubeconfig") or os.environ.get("KUBECONFIG", "")
    is_pod = "KUBERNETES_SERVICE_HOST" in os.environ and not Path(_DEFAULT_KUBECONFIG).expanduser().exists()
    if is_pod and not kubeconfig and not context:
        return Login("", "")
    return Login(kubeconfig or _DEFAULT_KUBECONFIG, context)
