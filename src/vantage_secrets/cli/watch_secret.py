"""The webhook's secret: from the store, a file or the environment, never from an argument."""

from __future__ import annotations

import argparse
import contextlib
import os
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vantage_secrets.errors import InvalidInputError

if TYPE_CHECKING:
    from vantage_secrets.leaks.watch.http_server import Secrets


VARIABLE = "VANTAGE_SECRETS_WEBHOOK_SECRET"
_KEPT_SECONDS = 60.0
"""So long a secret from the store is used before it is read again."""


def webhook_secrets(chosen: argparse.Namespace, manifest: Path | None) -> Secrets:
    """Return what gives the webhook's secrets.

    SECURITY: none comes from an argument, which other users can read.

    Raises:
        InvalidInputError: None is named.
    """
    if chosen.secret:
        return _kept(lambda: _stored_secrets(chosen.secret, manifest))
    if chosen.secret_file:
        return lambda: _secrets_in(chosen.secret_file)
    given = os.environ.get(VARIABLE, "").encode()
    if not given:
        raise InvalidInputError(
            "A webhook needs a secret.", hint=f"Name one with --secret or --secret-file, or set {VARIABLE}."
        )
    return lambda: _checked([given], VARIABLE)


def _kept(read: Callable[[], Sequence[bytes]]) -> Secrets:
    """Return what reads no more often than once a minute, so that strangers cannot make it read the store."""
    kept: list[tuple[float, Sequence[bytes]]] = []
    lock = threading.Lock()

    def secrets() -> Sequence[bytes]:
        with lock:
            now = time.monotonic()
            if not kept or kept[0][0] < now:
                kept[:] = [(now + _KEPT_SECONDS, read())]
            return kept[0][1]

    return secrets


def _stored_secrets(name: str, manifest: Path | None) -> list[bytes]:
    """Return the current value, and the one before while it is still there: during a rotation both are valid."""
    from vantage_secrets.bootstrap import open_workspace
    from vantage_secrets.errors import SecretNotFoundError
    from vantage_secrets.secret import Stage

    workspace = open_workspace(manifest, why="scan watch")
    try:
        secret = workspace.manifest.find(name).name
        values = [workspace.store.read(secret).value.reveal_text().encode()]
        with contextlib.suppress(SecretNotFoundError):  # no rotation is under way
            values.append(workspace.store.read(secret, stage=Stage.PREVIOUS).value.reveal_text().encode())
        return _checked(values, f"the secret '{name}'")
    finally:
        workspace.close()


def _secrets_in(path: Path) -> list[bytes]:
    from vantage_secrets.stores.embedded.files import check_private

    check_private(path)
    try:
        lines = path.read_bytes().split()
    except OSError as error:
        raise InvalidInputError(f"The secret file '{path}' cannot be read: {error.strerror}.") from None
    return _checked(lines, f"'{path}'")


def _checked(values: list[bytes], origin: str) -> list[bytes]:
    from vantage_secrets.leaks.watch.http_server import SECRET_BYTES_MIN

    if not values or min(map(len, values)) < SECRET_BYTES_MIN:
        raise InvalidInputError(
            f"The webhook's secret of {origin} has fewer than {SECRET_BYTES_MIN} bytes.",
            hint="Make one with: openssl rand -hex 32",
        )
    return values
