"""A Kafka login rotates by the command, from the plain password of an account to two principals, on a real broker."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.canary import leaks_in, planted
from tests.servers.kafka import KafkaServer
from tests.servers.kafka_steps import allow, give_password, lets_in, make_topic, new_account, platform_acls

pytest_plugins = ["tests.servers.kafka_fixtures"]
pytestmark = pytest.mark.xdist_group("kafka")

MANIFEST = """
[targets.kafka]
bootstrap = ["{bootstrap}"]
security = "sasl-plaintext"
admin_secret = "kafka/admin-password"

[secrets.KAFKA_ADMIN_PASSWORD]
name = "kafka/admin-password"
purpose = "Changes logins in Kafka."
owner = "platform"

[secrets.KAFKA_PASSWORD]
name = "kafka/password"
kind = "kafka-password"
account = "{account}"
purpose = "The worker's login to Kafka."
owner = "platform"
"""


def vantage_secrets(folder: Path, *arguments: str, given: str = "") -> str:
    """Run the command and return all that it said."""
    done = subprocess.run(
        [Path(sys.executable).parent / "vantage-secrets", *arguments],
        cwd=folder,
        input=given,
        capture_output=True,
        text=True,
        check=False,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    return said


def test_the_command_rotates_twice_and_no_password_is_said_or_written(kafka: KafkaServer, tmp_path: Path) -> None:
    account, topic = new_account(), make_topic(kafka)
    password = give_password(kafka, account)
    allow(kafka, account, *platform_acls(topic))
    vantage_secrets(tmp_path, "init")
    manifest = tmp_path / "vantage-secrets.toml"
    settings, _, _ = manifest.read_text().partition("[secrets.")
    manifest.write_text(settings + MANIFEST.format(bootstrap=kafka.bootstrap, account=account))
    vantage_secrets(tmp_path, "set", "kafka/admin-password", given=kafka.password)
    vantage_secrets(tmp_path, "set", "kafka/password", given=password)
    said = vantage_secrets(tmp_path, "rotate", "kafka/password", "--dry-run")
    assert f"1 broker(s), ACLs checked; {account}-a and {account}-b take turns" in said
    assert "connections.max.reauth.ms" in said
    for _ in range(2):
        said += vantage_secrets(tmp_path, "rotate", "kafka/password", "--grace", "0s")
    assert "version 3 is the only one that works" in said
    assert not lets_in(kafka, account, password)
    assert lets_in(
        kafka, f"{account}-b", vantage_secrets(tmp_path, "get", "kafka/password", "--field", "password").strip()
    )
    assert not leaks_in(said.encode(), (*planted(), kafka.password))
