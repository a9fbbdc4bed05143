"""``init``: a manifest, an embedded store with its key, an audit log."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from vantage_secrets.cli.output import say


class KeySource(StrEnum):
    """Where the key-encryption key is kept."""

    FILE = "file"
    KEYRING = "keyring"
    PASSPHRASE = "passphrase"  # noqa: S105 - the word, not one


def init(
    directory: Annotated[Path, typer.Option(help="Where to make them.")] = Path(),
    environment: Annotated[str, typer.Option(help="Which environment's secrets these are.")] = "production",
    key: Annotated[
        KeySource,
        typer.Option(help="Where the key-encryption key is kept: a file, the system's keyring, a passphrase."),
    ] = KeySource.FILE,
) -> None:
    """Make a manifest, an encrypted store with its key, an audit log.

    The manifest names the five secrets of Vantage; all else is made in .vantage-secrets/ beside it.
    """
    from vantage_secrets.bootstrap import STATE_FOLDER, initialise

    directory.mkdir(parents=True, exist_ok=True)
    manifest = initialise(directory, environment=environment, key_source=key.value, passphrase=new_passphrase)
    place = directory / STATE_FOLDER
    print(
        f"Wrote {manifest.path.name} with {len(manifest.secrets)} secrets; the store and the audit log are in {place}/"
    )
    if key is KeySource.FILE:
        say(f"Keep a copy of {place / 'key'} apart from the store: without it no value can be read, by anybody.")
    say("Next: vantage-secrets migrate import .env, or vantage-secrets set VANTAGE_API_KEY")


def new_passphrase() -> str:
    """Return the passphrase for a new key, typed twice and hidden."""
    from vantage_secrets.cli.write import prompt_for_value

    return prompt_for_value("Passphrase for the store", confirm=True).reveal_text()
