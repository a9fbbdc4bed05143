"""``doctor``: what works at a store, what is missing, and the next command."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from vantage_secrets.cli.failure import ExitCode
from vantage_secrets.cli.output import print_rows
from vantage_secrets.cli.session import JsonOption, session

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vantage_secrets.bootstrap import Workspace
    from vantage_secrets.stores.contract import Examination


def doctor(
    context: typer.Context,
    url: Annotated[
        str | None, typer.Argument(metavar="[URL]", help="The store; by default the manifest's.", show_default=False)
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Tell what works at a store, what is missing, and what to do.

    Ends with 1 when something is missing or broken.
    """
    from vantage_secrets.stores.contract import Health

    with session(context, "doctor") as workspace:
        found = list(_examine(workspace, url or workspace.manifest.store.url))
        rows = [
            {"part": item.part, "health": item.health, "words": item.words, "next_action": item.next_action}
            for item in found
        ]
        columns = {"part": "Part", "health": "Health", "words": "Found", "next_action": "Next"}
        print_rows(columns, rows, as_json=as_json)
        if any(item.health in (Health.MISSING, Health.BROKEN) for item in found):
            raise typer.Exit(ExitCode.NEGATIVE)


def _examine(workspace: Workspace, url: str) -> Iterator[Examination]:
    """Yield what is found; a store that cannot be opened is a finding too."""
    from vantage_secrets.errors import VantageSecretsError
    from vantage_secrets.stores.contract import Examination, Health

    try:
        store = workspace.open_store(url)
    except VantageSecretsError as error:
        yield Examination("opening", Health.BROKEN, error.message, error.hint)
        return
    with store:
        yield Examination("opening", Health.WORKS, f"{store.url} is understood, and its SDK is installed.")
        yield from store.examine()
