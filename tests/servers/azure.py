"""Fixtures for tests against the fake of Azure Key Vault; a test module names this one in ``pytest_plugins``."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from azure.keyvault.secrets import SecretClient

from tests.servers.azure_credential import StaticCredential
from tests.servers.azure_key_vault import FakeKeyVault
from tests.servers.certificate import Certificate
from vantage_secrets.stores.azure import AzureStore, encoding, open_azure


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """A certificate for servers on loopback."""
    return Certificate.make(tmp_path_factory.mktemp("certificate"))


@pytest.fixture(scope="session")
def running_key_vault(certificate: Certificate) -> Iterator[FakeKeyVault]:
    """The fake, ready: its port takes connections."""
    with FakeKeyVault(certificate) as running:
        socket.create_connection(("127.0.0.1", running.port), timeout=10).close()
        yield running


@pytest.fixture
def key_vault(running_key_vault: FakeKeyVault) -> FakeKeyVault:
    """The fake with nothing in it."""
    running_key_vault.reset()
    return running_key_vault


@pytest.fixture
def azure_sdk(key_vault: FakeKeyVault, certificate: Certificate) -> Iterator[Callable[..., SecretClient]]:
    """Return the vendor's bare client for a principal."""
    clients: list[SecretClient] = []

    def make(principal: str = "officer", **options: Any) -> SecretClient:
        options.setdefault("connection_verify", str(certificate.ca_file))
        clients.append(SecretClient(key_vault.url, StaticCredential(principal), **options))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def open_azure_store(
    key_vault: FakeKeyVault, certificate: Certificate, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> Iterator[Callable[..., AzureStore]]:
    """Return an opener of our store in the fake: for a principal, at another address, with other options.

    What a digest costs, and what the SDK logs of each request, are under test elsewhere and slow everything else down.
    """
    monkeypatch.setitem(encoding._SCRYPT, "n", 2)
    caplog.set_level(logging.WARNING, logger="azure")
    opened: list[AzureStore] = []

    def make(principal: str = "officer", *, address: str = "", environment: str = "test", **options: str) -> AzureStore:
        url = f"azure://{address or f'127.0.0.1:{key_vault.port}'}"
        settings = {"ca_file": str(certificate.ca_file), **options}
        credential = StaticCredential(principal)
        opened.append(open_azure(url, environment=environment, options=settings, credential=credential))
        return opened[-1]

    yield make
    for store in opened:
        store.close()
