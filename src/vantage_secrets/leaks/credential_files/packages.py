"""Files in which package managers and build tools keep their logins."""

from __future__ import annotations

import re
from collections.abc import Iterator

from vantage_secrets.leaks.credential_files.contract import Field, Parser
from vantage_secrets.leaks.credential_files.plausibility import decoded, is_secret, is_value, keyed
from vantage_secrets.leaks.credential_files.shapes.json_text import json_entries
from vantage_secrets.leaks.credential_files.shapes.settings import assignments, directives, settings
from vantage_secrets.leaks.credential_files.shapes.spans import url_secrets
from vantage_secrets.leaks.credential_files.shapes.xml_text import xml_entries
from vantage_secrets.leaks.credential_files.shapes.yaml_text import yaml_entries

_NPM_KINDS = {b"_authToken": "npm-auth-token", b"_auth": "npm-basic-auth", b"_password": "npm-password"}
_MAVEN_CIPHERTEXT = re.compile(rb"\{[A-Za-z0-9+/=]+\}")


def npmrc(data: bytes) -> Iterator[Field]:
    """Find the tokens and passwords of an ``.npmrc``, for all registries or one."""
    for _path, key, begin, end in assignments(data):
        kind = _NPM_KINDS.get(key.rpartition(b":")[2])
        if kind and is_value(data[begin:end]) and is_value(decoded(data[begin:end]) or b"-"):
            yield Field(kind, begin, end)


def yarn_lines(data: bytes) -> Iterator[Field]:
    """Find the tokens of a ``.yarnrc`` of Yarn 1: ``"//host/:_authToken" value``."""
    for _path, key, begin, end in directives(data):
        kind = _NPM_KINDS.get(key.strip(b"\"'").rpartition(b":")[2])
        if kind and is_value(data[begin:end]):
            yield Field(kind, begin, end)


def pip_settings(data: bytes) -> Iterator[Field]:
    """Find the passwords in the addresses of a ``pip.conf``: ``index-url`` and ``extra-index-url``."""
    for begin, end in url_secrets(data):
        if is_value(data[begin:end]):
            yield Field("pip-index-password", begin, end)


def maven_settings(data: bytes) -> Iterator[Field]:
    """Find the passwords and pass phrases of a Maven ``settings.xml`` that are not encrypted."""
    for path, key, begin, end in xml_entries(data):
        value = data[begin:end]
        if not is_value(value) or _MAVEN_CIPHERTEXT.search(value):
            continue
        is_login = key in (b"password", b"passphrase") and path[-1:] in ((b"server",), (b"proxy",))
        if is_login or (b"properties" in path and is_secret(key, value)):
            yield Field("maven-password", begin, end)


def gradle_properties(data: bytes) -> Iterator[Field]:
    """Find the passwords and tokens of a ``gradle.properties``."""
    for _path, key, begin, end in settings(data):
        if is_secret(key, data[begin:end]):
            yield Field("gradle-secret", begin, end)


def nuget(data: bytes) -> Iterator[Field]:
    """Find the passwords and keys of a ``NuGet.Config``; ``Password`` is bound to its machine and not among them."""
    name = b""
    for path, key, begin, end in xml_entries(data):
        value = data[begin:end]
        # The name is an attribute of its own and comes first: <add key="ClearTextPassword" value="…" />.
        if key.lower() == b"@key":
            name = value.lower()
        elif key.lower() == b"@value" and path and path[-1].lower() == b"add" and is_value(value):
            in_keys = any(part.lower() == b"apikeys" for part in path)
            if name == b"cleartextpassword" or (in_keys and len(value) >= 16 and not value.startswith(b"AQAA")):
                yield Field("nuget-password", begin, end)


def bundle_config(data: bytes) -> Iterator[Field]:
    """Find the logins of a ``.bundle/config``: ``BUNDLE_HOST: "user:password"``."""
    for _path, key, begin, end in yaml_entries(data):
        value = data[begin:end]
        at = value.find(b":")
        if key.count(b"__") and at > 0 and not value.startswith((b"http:", b"https:")) and is_value(value[at + 1 :]):
            yield Field("bundler-password", begin + at + 1, end)


def composer(data: bytes) -> Iterator[Field]:
    """Find the passwords and tokens of a Composer ``auth.json``."""
    groups = (b"github-oauth", b"gitlab-oauth", b"gitlab-token", b"bearer", b"http-basic", b"bitbucket-oauth")
    for path, key, begin, end in json_entries(data):
        if not path or path[0] not in groups or not is_value(data[begin:end]):
            continue
        inner = key in (b"password", b"token", b"consumer-secret")
        if inner or (len(path) == 1 and path[0] not in (b"http-basic", b"bitbucket-oauth")):
            yield Field("composer-auth", begin, end)


pypirc: Parser = keyed(settings, {b"password": "pypirc-password"})
yarn: Parser = keyed(
    yaml_entries,
    {b"npmauthtoken": "npm-auth-token", b"npmauthident": "npm-basic-auth"},
)


def gem(data: bytes) -> Iterator[Field]:
    """Find the keys of a RubyGems ``credentials`` file: ``:rubygems_api_key: …``, also one a host."""
    for _path, _key, begin, end in settings(data.replace(b"\n:", b"\n ").replace(b"\r:", b"\r ")):
        value = data[begin:end]
        if len(value) >= 32 and b" " not in value and is_value(value):
            yield Field("gem-credentials-key", begin, end)


cargo: Parser = keyed(settings, {b"token": "cargo-token"})
poetry: Parser = keyed(settings, {b"password": "pypirc-password"})
sbt: Parser = keyed(settings, {b"password": "maven-password"})
