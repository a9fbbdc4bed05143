"""``rotate --dry-run``: what would happen, by which strategy, and for how long both credentials would work."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import typer

from vantage_secrets.cli.output import print_json, say
from vantage_secrets.clock import format_duration
from vantage_secrets.errors import VantageSecretsError

if TYPE_CHECKING:
    from vantage_secrets.bootstrap import Workspace
    from vantage_secrets.rotation.tick import Work


def print_forecast(workspace: Workspace, work: Iterable[Work], *, grace: timedelta | None, as_json: bool) -> None:
    """Print what would happen to each secret; nothing is changed, in the store or at a target.

    One of several that cannot be looked at ends no other; the command ends with 3 then.
    """
    items = list(work)
    records, failed_count = [], 0
    for item in items:
        try:
            records.append(_forecast(workspace, item, grace))
        except VantageSecretsError as exc:
            if len(items) == 1:
                raise
            failed_count += 1
            say(f"{item.spec.key} cannot be looked at: {exc} {exc.hint}")
    if as_json:
        print_json(records)
    for record in () if as_json else records:
        _print(record)
    if failed_count:
        raise typer.Exit(3)
    if not records and not as_json:
        print("Nothing is to be done.")


def _forecast(workspace: Workspace, work: Work, grace: timedelta | None) -> dict[str, Any]:
    """Return what a rotation would find: the target is probed, with its own login and no other."""
    spec = work.spec
    rotator = workspace.rotator(spec)
    situation, probe = rotator.situation(spec.name), rotator.target.probe()
    length = spec.grace if grace is None else grace
    both_work = length if situation.current or situation.previous else timedelta(0)
    return {
        "key": spec.key,
        "name": str(spec.name),
        "would": "begin" if situation.is_at_rest else "go on",
        "steps": [str(step) for step in situation.next_steps],
        "strategy": str(probe.overlap),
        "target": probe.summary,
        "both_work_seconds": 0 if probe.overlap == "none" else both_work.total_seconds(),
        "at_grace_end": spec.at_grace_end,
        "waits_for": list(spec.consumers),
        "warnings": list(probe.warnings),
    }


def _print(record: dict[str, Any]) -> None:
    verb = "A rotation would begin" if record["would"] == "begin" else "The rotation under way would go on"
    print(f"{record['key']}: {verb}, by {record['strategy']}.")
    print(f"  target     {record['target']}")
    print(f"  steps      {', '.join(record['steps'])}")
    print(f"  both work  {_overlap_words(record)}")
    for warning in record["warnings"]:
        print(f"  warning    {warning}")


def _overlap_words(record: dict[str, Any]) -> str:
    if record["strategy"] == "none":
        return "never: whoever uses the old one is interrupted"
    if not record["both_work_seconds"]:
        return "never: the old one is refused at once"
    length = format_duration(timedelta(seconds=record["both_work_seconds"]))
    who = f"these have moved: {', '.join(record['waits_for'])}" if record["waits_for"] else "every consumer has moved"
    held = "; longer when not all have: it is held" if record["at_grace_end"] == "hold" else ""
    return f"for {length} at the most, less once {who}{held}"
