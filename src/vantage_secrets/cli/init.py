"""``init``: a manifest, an embedded store with its key, an audit log."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from vantage_secrets.cli.output import print_json, say
from vantage_secrets.cli.session import GlobalOptions, JsonOption, session


class KeySource(StrEnum):
    """Where the key-encryption key is kept."""

    FILE = "file"
    KEYRING = "keyring"
    PASSPHRASE = "passphrase"  # noqa: S105 - the word, not one


def init(
    context: typer.Context,
    directory: Annotated[Path, typer.Option(help="Where to make them.")] = Path(),
    environment: Annotated[str, typer.Option(help="Which environment's secrets these are.")] = "production",
    key: Annotated[
        KeySource,
        typer.Option(help="Where the key-encryption key is kept: a file, the system's keyring, a passphrase."),
    ] = KeySource.FILE,
    store: Annotated[
        str | None,
        typer.Option(
            help="URL of a store that there is, such as vault://…; no embedded one is made.", show_default=False
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Make a manifest, an encrypted store and an audit log.

    The manifest names the five secrets of Vantage; all else is made in .vantage-secrets/ beside it.
    """
    from vantage_secrets.bootstrap import STATE_FOLDER, initialise
    from vantage_secrets.manifest import FILE_NAME

    directory.mkdir(parents=True, exist_ok=True)
    manifest = initialise(
        directory, environment=environment, store_url=store, key_source=key.value, passphrase=new_passphrase
    )
    _record_init(context, directory / FILE_NAME)
    place = directory / STATE_FOLDER
    if as_json:
        print_json({"manifest": str(manifest.path), "state": str(place.resolve()), "environment": environment})
        return
    print(f"Wrote {directory / FILE_NAME}, which names {len(manifest.secrets)} secrets; none has a value yet.")
    print(f"The {'audit log is' if store else 'encrypted store and the audit log are'} in {place}/")
    if store is None and key is KeySource.FILE:
        say(f"Keep a copy of {place / 'key'} apart from the store: without it no value can be read, by anybody.")
    if directory.resolve() != Path.cwd():
        say(f"Next: cd {directory}")
    if store is not None:
        say("Next: vantage-secrets doctor, which tells whether the store can be used from here")
    say("Next: vantage-secrets migrate import .env, or vantage-secrets set VANTAGE_API_KEY")


def _record_init(context: typer.Context, manifest: Path) -> None:
    """Make the first event of the new audit log: that it was made."""
    context.ensure_object(GlobalOptions).manifest = manifest
    with session(context, "init"):
        pass


def new_passphrase() -> str:
    """Return the passphrase for a new key, typed twice and hidden."""
    from vantage_secrets.cli.write import prompt_for_value

    return prompt_for_value("Passphrase for the store", confirm=True).reveal_text()
