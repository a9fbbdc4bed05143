"""What the tests of a store's contract do in many places."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import pytest

from vantage_secrets.errors import (
    SecretNotFoundError,
    UnsupportedOperationError,
    VantageSecretsError,
    VersionRetiredError,
)
from vantage_secrets.secret import SecretName, SecretValue, SecretVersion, Stage
from vantage_secrets.stores.contract import Capability, Store

MakeValue = Callable[[], str]
"""Makes values that no other test has."""

NAME: Final = SecretName("contract/api-key")
ABSENT: Final = SecretName("contract/absent")


def make_current(
    store: Store, name: SecretName, content: str | bytes | dict[str, str], token: str | None = None
) -> SecretVersion:
    """Stage and promote a value, as a rotation does."""
    pending = store.stage(name, SecretValue(content), token or secrets.token_hex(8))
    current = None
    with suppress(SecretNotFoundError):
        current = store.read(name).version.id
    return store.promote(name, pending.id, expect_current=current)


def unknown_id(store: Store, name: SecretName) -> str:
    """Return an id of the store's own form that no version of ``name`` has."""
    known = {version.id for version in store.describe(name)}
    model = max(known)
    for digit in "9876543210abcdef":
        candidate = "".join(digit if character.isalnum() else character for character in model)
        if candidate not in known:
            return candidate
    raise AssertionError(f"every id like {model} is taken")


def assert_retired(store: Store, name: SecretName, version: str) -> None:
    """Assert that no call of the contract reads ``version``."""
    by_version = Capability.READ_BY_VERSION in store.capabilities
    with pytest.raises(VersionRetiredError if by_version else UnsupportedOperationError):
        store.read(name, version=version)
    for stage in (Stage.PENDING, Stage.CURRENT, Stage.PREVIOUS):
        with suppress(SecretNotFoundError):
            assert store.read(name, stage=stage).version.id != version
    with pytest.raises(VersionRetiredError):
        store.read(name, stage=Stage.RETIRED)


def same(value: SecretValue, content: object) -> bool:
    """Return whether ``value`` is ``content`` in shape too; asserting on this shows no value when it fails."""
    found = value.reveal()
    return type(found) is type(content) and found == content


def promotion(store: Store, name: SecretName, version: str, expected: str) -> Callable[[], object]:
    """Return a call that promotes ``version``, to be raced against another."""
    return lambda: store.promote(name, version, expect_current=expected)


def race(*calls: Callable[[], object]) -> list[object]:
    """Return what each call returned or raised; all begin at the same moment, each in its own thread."""
    start = threading.Barrier(len(calls))
    results: list[object] = [None] * len(calls)

    def run(index: int, call: Callable[[], object]) -> None:
        start.wait()
        try:
            results[index] = call()
        except VantageSecretsError as exc:
            results[index] = exc

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def words(exc: BaseException | None) -> list[str]:
    """Return all that an error says, and the errors behind it."""
    words: list[str] = []
    while exc is not None:
        words += [repr(exc), str(exc), str(getattr(exc, "hint", ""))]
        exc = exc.__cause__ or exc.__context__
    return words
