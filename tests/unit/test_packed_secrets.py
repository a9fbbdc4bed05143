"""A store that keeps one secret under a name refuses the names of packed ones, before anything is changed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.canary import canary
from vantage_secrets.errors import UnsupportedOperationError
from vantage_secrets.secret import SecretName, SecretValue
from vantage_secrets.stores.contract import Capability, Store
from vantage_secrets.stores.embedded import create_embedded

PACKED = SecretName("vantage/config#api_key")


@pytest.mark.parametrize(
    "call",
    [
        lambda store: store.read(PACKED),
        lambda store: [*store.read_many([PACKED])],
        lambda store: store.describe(PACKED),
        lambda store: store.stage(PACKED, SecretValue(canary()), "token"),
        lambda store: store.promote(PACKED, "1", expect_current=None),
        lambda store: store.retire(PACKED, "1"),
        lambda store: store.delete(PACKED),
    ],
)
def test_a_store_without_the_capability_refuses_and_names_a_name_that_it_takes(
    call: Callable[[Store], object], tmp_path: Path
) -> None:
    with create_embedded(tmp_path / "secrets.db", environment="test", key_file=tmp_path / "key") as store:
        assert Capability.PACKED_SECRETS not in store.capabilities
        with pytest.raises(UnsupportedOperationError) as caught:
            call(store)
        assert "vantage/config/api-key" in caught.value.hint
        assert [*store.list()] == []
