"""A fresh login, and what PostgreSQL said about it: accepted, refused, or nothing that proves anything."""

from __future__ import annotations

import os
import re
import select
import time
from collections.abc import Mapping
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from vantage_secrets.errors import MissingExtraError, RotationError

if TYPE_CHECKING:
    from psycopg.pq.abc import PGconn

LOGIN_SECONDS_MAX = 10.0
"""How long one login may take, on each address of a host."""

APPLICATION_NAME = "vantage-secrets"
"""What our own sessions are called in ``pg_stat_activity``."""

CLIENT = {
    "connect_timeout": str(int(LOGIN_SECONDS_MAX)),
    "tcp_user_timeout": str(int(LOGIN_SECONDS_MAX * 1000)),
    # SECURITY: whoever poses as the server cannot ask for a password in the clear.
    "require_auth": "!password",
}
"""Parameters of every connection, unless the URL says otherwise."""

_LIBPQ_VERSION_MIN = 180_000
_REFUSED, _NOT_PERMITTED = "28P01", "28000"  # PostgreSQL, appendix A: invalid password, invalid authorization
_ASKED = re.compile(r"^B\t\d+\tAuthentication", re.MULTILINE)
_CODE = re.compile(r'^B\t\d+\tErrorResponse\t.*? C "([0-9A-Z]{5})"', re.MULTILINE)


class Answer(Enum):
    """What came of a login."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    """The server asked for the password, and said no to it or to its role."""
    NOTHING = "nothing"
    """No answer, or one that is not about the credential: it proves nothing."""


class Login(NamedTuple):
    """What came of a login, and a few words for a person where that is not all."""

    answer: Answer
    reason: str = ""


def require_psycopg() -> None:
    """Return when PostgreSQL's client is there, and new enough to tell why a login failed.

    Raises:
        MissingExtraError: psycopg is not installed.
        RotationError: Its libpq is older than 18.
    """
    try:
        from psycopg import pq
    except ImportError as exc:
        raise MissingExtraError("psycopg", "postgresql") from exc
    if pq.version() < _LIBPQ_VERSION_MIN:
        raise RotationError(
            f"PostgreSQL's client library is of version {pq.version() // 10_000}, which does not tell a refused login "
            "from an outage; 18 does.",
            hint="pip install --upgrade 'psycopg[binary]'",
        )


def log_in(server: Mapping[str, str], username: str, password: str) -> Login:
    """Log in afresh to one server, log out, and return what it answered.

    psycopg and libpq do not pass on the SQLSTATE of a failed login (psycopg's issue 1188), and messages come in the
    server's language. The code stands in libpq's own trace of the connection, which is read here.
    """
    from psycopg import pq
    from psycopg.conninfo import make_conninfo

    settings = {**server, "user": username, "password": password, "application_name": APPLICATION_NAME}
    connection = pq.PGconn.connect_start(make_conninfo("", **settings).encode())
    # SECURITY: the trace holds the exchange of proofs, never the password (see CLIENT), and stays in memory.
    trace = os.memfd_create("login", os.MFD_CLOEXEC)
    try:
        connection.trace(trace)
        connection.set_trace_flags(pq.Trace.SUPPRESS_TIMESTAMPS)
        is_in_time = _poll(connection)
        is_accepted = is_in_time and connection.status == pq.ConnStatus.OK
        connection.untrace()
        said = os.pread(trace, os.fstat(trace).st_size, 0).decode("utf-8", "replace")
        if is_accepted:
            return Login(Answer.ACCEPTED, "" if connection.used_password else "asks for no password")
        return _understand(said) if is_in_time else Login(Answer.NOTHING, "did not answer in time")
    finally:
        connection.finish()
        os.close(trace)


def _poll(connection: PGconn) -> bool:
    """Go through the login; return whether it came to an end in time."""
    from psycopg.pq import ConnStatus, PollingStatus

    deadline = time.monotonic() + LOGIN_SECONDS_MAX
    status: int = PollingStatus.FAILED if connection.status == ConnStatus.BAD else PollingStatus.WRITING
    while status not in (PollingStatus.OK, PollingStatus.FAILED):
        waiting, idle = [connection.socket], list[int]()
        reads, writes = (waiting, idle) if status == PollingStatus.READING else (idle, waiting)
        if not any(select.select(reads, writes, [], max(0.0, deadline - time.monotonic()))):
            return False
        status = connection.connect_poll()
    return True


def _understand(trace: str) -> Login:
    codes = _CODE.findall(trace)
    if not codes:
        return Login(Answer.NOTHING, "did not answer, or not as PostgreSQL does")
    code = codes[-1]
    # SECURITY: "no pg_hba.conf entry" has the code 28000 too, but comes before anybody asked for a password: whoever
    # logs in from another host may still get in.
    if code == _REFUSED or (code == _NOT_PERMITTED and _ASKED.search(trace)):
        return Login(Answer.REFUSED, f"refused it ({code})")
    if code == _NOT_PERMITTED:
        return Login(Answer.NOTHING, "lets nobody log in so from here (28000): see pg_hba.conf")
    return Login(Answer.NOTHING, f"could not let anybody in ({code})")
