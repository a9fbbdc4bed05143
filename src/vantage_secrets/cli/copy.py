"""``copy``: secrets from one store to another."""

from __future__ import annotations

from typing import Annotated

import typer

from vantage_secrets.cli.output import print_rows, tracked
from vantage_secrets.cli.session import JsonOption, complete_name, session


def copy(
    context: typer.Context,
    source: Annotated[str, typer.Option("--from", help="URL of the store to read; it is not changed.")],
    destination: Annotated[str, typer.Option("--to", help="URL of the store to write.")],
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NAME", help="Only these; all by default.", autocompletion=complete_name, show_default=False
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Copy secrets to another store, read back and compared.

    Interrupted and run again, it finishes.
    """
    from vantage_secrets.migration.copying import copy_secrets

    words = ["copy", *(names or []), "--from", _place(source), "--to", _place(destination)]
    with session(context, " ".join(words)) as workspace:
        with workspace.open_store(source) as from_store, workspace.open_store(destination) as to_store:
            chosen = [workspace.manifest.find(name).name for name in names or []] or list(from_store.list())
            results = tracked(copy_secrets(from_store, to_store, chosen), "Copying", total=len(chosen))
            rows = [{"name": str(r.name), "outcome": r.outcome, "stages": r.stages} for r in results]
        print_rows(
            {"name": "Secret", "outcome": "Outcome", "stages": "Stages"},
            rows,
            as_json=as_json,
            empty="Nothing to copy.",
        )


def _place(url: str) -> str:
    """Return the URL as the audit log may hold it: without what stands before ``@`` and behind ``?``."""
    scheme, separator, rest = url.partition("?")[0].partition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2]}"
