"""What a name promises, what reads like words, and what is taken for a password."""

from __future__ import annotations

import random
import re
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.leaks.slow_scan import scan
from vantage_secrets.leaks.names import kind_of
from vantage_secrets.leaks.passwords import is_password
from vantage_secrets.leaks.placeholders import is_placeholder
from vantage_secrets.leaks.ruleset import load_rules, rule_files
from vantage_secrets.leaks.wordlikeness import word_share

QUOTED = re.compile(rb"""(?P<password_name>(?i:pass|pwd)\w*)["']?\s?(?:=|:|,|\()\s?["'](?P<secret>[^"']+)["']""")
BARE = re.compile(rb"""(?P<password_name>(?i:pass|pwd)\w*)(?:=|:)\s?(?P<secret>[^\s"']+)""")
SECRET = re.compile(rb"""(?P<secret_name>(?i:secret|token|api_?key)\w*)\s?(?:=|:)\s?["'](?P<secret>[^"']+)["']""")
ADDRESS = re.compile(rb"""://(?P<user>\w*):(?P<secret>[^@/]+)@""")
BASIC = re.compile(rb"""(?P<basic>Basic) (?P<secret>[A-Za-z0-9+/=]+)""")


def accepted(pattern: re.Pattern[bytes], text: str) -> bool:
    match = pattern.search(text.encode())
    assert match, f"the pattern of the test does not match: {text}"
    return is_password(match, match["secret"])


def drawn(length: int, alphabet: str = string.ascii_letters + string.digits) -> str:
    return "".join(random.Random(length).choices(alphabet, k=length))


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("DB_PASSWORD", "password"),
        ("userPassword", "password"),
        ("spring.mail.password", "password"),
        ("rootpwd", "password"),
        ("dbPass", "password"),
        ("apiKey", "secret"),
        ("SECRET_KEY_BASE", "secret"),
        ("clientSecret", "secret"),
        ("AUTH_SALT", "secret"),
        ("passwordField", ""),
        ("PASSWORD_MIN_LENGTH", ""),
        ("forgotPassword", ""),
        ("bypass", ""),
        ("passed_count", ""),
        ("next_page_token", ""),
        ("csrfToken", ""),
        ("publicKey", ""),
        ("sort_key", ""),
        ("salt", ""),
        ("token_type", ""),
    ],
)
def test_a_name_tells_what_its_value_is(name: str, kind: str) -> None:
    assert kind_of(name.encode()) == kind


@pytest.mark.parametrize(
    "text", ["my-secret-name", "UserPasswordField", "current_user", "authentication", "TOKEN_LIMIT"]
)
def test_names_are_words(text: str) -> None:
    assert word_share(text.encode()) > 0.7


def test_drawn_text_is_not_words() -> None:
    generator = random.Random(6)
    for _ in range(200):
        assert word_share("".join(generator.choices(string.ascii_letters + string.digits, k=32)).encode()) < 0.6


def test_a_text_of_marks_alone_has_no_words() -> None:
    assert word_share(b"-_.") == 0.0


@pytest.mark.parametrize(
    "value",
    [
        "sunshine42",
        "Summer2024!",
        "tr0ub4dor&3",
        "purplemonkey",
        "correct-horse-battery-staple",
        "orange river nine fox",
        drawn(12),
    ],
)
def test_what_people_choose_for_a_password_is_one(value: str) -> None:
    assert accepted(QUOTED, f'password = "{value}"')


@pytest.mark.parametrize(
    "value",
    [
        "password", "changeme", "changeit1", "postgres", "${DB_PASSWORD}", "$PASSWORD", "{{ vault }}",
        "%(password)s", "<password>", "********", "xxxxxxxx", "your-password", "example", "Passwort",
        "Enter your password", "The password is wrong", "db.password", "user_password", "PASSWORD",
        "/run/secrets/db", "secrets/db.txt", "https://host/reset", "2026-03-02", "v1.2.3", "^7.0.3", "^[a-z0-9]+$",
        "[a-z0-9]{8,}", "$2b$12$abcdefg", "pbkdf2_sha256$1$a", "required|min:8", "arn:aws:secretsmanager:eu",
        "vault:secret/db", "aaaaaaaa", "id_rsa.pem", "パスワード", "Contraseña", "current-password", "scram-sha-256",
        "root@db.corp.net", "get_password()", "\\x1b[32m", "abc",
    ],
)  # fmt: skip
def test_what_people_write_instead_of_a_password_is_none(value: str) -> None:
    assert not accepted(QUOTED, f'password = "{value}"')


