"""``examples/platform`` on a real Kafka and a real ClickHouse: all five secrets rotate while events flow."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SECRETS = {
    "VANTAGE_API_KEY",
    "API_KEY",
    "WORKER_CLICKHOUSE_PASSWORD",
    "API_CLICKHOUSE_PASSWORD",
    "KAFKA_SASL_PASSWORD",
}

pytestmark = pytest.mark.xdist_group("platform")


def _figures(folder: Path, *more: str) -> dict[str, Any]:
    """Run the demo with these options, see that it went well, and return what it counted."""
    figures = folder / "figures.json"
    words = ["--full", "--rounds", "1", "--rate", "100", "--query-rate", "20", "--directory", str(folder / "demo")]
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples/platform/demo.py"), *words, "--json", str(figures), *more],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    found: dict[str, Any] = json.loads(figures.read_text())
    assert found["faults"] == []
    assert all(load["failed"] == {} for load in found["loads"].values())
    assert found["stored"]["rows_count"] == found["loads"]["events"]["good"] > 200
    assert {(each["old"], each["new"]) for each in found["rotations"]} == {("refused", "accepted")}
    return found


def test_five_secrets_rotate_under_load_and_nothing_fails_is_lost_or_doubled(tmp_path: Path) -> None:
    found = _figures(tmp_path)
    assert {each["secret"] for each in found["rotations"]} == SECRETS
    assert found["old_credentials"] == {"tried": 5, "alive": []}


def test_connections_to_kafka_follow_where_the_broker_never_asks_them_to_log_in_again(tmp_path: Path) -> None:
    found = _figures(tmp_path, "--no-reauth", "--only", "KAFKA_SASL_PASSWORD")
    assert [each["secret"] for each in found["rotations"]] == ["KAFKA_SASL_PASSWORD"]
