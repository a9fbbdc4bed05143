"""A baseline from its first scan to its verdicts, by the real scanner and at a real terminal."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.canary import canary
from tests.e2e.desk import Desk

_GROUP = "from vantage_secrets.cli.baseline import app; app(prog_name='baseline')"


class _GroupDesk(Desk):
    """Starts the command's group by itself."""

    def start(self, *words: str, env: Mapping[str, str] | None = None, **options: Any) -> subprocess.Popen[bytes]:
        settings = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
        command = [sys.executable, "-c", _GROUP, *words]
        return subprocess.Popen(command, cwd=self.folder, env=self.environment(env), **settings)


def test_a_finding_becomes_known_is_judged_at_a_terminal_and_no_value_is_seen(tmp_path: Path) -> None:
    desk, value = _GroupDesk(tmp_path), canary("password")
    source = tmp_path / "CLEAR-src"
    source.mkdir()
    (source / "app.env").write_text(f'USER=worker\nKAFKA_SASL_PASSWORD="{value}"\n')
    assert "1 finding written" in desk.ok("create", "CLEAR-src").out
    shown = desk.at_terminal("audit", answers=[("real?", "t rotate it\n")])
    assert shown.code == 0
    assert '>     2  KAFKA_SASL_PASSWORD="•••"' in shown.text
    assert "1 judged; 0 open." in shown.text
    (row,) = json.loads(desk.ok("show", "--json").out)
    assert (row["path"], row["verdict"], row["note"]) == ("CLEAR-src/app.env", "true", "rotate it")
    assert desk.ok("update", "CLEAR-src").out.startswith("0 findings added")
