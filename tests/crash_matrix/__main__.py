"""Kill rotations at every call on real servers, print what came of it, and write docs/reference/crash-matrix.md.

Usage: python -m tests.crash_matrix [TARGET]…

Takes minutes. The same cells are a test (tests/integration/test_crash_matrix.py); this writes them down.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

from tests.crash_matrix.cases import STORES, TARGETS
from tests.crash_matrix.matrix import Row, run_cell
from tests.servers.aws import CREDENTIALS

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "crash-matrix.md"
HEAD = """# Crash matrix

Written by `make crash-matrix`, {date}. A rotation with an overlap, and the end of the overlap, run on real servers as
a process that is killed by SIGKILL before each call to the store and to the target (which is after the call before
it), and in the middle of each call that changes something. Then `reconcile` runs once.

`old` and `new` say which version is current afterwards. A cell would name a fault if, right after the kill, the value
that readers get opened nothing, or a consumer with the old value was refused before the overlap's end; or if, after
the next run, the store had anything beside one current version, or anything but that one opened the door.
"""


def main(chosen: Sequence[str]) -> int:
    """Run the cells of the chosen targets, or of all; return 1 when one has a fault."""
    os.environ.update(CREDENTIALS)
    tables, faults = [], 0
    for target in chosen or TARGETS:
        columns = {store: _cell(target, store) for store in STORES}
        faults += sum(bool(row.faults) for rows in columns.values() for row in rows)
        tables.append(f"## {target}\n\n{_table(columns)}\n")
        print(tables[-1], flush=True)
    kills = sum(table.count("` |") for table in tables) * len(STORES)
    summary = f"{kills} kills, {faults} with a fault.\n"
    print(summary)
    if not chosen:
        head = HEAD.format(date=f"{datetime.now(UTC):%Y-%m-%d}")
        PAGE.write_text("\n".join([head, summary, *tables]), "utf-8")
    return 1 if faults else 0


def _cell(target: str, store: str) -> list[Row]:
    with tempfile.TemporaryDirectory() as folder, ExitStack() as servers:
        Path(folder).chmod(0o755)  # some servers run as a user of their own
        places = [Path(folder) / name for name in ("store", "target")]
        for place in places:
            place.mkdir(mode=0o755)
        store_case = servers.enter_context(STORES[store](places[0]))
        target_case = servers.enter_context(TARGETS[target](places[1]))
        return run_cell(target_case, store_case, Path(folder))


def _table(columns: dict[str, list[Row]]) -> str:
    """Return one target's table; the stores' calls are the same, in the same order."""
    lines = [f"| Killed | {' | '.join(columns)} |", "| --- |" + " --- |" * len(columns)]
    for rows in zip(*columns.values(), strict=True):
        cells = ["**" + "; ".join(row.faults) + "**" if row.faults else row.became for row in rows]
        lines.append(f"| {rows[0].how} `{rows[0].call}` | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
