"""The main job, start to end, on real files and processes: out of a ``.env``, read, rotated under load, on record."""

from __future__ import annotations

import http.client
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

from vantage_secrets.bootstrap import Workspace, initialise
from vantage_secrets.clock import format_duration
from vantage_secrets.demo.collector import KEY_NAME
from vantage_secrets.demo.load import Load, send_event
from vantage_secrets.demo.telling import Teller
from vantage_secrets.errors import DeliveryError, SecretNotFoundError
from vantage_secrets.manifest import FILE_NAME, Manifest, load
from vantage_secrets.secret import SecretReading

GRACE = timedelta(seconds=2)
REFRESH = timedelta(milliseconds=500)
"""The overlap of the demo, and how often its applications look for a new version; real ones are hours and minutes."""


@dataclass(frozen=True, slots=True)
class DemoResult:
    """What the demo saw.

    Attributes:
        accepted_count: Requests that were answered with 202.
        failed_count: Requests that were answered otherwise or not at all.
        old_key_status: HTTP status with which the collector answered the old key after the rotation.
        audit_count: Records in the verified audit log.
        leak_paths: Files below the folder that hold a value in the clear, other than the ``.env``.
    """

    accepted_count: int
    failed_count: int
    old_key_status: int
    audit_count: int
    leak_paths: tuple[str, ...]

    @property
    def is_good(self) -> bool:
        """Whether everything went as promised."""
        return not self.failed_count and self.accepted_count > 0 and self.old_key_status == 401 and not self.leak_paths


def tell(folder: Path, env_file: Path | None) -> DemoResult:
    """Tell the story in ``folder``, which a person can go on with afterwards. Safe to repeat.

    Args:
        folder: Where the manifest, the store and the audit log are made, or were made by an earlier run.
        env_file: The reader's own ``.env``, which is read and not changed; by default one is written.

    Raises:
        VantageSecretsError: Something failed; the folder stays as it is.
    """
    teller = Teller(steps=6)
    folder.mkdir(parents=True, exist_ok=True)
    env_file = env_file or _write_env(folder)
    teller.step(f"A platform keeps its secrets in {env_file}, as many do")
    manifest = _manifest(folder, teller)
    workspace = Workspace(manifest, why="demo")
    try:
        _import(workspace, env_file, teller)
        _read(workspace, teller)
        load_, old_status, old = _rotate_under_load(workspace, teller)
        _print_status(workspace, teller)
    finally:
        workspace.close()
    audit_count = _check_audit(manifest, teller)
    leaks = _search_for(old, folder, env_file)
    teller.note(f"Searched every file in {folder}/ for the values: found in {', '.join(leaks) or 'none'}")
    accepted = load_.statuses[202]
    return DemoResult(accepted, load_.statuses.total() - accepted, old_status, audit_count, leaks)


def _write_env(folder: Path) -> Path:
    path = folder / ".env"
    if not path.exists():
        keys = ("VANTAGE_API_KEY", "API_KEY", "WORKER_CLICKHOUSE_PASSWORD", "API_CLICKHOUSE_PASSWORD", "KAFKA_SASL_PASSWORD")
        lines = [f'{key}="demo-{secrets.token_urlsafe(24)}"' for key in keys]
        lines += ["# not a secret, stays where it is", "CLICKHOUSE_HOST=localhost", ""]
        path.touch(mode=0o600)
        path.write_text("\n".join(lines))
    return path


def _manifest(folder: Path, teller: Teller) -> Manifest:
    if (folder / FILE_NAME).exists():
        teller.note(f"{folder}/ is there from an earlier run: going on with it")
        return load(folder / FILE_NAME)
    manifest = initialise(folder, environment="demo")
    teller.note(f"Made {FILE_NAME}, an encrypted store and an audit log in {folder}/")
    return manifest
