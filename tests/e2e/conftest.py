"""Desks: a fresh one for a test, and one with a secret in every state that tests only look at."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.canary import canary, leaks_below, planted
from tests.e2e.desk import Desk, put
from vantage_secrets.bootstrap import initialise, open_workspace
from vantage_secrets.manifest import FILE_NAME
from vantage_secrets.secret import SecretName, SecretValue

STATES = {
    "VANTAGE_API_KEY": "overlap",
    "API_KEY": "rotating",
    "WORKER_CLICKHOUSE_PASSWORD": "expired",
    "API_CLICKHOUSE_PASSWORD": "due",
    "KAFKA_SASL_PASSWORD": "missing",
    "STRIPE_TOKEN": "unused",
    "MAIL_TOKEN": "ok",
}
_MORE = """
[secrets.STRIPE_TOKEN]
name = "stripe-token"
kind = "static"
purpose = "Payments"
owner = "shop"
consumers = ["shop"]
max_age = "90d"
grace = "1h"
required = "never"

[secrets.MAIL_TOKEN]
name = "mail-token"
kind = "static"
purpose = "Mail"
owner = "shop"
consumers = ["shop"]
max_age = "90d"
grace = "1h"
required = "always"
"""


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """A desk with a fresh, empty workspace."""
    initialise(tmp_path, environment="test")
    return Desk(tmp_path)


@pytest.fixture
def bare_desk(tmp_path: Path) -> Desk:
    """A desk with nothing on it."""
    return Desk(tmp_path)


@pytest.fixture(scope="session")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """A desk whose secrets stand as in STATES; for commands that change nothing."""
    folder = tmp_path_factory.mktemp("shown")
    initialise(folder, environment="test")
    with (folder / FILE_NAME).open("a") as file:
        file.write(_MORE)
    put(folder, "vantage/worker-clickhouse-password", days_ago=100)
    put(folder, "vantage/api-clickhouse-password", days_ago=89)
    put(folder, "vantage/query-api-key", days_ago=1)
    put(folder, "mail-token", days_ago=1)
    workspace = open_workspace(folder / FILE_NAME)
    for _ in range(2):
        workspace.reconcile(workspace.manifest.find("VANTAGE_API_KEY"), begin=True)
    workspace.store.stage(SecretName("vantage/query-api-key"), SecretValue(canary()), "pending")
    workspace.close()
    yield Desk(folder)
    assert not leaks_below(folder, planted())
