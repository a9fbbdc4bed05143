"""Client quotas of a principal, read and made equal to another's.

No Python client has a public call for quotas. kafka-python 3 has the requests (KIP-546) and sends them by an object
of its own, which is why everything here may fail in one way, ``QuotasUnreadableError``, and nothing depends on it.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from vantage_secrets.targets.kafka.cluster import Cluster
from vantage_secrets.targets.kafka.login import Login

Quotas = dict[tuple[tuple[str, str | None], ...], dict[str, float]]
"""By what stands beside the user, such as ``(("client-id", "worker"),)``, the limits: their names and values."""

_EXACT = 0
"""How a component of the filter matches; ``DescribeClientQuotasRequest`` in Kafka's protocol guide."""

_BOOTSTRAP_MS = 3_000


class QuotasUnreadableError(Exception):
    """Quotas cannot be read or written from here; the text says why, without a value."""


def make_quotas_equal(cluster: Cluster, administrator: Login, username: str, *, like: str) -> None:
    """Give the principal ``username`` the quotas that ``like`` has, and no others.

    Raises:
        QuotasUnreadableError: They cannot be read, or the administrator may not change them.
    """
    with _sender(cluster, administrator) as send:
        wanted, found = _read(send, like), _read(send, username)
        entries = [
            _entry(username, beside, wanted.get(beside, {}), found.get(beside, {}))
            for beside in {**found, **wanted}
            if wanted.get(beside) != found.get(beside)
        ]
        if entries:
            requests = _kafka_python().protocol.admin.client_quotas
            answer = send(requests.AlterClientQuotasRequest(entries=entries, validate_only=False))
            for entry in answer.entries:
                _check(entry.error_code)


def look_at_quotas(cluster: Cluster, administrator: Login, username: str) -> None:
    """Read the principal's quotas, to see whether that is possible.

    Raises:
        QuotasUnreadableError: It is not.
    """
    with _sender(cluster, administrator) as send:
        _read(send, username)


class _Unprinted(str):
    """SECURITY: kafka-python logs its whole configuration at DEBUG, by ``repr``."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"


def _kafka_python() -> Any:
    """Return the package with the modules that are used here.

    Raises:
        QuotasUnreadableError: It is not installed, or not in a release that has them.
    """
    try:
        with warnings.catch_warnings():
            # It reads its own files by a call that Python 3.11 deprecates and 3.13 has again.
            warnings.simplefilter("ignore", DeprecationWarning)
            import kafka
            import kafka.errors
            import kafka.protocol.admin.client_quotas
    except ImportError:
        raise QuotasUnreadableError("the Python package 'kafka-python' is not installed") from None
    return kafka


@contextmanager
def _sender(cluster: Cluster, login: Login) -> Iterator[Any]:
    kafka = _kafka_python()
    client = None
    try:
        client = kafka.KafkaAdminClient(
            bootstrap_servers=list(cluster.bootstrap),
            security_protocol="SASL_SSL" if cluster.is_encrypted else "SASL_PLAINTEXT",
            ssl_cafile=None if cluster.ca_file is None else str(cluster.ca_file),
            sasl_mechanism=login.mechanism,
            sasl_plain_username=login.username,
            sasl_plain_password=_Unprinted(login.password.reveal_text()),
            bootstrap_timeout_ms=_BOOTSTRAP_MS,
            client_id="vantage-secrets",
        )
        manager = client._manager
        yield lambda request: manager.run(manager.send, request)
    except (kafka.errors.KafkaError, AttributeError, OSError, ValueError) as exc:
        # SECURITY: the class and not the text, which is not ours.
        raise QuotasUnreadableError(f"kafka-python failed with {type(exc).__name__}") from None
    finally:
        if client is not None:
            client.close()


def _read(send: Any, username: str) -> Quotas:
    requests = _kafka_python().protocol.admin.client_quotas
    answer = send(requests.DescribeClientQuotasRequest(components=[("user", _EXACT, username)], strict=False))
    _check(answer.error_code)
    found: Quotas = {}
    for entry in answer.entries or ():
        beside = sorted((part.entity_type, part.entity_name) for part in entry.entity if part.entity_type != "user")
        found[tuple(beside)] = {limit.key: limit.value for limit in entry.values}
    return found


def _entry(username: str, beside: Any, wanted: dict[str, float], found: dict[str, float]) -> Any:
    """Return one change: the limits that are wanted, and an end to those that are not."""
    changes = [(key, value, False) for key, value in sorted(wanted.items())]
    changes += [(key, 0.0, True) for key in sorted(found.keys() - wanted.keys())]
    return [("user", username), *beside], changes


def _check(error_code: int) -> None:
    if error_code:
        raise QuotasUnreadableError(f"Kafka answered {_kafka_python().errors.for_code(error_code).__name__}")
