"""Where values of the Kubernetes store lie: in etcd, in the clear unless the API server encrypts."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.canary import canary, leaks_below
from tests.servers.kube import KubeServer
from vantage_secrets.secret import SecretName
from vantage_secrets.stores.kubernetes.place import Place
from vantage_secrets.testing.store_steps import make_current

pytest_plugins = ["tests.servers.kube_fixtures"]
pytestmark = pytest.mark.xdist_group("kubernetes")


def lies_in_etcd(server: KubeServer) -> bool:
    """Return whether a value that was stored stands in one of the files of etcd."""
    name, value = SecretName("vantage/api-key"), canary()
    with server.open(Place(server.namespace(), "vantage")) as store:
        make_current(store, name, value)
        assert store.read(name).value.matches(value)
    return bool(leaks_below(server.folder / "etcd", (value,)))


def test_a_value_lies_in_etcd_in_the_clear_when_the_server_does_not_encrypt(kube: KubeServer) -> None:
    assert lies_in_etcd(kube)


def test_a_value_lies_nowhere_in_the_clear_when_the_server_encrypts(tmp_path: Path) -> None:
    server = KubeServer(tmp_path / "encrypted", "-encrypt")
    try:
        assert not lies_in_etcd(server)
    finally:
        server.stop()
