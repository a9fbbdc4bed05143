"""SCRAM credentials at Kafka (KIP-554): one for each principal and mechanism, written and never deleted."""

from __future__ import annotations

import secrets
from typing import Any

from vantage_secrets.secret import SecretValue
from vantage_secrets.targets.kafka.cluster import Administration
from vantage_secrets.targets.kafka.connection import BrokerRefusedError
from vantage_secrets.targets.kafka.login import Login, new_password

ITERATIONS = 8_192
"""Kafka takes 4,096 to 16,384; our passwords are random, so that more would slow down logins and nothing else."""

_SALT_BYTES = 32


def mechanisms_of(administration: Administration, username: str) -> frozenset[str]:
    """Return the mechanisms under which Kafka holds a credential of ``username``."""

    def call(client: Any) -> Any:
        return client.describe_user_scram_credentials([username])[username]

    try:
        found = administration.connection.ask("describe SCRAM credentials", call)
    except BrokerRefusedError as exc:
        if exc.name == "RESOURCE_NOT_FOUND":
            return frozenset()
        raise
    return frozenset(info.mechanism.name.replace("_", "-") for info in found.scram_credential_infos)


def write(administration: Administration, login: Login) -> None:
    """Make Kafka accept ``login``, and no other password of that principal and mechanism."""
    from confluent_kafka.admin import ScramCredentialInfo, ScramMechanism, UserScramCredentialUpsertion

    info = ScramCredentialInfo(ScramMechanism[login.mechanism.replace("-", "_")], ITERATIONS)
    password = login.password.reveal_text().encode()
    change = UserScramCredentialUpsertion(login.username, info, password, secrets.token_bytes(_SALT_BYTES))
    administration.connection.ask(
        "take a SCRAM credential", lambda client: client.alter_user_scram_credentials([change])[login.username]
    )


def overwrite(administration: Administration, username: str, mechanism: str) -> None:
    """Make Kafka refuse every password that anybody knows of that principal and mechanism.

    SECURITY: not deleted. On Kafka 4.0 to 4.3, a deletion can lock out every SCRAM user, the brokers' own too, when a
    broker restarts before its next metadata snapshot.
    """
    write(administration, Login(username, SecretValue(new_password()), mechanism))
