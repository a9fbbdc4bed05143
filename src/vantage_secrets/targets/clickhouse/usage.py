"""When a user last asked something, as the query logs tell."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta

from vantage_secrets.errors import RotationError
from vantage_secrets.targets.clickhouse.connection import USER_AGENT, Server
from vantage_secrets.targets.clickhouse.servers import Servers
from vantage_secrets.targets.clickhouse.statements import quoted_text
from vantage_secrets.targets.contract import UNKNOWN_USE, LastUse

_SKEW = timedelta(minutes=1)
"""By how much a server's clock may be behind ours; a use is rather told of one version too many."""


def last_use(servers: Servers, user: str, since: datetime) -> LastUse:
    """Return when ``user`` last ran a query on any server, except ours; before ``since`` it was for another version.

    Unknown where some server's log has no row of that user at all: it would have one of our own login that verified
    it, if it logged that user's queries, and kept them for long enough. A log that takes samples is not noticed.

    Raises:
        TargetUnavailableError: A server did not answer.
    """
    found = []
    for server in servers.all:
        told = _told_by(servers, user, since - _SKEW, server)
        if told is None:
            return UNKNOWN_USE
        found.append(told)
    latest = max(found)
    return LastUse(is_known=True, at=datetime.fromtimestamp(latest, UTC) if latest else None)


def _told_by(servers: Servers, user: str, since: datetime, server: Server) -> int | None:
    """Return the last second in which the user asked something, 0 for never, ``None`` when the log cannot tell."""
    others = f"http_user_agent != {quoted_text(USER_AGENT)}"
    who = f"(user = {quoted_text(user)} OR initial_user = {quoted_text(user)})"
    when = f"event_date >= toDate({since.timestamp():.0f}) AND event_time >= toDateTime({since.timestamp():.0f})"
    query = (
        f"SELECT count() AS rows, maxIf(toUnixTimestamp(event_time), {others}) AS last "  # noqa: S608  # quoted
        f"FROM system.query_log WHERE {when} AND {who}"
    )
    # Where that is not allowed, the log is a few seconds behind; a quiet time is far longer.
    with suppress(RotationError):
        servers.ask("SYSTEM FLUSH LOGS", server, doing="write its log")
    try:
        row = servers.rows(query, server, doing="tell from its query log")[0]
    except RotationError:
        return None  # no log, none that we may read, or an old one without what is asked
    return int(row["last"]) if int(row["rows"]) else None
