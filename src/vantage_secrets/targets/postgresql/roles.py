"""The roles of one account: the account itself, which has the rights, and the two that log in and act as it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from vantage_secrets.credential import Credential
from vantage_secrets.errors import RotationError
from vantage_secrets.secret import SecretValue

if TYPE_CHECKING:
    import psycopg
    from psycopg import sql

    Connection = psycopg.Connection[Any]

_ENDED = datetime(1970, 1, 1, tzinfo=UTC)
"""``VALID UNTIL`` of a role whose password was revoked."""

_READ = """
    SELECT r.rolname, r.rolcanlogin, r.rolsuper, r.rolinherit, r.rolcreaterole, r.rolcreatedb, r.rolreplication,
        r.rolbypassrls, r.rolconnlimit,
        CASE WHEN r.rolvaliduntil < 'infinity' THEN greatest(r.rolvaliduntil, 'epoch') END,
        ARRAY(SELECT g.rolname::text FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid
              WHERE m.member = r.oid ORDER BY 1),
        ARRAY(SELECT coalesce(d.datname, '') || '=' || one
              FROM pg_db_role_setting s LEFT JOIN pg_database d ON d.oid = s.setdatabase, unnest(s.setconfig) one
              WHERE s.setrole = r.oid ORDER BY 1),
        (SELECT count(*) FROM pg_shdepend d WHERE d.refclassid = 'pg_authid'::regclass AND d.refobjid = r.oid
              AND d.classid <> 'pg_auth_members'::regclass)
    FROM pg_roles r WHERE r.rolname = ANY(%s)
"""
"""Everything about a role that PostgreSQL shows to every login; PostgreSQL 15, chapter 53, System Catalogs."""


class Attributes(NamedTuple):
    """What a role may do by itself, beside logging in; no membership passes these on."""

    superuser: bool
    inherit: bool
    createrole: bool
    createdb: bool
    replication: bool
    bypassrls: bool

    def words(self) -> list[str]:
        """Return these as ``CREATE ROLE`` takes them."""
        return [f"{'' if has else 'NO'}{name.upper()}" for name, has in zip(self._fields, self, strict=True)]


class Role(NamedTuple):
    """One role as the server has it.

    Attributes:
        name: Its name.
        can_log_in: Whether it may.
        attributes: What else it may.
        connections_max: How many sessions it may have; -1 for any number.
        ends_at: From when its password is refused, or ``None``.
        member_of: Names of the roles that it is a member of, in order.
        settings: What a session of it begins with: the database or an empty text, the setting, and its value.
        belongings_count: How many objects it owns or has rights on by itself, in all databases.
    """

    name: str
    can_log_in: bool
    attributes: Attributes
    connections_max: int
    ends_at: datetime | None
    member_of: tuple[str, ...]
    settings: frozenset[tuple[str, str, str]]
    belongings_count: int

    def is_open(self, now: datetime) -> bool:
        """Return whether it lets in whoever has its password."""
        return self.can_log_in and (self.ends_at is None or self.ends_at > now)


class Account:
    """The account that the manifest names, and its two logins.

    Attributes:
        name: The account: the role that has the rights and owns what is created.
        logins: The two roles that log in in turn.
    """

    def __init__(self, name: str) -> None:
        """Know the names."""
        self.name = name
        self.logins = (f"{name}_a", f"{name}_b")
        self.roles = (name, *self.logins)

    def next_login(self, username: str | None) -> str:
        """Return whose turn it is after ``username``."""
        return self.logins[1] if username == self.logins[0] else self.logins[0]

    def lock(self, connection: Connection) -> None:
        """Let nobody else change this account until the transaction ends."""
        connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"vantage-secrets {self.name}"])

    def read(self, connection: Connection) -> dict[str, Role]:
        """Return those of the three roles that exist, by name.

        Raises:
            RotationError: There is no such account, or it is a superuser.
        """
        found = {row[0]: _role(row) for row in connection.execute(_READ, [list(self.roles)])}
        if self.name not in found:
            raise RotationError(
                f"PostgreSQL has no role '{self.name}'.",
                hint=f'Create it and give it its rights: CREATE ROLE "{self.name}" NOLOGIN',
            )
        supers = [role.name for role in found.values() if role.attributes.superuser]
        if supers:
            # SECURITY: a mistake with a superuser's password gives away, or locks up, the whole server.
            raise RotationError(
                f"'{supers[0]}' is a superuser; superusers are not rotated.",
                hint="Give the application a role of its own, with the rights that it needs.",
            )
        return found

    def drift(self, roles: dict[str, Role]) -> list[str]:
        """Return how the logins that exist differ from the account, one clause each; none when all is well."""
        return [clause for name in self.logins if name in roles for clause in self._differences(roles, roles[name])]

    def refuse_drift(self, roles: dict[str, Role]) -> None:
        """Return when the logins have the account's rights, no more and no less.

        Raises:
            RotationError: They differ; the message names how.
        """
        found = self.drift(roles)
        if found:
            raise RotationError(
                f"The logins of '{self.name}' do not have the rights of the account: {'; '.join(found)}.",
                hint="Change the logins with ALTER ROLE, GRANT, REVOKE or REASSIGN OWNED until they do; "
                "one that is not in use may be dropped: the next rotation makes it anew.",
            )

    def settings(self, account: Role) -> frozenset[tuple[str, str, str]]:
        """Return what a session of a login must begin with: as the account's own, and then acting as it."""
        acts = not any(database == "" and name == "role" for database, name, _ in account.settings)
        return account.settings | ({("", "role", self.name)} if acts else frozenset())

    def _differences(self, roles: dict[str, Role], login: Role) -> list[str]:
        account, found = roles[self.name], []
        expected = account.attributes._replace(inherit=True).words()
        for word, other in zip(login.attributes.words(), expected, strict=True):
            if word != other:
                found.append(f"'{login.name}' is {word}, not {other}")
        if login.connections_max != account.connections_max:
            found.append(f"'{login.name}' has CONNECTION LIMIT {login.connections_max}, not {account.connections_max}")
        if login.member_of != (self.name,):
            found.append(f"'{login.name}' is a member of {', '.join(login.member_of) or 'nothing'}, not {self.name}")
        if login.settings != self.settings(account):
            names = sorted({name for _, name, _ in login.settings ^ self.settings(account)})
            found.append(f"'{login.name}' begins its sessions with another {', '.join(names)}")
        if login.belongings_count:
            found.append(f"'{login.name}' owns objects or has rights of its own ({login.belongings_count})")
        return found

    def open(self, connection: Connection, roles: dict[str, Role], credential: Credential) -> None:
        """Let the credential's role log in with its password, without an end; create it where it is missing."""
        from psycopg import sql

        account, name = roles[self.name], credential.username
        if name not in roles:
            words = " ".join(account.attributes._replace(inherit=True).words())
            create = f"CREATE ROLE {{}} WITH NOLOGIN {words} CONNECTION LIMIT {account.connections_max} IN ROLE {{}}"
            connection.execute(sql.SQL(create).format(sql.Identifier(name), sql.Identifier(self.name)))
            self._copy_settings(connection, account, name)
        _alter(connection, credential, sql.SQL("LOGIN"), "infinity")

    def shut(self, connection: Connection, name: str) -> None:
        """Let that role log in no more, whatever its password; it keeps its rights."""
        import secrets

        from psycopg import sql

        nobodys = Credential(name, SecretValue(secrets.token_urlsafe(32)))
        _alter(connection, nobodys, sql.SQL("NOLOGIN"), _ENDED.isoformat())

    def limit(self, connection: Connection, name: str, until: datetime) -> None:
        """Refuse that role's password from ``until`` on."""
        from psycopg import sql

        statement = sql.SQL("ALTER ROLE {} VALID UNTIL {}")
        connection.execute(statement.format(sql.Identifier(name), sql.Literal(until.isoformat())))

    def _copy_settings(self, connection: Connection, account: Role, name: str) -> None:
        from psycopg import sql

        for database, setting, value in sorted(self.settings(account)):
            place = sql.SQL("IN DATABASE {}").format(sql.Identifier(database)) if database else sql.SQL("")
            alter = sql.SQL("ALTER ROLE {} {} SET {}").format(sql.Identifier(name), place, sql.Identifier(setting))
            if setting == "role":
                connection.execute(alter + sql.SQL(" = {}").format(sql.Literal(value)))
                continue
            # Whether a value is one text or a list of names depends on the setting; PostgreSQL knows, we need not.
            connection.execute("SELECT set_config(%s, %s, true)", [setting, value])
            connection.execute(alter + sql.SQL(" FROM CURRENT"))
            connection.execute(sql.SQL("RESET {}").format(sql.Identifier(setting)))


