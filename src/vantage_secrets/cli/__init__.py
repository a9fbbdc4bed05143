"""The command line: one module a group, no logic.

Only what ``--help`` needs is imported here and at the top of the command modules; the rest is imported by the
command that uses it.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from typing import NoReturn


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with a documented code.

    Args:
        arguments: Words after the program's name; by default those of this process.
    """
    from vantage_secrets.cli.failure import forbid_core_dumps, report

    forbid_core_dumps()
    # Inherited as ignored, it would make Python take each program that failed for one that ended well (wait(2)).
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:1] == ["scan"]:  # started at each commit, so without the other commands and without Typer
        code = _scan(words[1:])
        if arguments is None:
            _leave(code)
        sys.exit(code)
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


def _scan(words: Sequence[str]) -> int:
    from vantage_secrets.cli.failure import report
    from vantage_secrets.cli.scan import scan

    try:
        code = scan(words)
        sys.stdout.flush()
    except (Exception, KeyboardInterrupt) as error:
        code = report(error, show_traceback=False)
    return code


def _leave(code: int) -> NoReturn:
    """End the process at once: nothing is open any more, and the interpreter's own end takes a tenth of a scan."""
    import contextlib
    import os
    import threading

    if threading.active_count() > 1:
        sys.exit(code)
    with contextlib.suppress(OSError):  # nobody reads it any more
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)
