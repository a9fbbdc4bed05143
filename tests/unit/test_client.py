"""How a client reads."""

from __future__ import annotations

from tests.canary import canary
from vantage_secrets.client import SecretClient
from vantage_secrets.testing import MemoryStore


def test_a_second_read_does_not_ask_the_store() -> None:
    value = canary()
    store = MemoryStore({"vantage/api-key": value})
    with SecretClient(store, background=False) as client:
        assert client.get("vantage/api-key").matches(value)
        assert client.get("vantage/api-key").matches(value)
    assert store.read_count == 1
