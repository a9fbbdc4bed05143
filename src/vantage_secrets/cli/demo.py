"""``demo``: the main job, start to end."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vantage_secrets.cli.session import GlobalOptions, session


def demo(
    context: typer.Context,
    directory: Annotated[Path, typer.Option(help="Where to make it; you can go on with it afterwards.")] = Path("demo"),
    env_file: Annotated[
        Path | None,
        typer.Option(help="Your own .env, read and not changed; by default one is written.", show_default=False),
    ] = None,
) -> None:
    """See the main job on real files, with a rotation under load.

    A .env moves into the store, an application reads it, a key rotates while requests flow, and every
    access is in the audit log.
    """
    from vantage_secrets.demo.story import tell
    from vantage_secrets.manifest import FILE_NAME

    result = tell(directory, env_file)
    context.ensure_object(GlobalOptions).manifest = directory / FILE_NAME
    with session(context, "demo"):
        if not result.is_good:
            raise typer.Exit(3)
