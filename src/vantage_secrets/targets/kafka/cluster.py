"""A Kafka cluster: its brokers, its administrator, and logins at each broker."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

from vantage_secrets.credential import Credential
from vantage_secrets.errors import CredentialRefusedError, RotationError
from vantage_secrets.manifest import TargetSettings
from vantage_secrets.targets.kafka.connection import ALLOW, BrokerRefusedError, Connection
from vantage_secrets.targets.kafka.login import Login

NEEDED = frozenset({"ALTER", "DESCRIBE", "DESCRIBE_CONFIGS"})
"""What the administrator must be allowed on the cluster."""

_DEFAULT_VALUE = 5
"""Where a setting comes from when nobody set it; ``ConfigSource.DEFAULT_CONFIG``."""


class Setting(NamedTuple):
    """One setting of a broker; ``value`` is empty where Kafka keeps it to itself."""

    value: str
    is_set: bool


class Administration(NamedTuple):
    """The cluster as its administrator sees it.

    Attributes:
        connection: Logged in as the administrator, who is allowed what is ``NEEDED``.
        login: The administrator's.
        brokers: Each broker's number and address.
    """

    connection: Connection
    login: Login
    brokers: dict[int, str]

    def broker_settings(self) -> dict[int, dict[str, Setting]]:
        """Return each broker's settings by name."""
        from confluent_kafka.admin import ConfigResource

        found = {}
        for number in self.brokers:
            resource = ConfigResource(ConfigResource.Type.BROKER, str(number))
            entries = self.connection.ask(f"tell the settings of broker {number}", partial(_configuration, resource))
            found[number] = {name: _setting(entry) for name, entry in entries.items()}
        return found

    def has_authorizer(self) -> bool:
        """Return whether ACLs are checked."""
        return checks_acls(self.broker_settings())


class Cluster:
    """Where one target's principals live.

    Args:
        settings: The table ``[targets.NAME]``.
        administrator: Returns the login that may change credentials, at each call.
    """

    def __init__(self, settings: TargetSettings, administrator: Callable[[], Credential]) -> None:
        """Keep both; nothing is connected yet."""
        self.mechanism = settings.text("mechanism").upper()
        self.bootstrap = settings.texts("bootstrap")
        self.is_encrypted = settings.text("security") == "sasl-ssl"
        self.ca_file = settings.path("ca_file")
        self._name = settings.name
        self._administrator = administrator

    def administer(self) -> Administration:
        """Log in as the administrator.

        Raises:
            RotationError: Kafka refused that login, or does not allow it what is ``NEEDED``.
        """
        username, password = self._administrator()
        login = Login(username, password, self.mechanism)
        connection = self._connect(self.bootstrap, login)
        try:
            found = connection.ask("describe the cluster", _describe)
        except CredentialRefusedError as exc:
            raise RotationError(
                f"{exc} It is the administrator of target '{self._name}'.",
                hint=f"Put its password into the secret that 'admin_secret' of [targets.{self._name}] names.",
            ) from None
        # Without these rights librdkafka 2.16 answers a request for ACLs with an empty list, and ends the whole
        # process at one for SCRAM credentials (munmap_chunk: invalid pointer): so look before asking.
        missing = NEEDED - _operations(found)
        if missing:
            raise RotationError(
                f"Kafka does not allow '{username}' {', '.join(sorted(missing))} on the cluster.",
                hint=ALLOW,
            )
        return Administration(connection, login, {node.id: f"{node.host}:{node.port}" for node in found.nodes})

    def addresses(self, administration: Administration) -> tuple[str, ...]:
        """Return where each broker takes logins: those that the cluster names, and those of the manifest.

        SECURITY: a broker that has lost the cluster is not named by it and may still take old passwords.
        """
        return tuple(dict.fromkeys((*administration.brokers.values(), *self.bootstrap)))

    def log_in(self, login: Login, address: str) -> frozenset[str]:
        """Log in afresh at one broker and return what the principal may do with the cluster itself.

        Raises:
            CredentialRefusedError: That broker refused it.
            TargetUnavailableError: It did not answer.
        """
        connection = self._connect((address,), login)
        try:
            return _operations(connection.ask("answer a login", _describe))
        except BrokerRefusedError:  # an answer to somebody who is in
            return frozenset()

    def _connect(self, brokers: tuple[str, ...], login: Login) -> Connection:
        settings = {"security.protocol": "SASL_SSL" if self.is_encrypted else "SASL_PLAINTEXT"}
        if self.is_encrypted and self.ca_file is not None:
            settings["ssl.ca.location"] = str(self.ca_file)
        return Connection(brokers, login, settings)


def checks_acls(settings: Mapping[int, Mapping[str, Setting]]) -> bool:
    """Return whether brokers with these settings check ACLs; one that does not say is taken to do so."""
    unsaid = Setting("?", is_set=True)
    return all(names.get("authorizer.class.name", unsaid).value for names in settings.values())


def _describe(client: Any) -> Any:
    return client.describe_cluster(include_authorized_operations=True)


def _operations(description: Any) -> frozenset[str]:
    return frozenset(operation.name for operation in description.authorized_operations or ())


def _configuration(resource: Any, client: Any) -> Any:
    return client.describe_configs([resource])[resource]


def _setting(entry: Any) -> Setting:
    return Setting(entry.value or "", is_set=entry.source != _DEFAULT_VALUE)
