"""One worker process of a fleet, as in production but for a clock that ticks more often and a network that is slow.

``python -m benchmarks.fleet_worker MANIFEST``, until SIGTERM. Store and target of the benchmark are on this machine,
where they answer without a way between; each call to one of them waits first, as over a network.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from vantage_secrets.bootstrap import open_workspace
from vantage_secrets.drivers.queue import Fleet, Pace
from vantage_secrets.drivers.queue_place import QueuePlace
from vantage_secrets.manifest import load
from vantage_secrets.stores.embedded import EmbeddedStore
from vantage_secrets.targets.api_key import ApiKeyTarget

LATENCY_SECONDS = 0.01
"""A round trip to a secrets manager, or a fresh login, in one region: 10 ms is at the quick end of both."""

TICK_SECONDS = 5

_CALLS: dict[type, tuple[str, ...]] = {
    EmbeddedStore: ("read", "describe", "stage", "promote", "retire"),
    ApiKeyTarget: ("install", "verify", "limit", "revoke", "verify_refused"),
}


def _put_far_away(owner: type, verb: str) -> None:
    call = getattr(owner, verb)

    def far_away(*args: Any, **kwargs: Any) -> Any:
        time.sleep(LATENCY_SECONDS)
        return call(*args, **kwargs)

    setattr(owner, verb, far_away)


def _say_when_ready(line: str) -> None:
    if line.startswith("Working"):
        print(line, flush=True)


def main(manifest: Path) -> None:
    """Work until SIGTERM."""
    for owner, verbs in _CALLS.items():
        for verb in verbs:
            _put_far_away(owner, verb)
    place = QueuePlace.of(load(manifest).database.url)
    pace = Pace(tick=TICK_SECONDS)
    Fleet(place, lambda: open_workspace(manifest, why="worker"), pace=pace, tell=_say_when_ready).run()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
