"""The migration guide's own names."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

import secrets_manager
import vantage_secrets
from secrets_manager import SecretManager
from tests.canary import canary
from vantage_secrets.client import SecretClient
from vantage_secrets.errors import InvalidSecretValueError, StoreUnavailableError
from vantage_secrets.secret import SecretName
from vantage_secrets.testing import FakeClock, MemoryStore

KEY = SecretName("vantage/api-key")


@pytest.fixture
def value() -> str:
    return canary()


@pytest.fixture
def store(value: str, clock: FakeClock) -> MemoryStore:
    return MemoryStore({str(KEY): value}, clock=clock)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def client(store: MemoryStore, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> Iterator[SecretClient]:
    """The process's own client."""
    with SecretClient(
        store,
        aliases={"VANTAGE_API_KEY": KEY},
        grace={KEY: timedelta(hours=24)},
        clock=clock,
        monotonic=lambda: clock().timestamp(),
        background=False,
    ) as own:
        monkeypatch.setattr(vantage_secrets, "default_client", lambda: own)
        monkeypatch.setattr(vantage_secrets, "_fresh_values", {})
        yield own


@pytest.mark.usefixtures("client")
def test_get_secret_returns_plain_text_as_the_guide_s_line_expects(value: str) -> None:
    assert secrets_manager.get_secret("vantage/api-key") == value
    assert type(secrets_manager.get_secret("VANTAGE_API_KEY")) is str


@pytest.mark.usefixtures("client")
def test_get_secret_refuses_what_is_no_text(store: MemoryStore) -> None:
    store.put("vantage/login", {"username": "worker", "password": canary()})
    with pytest.raises(InvalidSecretValueError):
        secrets_manager.get_secret("vantage/login")


@pytest.mark.usefixtures("client")
def test_a_manager_is_made_without_arguments_and_validates_the_api_key(value: str) -> None:
    manager = SecretManager()
    assert manager.validate_secret(value) is True
    assert manager.current_secret.matches(value)
    for wrong in (canary("wrong"), "", None):
        assert manager.validate_secret(wrong) is False


@pytest.mark.usefixtures("client")
def test_rotate_secret_follows_a_rotation_and_both_values_are_accepted(
    store: MemoryStore, clock: FakeClock, value: str
) -> None:
    manager = SecretManager("VANTAGE_API_KEY")
    assert manager.validate_secret(value) is True
    assert manager.rotate_secret() is False
    newer = canary()
    store.put(KEY, newer)
    assert manager.rotate_secret() is True
    assert manager.current_secret.matches(newer)
    assert manager.validate_secret(newer) is True
    assert manager.validate_secret(value) is True
    clock.advance(timedelta(hours=24))
    assert manager.validate_secret(value) is False


@pytest.mark.usefixtures("client")
def test_rotate_secret_raises_in_an_outage_and_the_value_before_stays(store: MemoryStore, value: str) -> None:
    manager = SecretManager()
    assert manager.current_secret.matches(value)
    with store.outage():
        with pytest.raises(StoreUnavailableError):
            manager.rotate_secret()
        assert manager.validate_secret(value) is True


def test_refresh_interval_is_300_seconds_and_can_be_set_on_one_object_or_the_class(
    store: MemoryStore, clock: FakeClock, client: SecretClient, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert SecretManager.refresh_interval == 300
    quick, slow = SecretManager(client=client), SecretManager(client=client)
    quick.refresh_interval = 5
    assert quick.current_secret.matches(value)
    newer = canary()
    store.put(KEY, newer)
    clock.advance(timedelta(seconds=5))
    assert slow.current_secret.matches(value)
    assert quick.current_secret.matches(newer)
    newest = canary()
    store.put(KEY, newest)
    clock.advance(timedelta(seconds=2))
    monkeypatch.setattr(SecretManager, "refresh_interval", 2)
    assert slow.current_secret.matches(newest)


def test_a_manager_shows_no_value(client: SecretClient, value: str) -> None:
    manager = SecretManager(client=client)
    assert manager.current_secret.matches(value)
    assert value not in f"{manager!r} {vars(manager)}"
