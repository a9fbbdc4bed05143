"""What a principal may do: its ACLs, made equal to another's, and the DENY that cuts it off."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from vantage_secrets.errors import RotationError
from vantage_secrets.targets.kafka.cluster import Administration
from vantage_secrets.targets.kafka.connection import BrokerRefusedError

_UNKNOWN = "UNKNOWN"


class Right(NamedTuple):
    """One ACL without its principal, in the names that confluent-kafka gives; the cluster is ``BROKER`` there."""

    resource: str
    name: str
    pattern: str
    host: str
    operation: str
    permission: str

    def __str__(self) -> str:
        host = "" if self.host == "*" else f" from {self.host}"
        return f"{self.permission} {self.operation} on {self.resource} '{self.name}' ({self.pattern}){host}"


_DENIED = ("TOPIC", "*"), ("GROUP", "*"), ("BROKER", "kafka-cluster"), ("TRANSACTIONAL_ID", "*")

CUT_OFF = frozenset(Right(resource, name, "LITERAL", "*", "ALL", "DENY") for resource, name in _DENIED)
"""The ACLs of a principal that was revoked; they refuse what it asks for on connections that are open."""


def rights_of(administration: Administration, username: str) -> frozenset[Right]:
    """Return the ACLs of that principal; none where the cluster checks no ACLs.

    Those for all principals (``User:*``) are left out: they hold for both alike.
    """
    from confluent_kafka.admin import (
        AclBindingFilter,
        AclOperation,
        AclPermissionType,
        ResourcePatternType,
        ResourceType,
    )

    anything: Any = None
    wanted = AclBindingFilter(
        ResourceType.ANY,
        anything,
        ResourcePatternType.ANY,
        f"User:{username}",
        anything,
        AclOperation.ANY,
        AclPermissionType.ANY,
    )
    found = administration.connection.ask("tell ACLs", lambda client: client.describe_acls(wanted))
    return frozenset(_right(binding) for binding in found)


def cluster_operations(rights: Iterable[Right]) -> frozenset[str]:
    """Return what these ACLs allow on the cluster itself."""
    allowed = {right.operation for right in rights if right.resource == "BROKER" and right.permission == "ALLOW"}
    return frozenset({*allowed, "ALTER", "CLUSTER_ACTION"} if "ALL" in allowed else allowed)


def missing_rights(of: frozenset[Right], *, like: frozenset[Right], idle: str, current: str) -> frozenset[Right]:
    """Return which ACLs the principal ``idle`` lacks to be equal to ``current``; changes nothing.

    Raises:
        RotationError: ``idle`` has ACLs that ``current`` has not, or there are some that cannot be copied.
    """
    surplus = of - like - CUT_OFF
    if surplus:
        raise RotationError(
            f"'{idle}' has ACLs that '{current}', whom it is to follow, has not: {_listed(surplus)}.",
            hint="Give both the same ACLs with kafka-acls.sh, then run the command again.",
        )
    missing = like - of - CUT_OFF
    strange = [right for right in missing if _UNKNOWN in (right.resource, right.operation)]
    if strange:
        raise RotationError(
            f"'{current}' has ACLs that confluent-kafka cannot copy to '{idle}': {_listed(strange)}.",
            hint="Give both the same ACLs with kafka-acls.sh, then run the command again.",
        )
    return missing


def grant(administration: Administration, username: str, rights: Iterable[Right]) -> None:
    """Add ACLs to that principal; those that it has are left as they are."""
    bindings = [_binding(username, right) for right in sorted(rights)]
    if bindings:
        administration.connection.ask_all("take ACLs", lambda client: client.create_acls(bindings))


def cut_off(administration: Administration, username: str) -> bool:
    """Refuse whatever that principal asks for from now on; return whether the cluster checks ACLs at all."""
    try:
        grant(administration, username, CUT_OFF)
    except BrokerRefusedError as exc:
        if exc.name == "SECURITY_DISABLED":
            return False
        raise
    return True


def let_in_again(administration: Administration, username: str, rights: frozenset[Right]) -> None:
    """Take back :func:`cut_off` as far as it is among the principal's ``rights``."""
    from confluent_kafka.admin import AclBindingFilter

    wanted = [
        AclBindingFilter(
            binding.restype,
            binding.name,
            binding.resource_pattern_type,
            binding.principal,
            binding.host,
            binding.operation,
            binding.permission_type,
        )
        for binding in (_binding(username, right) for right in sorted(rights & CUT_OFF))
    ]
    if wanted:
        administration.connection.ask_all("drop ACLs", lambda client: client.delete_acls(wanted))


def _right(binding: Any) -> Right:
    return Right(
        binding.restype.name,
        binding.name,
        binding.resource_pattern_type.name,
        binding.host,
        binding.operation.name,
        binding.permission_type.name,
    )


def _binding(username: str, right: Right) -> Any:
    from confluent_kafka.admin import AclBinding, AclOperation, AclPermissionType, ResourcePatternType, ResourceType

    return AclBinding(
        ResourceType[right.resource],
        right.name,
        ResourcePatternType[right.pattern],
        f"User:{username}",
        right.host,
        AclOperation[right.operation],
        AclPermissionType[right.permission],
    )


def _listed(rights: Iterable[Right]) -> str:
    return "; ".join(str(right) for right in sorted(rights))
