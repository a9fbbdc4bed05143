"""A manifest's text, written: a new one, and one more secret in an old one."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

from vantage_secrets.clock import format_duration
from vantage_secrets.errors import ManifestError
from vantage_secrets.manifest.model import SecretSpec
from vantage_secrets.manifest.reading import parse, read_text

_HEAD = """\
# Which secrets the platform has, who reads them and how often they change. It holds no values and belongs in the
# repository. Every key is explained in the reference, docs/reference/manifest.md; relative paths count from here.

# A store made for another environment is refused.
environment = {environment}

[store]
url = {store_url}
"""

_MIDDLE = """\

[audit]
folder = ".vantage-secrets/audit"
# While the log cannot be written: "spool" keeps the events aside and goes on, "refuse" lets nothing happen.
on_unwritable = "spool"
spool = ".vantage-secrets/audit-spool"
{public_key}
[client]
refresh_interval = "5m"
# How long applications go on with the last good value while the store is away.
max_stale = "1h"

[database]
url = "sqlite:///.vantage-secrets/control.db"

[features]
# Kafka asks the collector and the worker for a password.
kafka-sasl = true
"""

_VANTAGE = """
# Collector authentication.
[secrets.VANTAGE_API_KEY]
name = "vantage/api-key"
kind = "api-key"
purpose = "Collector authentication"
owner = "platform team"
consumers = ["collector"]
max_age = "90d"
grace = "24h"
required = "always"

# Query API authentication.
[secrets.API_KEY]
name = "vantage/query-api-key"
kind = "api-key"
purpose = "Query API authentication"
owner = "platform team"
consumers = ["query-api"]
max_age = "90d"
grace = "24h"
required = "always"

# The worker's login to ClickHouse.
[secrets.WORKER_CLICKHOUSE_PASSWORD]
name = "vantage/worker-clickhouse-password"
kind = "clickhouse-password"
purpose = "ClickHouse user of the worker"
owner = "platform team"
consumers = ["worker"]
max_age = "90d"
grace = "24h"
required = "always"

# The query API's login to ClickHouse.
[secrets.API_CLICKHOUSE_PASSWORD]
name = "vantage/api-clickhouse-password"
kind = "clickhouse-password"
purpose = "ClickHouse user of the query API"
owner = "platform team"
consumers = ["query-api"]
max_age = "90d"
grace = "24h"
required = "always"

# Login to Kafka.
[secrets.KAFKA_SASL_PASSWORD]
name = "vantage/kafka-sasl-password"
kind = "kafka-password"
purpose = "Kafka SASL user of collector and worker"
owner = "platform team"
consumers = ["collector", "worker"]
max_age = "90d"
grace = "24h"
required_with = "kafka-sasl"
"""


def render_default(
    *,
    environment: str = "production",
    store_url: str = "embedded:.vantage-secrets/secrets.db",
    key_file: str | None = ".vantage-secrets/key",
    audit_public_key: str | None = None,
) -> str:
    """Return the text of a commented manifest with the five secrets of Vantage; it loads as it is.

    No ``#:schema`` line stands at its top: the schema is inside the installed package, where an editor that opens
    the repository does not find it, and a line that leads nowhere makes every editor complain. The reference says
    how to put the schema beside the manifest.

    Args:
        environment: Such as ``production``.
        store_url: Where the secrets live.
        key_file: File with the key-encryption key; ``None`` for a store that has none.
        audit_public_key: Public key of the audit log, once there is one.
    """
    head = _HEAD.format(environment=_quoted(environment), store_url=_quoted(store_url))
    key = f"key_file = {_quoted(key_file)}\n" if key_file else ""
    public = f"public_key = {_quoted(audit_public_key)}\n" if audit_public_key else ""
    return head + key + _MIDDLE.format(public_key=public) + _VANTAGE


def _quoted(text: str) -> str:
    """Return ``text`` as a TOML basic string; JSON's escapes are among TOML's (TOML 1.0.0, "String")."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def add_secret(path: Path, spec: SecretSpec) -> None:
    """Append a ``[secrets.KEY]`` table for ``spec``; every byte that was there stays.

    The file is replaced at once or not at all, through a link to where it really lies, with its own permissions.
    Not safe from two processes: the later one wins.

    Raises:
        ManifestNotFoundError: There is no such file.
        ManifestError: The file has mistakes, or would have with this table (the name is taken, the feature is
            unknown); or it cannot be written. Nothing is changed.
    """
    before = read_text(path)
    parse(before, path)
    newline = "\r\n" if "\r\n" in before else "\n"
    gap = "" if before.endswith("\n") else newline
    block = gap + _table_of(spec).replace("\n", newline)
    parse(before + block, path)
    try:
        _replace(Path(os.path.realpath(path)), block.encode())
    except OSError as exc:
        raise ManifestError(f"The file cannot be written: {exc.strerror}.", path=str(path)) from exc


def _table_of(spec: SecretSpec) -> str:
    need = f'required_with = "{spec.feature}"' if spec.feature else f'required = "{_need(spec)}"'
    lines = [
        "",
        f"[secrets.{spec.key}]",
        f'name = "{spec.name}"',
        f'kind = "{spec.kind}"',
        *([f'target = "{spec.target}"'] if spec.target else []),
        *([f'account = "{spec.account}"'] if spec.account else []),
        f"purpose = {_quoted(spec.purpose)}",
        f"owner = {_quoted(spec.owner)}",
        f"consumers = [{', '.join(map(_quoted, spec.consumers))}]",
        f'max_age = "{format_duration(spec.max_age)}"',
        f'grace = "{format_duration(spec.grace)}"',
        f'quiet = "{format_duration(spec.quiet)}"',
        f'at_grace_end = "{spec.at_grace_end}"',
        need,
    ]
    return "\n".join(lines) + "\n"


def _need(spec: SecretSpec) -> str:
    return "always" if spec.required else "never"


def _replace(path: Path, addition: bytes) -> None:
    """Put the file's bytes and ``addition`` into its place at once, durably."""
    import tempfile

    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(path.read_bytes() + addition)
            os.fchmod(file.fileno(), stat.S_IMODE(path.stat().st_mode))
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
