"""The targets and the stores of the matrix, each on its server; no pytest in here, so that a tool can use them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.crash_matrix.matrix import StoreCase, TargetCase
from tests.crash_matrix.mortal import NAME
from tests.servers.aws import CREDENTIALS, running_moto
from tests.servers.aws import URL as AWS_URL
from tests.servers.aws import open_store as open_aws_store
from tests.servers.vault import make_engine, running_server
from vantage_secrets.database import Database
from vantage_secrets.secret import SecretValue
from vantage_secrets.stores.embedded import create_embedded
from vantage_secrets.targets.api_key import ApiKeyVerifier


@contextmanager
def embedded_store(folder: Path) -> Iterator[StoreCase]:
    """The embedded store, in a file."""
    key_file = folder / "key"
    with create_embedded(folder / "secrets.db", environment="test", key_file=key_file) as store:
        yield StoreCase("embedded", f"embedded://{folder / 'secrets.db'}", store, {"key_file": str(key_file)})


@contextmanager
def vault_store(folder: Path) -> Iterator[StoreCase]:
    """A real OpenBao."""
    with running_server(folder) as server:
        engine = make_engine(server)
        with engine.open() as store:
            yield StoreCase("vault", engine.url(), store, {"tls": "off"}, {"VAULT_TOKEN": server.token})


@contextmanager
def aws_store(folder: Path) -> Iterator[StoreCase]:
    """Moto, with the corrections of its launcher."""
    with running_moto(folder) as server:
        variables = CREDENTIALS | {"AWS_EC2_METADATA_DISABLED": "true"}
        with open_aws_store(server.address) as store:
            yield StoreCase("aws", AWS_URL, store, {"endpoint_url": server.address}, variables)


@contextmanager
def api_key_target(folder: Path) -> Iterator[TargetCase]:
    """Our own verifier, in SQLite."""
    url = f"sqlite:///{folder / 'control.db'}"
    database = Database(url)

    def opens(value: SecretValue) -> bool:
        return ApiKeyVerifier(database).verify(NAME, value.reveal_text()) is not None

    try:
        yield TargetCase("api-key", "api-key", "", opens, database_url=url)
    finally:
        database.close()


STORES = {"embedded": embedded_store, "vault": vault_store, "aws": aws_store}
TARGETS = {"api-key": api_key_target}
