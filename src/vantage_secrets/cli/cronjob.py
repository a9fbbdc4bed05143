"""``cronjob``: the Kubernetes objects that rotate what is due."""

from __future__ import annotations

from typing import Annotated

import typer

from vantage_secrets.cli.output import print_json
from vantage_secrets.cli.session import JsonOption, session


def cronjob(
    context: typer.Context,
    image: Annotated[str, typer.Option(metavar="IMAGE", help="Image with this program on its path.")],
    namespace: Annotated[str, typer.Option("--namespace", "-n", help="Where the objects go.")] = "default",
    name: Annotated[str, typer.Option(help="What the objects are called.")] = "vantage-secrets",
    schedule: Annotated[str, typer.Option(help="How often to look what is due, as cron writes it.")] = "*/15 * * * *",
    annotation: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE",
            help="An annotation of the service account, such as the cloud role that it stands for; may be repeated.",
        ),
    ] = None,
    pgpass_secret: Annotated[
        str | None,
        typer.Option(
            metavar="SECRET", help="Kubernetes Secret whose key 'pgpass' is a password file for PostgreSQL's clients."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Print a Kubernetes CronJob that rotates what is due.

    With it come the manifest, a service account, the permissions that the store needs in the cluster, and a volume
    for the audit log. No secret's value is in any of them.
    """
    from vantage_secrets.drivers.cronjob import CronJobSettings, as_yaml, objects_of

    settings = CronJobSettings(image, name, namespace, schedule, _pairs(annotation or ()), pgpass_secret)
    with session(context, "cronjob") as workspace:
        objects = objects_of(workspace.manifest, settings)
    if as_json:
        print_json({"apiVersion": "v1", "kind": "List", "items": objects})
    else:
        print(as_yaml(objects), end="")


def _pairs(texts: list[str] | tuple[()]) -> dict[str, str]:
    from vantage_secrets.errors import InvalidInputError

    found = {}
    for text in texts:
        key, separator, value = text.partition("=")
        if not separator or not key:
            raise InvalidInputError(f"'{text[:60]}' is no annotation.", hint="Write --annotation KEY=VALUE.")
        found[key] = value
    return found
