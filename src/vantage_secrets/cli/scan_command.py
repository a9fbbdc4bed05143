"""``scan`` among the other commands: for the list of them, and when global options stand in front of it."""

from __future__ import annotations

import typer

from vantage_secrets.cli.session import GlobalOptions


def scan(context: typer.Context) -> None:
    """Find secrets that leaked, and say which are dangerous."""
    from vantage_secrets.cli.scan import scan as run

    try:
        code = run(context.args, context.ensure_object(GlobalOptions).manifest)
    except SystemExit as ended:  # argparse's way of ending after its help
        code = int(ended.code or 0)
    raise typer.Exit(code)
