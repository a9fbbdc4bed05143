"""``worker``: one process of a fleet that rotates what is due."""

from __future__ import annotations

import contextlib
from typing import Annotated

import typer

from vantage_secrets.cli.session import session


def worker(
    context: typer.Context,
    concurrency: Annotated[
        int, typer.Option(min=1, max=64, help="How many rotations run at the same time in this process.")
    ] = 1,
    prepare: Annotated[
        bool, typer.Option("--prepare", help="Make the queue in the control database, and end. Safe to repeat.")
    ] = False,
) -> None:
    """Rotate what is due, together with other workers.

    The workers share a queue in a control database on PostgreSQL. Any of them may die at any time; another one goes
    on with its work. SIGTERM lets the rotations that are running finish.
    """
    from vantage_secrets.bootstrap import open_workspace
    from vantage_secrets.drivers.queue import Fleet
    from vantage_secrets.drivers.queue_place import QueuePlace

    with session(context, "worker --prepare" if prepare else "worker") as workspace:
        place = QueuePlace.of(workspace.manifest.database.url)
        if prepare:
            made = place.prepare()
            print("The queue is made." if made else "The queue was made already.")
            return
        place.check()
        path = workspace.manifest.path
        Fleet(place, lambda: open_workspace(path, why="worker"), concurrency=concurrency, tell=_tell).run()


def _tell(line: str) -> None:
    with contextlib.suppress(BrokenPipeError):  # a rotation goes on though nobody reads of it any more
        print(line, flush=True)
