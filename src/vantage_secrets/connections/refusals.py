"""Whether a database's error means that a login was refused: it answered and said no. Anything else is no refusal."""

from __future__ import annotations

import re
from typing import Final

CLICKHOUSE_CODES: Final = frozenset({192, 193, 194, 516})
"""UNKNOWN_USER, WRONG_PASSWORD, REQUIRED_PASSWORD, AUTHENTICATION_FAILED (ClickHouse, src/Common/ErrorCodes.cpp)."""

_MYSQL_CODES: Final = frozenset({1045, 1698})
"""ER_ACCESS_DENIED_ERROR, ER_ACCESS_DENIED_NO_PASSWORD_ERROR (MySQL 8.0, Error Message Reference)."""

_CLICKHOUSE_TEXT: Final = re.compile(r"\bCode: (\d+)")
_POSTGRESQL_TEXT: Final = re.compile(
    r'password authentication failed for user|role "[^"]*" (does not exist|is not permitted to log in)'
)
"""What libpq tells of a failed connection where the driver gives no SQLSTATE with it; psycopg 3 does not."""


def is_clickhouse_refusal(error: BaseException) -> bool:
    """Return whether a ClickHouse server refused a login, by the code of the error or in its text."""
    code = getattr(error, "code", None)
    if code is None and (found := _CLICKHOUSE_TEXT.search(str(error))):
        code = int(found[1])
    return code in CLICKHOUSE_CODES


def is_refusal(error: BaseException) -> bool:
    """Return whether a database refused a login: PostgreSQL, MySQL or ClickHouse, through any of their drivers.

    PostgreSQL says so by SQLSTATE class 28 (PostgreSQL documentation, appendix A).
    """
    state = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
    if state is not None:
        return str(state).startswith("28")
    if error.args and error.args[0] in _MYSQL_CODES:
        return True
    return _POSTGRESQL_TEXT.search(str(error)) is not None or is_clickhouse_refusal(error)
