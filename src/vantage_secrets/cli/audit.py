"""``audit``: searching, following, verifying and exporting the audit log."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from vantage_secrets.cli.output import print_json_line, print_record, print_rows, say
from vantage_secrets.cli.session import JsonOption, session

if TYPE_CHECKING:
    from vantage_secrets.audit.record import AuditRecord
    from vantage_secrets.audit.search import Filters

app = typer.Typer(help="Search, follow, verify and export the audit log.", no_args_is_help=True)

_COLUMNS = {
    "seq": "No.",
    "at": "At (UTC)",
    "actor": "Actor",
    "action": "Action",
    "subject": "Subject",
    "version": "Version",
    "outcome": "Outcome",
    "why": "Why",
}


def complete_action(incomplete: str) -> list[str]:
    """Return the actions that begin so."""
    from vantage_secrets.audit.event import Action

    return [action.value for action in Action if action.startswith(incomplete)]


class Format(StrEnum):
    """How records leave the log."""

    JSONL = "jsonl"
    CSV = "csv"


ActorOption = Annotated[str | None, typer.Option(help="Who, exactly, as user@host.", show_default=False)]
ActionOption = Annotated[
    str | None,
    typer.Option(help="What, exactly, as store:secret:read.", show_default=False, autocompletion=complete_action),
]
SubjectOption = Annotated[
    str | None, typer.Option(help="To what: a secret's name, or a command's words.", show_default=False)
]
OutcomeOption = Annotated[
    str | None, typer.Option(help="How it ended: success, denied, absent, failed.", show_default=False)
]
SinceOption = Annotated[
    str | None,
    typer.Option(help="Not before: an instant (2026-01-31T12:00Z), or a length of time ago (24h).", show_default=False),
]
UntilOption = Annotated[str | None, typer.Option(help="Before, written like --since.", show_default=False)]


@app.command("search")
def search(
    context: typer.Context,
    actor: ActorOption = None,
    action: ActionOption = None,
    subject: SubjectOption = None,
    outcome: OutcomeOption = None,
    version: Annotated[str | None, typer.Option(help="Which version of the secret.", show_default=False)] = None,
    since: SinceOption = None,
    until: UntilOption = None,
    limit: Annotated[int, typer.Option(min=1, help="How many at the most.")] = 1000,
    newest_first: Annotated[bool, typer.Option("--newest-first", help="Begin with the newest.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Find records by who, what, which secret, how it ended, when."""
    from vantage_secrets.audit.search import search as find

    with session(context, "audit search") as workspace:
        filters = _filters(workspace.clock(), actor, action, subject, outcome, since, until)
        filters["version_id"] = version
        records = find(workspace.manifest.audit.folder, limit=limit, newest_first=newest_first, **filters)
        print_rows(_COLUMNS, map(_row, records), as_json=as_json, empty="No record fits.")


