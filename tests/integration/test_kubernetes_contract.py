"""The store in a Kubernetes Secret keeps the contract, against a real API server."""

from __future__ import annotations

import base64
import logging
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from kubernetes import client

from tests.canary import canary
from tests.servers.kube import KubeServer, kube  # noqa: F401  # pytest finds the fixture here.
from vantage_secrets.secret import SecretName
from vantage_secrets.stores.contract import Store
from vantage_secrets.stores.kubernetes import open_kubernetes
from vantage_secrets.testing import StoreContract, StoreOutageContract

pytestmark = pytest.mark.xdist_group("kubernetes")


class TestKubernetesStore(StoreContract):
    @pytest.fixture
    def place(self, kube: KubeServer) -> str:  # noqa: F811
        return f"kubernetes://{kube.namespace()}/vantage"

    @pytest.fixture
    def store(self, kube: KubeServer, place: str) -> Iterator[Store]:  # noqa: F811
        with open_kubernetes(place, environment="test", options={"kubeconfig": str(kube.kubeconfig)}) as store:
            yield store

    @pytest.fixture
    def other_store(self, store: Store, kube: KubeServer) -> Iterator[Store]:  # noqa: F811
        with open_kubernetes(store.url, environment="test", options={"kubeconfig": str(kube.kubeconfig)}) as other:
            yield other

    @pytest.fixture
    def vendor_current(
        self,
        store: Store,
        place: str,
        kube: KubeServer,  # noqa: F811
        caplog: pytest.LogCaptureFixture,
    ) -> Iterator[Callable[[SecretName], object]]:
        """The vendor's own call; its debug log shows whole answers, which is not ours to judge."""
        caplog.set_level(logging.INFO, "kubernetes.client.rest")
        namespace, secret = place.removeprefix("kubernetes://").split("/")
        with kube.admin() as api:

            def read(name: SecretName) -> object:
                data = client.CoreV1Api(api).read_namespaced_secret(secret, namespace).data
                key = str(name).replace("/", ".")
                return base64.b64decode(data[key]).decode() if key in data else None

            yield read

    @pytest.fixture
    def make_value(self) -> Callable[[], str]:
        return canary


class TestKubernetesStoreThatDoesNotAnswer(StoreOutageContract):
    """Nothing listens where the kubeconfig says that the API server is."""

    @pytest.fixture
    def unreachable_store(self, kube: KubeServer, tmp_path: Path) -> Iterator[Store]:  # noqa: F811
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))  # Bound and not listening: connections are refused.
            login = kube.login(tmp_path / "kubeconfig", server=f"https://127.0.0.1:{taken.getsockname()[1]}")
            options = {"kubeconfig": str(login), "timeout": "1s"}
            with open_kubernetes("kubernetes://default/vantage", environment="test", options=options) as store:
                yield store
