"""Settings of web frameworks and applications that hold a key or a database's password."""

from __future__ import annotations

import re
from collections.abc import Iterator

from vantage_secrets.leaks.credential_files.contract import Field, Parser
from vantage_secrets.leaks.credential_files.plausibility import is_secret, is_value, named, whole
from vantage_secrets.leaks.credential_files.shapes.settings import settings
from vantage_secrets.leaks.credential_files.shapes.spans import url_secrets
from vantage_secrets.leaks.credential_files.shapes.xml_text import xml_entries
from vantage_secrets.leaks.credential_files.shapes.yaml_text import yaml_entries

_STRING = rb"""(?:"((?:[^"\\\r\n]++|\\.)*+)"|'((?:[^'\\\r\n]++|\\.)*+)')"""
_NAME = rb"""["']([\w.-]{1,64})["']"""
_PHP = re.compile(
    rb"(?i)(?:define[ \t]*+\(\s*+" + _NAME + rb"\s*+,|" + _NAME + rb"\s*+=>"
    rb"|\[\s*+" + _NAME + rb"\s*+\]\s*+=|(?<!\w)\$(\w{1,64})\s*+=)\s*+" + _STRING
)
_WORDPRESS_KEY = re.compile(rb"(?:SECURE_AUTH|LOGGED_IN|AUTH|NONCE)_(?:KEY|SALT)")
_PYTHON = re.compile(
    rb"(?m)(?:^[ \t]*+([A-Za-z_]\w{0,64})[ \t]*+(?::[ \t]*+\w{1,32}[ \t]*+)?=|" + _NAME + rb"[ \t]*+:"
    rb"|(?<=[(, \t])([a-z_]\w{0,64})=)[ \t]*+[rbuRBU]?" + _STRING
)
_RUBY_KEY = re.compile(rb"""(?:secret_token|secret_key_base|secret_key|pepper)[ \t]*+(?:=|:)[ \t]*+""" + _STRING)
_ERB = b"<%"


def wordpress(data: bytes) -> Iterator[Field]:
    """Find the database's password, the keys and the salts of a ``wp-config.php``."""
    for name, begin, end in _php_strings(data):
        value = data[begin:end]
        if _WORDPRESS_KEY.fullmatch(name):
            if end - begin >= 16 and is_value(value) and value != b"put your unique phrase here":
                yield Field("wordpress-key", begin, end)
        elif name == b"DB_PASSWORD" and is_value(value):
            yield Field("wordpress-database-password", begin, end)
        elif is_secret(name, value):
            yield Field("php-secret", begin, end)


def php(data: bytes) -> Iterator[Field]:
    """Find the secrets of a PHP configuration: Joomla, Drupal, Magento, phpMyAdmin, Laravel's ``config``."""
    for name, begin, end in _php_strings(data):
        if is_secret(name, data[begin:end]):
            yield Field("php-secret", begin, end)


def _php_strings(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield each literal that is given a name: ``define``, array item, element or variable."""
    for match in _PHP.finditer(data):
        name = next(filter(None, match.groups()[:4]), b"")
        yield name, *match.span(match.lastindex or 0)


def django(data: bytes) -> Iterator[Field]:
    """Find the secrets of a Django (or Flask) settings module: ``SECRET_KEY``, passwords, addresses."""
    for match in _PYTHON.finditer(data):
        name = next(filter(None, match.groups()[:3]), b"")
        begin, end = match.span(match.lastindex or 0)
        if name == b"SECRET_KEY" and is_value(data[begin:end]) and end - begin >= 8:
            # Django's own start project writes keys with blanks in none of its versions, people do.
            yield Field("django-secret-key", begin, end)
        elif is_secret(name, data[begin:end]):
            yield Field("django-password", begin, end)
    for begin, end in url_secrets(data):
        if is_value(data[begin:end]):
            yield Field("django-password", begin, end)


def rails_database(data: bytes) -> Iterator[Field]:
    """Find the passwords of a ``config/database.yml``, also those in its addresses; ERB is a reference."""
    for _path, key, begin, end in yaml_entries(data):
        value = data[begin:end]
        if key == b"password" and _ERB not in value and is_value(value):
            yield Field("rails-database-password", begin, end)
        elif key == b"url":
            for first, last in url_secrets(data, begin, end):
                if is_value(data[first:last]):
                    yield Field("rails-database-password", first, last)


def rails_secrets(data: bytes) -> Iterator[Field]:
    """Find the keys and passwords of a ``config/secrets.yml``."""
    for _path, key, begin, end in yaml_entries(data):
        value = data[begin:end]
        if _ERB not in value and (is_secret(key, value) or (key == b"secret_key_base" and is_value(value))):
            yield Field("rails-secret", begin, end)


def rails_initializer(data: bytes) -> Iterator[Field]:
    """Find the key in ``config/initializers/secret_token.rb`` and Devise's in ``devise.rb``; comments are skipped."""
    for match in _RUBY_KEY.finditer(data):
        line = data[data.rfind(b"\n", max(0, match.start() - 256), match.start()) + 1 : match.start()]
        span = match.span(match.lastindex or 0)
        if not line.lstrip().startswith(b"#") and span[1] - span[0] >= 16 and is_value(data[slice(*span)]):
            yield Field("rails-secret", *span)


def master_key(data: bytes) -> Iterator[Field]:
    """Find the key of a ``master.key``: Rails' is 32 hexadecimal digits, Jenkins' 256."""
    for field in whole("rails-master-key")(data):
        if field.end - field.begin in (32, 64, 256):
            is_rails = field.end - field.begin < 256
            yield field if is_rails else field._replace(kind="jenkins-master-key")


def symfony(data: bytes) -> Iterator[Field]:
    """Find the secrets of Symfony's ``parameters.yml`` and of ``config/secrets`` files written by hand."""
    for _path, key, begin, end in yaml_entries(data):
        value = data[begin:end]
        if is_secret(key, value) and not (value.startswith(b"%") and value.endswith(b"%")):
            yield Field("symfony-secret", begin, end)


def tomcat(data: bytes) -> Iterator[Field]:
    """Find the passwords of Tomcat's users, realms, data sources and key stores."""
    for _path, key, begin, end in xml_entries(data):
        name = key.lower().removeprefix(b"@")
        is_password = name in (b"password", b"connectionpassword", b"keystorepass", b"certificatekeystorepassword")
        if is_password and is_value(data[begin:end]):
            yield Field("tomcat-password", begin, end)


streamlit: Parser = named(settings, "streamlit-secret")
