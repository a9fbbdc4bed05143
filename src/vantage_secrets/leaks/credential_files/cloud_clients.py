"""Files in which the clients of cloud services, storage and code hosts keep their keys."""

from __future__ import annotations

import re
from collections.abc import Iterator

from vantage_secrets.leaks.credential_files.contract import Field, Parser
from vantage_secrets.leaks.credential_files.plausibility import is_value, keyed, whole
from vantage_secrets.leaks.credential_files.shapes.json_text import json_entries
from vantage_secrets.leaks.credential_files.shapes.settings import settings
from vantage_secrets.leaks.credential_files.shapes.xml_text import xml_entries
from vantage_secrets.leaks.credential_files.shapes.yaml_text import yaml_entries

_RCLONE_OBSCURED = re.compile(rb"[A-Za-z0-9_-]{22,}")
_RCLONE_TOKEN = re.compile(rb'"(?:access_token|refresh_token)"\s*+:\s*+"([^"\r\n]++)"')
_RCLONE_NAMES = (b"pass", b"password", b"password2", b"bearer_token", b"key_file_pass")
_RCLONE_PLAIN_NAMES = (
    b"secret_access_key",
    b"client_secret",
    b"key",
    b"api_key",
    b"account_key",
    b"service_account_credentials",
)


def google(data: bytes) -> Iterator[Field]:
    """Find the key of a Google service account, or the refresh token and client secret of a user's login."""
    kinds = {
        b"private_key": "service-account-file-key",
        b"refresh_token": "google-login-refresh-token",
        b"client_secret": "google-client-secret",
    }
    for _path, key, begin, end in json_entries(data):
        kind = kinds.get(key)
        if kind and end - begin >= 16 and is_value(data[begin:end]):
            yield Field(kind, begin, end)


def azure(data: bytes) -> Iterator[Field]:
    """Find the tokens and client secrets of the Azure command line, in their old and new files."""
    kinds = {
        b"accesstoken": "azure-token",
        b"refreshtoken": "azure-token",
        b"secret": "azure-token",
        b"clientsecret": "azure-login-client-secret",
        b"client_secret": "azure-login-client-secret",
        b"certificatekey": "azure-login-client-secret",
    }
    for _path, key, begin, end in json_entries(data):
        kind = kinds.get(key.lower())
        if kind and end - begin >= 16 and is_value(data[begin:end]):
            yield Field(kind, begin, end)


def publish_settings(data: bytes) -> Iterator[Field]:
    """Find the deployment passwords of an Azure ``.PublishSettings``."""
    for _path, key, begin, end in xml_entries(data):
        if key.lower() == b"@userpwd" and is_value(data[begin:end]):
            yield Field("azure-publish-password", begin, end)


def rclone(data: bytes) -> Iterator[Field]:
    """Find what an ``rclone.conf`` holds: obscured passwords (its key is published), keys and OAuth tokens."""
    for _path, key, begin, end in settings(data):
        value, name = data[begin:end], key.lower()
        if name in _RCLONE_NAMES and _RCLONE_OBSCURED.fullmatch(value):
            yield Field("rclone-password", begin, end)
        elif name in _RCLONE_PLAIN_NAMES and end - begin >= 8 and is_value(value):
            yield Field("rclone-secret", begin, end)
        elif name == b"token":
            for match in _RCLONE_TOKEN.finditer(data, begin, end):
                yield Field("rclone-secret", *match.span(1))


aws: Parser = keyed(
    settings,
    {
        b"aws_secret_access_key": "aws-secret-key",
        b"aws_session_token": "aws-profile-session-token",
        b"aws_security_token": "aws-profile-session-token",
    },
)
s3cfg: Parser = keyed(
    settings, {b"secret_key": "s3cfg-secret", b"gpg_passphrase": "s3cfg-secret", b"access_token": "s3cfg-secret"}
)
boto: Parser = keyed(
    settings,
    {
        b"aws_secret_access_key": "boto-secret",
        b"gs_secret_access_key": "boto-secret",
        b"gs_oauth2_refresh_token": "boto-secret",
        b"client_secret": "boto-secret",
        b"proxy_pass": "boto-secret",
    },
)
code_host: Parser = keyed(yaml_entries, {b"oauth_token": "code-host-token", b"token": "code-host-token"})
hugging_face: Parser = whole("hugging-face-token-file")
hugging_face_tokens: Parser = keyed(settings, {b"hf_token": "hugging-face-token-file"})
databricks: Parser = keyed(
    settings, {b"token": "databricks-secret", b"password": "databricks-secret", b"client_secret": "databricks-secret"}
)
tokens: Parser = keyed(yaml_entries, {b"access-token": "cloud-client-token", b"access_token": "cloud-client-token"})
kaggle: Parser = keyed(json_entries, {b"key": "cloud-client-token"})
openstack: Parser = keyed(
    yaml_entries, {b"password": "openstack-password", b"application_credential_secret": "openstack-password"}
)
vault_token: Parser = whole("vault-token-file")
pulumi: Parser = keyed(json_entries, {b"accesstoken": "cloud-client-token"})
