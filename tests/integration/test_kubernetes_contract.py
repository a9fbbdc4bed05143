"""The store in a Kubernetes Secret keeps the contract, against a real API server."""

from __future__ import annotations

import base64
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from kubernetes import client

from tests.canary import canary
from tests.servers.kube import KubeServer
from vantage_secrets.secret import SecretName
from vantage_secrets.stores.contract import Store
from vantage_secrets.stores.kubernetes.place import Place
from vantage_secrets.testing import StoreContract, StoreOutageContract

pytest_plugins = ["tests.servers.kube_fixtures"]
pytestmark = pytest.mark.xdist_group("kubernetes")


class TestKubernetesStore(StoreContract):
    @pytest.fixture
    def store(self, kube: KubeServer, kube_place: Place) -> Iterator[Store]:
        with kube.open(kube_place) as store:
            yield store

    @pytest.fixture
    def other_store(self, store: Store, kube: KubeServer, kube_place: Place) -> Iterator[Store]:
        with kube.open(kube_place) as other:
            yield other

    @pytest.fixture
    def vendor_current(
        self, store: Store, kube_place: Place, kube_vendor: client.CoreV1Api
    ) -> Callable[[SecretName], object]:
        def read(name: SecretName) -> object:
            data = kube_vendor.read_namespaced_secret(kube_place.secret, kube_place.namespace).data
            key = str(name).replace("/", ".")
            return base64.b64decode(data[key]).decode() if key in data else None

        return read

    @pytest.fixture
    def make_value(self) -> Callable[[], str]:
        return canary


class TestKubernetesStoreThatDoesNotAnswer(StoreOutageContract):
    """Nothing listens where the kubeconfig says that the API server is."""

    @pytest.fixture
    def unreachable_store(self, kube: KubeServer, tmp_path: Path) -> Iterator[Store]:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))  # Bound and not listening: connections are refused.
            login = kube.login(tmp_path / "kubeconfig", server=f"https://127.0.0.1:{taken.getsockname()[1]}")
            with kube.open(Place("default", "vantage"), login, timeout="1s") as store:
                yield store