def end_sessions(connection: Connection, name: str) -> None:
    """End what was opened by that role."""
    connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", [name])


def count_sessions(connection: Connection, name: str, but: str) -> int:
    """Return how many sessions of that role are open, without those of an application called ``but``."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE usename = %s AND application_name IS DISTINCT FROM %s"
    row = connection.execute(query, [name, but]).fetchone()
    return int(row[0]) if row else 0


def _alter(connection: Connection, credential: Credential, login: sql.SQL, until: str) -> None:
    from psycopg import sql

    # SECURITY: the verifier is computed here, so that the password stands in no statement, log or view of the server's.
    verifier = connection.pgconn.encrypt_password(
        credential.password.reveal_text().encode(), credential.username.encode(), b"scram-sha-256"
    )
    statement = sql.SQL("ALTER ROLE {} WITH {} PASSWORD {} VALID UNTIL {}").format(
        sql.Identifier(credential.username), login, sql.Literal(verifier.decode()), sql.Literal(until)
    )
    connection.execute(statement)


def _role(row: tuple[Any, ...]) -> Role:
    name, can_log_in, *more = row
    connections_max, ends_at, member_of, settings, belongings_count = more[6:]
    split = []
    for text in settings:
        database, setting, value = text.split("=", 2)
        split.append((database, setting, value))
    ends_at = ends_at.astimezone(UTC) if ends_at else None
    return Role(
        name,
        can_log_in,
        Attributes(*more[:6]),
        connections_max,
        ends_at,
        tuple(member_of),
        frozenset(split),
        belongings_count,
    )
