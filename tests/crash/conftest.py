"""Crash tests run in memory: a process is killed, not the machine, so what was written survives there as on a disk."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A folder in memory, where the thousands of writes that must be durable cost nothing."""
    with tempfile.TemporaryDirectory(prefix="vantage-secrets-", dir="/dev/shm") as name:
        yield Path(name)