@app.command("tail")
def tail(
    context: typer.Context,
    count: Annotated[int, typer.Option("--count", "-n", min=0, help="How many.")] = 10,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with new records until stopped.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show the last records, and with --follow each new one."""
    from vantage_secrets.audit.search import tail as last

    with session(context, "audit tail") as workspace:
        records = map(_row, last(workspace.manifest.audit.folder, count, follow=follow))
        if not follow:
            print_rows(_COLUMNS, records, as_json=as_json, empty="The log is empty.")
            return
        with suppress(KeyboardInterrupt):  # the way to end it
            for row in records:  # one at a time, as they come: a table would wait for the last
                print_json_line(row) if as_json else print(_line(row), flush=True)


@app.command("verify")
def verify(
    context: typer.Context,
    file: Annotated[
        Path | None,
        typer.Argument(metavar="[FILE]", help="An exported log instead of the manifest's.", show_default=False),
    ] = None,
    checkpoint: Annotated[
        Path | None, typer.Option(help="A checkpoint that was kept elsewhere.", show_default=False)
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Check that every record is what was written.

    Names the first record that is not, and ends with 1: one that was changed, removed, inserted or reordered, or
    an end that was cut off.
    """
    from vantage_secrets.audit.checkpoint import Checkpoint
    from vantage_secrets.audit.verify import verify as check

    with session(context, "audit verify") as workspace:
        settings = workspace.manifest.audit
        kept = Checkpoint.from_json(checkpoint.read_bytes()) if checkpoint else None
        found = check(file or settings.folder, public_key=settings.public_key, checkpoint=kept)
        record = {
            "intact": found.problem is None,
            "records_count": found.records_count,
            "checkpoints_count": found.checkpoints_count,
            "records_after_checkpoint_count": found.records_after_checkpoint_count,
            "key_is_pinned": found.key_is_pinned,
            "last_hash": found.last_hash,
        }
        if found.problem is not None:
            problem = found.problem
            record |= {"problem": problem.kind, "file": problem.file, "line": problem.line, "seq": problem.seq}
        print_record(record, as_json=as_json)
        found.raise_for_problem()


@app.command("export")
def export(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to write; '-' is standard output.")],
    format_: Annotated[
        Format, typer.Option("--format", help="jsonl can be verified elsewhere, csv is for a spreadsheet.")
    ] = Format.JSONL,
    actor: ActorOption = None,
    action: ActionOption = None,
    subject: SubjectOption = None,
    outcome: OutcomeOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
) -> None:
    """Write the log, or a selection of it, to a file."""
    from vantage_secrets.audit.export import export as write

    with session(context, "audit export") as workspace:
        filters = _filters(workspace.clock(), actor, action, subject, outcome, since, until)
        folder = workspace.manifest.audit.folder
        if str(file) == "-":
            count = write(folder, sys.stdout.buffer, format=format_.value, **filters)
        else:
            with file.open("wb") as output:
                count = write(folder, output, format=format_.value, **filters)
        say(f"{count} record(s) written.")


@app.command("checkpoint")
def checkpoint(context: typer.Context) -> None:
    """Print the last signed checkpoint, to be kept elsewhere.

    A log that was cut off or rewritten later, even by who has its key, does not fit to it.
    """
    from vantage_secrets.audit.checkpoint import last_checkpoint
    from vantage_secrets.errors import AuditError

    with session(context, "audit checkpoint") as workspace:
        last = last_checkpoint(workspace.manifest.audit.folder)
        if last is None:
            raise AuditError("The log has no checkpoint yet.", hint="One is signed at the end of every command.")
        print(last.to_json())


@app.command("collect")
def collect(context: typer.Context, as_json: JsonOption = False) -> None:
    """Bring in the events of processes that could not write the log."""
    with session(context, "audit collect") as workspace:
        collected = workspace.collect_spool()
        print_record(asdict(collected), as_json=as_json)


def _filters(
    now: datetime,
    actor: str | None,
    action: str | None,
    subject: str | None,
    outcome: str | None,
    since: str | None,
    until: str | None,
) -> Filters:
    """Return the options as filters.

    Raises:
        InvalidInputError: An option is not one of the words, or not an instant.
    """
    from vantage_secrets.audit.event import Action, Outcome

    return {
        "actor": actor,
        "action": _word(Action, action, "an action"),
        "subject": subject,
        "outcome": _word(Outcome, outcome, "an outcome"),
        "since": parse_instant(since, now),
        "until": parse_instant(until, now),
    }


_Word = TypeVar("_Word", bound=StrEnum)


def _word(words: type[_Word], text: str | None, what: str) -> _Word | None:
    from vantage_secrets.errors import InvalidInputError

    if text is None:
        return None
    try:
        return words(text)
    except ValueError:
        raise InvalidInputError(f"'{text[:40]}' is not {what}.", hint=f"Use one of: {', '.join(words)}.") from None


def parse_instant(text: str | None, now: datetime) -> datetime | None:
    """Return the instant that ``text`` writes, or the one that lies that length of time back.

    Raises:
        InvalidInputError: It writes neither.
    """
    from vantage_secrets.clock import parse_duration
    from vantage_secrets.errors import InvalidInputError

    if text is None:
        return None
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        try:
            return now - parse_duration(text)
        except InvalidInputError:
            raise InvalidInputError(
                f"'{text[:40]}' is not an instant.", hint="Write 2026-01-31T12:00Z, or 24h for a day ago."
            ) from None
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


def _row(record: AuditRecord) -> dict[str, Any]:
    event = record.event
    return {
        "seq": record.seq,
        "at": event.at,
        "actor": event.actor,
        "action": event.action,
        "subject": event.subject,
        "version": event.version_id,
        "outcome": event.outcome,
        "why": event.why,
        "where": event.where,
        "hash": record.hash,
    }


def _line(row: Mapping[str, Any]) -> str:
    words = (row["at"].isoformat(timespec="seconds"), row["actor"], row["action"], row["subject"], row["version"])
    return "  ".join(str(word) for word in (*words, row["outcome"], row["why"]) if word)
