"""The command line: one module a group, no logic.

Only what ``--help`` needs is imported here and at the top of the command modules; the rest is imported by the
command that uses it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with a documented code.

    Args:
        arguments: Words after the program's name; by default those of this process.
    """
    from vantage_secrets.cli.failure import forbid_core_dumps, report

    forbid_core_dumps()
    words = list(sys.argv[1:] if arguments is None else arguments)
    from vantage_secrets.cli.app import app

    try:
        app(args=words, prog_name="vantage-secrets")
    except (Exception, KeyboardInterrupt) as error:
        sys.exit(report(error, show_traceback="--debug" in words))
