"""Fixtures around moto's server; a test module imports the ones that it uses."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from tests.servers.aws import PREFIX, MotoServer, open_store, plain_client, running_moto, use_login
from vantage_secrets.secret import SecretName
from vantage_secrets.stores.aws import AwsStore


@pytest.fixture(scope="session")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MotoServer]:
    """Moto's server, for the whole run of a module."""
    with running_moto(tmp_path_factory.mktemp("moto")) as server:
        yield server


@pytest.fixture
def empty_moto(moto: MotoServer, monkeypatch: pytest.MonkeyPatch) -> MotoServer:
    """The server with nothing in it, and a login for it."""
    moto.reset()
    use_login(monkeypatch, moto.address)
    return moto


@pytest.fixture
def store(empty_moto: MotoServer) -> Iterator[AwsStore]:
    """The store at that server, which asks again without waiting: this server has seen everything at once."""
    with open_store(empty_moto.address) as store:
        store._directory.recent._pause = lambda _seconds: None
        yield store


@pytest.fixture
def aws(empty_moto: MotoServer) -> Plain:
    """What others use: the vendor's own client, at the same server, in the same prefix."""
    return Plain(plain_client(empty_moto.address))


class Plain:
    """The vendor's own client; ``call`` takes the name of a secret of ours in place of AWS's."""

    def __init__(self, client: Any) -> None:
        self.client = client

    def call(self, method: str, name: SecretName | str, **parameters: Any) -> dict[str, Any]:
        # The SDK logs values at DEBUG; that is not ours to stop in somebody else's call.
        logger = logging.getLogger("botocore")
        before = logger.level
        logger.setLevel(logging.INFO)
        try:
            key = "Name" if method == "create_secret" else "SecretId"
            answer: dict[str, Any] = getattr(self.client, method)(**{key: f"{PREFIX}/{name}"}, **parameters)
            return answer
        finally:
            logger.setLevel(before)

    def current(self, name: SecretName) -> object:
        """Return what the plain reader's one call gives: the value, or ``None`` when there is none."""
        try:
            answer = self.call("get_secret_value", name)
        except self.client.exceptions.ResourceNotFoundException:
            return None
        except self.client.exceptions.InvalidRequestException:
            return None
        return answer.get("SecretString", answer.get("SecretBinary"))

    def labels(self, name: SecretName | str) -> dict[str, list[str]]:
        """Return the labels of each version that has any."""
        found: dict[str, list[str]] = self.call("describe_secret", name).get("VersionIdsToStages", {})
        return found
