"""``store``: the store itself: what it can do, a new embedded one, its key."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vantage_secrets.cli.init import KeySource, new_passphrase
from vantage_secrets.cli.output import print_json, print_record, say
from vantage_secrets.cli.session import JsonOption, session

app = typer.Typer(help="Look at the store, make another one, replace its key.", no_args_is_help=True)


@app.command("show")
def show(context: typer.Context, as_json: JsonOption = False) -> None:
    """Show where the store is and what it can do."""
    with session(context, "store show") as workspace:
        store = workspace.store
        record = {
            "url": store.url,
            "environment": workspace.manifest.environment,
            "capabilities": sorted(store.capabilities),
            "secrets_count": sum(1 for _ in store.list()),
        }
        print_record(record, as_json=as_json)


@app.command("create")
def create(
    context: typer.Context,
    path: Annotated[Path, typer.Argument(metavar="FILE", help="Where the new store goes.")],
    key_file: Annotated[
        Path | None, typer.Option(help="Its key: read if it is there, else written.", show_default=False)
    ] = None,
    key: Annotated[KeySource, typer.Option(help="Where its key-encryption key is kept.")] = KeySource.FILE,
    as_json: JsonOption = False,
) -> None:
    """Make another embedded store, such as a copy's destination."""
    from vantage_secrets.stores.embedded import create_embedded

    with session(context, f"store create {path.name}") as workspace:
        if key is KeySource.FILE and key_file is None:
            key_file = path.with_suffix(".key")
        store = create_embedded(
            path,
            environment=workspace.manifest.environment,
            key_source=key.value,
            key_file=key_file,
            passphrase=new_passphrase,
        )
        store.close()
        url = f"{store.url}?key_file={key_file.resolve()}" if key_file else store.url
        if as_json:
            print_json({"url": url})
        else:
            print(url)


@app.command("rotate-key")
def rotate_key(
    context: typer.Context,
    key: Annotated[
        KeySource | None,
        typer.Option(help="Keep the new key there; by default where the old one is.", show_default=False),
    ] = None,
    key_file: Annotated[
        Path | None,
        typer.Option(
            help="Another file for the new key; by default it replaces the old one in its file.", show_default=False
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Replace the store's key-encryption key.

    No value is written anew; killed in the middle, the store still opens.
    """
    with session(context, "store rotate-key") as workspace:
        source = key.value if key else None
        key_id = workspace.rotate_store_key(key_source=source, key_file=key_file, passphrase=new_passphrase)
        if as_json:
            print_json({"key_id": key_id})
        else:
            print(f"The store has a new key: {key_id}")
        if key is not None or key_file is not None:
            say(f"Say in {workspace.manifest.path.name} under [store] where it is now.")
