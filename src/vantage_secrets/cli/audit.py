"""``audit``: searching, following, verifying and exporting the audit log."""

from __future__ import annotations

import typer

app = typer.Typer(help="Search, follow, verify and export the audit log.", no_args_is_help=True)
