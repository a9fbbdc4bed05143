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
    from vantage_secrets.cli.session import GlobalOptions

    options = GlobalOptions()
    try:
        # Not standalone: Typer's own way of ending would print boxes, and would repeat what was typed.
        code = app(args=words, prog_name="vantage-secrets", standalone_mode=False, obj=options)
        sys.stdout.flush()
    except SystemExit as ended:
        # Typer's end of a broken pipe is 1, which has another meaning here.
        if isinstance(ended.__context__, BrokenPipeError):
            sys.exit(report(ended.__context__, show_traceback=False))
        raise
    except (Exception, KeyboardInterrupt) as error:
        sys.exit(report(error, show_traceback=options.debug))
    sys.exit(code if isinstance(code, int) else 0)
