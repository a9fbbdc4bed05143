"""Fixtures around a real Kubernetes API server; a plugin, so that all test modules of a process share the server."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from kubernetes import client

from tests.servers.cutting_proxy import CuttingProxy
from tests.servers.kube import KubeServer
from vantage_secrets.stores.kubernetes import KubernetesStore
from vantage_secrets.stores.kubernetes.place import Place


@pytest.fixture(scope="session")
def kube(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubeServer]:
    """The API server of this test process, started by the first test that asks."""
    server = KubeServer(tmp_path_factory.mktemp("kube-CLEAR"))
    yield server
    server.stop()


@pytest.fixture
def kube_place(kube: KubeServer) -> Place:
    """An object that is not there yet, in a namespace of the test's own."""
    return Place(kube.namespace(), "vantage")


@pytest.fixture
def kube_store(kube: KubeServer, kube_place: Place) -> Iterator[KubernetesStore]:
    """The store in that object, as the cluster's administrator."""
    with kube.open(kube_place) as store:
        yield store


@pytest.fixture
def kube_vendor(kube: KubeServer, caplog: pytest.LogCaptureFixture) -> Iterator[client.CoreV1Api]:
    """The vendor's own client. Its debug log shows whole answers, which is not ours to judge."""
    caplog.set_level(logging.INFO, "kubernetes.client.rest")
    with kube.admin() as api:
        yield client.CoreV1Api(api)


@pytest.fixture
def kube_proxy(kube: KubeServer) -> Iterator[CuttingProxy]:
    """A way to the API server that counts, cuts and delays requests; clients speak clear HTTP to it."""
    trust = ssl.create_default_context(cadata=kube.authority())
    with CuttingProxy("127.0.0.1", kube.port, connect_tls=trust) as proxy:
        yield proxy


@pytest.fixture
def kube_proxied(kube: KubeServer, kube_proxy: CuttingProxy, tmp_path: Path) -> Path:
    """The administrator's kubeconfig, by way of the proxy."""
    return kube.login(tmp_path / "proxied", server=f"http://{kube_proxy.address}")
