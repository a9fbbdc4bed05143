"""What a person should know of a Kafka cluster before a rotation."""

from __future__ import annotations

from collections.abc import Iterator

from vantage_secrets.targets.contract import Overlap, Probe
from vantage_secrets.targets.kafka.cluster import Cluster, Setting, checks_acls
from vantage_secrets.targets.kafka.login import MECHANISMS, Login, principals
from vantage_secrets.targets.kafka.quotas import QuotasUnreadableError, look_at_quotas

_REAUTH = "connections.max.reauth.ms"
_NOTHING = Setting("", is_set=False)


def look(cluster: Cluster, account: str, *, alternates: bool) -> Probe:
    """Return what is there and what it means; changes nothing."""
    administration = cluster.administer()
    settings = administration.broker_settings()
    has_authorizer = checks_acls(settings)
    warnings = [
        *_about_reauthentication(settings, has_authorizer=has_authorizer, alternates=alternates),
        *_about_authorizer(has_authorizer=has_authorizer, alternates=alternates),
        *_about_mechanisms(settings, MECHANISMS if not alternates else (cluster.mechanism,)),
        *_about_tokens(settings),
        *(_about_quotas(cluster, administration.login, account) if alternates else ()),
    ]
    count = len(administration.brokers)
    who = " and ".join(principals(account)) if alternates else f"{account} by {' and '.join(MECHANISMS)}"
    return Probe(
        f"{count} broker(s), ACLs {'checked' if has_authorizer else 'not checked'}; {who} take turns",
        Overlap.ALTERNATING_USERS if alternates else Overlap.TWO_CREDENTIALS,
        warnings=tuple(warnings),
    )


def _about_reauthentication(
    settings: dict[int, dict[str, Setting]], *, has_authorizer: bool, alternates: bool
) -> Iterator[str]:
    never = [number for number, names in settings.items() if not _reauthenticates(names)]
    if not never:
        return
    fate = "are refused by ACLs" if has_authorizer and alternates else "go on working until they are closed"
    yield (
        f"'{_REAUTH}' is off on broker {_numbers(never)}: open connections keep their login. "
        f"Those of a revoked one {fate}; clients must reconnect to follow."
    )


def _reauthenticates(names: dict[str, Setting]) -> bool:
    """Return whether it is on, for all listeners or, by a name with their prefix, for one."""
    return any(setting.value not in ("", "0") for name, setting in names.items() if name.endswith(_REAUTH))


def _about_authorizer(*, has_authorizer: bool, alternates: bool) -> Iterator[str]:
    if not has_authorizer:
        cut = "revoking overwrites the password and cannot cut off what is connected" if alternates else ""
        yield f"The brokers check no ACLs: every login may do everything{'; ' + cut if cut else ''}."


def _about_mechanisms(settings: dict[int, dict[str, Setting]], needed: tuple[str, ...]) -> Iterator[str]:
    for mechanism in needed:
        lacking = [number for number, names in settings.items() if not _takes(names, mechanism)]
        if lacking:
            yield f"Broker {_numbers(lacking)} takes no logins by {mechanism} ('sasl.enabled.mechanisms')."


def _takes(names: dict[str, Setting], mechanism: str) -> bool:
    lists = [setting.value for name, setting in names.items() if name.endswith("sasl.enabled.mechanisms")]
    return not lists or any(mechanism in text.split(",") for text in lists)


def _about_tokens(settings: dict[int, dict[str, Setting]]) -> Iterator[str]:
    names = ("delegation.token.secret.key", "delegation.token.master.key")
    able = [number for number, found in settings.items() if any(found.get(name, _NOTHING).is_set for name in names)]
    if able:
        yield (
            f"Broker {_numbers(able)} issues delegation tokens: one that a principal has made outlives its password "
            "until it expires or is ended with kafka-delegation-tokens.sh."
        )


def _about_quotas(cluster: Cluster, administrator: Login, account: str) -> Iterator[str]:
    try:
        look_at_quotas(cluster, administrator, account)
    except QuotasUnreadableError as exc:
        yield f"Quotas of the two principals cannot be compared ({exc}): make them equal by hand."


def _numbers(brokers: list[int]) -> str:
    return ", ".join(str(number) for number in sorted(brokers))
