"""Files in which database servers, brokers and their command-line clients keep passwords."""

from __future__ import annotations

import re
from collections.abc import Iterator

from vantage_secrets.leaks.credential_files.contract import Field, Parser
from vantage_secrets.leaks.credential_files.plausibility import is_value, keyed
from vantage_secrets.leaks.credential_files.shapes.settings import directives, settings
from vantage_secrets.leaks.credential_files.shapes.spans import url_secrets, words
from vantage_secrets.leaks.credential_files.shapes.xml_text import xml_entries
from vantage_secrets.leaks.credential_files.shapes.yaml_text import yaml_entries

_PGPASS = re.compile(rb"(?m)^(?!#)(?:(?:[^:\\\r\n]++|\\.)*+:){4}((?:[^\\\r\n]++|\\.)++)\r?$")
_JAAS = re.compile(
    rb"""(?i)(?<![\w.])(?:password|user_[\w.-]{1,64}|clientsecret|oauth\.client\.secret)\s*+=\s*+\\?"([^"\r\n]++)\""""
)
_PROPERTY = re.compile(
    rb"""(?im)^[ \t]*+["']?[\w.-]*?"""
    rb"""(?:ssl\.(?:keystore|truststore|key)\.password|sasl\.password|user\.info|oauthbearer\.client\.secret)"""
    rb"""["']?[ \t]*+[=:][ \t]*+["']?([^\s"',]++)"""
)
_ODBC = re.compile(rb"(?im)^[ \t]*+(?:pwd|password)[ \t]*+=[ \t]*+(\S++)[ \t]*+\r?$")


def pgpass(data: bytes) -> Iterator[Field]:
    r"""Find the passwords of a ``.pgpass``: the fifth field of each line; ``\:`` and ``\\`` are escapes."""
    for match in _PGPASS.finditer(data):
        if is_value(match[1]):
            yield Field("pgpass-password", *match.span(1))


def redis(data: bytes) -> Iterator[Field]:
    """Find the passwords of a ``redis.conf``: of the server, its primary and its users, whose hashes count too."""
    for _path, key, begin, end in directives(data):
        name = key.lower()
        if name in (b"requirepass", b"masterauth", b"sentinel-pass", b"tls-key-file-pass"):
            if is_value(data[begin:end]):
                yield Field("redis-conf-password", begin, end)
        elif name == b"user":
            yield from _redis_rules(data, begin, end)


def _redis_rules(data: bytes, begin: int, end: int) -> Iterator[Field]:
    """Yield ``>password`` and ``#hash`` of an access rule (Redis ACL)."""
    for first, last in words(data, begin, end):
        if data.startswith(b">", first) and is_value(data[first + 1 : last]):
            yield Field("redis-conf-password", first + 1, last)
        elif data.startswith(b"#", first) and last - first == 65:
            yield Field("redis-acl-hash", first + 1, last)


def clickhouse_xml(data: bytes) -> Iterator[Field]:
    """Find the passwords of ClickHouse's ``users.xml`` and ``config.xml`` and of its client's configuration."""
    for path, key, begin, end in xml_entries(data):
        kind = _CLICKHOUSE_KINDS.get(key)
        if kind is None and key == b"secret" and b"remote_servers" in path:
            kind = "clickhouse-users-password"
        if kind and is_value(data[begin:end]):
            yield Field(kind, begin, end)


_CLICKHOUSE_KINDS = {
    b"password": "clickhouse-users-password",
    b"sasl_password": "clickhouse-users-password",
    b"secret_access_key": "clickhouse-users-password",
    b"key_hex": "clickhouse-users-password",
    b"password_sha256_hex": "clickhouse-users-hash",
    b"password_double_sha1_hex": "clickhouse-users-hash",
}


def clickhouse_yaml(data: bytes) -> Iterator[Field]:
    """Find the passwords of ClickHouse's configuration written as YAML."""
    for _path, key, begin, end in yaml_entries(data):
        kind = _CLICKHOUSE_KINDS.get(key)
        if kind and is_value(data[begin:end]):
            yield Field(kind, begin, end)


def kafka(data: bytes) -> Iterator[Field]:
    """Find the passwords of a Kafka ``.properties`` or ``jaas.conf``: of logins, of key stores, of the registry."""
    for pattern in (_JAAS, _PROPERTY):
        for match in pattern.finditer(data):
            if is_value(match[1]):
                yield Field("kafka-config-password", *match.span(1))


def odbc(data: bytes) -> Iterator[Field]:
    """Find the passwords of an ``odbc.ini``."""
    for match in _ODBC.finditer(data):
        if is_value(match[1]):
            yield Field("odbc-password", *match.span(1))


def dbt(data: bytes) -> Iterator[Field]:
    """Find the passwords, tokens and keys of dbt's ``profiles.yml``; values from the environment are templates."""
    kinds = (
        b"password",
        b"pass",
        b"token",
        b"private_key_passphrase",
        b"private_key",
        b"client_secret",
        b"refresh_token",
    )
    for _path, key, begin, end in yaml_entries(data):
        if key in kinds and is_value(data[begin:end]):
            yield Field("dbt-secret", begin, end)


def database_urls(data: bytes) -> Iterator[Field]:
    """Find the passwords of the database addresses of an ``alembic.ini``."""
    for begin, end in url_secrets(data):
        if is_value(data[begin:end]):
            yield Field("alembic-url-password", begin, end)


mysql: Parser = keyed(settings, {b"password": "mysql-password", b"pass": "mysql-password"})
pg_service: Parser = keyed(settings, {b"password": "pgpass-password"})
snowflake: Parser = keyed(
    settings,
    {
        b"password": "snowflake-password",
        b"private_key_passphrase": "snowflake-password",
        b"token": "snowflake-password",
        b"proxy_password": "snowflake-password",
    },
)
cassandra: Parser = keyed(settings, {b"password": "cassandra-password"})
