"""What the tests of the store in Vault do in many places."""

from __future__ import annotations

import secrets
from contextlib import suppress
from typing import Any

import hvac

from tests.canary import canary
from tests.servers.vault import Engine
from vantage_secrets.errors import SecretNotFoundError
from vantage_secrets.secret import SecretName, SecretValue, SecretVersion
from vantage_secrets.stores.contract import Store

NAME = SecretName("team/api-key")
PACKED = SecretName("team/config#api_key")
NEIGHBOUR = SecretName("team/config#clickhouse_password")


def put(store: Store, name: SecretName, value: str | None = None) -> SecretVersion:
    """Stage and promote a value, a fresh one unless given."""
    staged = store.stage(name, SecretValue(value or canary()), secrets.token_hex(8))
    current = None
    with suppress(SecretNotFoundError):
        current = store.read(name).version.id
    return store.promote(name, staged.id, expect_current=current)


def everything_readable(engine: Engine, path: str) -> str:
    """Return all that the vendor's plain calls read at ``path``, in any version, as one text."""
    kv = engine.kv()
    full = f"{engine.folder}/{path}"
    try:
        metadata = kv.read_secret_metadata(full, mount_point=engine.mount)["data"]
    except hvac.exceptions.InvalidPath:
        return ""
    found: list[Any] = [metadata["custom_metadata"]]
    for number in range(1, metadata["current_version"] + 1):
        with suppress(hvac.exceptions.InvalidPath):
            answer = kv.read_secret_version(
                full, version=number, mount_point=engine.mount, raise_on_deleted_version=True
            )
            found.append(answer["data"]["data"])
    return repr(found)


def plain_write(engine: Engine, path: str, data: dict[str, str]) -> None:
    """Write as somebody does who knows nothing of us."""
    engine.kv().create_or_update_secret(f"{engine.folder}/{path}", data, mount_point=engine.mount)
