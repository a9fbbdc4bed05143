"""The SQL that changes users. Passwords leave as salted hashes alone: statements stand in query logs."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from vantage_secrets.secret import SecretValue

FOREVER = "infinity"


def quoted_name(name: str) -> str:
    """Return an identifier as SQL writes it."""
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"


def quoted_text(text: str) -> str:
    """Return a text as SQL writes it."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


class Method(NamedTuple):
    """One way to log in: SHA-256 over the password and the salt behind it, as ClickHouse's ``sha256_hash`` takes it.

    SECURITY: a fast hash, because the server knows no slower one everywhere. It is safe for the passwords that we
    make, which have 256 random bits; a password that a person made up is as safe as it is long.

    Attributes:
        digest: 64 hexadecimal digits.
        salt: 32 hexadecimal digits, new for each method.
        until: When it ends, or ``None`` for never.
    """

    digest: str
    salt: str
    until: datetime | None = None

    @classmethod
    def of(cls, password: SecretValue, until: datetime | None = None) -> Method:
        """Return the method that accepts ``password``."""
        salt = secrets.token_hex(16)
        raw = password.reveal_text().encode("utf-8", "surrogatepass")
        return cls(hashlib.sha256(raw + salt.encode()).hexdigest(), salt, until)

    @classmethod
    def nobodys(cls) -> Method:
        """Return a method that accepts no password that anybody knows."""
        return cls(secrets.token_hex(32), secrets.token_hex(16))

    def sql(self) -> str:
        """Return it as it stands behind ``IDENTIFIED WITH``.

        The end is written even where there is none: before 24.10 it belongs to the user, and an old one would stay.
        """
        end = FOREVER if self.until is None else f"{self.until.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
        return f"sha256_hash BY '{self.digest}' SALT '{self.salt}' VALID UNTIL '{end}'"


def alter_methods(user: str, methods: Sequence[Method], *, on: str = "", clauses: str = "") -> str:
    """Return the statement after which ``user`` has these methods and no other.

    Args:
        user: The user.
        methods: At least one; the oldest first.
        on: ``ON CLUSTER …``, or nothing.
        clauses: Further clauses that the user gets in the same statement.
    """
    listed = ", ".join(method.sql() for method in methods)
    return " ".join(filter(None, ("ALTER USER", quoted_name(user), on, "IDENTIFIED WITH", listed, clauses)))


def alter_end(user: str, until: datetime, *, on: str = "") -> str:
    """Return the statement that ends all methods of ``user`` at ``until``."""
    end = f"{until.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    return " ".join(filter(None, ("ALTER USER", quoted_name(user), on, f"VALID UNTIL '{end}'")))


def create_closed(user: str, *, on: str = "") -> str:
    """Return the statement that makes ``user``, from nowhere and with no known password, so that it opens nothing."""
    parts = ("CREATE USER IF NOT EXISTS", quoted_name(user), on, "IDENTIFIED WITH", Method.nobodys().sql(), "HOST NONE")
    return " ".join(filter(None, parts))


def drop(user: str, *, on: str = "") -> str:
    """Return the statement that removes ``user``."""
    return " ".join(filter(None, ("DROP USER IF EXISTS", quoted_name(user), on)))


def kill_queries(user: str, *, on: str = "") -> str:
    """Return the statement that ends what ``user`` is running."""
    return " ".join(filter(None, ("KILL QUERY", on, "WHERE user =", quoted_text(user), "ASYNC")))
