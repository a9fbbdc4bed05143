"""AWS's own rotation of a login to a real PostgreSQL, whose user name changes with each rotation."""

from __future__ import annotations

import json
import uuid
from pathlib import Path

import psycopg
import pytest

from tests.canary import canary
from tests.servers.aws import ENVIRONMENT, URL, MotoServer
from tests.servers.aws_fixtures import Plain, aws, empty_moto, moto  # noqa: F401
from tests.servers.postgresql import PostgresqlServer
from tests.servers.postgresql_fixtures import POSTGRESQL_GROUP, account_fixture, postgresql_fixture  # noqa: F401
from vantage_secrets.bootstrap import open_workspace
from vantage_secrets.drivers.aws_lambda import finish_overlaps, handler
from vantage_secrets.secret import SecretName

pytestmark = POSTGRESQL_GROUP

NAME = SecretName("vantage/db-password")

MANIFEST = """\
environment = "{environment}"

[store]
url = "{url}?endpoint_url={address}"

[targets.postgresql]
url = "{server}"
admin_secret = "vantage/postgresql-admin"

[secrets.DB_PASSWORD]
name = "vantage/db-password"
kind = "postgresql-password"
account = "{account}"
purpose = "Login of the worker"
owner = "platform team"
grace = "0s"
"""


def log_in(server: PostgresqlServer, text: str) -> str:
    """Log in with a value as AWS's plain reader gets it, and return who that is."""
    fields = json.loads(text)
    with server.connect(fields["username"], fields["password"]) as connection:
        return str(connection.execute("SELECT session_user").fetchone()[0])  # type: ignore[index]


def test_a_login_goes_from_one_user_to_the_other_and_back(
    empty_moto: MotoServer,  # noqa: F811
    aws: Plain,  # noqa: F811
    postgresql: PostgresqlServer,
    account: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tmp_path / "vantage-secrets.toml"
    settings = {"environment": ENVIRONMENT, "url": URL, "address": empty_moto.address, "account": account}
    path.write_text(MANIFEST.format(**settings, server=postgresql.url()))
    monkeypatch.setenv("VANTAGE_SECRETS_MANIFEST", str(path))
    first = canary("first")
    postgresql.execute(f"ALTER ROLE \"{account}\" LOGIN PASSWORD '{first}'")
    aws.call("create_secret", NAME, SecretString=first)
    aws.call("create_secret", SecretName("vantage/postgresql-admin"), SecretString=postgresql.password)

    seen = []
    for _ in range(3):
        token = str(uuid.uuid4())
        aws.call("rotate_secret", NAME, ClientRequestToken=token, RotationLambdaARN="arn:aws:lambda:eu-central-1:1:f:r")
        event = {"SecretId": aws.call("describe_secret", NAME)["ARN"], "ClientRequestToken": token}
        for step in ("createSecret", "setSecret", "testSecret", "finishSecret"):
            handler({**event, "Step": step}, None)
        seen.append(aws.call("get_secret_value", NAME)["SecretString"])
        log_in(postgresql, seen[-1])
    users = [json.loads(text)["username"] for text in seen]
    assert users[0] == users[2] != users[1]
    assert finish_overlaps({}, None)["open"] == []
    for text in seen[:2]:
        with pytest.raises(psycopg.OperationalError):
            log_in(postgresql, text)
    workspace = open_workspace(path)
    living = [version.stage for version in workspace.store.describe(NAME) if version.stage != "retired"]
    assert living == ["current"]
    workspace.close()
