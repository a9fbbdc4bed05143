"""``list``, ``status``, ``describe``, ``history``, ``get``: looking at secrets."""

from __future__ import annotations

import sys
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vantage_secrets.cli.output import is_terminal, print_json, print_record, print_rows, say
from vantage_secrets.cli.session import JsonOption, NameArgument, session

if TYPE_CHECKING:
    from vantage_secrets.bootstrap import Workspace
    from vantage_secrets.rotation.status import SecretStatus
    from vantage_secrets.secret import SecretReading, SecretVersion


_STATUS_PIPED = dict.fromkeys(("key", "state", "age", "due_at", "stages", "oldest_at", "owner"), "")
_STATUS_AT_TERMINAL = {
    "key": "Secret",
    "state": "State",
    "age": "Age",
    "oldest_age": "Oldest live",
    "due_in": "Due in",
    "stages": "Stages",
    "owner": "Owner",
}

_DESCRIBED = (
    *("key", "name", "purpose", "kind", "owner", "consumers", "state", "stages", "age", "due_at"),
    *("oldest_at", "overlap_ends_at", "max_age", "grace", "store"),
)

_FIRST = "vantage-secrets migrate import .env"


def list_(
    context: typer.Context,
    prefix: Annotated[str, typer.Argument(help="Only names that begin so.", show_default=False)] = "",
    as_json: JsonOption = False,
) -> None:
    """List the names of the secrets that the store holds."""
    with session(context, f"list {prefix}".strip()) as workspace:
        keys = {spec.name: spec.key for spec in workspace.manifest.secrets}
        rows = ({"name": str(name), "key": keys.get(name)} for name in workspace.store.list(prefix))
        columns = {"name": "Name", "key": "Environment variable"} if is_terminal() else {"name": "Name"}
        nothing = f"No name begins with '{prefix}'." if prefix else f"The store is empty. Next: {_FIRST}"
        print_rows(columns, rows, as_json=as_json, empty=nothing)


