"""``who``: which process holds which version of a secret."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vantage_secrets.cli.audit import parse_instant
from vantage_secrets.cli.output import is_terminal, print_json, print_rows, say
from vantage_secrets.cli.session import JsonOption, NameArgument, session

if TYPE_CHECKING:
    from vantage_secrets.bootstrap import Workspace
    from vantage_secrets.manifest import SecretSpec
    from vantage_secrets.receipts import Holder
    from vantage_secrets.receipts.standing import Standing
    from vantage_secrets.secret import SecretVersion

_PIPED = ("service", "instance", "version", "stage", "since", "seen_at", "state")
_AT_TERMINAL = {
    "service": "Service",
    "instance": "Instance",
    "version": "Version",
    "stage": "Stage now",
    "since": "Since (UTC)",
    "seen_ago": "Last seen",
    "state": "State",
}
_ENDED = {"ended_by": "Then", "ended_at": "At (UTC)"}


def who(
    context: typer.Context,
    name: NameArgument,
    at: Annotated[
        str | None,
        typer.Option(help="At a past time: an instant (2026-01-31T12:00Z), or 24h for a day ago.", show_default=False),
    ] = None,
    dismiss: Annotated[
        str | None,
        typer.Option(
            metavar="INSTANCE",
            help="Say that this process is gone for good: it is on record, and holds nothing any more.",
            show_default=False,
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show who holds which version of a secret, now or in the past.

    A process that vanished without a goodbye is 'unknown': it may still use what it was given, and keeps an overlap
    open until it moves, a person dismisses it, or the grace has passed.
    """
    from vantage_secrets.errors import InvalidInputError

    if dismiss is not None and at is not None:
        raise InvalidInputError("--dismiss is about the present.", hint="Leave out --at.")
    with session(context, f"who {name}" if dismiss is None else f"who {name} --dismiss {dismiss}") as workspace:
        spec = workspace.manifest.find(name)
        if dismiss is not None:
            _dismiss(workspace, spec, dismiss, as_json=as_json)
        else:
            _show(workspace, spec, parse_instant(at, workspace.clock()), as_json=as_json)


def _dismiss(workspace: Workspace, spec: SecretSpec, instance: str, *, as_json: bool) -> None:
    from vantage_secrets.audit.event import Action
    from vantage_secrets.errors import InvalidInputError
    from vantage_secrets.receipts import HEARTBEAT, Receipts

    receipts, now = Receipts(workspace.database), workspace.clock()
    meant = [
        holder
        for holder in receipts.holders(spec.name, now=now)
        if instance in (holder.instance, holder.instance.partition("#")[0])
    ]
    if not meant:
        raise InvalidInputError(
            f"No process '{instance[:80]}' holds '{spec.name}'.", hint=f"vantage-secrets who {spec.key} names them."
        )
    count = workspace.recorder.during(
        Action.RECEIPT_DISMISS, str(spec.name), lambda: receipts.dismiss(spec.name, instance, now=now)
    )
    if as_json:
        print_json({"name": str(spec.name), "instance": instance, "dismissed_count": count})
        return
    print(f"{count} receipt(s) of {instance} ended.")
    if any(holder.is_known for holder in meant):
        say(f"note: It was heard of lately. If it still runs, it is back within {HEARTBEAT.seconds} seconds.")


def _show(workspace: Workspace, spec: SecretSpec, at: datetime | None, *, as_json: bool) -> None:
    from vantage_secrets.receipts import Receipts
    from vantage_secrets.receipts.standing import standings

    receipts, now = Receipts(workspace.database), workspace.clock()
    holders = receipts.holders(spec.name, at=at, now=now)
    versions = workspace.store.describe(spec.name)
    current = _current(versions, at or now)
    stood = standings(
        holders,
        current_id=current.id if current else "",
        consumers=spec.consumers,
        services=receipts.services(spec.name),
    )
    silent = [standing.service for standing in stood if not standing.left_a_receipt]
    rows = [*_rows(holders, versions, now), *({"service": service, "state": "no receipt"} for service in silent)]
    if as_json:
        print_json(_record(spec, at or now, current, rows, stood))
        return
    columns = _AT_TERMINAL if is_terminal() else dict.fromkeys(_PIPED, "")
    print_rows(columns if at is None else columns | _ENDED, rows, as_json=False)
    if current is not None:
        say(_closing_line(current, stood, past=at is not None))


def _current(versions: Iterable[SecretVersion], at: datetime) -> SecretVersion | None:
    """Return the version that was current at that time."""
    promoted = [(version.promoted_at, version.id, version) for version in versions if version.promoted_at is not None]
    return max((each for each in promoted if each[0] <= at), default=(None, "", None))[2]


def _rows(holders: Iterable[Holder], versions: Iterable[SecretVersion], now: datetime) -> Iterator[dict[str, Any]]:
    stages = {version.id: version.stage for version in versions}
    for holder in holders:
        yield {
            "service": holder.service,
            "instance": holder.instance,
            "version": holder.version_id,
            "stage": stages.get(holder.version_id, "gone"),
            "since": holder.since,
            "seen_at": holder.seen_at,
            "seen_ago": max(now, holder.seen_at) - holder.seen_at,
            "state": "holds" if holder.is_known else "unknown",
            "ended_by": holder.ended_by or None,
            "ended_at": holder.ended_at,
        }


def _record(
    spec: SecretSpec,
    at: datetime,
    current: SecretVersion | None,
    rows: Iterable[Mapping[str, Any]],
    stood: Iterable[Standing],
) -> dict[str, Any]:
    from vantage_secrets.cli.output import json_value

    keys = (*_PIPED, *_ENDED)
    return {
        "name": str(spec.name),
        "at": at.isoformat(),
        "current": current.id if current else None,
        "holders": [{key: json_value(row[key]) for key in keys} for row in rows if "instance" in row],
        "consumers": [{**standing._asdict(), "has_moved": standing.has_moved} for standing in stood],
    }


def _closing_line(current: SecretVersion, stood: tuple[Standing, ...], *, past: bool) -> str:
    moved = sum(standing.has_moved for standing in stood)
    have = "had" if past else "have"
    words = [f"{moved} of {len(stood)} consumers {have} moved to version {current.id}"]
    words += [f"{standing.service}: {_reason(standing)}" for standing in stood if not standing.has_moved]
    return "; ".join(words) + "."


def _reason(standing: Standing) -> str:
    if not standing.left_a_receipt:
        return "no receipt yet"
    counts = ((standing.behind_count, "on another version"), (standing.unknown_count, "not heard of any more"))
    return ", ".join(f"{count} of {standing.instance_count} {words}" for count, words in counts if count)