@pytest.mark.parametrize(
    "line",
    [
        "password=password1)", "password=get_password(user)", "password: bytes):", "password: string",
        "password=self.password,", "password=config.db_password", "password: *default", "password=os.environ['X']",
        "pass: n,fail:i}=((e)=>{", "PASS: TestBucket/refill", "password={{ x", "x{{ password=value99 }}",
        "x?password=abc123xyz",
    ],
)  # fmt: skip
def test_code_is_no_password(line: str) -> None:
    pattern = re.compile(BARE.pattern.replace(rb"(?P<password_name>", rb"(?P<unquoted>)(?P<password_name>"))
    assert not accepted(pattern, line)


@pytest.mark.parametrize(
    "line", ["DB_PASSWORD=sunshine", "password: Tiger2019", "password=x7Kq9,z", "# PASSWORD=blizzard9"]
)
def test_a_value_without_quotes_may_be_a_password(line: str) -> None:
    assert accepted(BARE, line)


def test_a_list_of_names_has_no_password() -> None:
    assert not accepted(QUOTED, "fields = ['user', 'password', 'repository']")
    assert accepted(QUOTED, f"define('DB_PASSWORD', '{drawn(14)}')")


def test_the_first_of_several_arguments_is_no_password() -> None:
    assert not accepted(QUOTED, "set_password('service1', 'user')")
    assert accepted(QUOTED, "set_password('river2291')")


def test_a_token_must_look_drawn() -> None:
    assert accepted(SECRET, f"api_key = '{drawn(32)}'")
    assert accepted(SECRET, f"token = '{drawn(40, '0123456789abcdef')}'")
    assert not accepted(SECRET, "token = 'access-token-for-users'")
    assert not accepted(SECRET, "secret = 'db-credentials-2'")
    assert not accepted(SECRET, "token = 'aaaaaaaabbbbbbbb'")


def test_a_password_that_is_the_user_is_refused_in_an_address() -> None:
    assert not accepted(ADDRESS, "postgres://reports:reports@db/shop")
    assert accepted(ADDRESS, "postgres://reports:river2291@db/shop")


def test_a_basic_header_is_judged_by_the_password_in_it() -> None:
    assert not accepted(BASIC, "Authorization: Basic dXNlcjpwYXNzd29yZA==")  # user:password
    assert accepted(BASIC, "Authorization: Basic YWRtaW46cml2ZXIyMjkx")  # admin:river2291
    assert not accepted(BASIC, "Authorization: Basic abcde")


def test_the_body_of_an_armoured_block_must_be_as_varied_as_a_key() -> None:
    pattern = re.compile(rb"(?P<secret>BEGIN(?P<block>[^-]+))")
    key = "\n".join(drawn(64 + number) for number in range(3))
    assert accepted(pattern, f"BEGIN\n{key}\n-")
    assert not accepted(pattern, "BEGIN\n" + "x" * 200)
    assert not accepted(
        pattern, "BEGIN in PEM armour, which is text of some length that tells how a key is to be written down here -"
    )


@settings(max_examples=200)
@given(st.binary(min_size=1, max_size=300))
def test_the_judge_takes_any_bytes(value: bytes) -> None:
    match = re.search(rb"(?s)(?P<password_name>password)=(?P<secret>.+)", b"password=" + value)
    assert match
    assert is_password(match, match["secret"]) in (True, False)
    assert is_placeholder(value) in (True, False)


GENERIC = [rule for rule in load_rules(rule_files()) if rule.category == "generic"]


@pytest.mark.parametrize(
    "line",
    [
        "password: {{ .Values.db.password | b64enc | quote }}",
        '  "AWS::IAM::AccessKey": "bf29289b78d371e3",',
        "key: Ed25519PrivateKey | X25519PrivateKey | None",
        "    One can simply pass 'ascending9' to sort",
        'const data_key = _mm256_xor_si256 (data_vec, "x");',
        "    --- PASS: TestBucket/ipv6+zone (0.00s)",
        '"minipass": "^7.0.3",',
        "'password' => 'required|string|min:8|confirmed',",
        "const {pass: n,fail: s} = partition(list, e => e.ok);",
    ],
)
def test_what_real_files_have_beside_secrets_is_not_found(line: str) -> None:
    assert scan(GENERIC, line.encode()) == []


@pytest.mark.parametrize(
    "line",
    [
        '    storePassword "river2291"\n',
        '#define DB_PASSWORD "river2291"\n',
        "| password | river2291 |",
        "private static final String DB_PASSWORD = 'river2291';",
        "    'password' => env('DB_PASSWORD', 'river2291'),",
        "public string Password { get; set; } = 'river2291';",
        "- name: DB_PASSWORD\n  value: river2291",
        "login with password `river2291`",
    ],
)
def test_a_password_is_found_in_each_of_these_ways_to_give_it(line: str) -> None:
    text = line.encode()
    assert {text[spot.begin : spot.end] for spot in scan(GENERIC, text)} == {b"river2291"}
