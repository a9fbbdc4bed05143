"""A manifest's text, written: a new one, and one more secret in an old one."""

from __future__ import annotations

import json

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
