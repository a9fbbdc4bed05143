"""A worker of a fleet for tests, which can be made to stop in the middle of one rotation.

``python -m tests.integration.queue_worker MANIFEST [MOMENT SECRET FOLDER]``: the first process that comes to MOMENT of
SECRET, such as ``install``, writes its process id to ``FOLDER/stopped``. It goes on when there is ``FOLDER/go``, and
fails where that says ``fail``.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

from vantage_secrets.audited_store import AuditedStore
from vantage_secrets.bootstrap import open_workspace
from vantage_secrets.drivers.queue import Fleet, Pace
from vantage_secrets.drivers.queue_place import QueuePlace
from vantage_secrets.errors import TargetUnavailableError
from vantage_secrets.manifest import load
from vantage_secrets.targets.api_key import ApiKeyTarget

PACE = Pace(tick=1, rescue=1, heartbeat=0.3, stalled=1.5)


def stop_at(moment: str, secret: str, folder: Path) -> None:
    """Stand still before that verb of the store or the target is done for that secret, once among all processes."""
    owner: Any = ApiKeyTarget if hasattr(ApiKeyTarget, moment) else AuditedStore
    verb = getattr(owner, moment)

    def stopped(self: Any, *args: Any, **kwargs: Any) -> Any:
        if secret in (str(getattr(self, "_name", "")), str(args[0])) and _is_first(folder / "stopped"):
            while not (folder / "go").exists():
                time.sleep(0.02)
            if (folder / "go").read_text() == "fail":
                raise TargetUnavailableError("The target did not answer.")
        return verb(self, *args, **kwargs)

    setattr(owner, moment, stopped)


def _is_first(marker: Path) -> bool:
    fresh = marker.with_name(f"{os.getpid()}.{time.monotonic_ns()}")
    fresh.write_text(str(os.getpid()))
    try:
        os.link(fresh, marker)  # it is there with its content, or not at all
    except FileExistsError:
        return False
    return True


def main(path: str, *stop: str) -> None:
    """Work until SIGTERM."""
    if stop:
        stop_at(stop[0], stop[1], Path(stop[2]))
    place = QueuePlace.of(load(Path(path)).database.url)
    Fleet(
        place, lambda: open_workspace(Path(path), why="worker"), pace=PACE, tell=lambda line: print(line, flush=True)
    ).run()


if __name__ == "__main__":
    main(*sys.argv[1:])