def status(
    context: typer.Context,
    check: Annotated[
        bool, typer.Option("--check", help="End with 1 when a secret is missing, expired or due.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show age, due date, stages, owner and the oldest live value.

    The oldest live value is the oldest one that still opens the door.
    """
    from vantage_secrets.rotation.status import ACTIONABLE, status_of

    with session(context, "status") as workspace:
        manifest, now = workspace.manifest, workspace.clock()
        required = frozenset(spec.key for spec in manifest.required_secrets())
        found = list(status_of(manifest.secrets, workspace.store, required=required, now=now))
        columns = _STATUS_AT_TERMINAL if is_terminal() else _STATUS_PIPED
        print_rows(columns, (_status_row(item, now) for item in found), as_json=as_json)
        urgent = [item for item in found if item.state in ACTIONABLE]
        if not as_json and is_terminal():
            for item in urgent:
                say(f"{item.spec.key} is {item.state}. Next: {_next_action(workspace, item)}")
        if check and urgent:
            raise typer.Exit(1)


def _status_row(item: SecretStatus, now: datetime) -> dict[str, Any]:
    spec, situation = item.spec, item.situation
    standing = (("pending", situation.pending), ("current", situation.current), ("previous", situation.previous))
    return {
        "key": spec.key,
        "name": str(spec.name),
        "kind": spec.kind,
        "state": item.state,
        "age": now - situation.current.created_at if situation.current else None,
        "due_at": item.due_at,
        "due_in": item.due_at - now if item.due_at else None,
        "stages": [f"{stage} {version.id}" for stage, version in standing if version],
        "oldest_at": item.oldest_at,
        "oldest_age": now - item.oldest_at if item.oldest_at else None,
        "overlap_ends_at": item.overlap_ends_at,
        "owner": spec.owner,
        "consumers": spec.consumers,
        "max_age": spec.max_age,
        "grace": spec.grace,
    }


def _next_action(workspace: Workspace, item: SecretStatus) -> str:
    """Return the command that helps: a value that no target can change is brought by a person."""
    by_hand = item.state == "missing" or workspace.target(item.spec) is None
    return f"vantage-secrets {'set' if by_hand else 'rotate'} {item.spec.key}"


def describe(context: typer.Context, name: NameArgument, as_json: JsonOption = False) -> None:
    """Show what is known of one secret, without its value."""
    from vantage_secrets.rotation.status import status_of

    with session(context, f"describe {name}") as workspace:
        spec, now = workspace.manifest.find(name), workspace.clock()
        required = frozenset(item.key for item in workspace.manifest.required_secrets())
        [found] = status_of([spec], workspace.store, required=required, now=now)
        row = _status_row(found, now)
        row["purpose"] = spec.purpose
        row["store"] = workspace.store.url
        print_record({key: row[key] for key in _DESCRIBED}, as_json=as_json)


def history(context: typer.Context, name: NameArgument, as_json: JsonOption = False) -> None:
    """Show all versions of a secret, the newest first; no values."""
    with session(context, f"history {name}") as workspace:
        versions = workspace.store.describe(workspace.manifest.find(name).name)
        columns = {
            "version": "Version",
            "stage": "Stage",
            "created_at": "Created (UTC)",
            "promoted_at": "Promoted",
            "retired_at": "Retired",
        }
        print_rows(columns, map(_version_row, versions), as_json=as_json)


def _version_row(version: SecretVersion) -> dict[str, Any]:
    return {
        "version": version.id,
        "stage": version.stage,
        "created_at": version.created_at,
        "promoted_at": version.promoted_at,
        "retired_at": version.retired_at,
    }


def get(
    context: typer.Context,
    name: NameArgument,
    reveal: Annotated[bool, typer.Option("--reveal", help="Allow the value on a terminal.")] = False,
    stage: Annotated[str, typer.Option(help="Which one: current, previous or pending.")] = "current",
    version: Annotated[str | None, typer.Option(help="One version by its id.", show_default=False)] = None,
    field: Annotated[str | None, typer.Option(help="One named field of the value.", show_default=False)] = None,
    as_json: JsonOption = False,
) -> None:
    """Write a value to standard output; on a terminal with --reveal.

    The bytes are exact: no newline is added where the output is piped.
    """
    from vantage_secrets.errors import InvalidInputError
    from vantage_secrets.secret import Stage

    if stage not in ("current", "previous", "pending"):
        raise InvalidInputError(
            f"'{stage[:20]}' is not a stage that can be read.", hint="Use current, previous or pending."
        )
    if is_terminal() and not reveal:
        raise InvalidInputError(
            "A value is not shown on a terminal unless you ask for it.",
            hint=f"Add --reveal, or pipe it: vantage-secrets get {name} | …",
        )
    with session(context, f"get {name}") as workspace:
        spec = workspace.manifest.find(name)
        reading = workspace.store.read(spec.name, stage=Stage(stage), version=version)
        _write_value(reading, field, as_json=as_json)


def _write_value(reading: SecretReading, field: str | None, *, as_json: bool) -> None:
    content = reading.value.reveal() if field is None else _field(reading, field)
    if as_json:
        text = content if not isinstance(content, bytes) else {"base64": _base64(content)}
        print_json({"name": str(reading.version.name), **_json_version(reading.version), "value": text})
    elif isinstance(content, dict):
        print_json(content)
    else:
        raw = content.encode("utf-8", "surrogateescape") if isinstance(content, str) else content
        sys.stdout.buffer.write(raw + (b"\n" if is_terminal() else b""))
        sys.stdout.buffer.flush()


def _field(reading: SecretReading, field: str) -> str:
    """Return one named field; the reader of a command line is told of options, and not of Python's methods."""
    from vantage_secrets.errors import InvalidInputError

    content, name = reading.value.reveal(), reading.version.name
    if not isinstance(content, dict):
        raise InvalidInputError(f"The value of '{name}' has no named fields.", hint="Leave out --field.")
    if field not in content:
        hint = f"Use one of: {', '.join(sorted(content))}."
        raise InvalidInputError(f"The value of '{name}' has no such field.", hint=hint)
    return content[field]


def _json_version(version: SecretVersion) -> dict[str, Any]:
    return {"version": version.id, "stage": version.stage.value, "created_at": version.created_at.isoformat()}


def _base64(content: bytes) -> str:
    import base64

    return base64.b64encode(content).decode()
