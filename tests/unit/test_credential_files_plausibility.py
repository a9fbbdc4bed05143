"""What stands in a credential file's place for a secret, and what other settings hold, is none."""

from __future__ import annotations

import base64
import secrets

import pytest

from tests.canary import canary
from vantage_secrets.leaks.credential_files import parser_for
from vantage_secrets.leaks.credential_files.plausibility import decoded, is_secret, is_value


@pytest.mark.parametrize(
    "value",
    [
        "",
        "   ",
        "x",
        "****",
        "xxxxxxxx",
        "${DB_PASSWORD}",
        "$DB_PASSWORD",
        "$password",
        "$(pass show db)",
        "{{ password }}",
        "%(password)s",
        "%PASSWORD%",
        "<password>",
        "<your token>",
        "@DB_PASSWORD@",
        "your-password",
        "changeme",
        "change_me",
        "REPLACE_WITH_TOKEN",
        "put-the-key-here",
        "password",
        "secret",
        "None",
        "null",
        "true",
        "example-token",
        "[redacted]",
        "ENC[AES256_GCM,data]",
        "...",
        "…",
    ],
)
def test_a_placeholder_or_a_reference_is_no_value(value: str) -> None:
    assert not is_value(value.encode())


@pytest.mark.parametrize(
    "value", ["hunter2", "postgres", "p", "correct horse battery", "$2y$10$abc", "%41bc", "pass word"]
)
def test_a_weak_or_odd_password_is_a_value_unless_it_is_one_character(value: str) -> None:
    assert is_value(value.encode()) is (len(value) > 1)


def test_a_long_value_is_no_placeholder_by_chance() -> None:
    assert is_value(secrets.token_hex(200).encode() + b"xxxx")


@pytest.mark.parametrize(
    "name",
    [
        "DB_PASSWORD",
        "dbPass",
        "PGPASSWORD",
        "smtp.pwd",
        "API_KEY",
        "apiKey",
        "github_token",
        "CLIENT_SECRET",
        "secret_key_base",
        "ENCRYPTION_KEY",
        "access-key",
        "PASSWORD_PROD",
        "passphrase2",
        "AWS_SECRET_ACCESS_KEY",
        "APP_KEY",
        "JWT",
    ],
)
def test_a_name_that_means_a_secret_makes_its_value_one(name: str) -> None:
    assert is_secret(name.encode(), canary().encode())


@pytest.mark.parametrize(
    "name",
    [
        "PUBLIC_KEY",
        "publishableKey",
        "primary_key",
        "sort_key",
        "CACHE_KEY",
        "next_token",
        "token_url",
        "TOKEN_TYPE",
        "compass",
        "bypass",
        "monkey",
        "username",
        "PASSWORD_RESET_TIMEOUT",
        "secret_arn",
        "keyboard",
        "author",
    ],
)
def test_a_name_that_only_looks_alike_makes_none(name: str) -> None:
    assert not is_secret(name.encode(), canary().encode())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SSL_PRIVATE_KEY", "/etc/ssl/private/app.key"),
        ("token", "short"),
        ("MAX_TOKEN", "4096"),
        ("api_key", "service.json"),
        ("access_key", "arn:aws:kms:eu:1:key/2"),
        ("key", "terraform/state/prod-2"),
        ("meta_key", "_wp_attachment_metadata"),
        ("salt", "1234567890123456"),
        ("token", "a sentence about tokens"),
        ("secret", "https://docs.internal/secret"),
    ],
)
def test_a_value_of_another_sort_is_no_token(name: str, value: str) -> None:
    assert not is_secret(name.encode(), value.encode())


def test_the_key_of_a_map_is_a_secret_when_it_looks_random() -> None:
    assert is_secret(b"key", canary().encode())


def test_base64_is_decoded_in_both_alphabets_and_without_padding() -> None:
    text = secrets.token_bytes(31)
    for encoded in (base64.b64encode(text), base64.urlsafe_b64encode(text), base64.b64encode(text).rstrip(b"=")):
        assert decoded(encoded) == text
    assert decoded(b"no base64!") == b""


def test_rows_of_settings_in_a_dump_are_no_secrets() -> None:
    parser = parser_for("wordpress.sql")
    assert parser is not None
    dump = (
        b"INSERT INTO `wp_postmeta` (`meta_id`, `meta_key`, `meta_value`) VALUES "
        b"(1,'_wp_attachment_metadata_2024','a');\n"
        b"CREATE TABLE `files` (`id` int, `hash` char(32));\nINSERT INTO `files` VALUES (1,'"
        + secrets.token_hex(16).encode()
        + b"');\n"
    )
    assert list(parser(dump)) == []
