"""Every mistake in a manifest is named with its line, what was found and what is allowed, and repeats no value."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.canary import canary
from vantage_secrets.errors import ManifestError, ManifestNotFoundError, UnknownSecretError
from vantage_secrets.manifest import load, parse, render_default
from vantage_secrets.manifest.locator import line_of, locate

STORE = '[store]\nurl = "embedded:secrets.db"\n'
TOP = f'environment = "test"\n{STORE}'  # three lines
SECRET = '[secrets.TOKEN]\nname = "token"\npurpose = "x"\nowner = "team"\n'  # lines 4 to 7 behind TOP


def mistake(text: str) -> ManifestError:
    with pytest.raises(ManifestError) as caught:
        parse(text, Path("m.toml"))
    return caught.value


@pytest.mark.parametrize(
    ("text", "line", "found", "allowed"),
    [
        (STORE, 1, "'environment' is missing", "lower-case letters"),
        ('environment = "test"\n', 1, "'store.url' is missing", "a URL"),
        ('enviroment = "test"\nenvironment = "test"\n' + STORE, 1, "'enviroment' is not a key", "'environment'?"),
        ('environment = "Prod Eu"\n' + STORE, 1, "'environment' is 'Prod Eu'", "lower-case letters"),
        ('environment = ""\n' + STORE, 1, "'environment' is ''", "lower-case letters"),
        (TOP + "kye_file = 1\n", 4, "'store.kye_file' is not a key", "Did you mean 'key_file'?"),
        (TOP + "\n[stoer]\n", 5, "'stoer' is not a key", "Did you mean 'store'?"),
        (TOP + "key_file = 7\n", 4, "'store.key_file' is a number", "a path in quotes"),
        (TOP + "key_file = ['a']\n", 4, "'store.key_file' is a list", "a path in quotes"),
        (TOP + "key_file = 2020-01-01\n", 4, "'store.key_file' is a date or time", "a path in quotes"),
        (TOP + "[audit]\non_unwritable = 'ignore'\n", 5, "is 'ignore'", "spool, refuse"),
        (TOP + "[audit]\nsegment_bytes = 12\n", 5, "'audit.segment_bytes' is 12", "from 65536 to 1073741824"),
        (TOP + "[audit]\nsegment_bytes = true\n", 5, "'audit.segment_bytes' is true or false", "a whole number"),
        (TOP + "[client]\nrefresh_interval = 300\n", 5, "is a number", '"1h30m"'),
        (TOP + "[client]\nrefresh_interval = '5 minutes'\n", 5, "is '5 minutes'", '"1h30m"'),
        (TOP + "[client]\nrefresh_interval = '0s'\n", 5, "no time at all", "5m"),
        (TOP + "[client]\nrefresh_interval = '2h'\n", 4, "'client.max_stale' is shorter", "too old"),
        (TOP + "[features]\nkafka = 'yes'\n", 5, "'features.kafka' is a text", "true or false"),
        (TOP + "[features]\n'Kafka SASL' = true\n", 5, "name of a feature", "single hyphens"),
        (TOP.replace("[store]", "[[store]]"), 2, "'store' is a list, and must be a table", "[store]"),
        (TOP + "[secrets]\nTOKEN = 5\n", 5, "'secrets.TOKEN' is a number, and must be a table", "[secrets.TOKEN]"),
        (TOP + SECRET.replace("TOKEN", "'my token'"), 4, "is not an environment variable", "[secrets.VANTAGE_API_KEY]"),
        (TOP + "[secrets.TOKEN]\nname = 'token'\n", 4, "'secrets.TOKEN.purpose' is missing", "one line of text"),
        (TOP + SECRET.replace('"token"', '"Token_1"'), 5, "'secrets.TOKEN.name' is 'Token_1'", '"vantage/api-key"'),
        (TOP + SECRET + "kind = 'kafka'\n", 8, "'secrets.TOKEN.kind' is 'kafka'", "kafka-password"),
        (TOP + SECRET + "consumers = 'web'\n", 8, "'secrets.TOKEN.consumers' is a text", "list of different words"),
        (TOP + SECRET + "consumers = ['web', 'web']\n", 8, "is a list", "different"),
        (TOP + SECRET + "consumers = [['web']]\n", 8, "is a list", "words"),
        (TOP + SECRET + "required = true\n", 8, "'secrets.TOKEN.required' is true or false", "always, never"),
        (TOP + SECRET + "required_with = 'kafka'\n", 8, "names a feature that [features] does not have", "none yet"),
        (TOP + SECRET + "max_age = '24h'\n", 4, "'secrets.TOKEN.grace' (24h) is not shorter", "Shorten grace"),
        (TOP + SECRET + "grace = '90d'\n", 8, "'secrets.TOKEN.grace' (90d) is not shorter", "lengthen max_age"),
        (TOP + SECRET + "max_age = '99999999d'\n", 8, "'secrets.TOKEN.max_age' is '99999999d'", '"90d"'),
        (TOP + SECRET + SECRET.replace("TOKEN", "OTHER"), 9, "is the name of 'TOKEN' already", "its own name"),
    ],
)
def test_a_mistake_has_its_line_what_was_found_and_what_is_allowed(
    text: str, line: int, found: str, allowed: str
) -> None:
    error = mistake(text)
    assert (error.path, error.line) == ("m.toml", line)
    assert str(error).startswith(f"m.toml:{line}: ")
    assert found in str(error).splitlines()[0]
    assert allowed in error.hint


def test_required_and_required_with_exclude_each_other() -> None:
    error = mistake(TOP + "[features]\nkafka = true\n" + SECRET + "required = 'never'\nrequired_with = 'kafka'\n")
    assert "'required' and 'required_with'" in str(error)
    assert error.line == 11


@pytest.mark.parametrize(("one", "two"), [("a/b", "a-b"), ("a-b", "a/b")])
def test_names_that_one_store_would_write_alike_are_refused_at_the_later_one(one: str, two: str) -> None:
    first, second = SECRET.replace('"token"', f'"{one}"'), SECRET.replace('"token"', f'"{two}"')
    error = mistake(TOP + first + second.replace("TOKEN", "OTHER"))
    assert f"'{one}' and '{two}' would both be written as" in str(error)
    assert error.line == 9


def test_all_mistakes_are_told_at_once_in_the_order_of_their_lines() -> None:
    error = mistake("x = 1\n[store]\nurl = 3\n[client]\nmax_stale = 1\n" + SECRET + "grace = 1\n")
    lines = str(error).splitlines()
    assert [line.split(":")[1] for line in lines] == ["1", "1", "3", "5", "10"]
    assert all(line.startswith("m.toml:") for line in lines)
    assert lines[2].endswith("Write a URL in quotes, without a password.")


def test_of_very_many_mistakes_the_rest_is_counted() -> None:
    error = mistake(TOP + "".join(f"key{number} = 1\n" for number in range(30)))
    assert str(error).splitlines()[-1] == "9 more mistakes follow."
    assert len(str(error).splitlines()) == 22


def test_a_key_in_an_inline_table_has_the_line_of_its_table() -> None:
    assert mistake('environment = "test"\n\nstore = { url = 3 }\n').line == 3


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("environment = production\n", 1, "Invalid value"),
        ('environment = "a"\n[store\n', 2, "Expected"),
        ('a = "x\n', 1, "Illegal character"),
        ("a = 1\na = 2\n", 2, "Cannot overwrite"),
        ("a = [", 1, "Invalid value"),
        ("[x]\n[x]\n", 2, "twice"),
        ("a = " + "[" * 5000, None, "nested too deep"),
        ("a = " + "9" * 5000, None, "not TOML"),
    ],
)
def test_what_is_not_toml_is_refused_with_its_line(text: str, line: int | None, words: str) -> None:
    error = mistake(text)
    assert error.line == line
    assert "This is not TOML" in str(error)
    assert words in str(error)
    assert error.__cause__ is None
    assert error.__context__ is None


# --- values that were pasted ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        'environment = "{}"\n' + STORE,
        TOP + 'pasted = "{}"\n',
        TOP + "'{}' = 1\n",
        TOP + 'key_file = ["{}"]\n',
        TOP.replace("embedded:secrets.db", "vault://user:{}@vault.example"),
        TOP.replace("embedded:secrets.db", "{}"),
        TOP + '[database]\nurl = "postgresql://vantage:{}@db/control"\n',
        TOP + '[audit]\nsegment_bytes = "{}"\n',
        TOP + '[audit]\npublic_key = "{}\\n"\n',
        TOP + '[features]\nkafka = "{}"\n',
        TOP + "[features]\n'{} x' = true\n",
        TOP + '[secrets]\nTOKEN = "{}"\n',
        TOP + "[secrets.'{}']\nname = 'x'\n",
        TOP + SECRET + 'value = "{}"\n',
        TOP + SECRET + 'kind = "{}"\n',
        TOP + SECRET + 'max_age = "{}"\n',
        TOP + SECRET + 'required_with = "{}"\n',
        TOP + SECRET + 'consumers = "{}"\n',
        TOP + SECRET + 'consumers = ["{} "]\n',
        TOP + SECRET.replace('"token"', '"{}_"'),
        TOP + SECRET.replace('"team"', '"{}\\u0007"'),
        TOP + SECRET + "password = {}\n",
        TOP + SECRET + "password = '''{}\n",
        "TOKEN={}\n" + TOP,
    ],
)
def test_a_pasted_value_is_not_repeated(text: str) -> None:
    plain = canary()
    error = mistake(text.format(plain))
    assert plain not in str(error) + error.hint + repr(error.__cause__) + repr(error.__context__)


def test_the_hint_for_a_value_in_a_manifest_says_where_values_go() -> None:
    error = mistake(TOP + SECRET + 'value = "x"\n')
    assert "vantage-secrets set NAME" in error.hint


# --- files ----------------------------------------------------------------------------------------------------------


def test_a_manifest_that_is_not_utf_8_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "m.toml"
    path.write_bytes(TOP.encode() + b"# caf\xe9\n")
    with pytest.raises(ManifestError, match="not UTF-8") as caught:
        load(path)
    assert caught.value.line == 4
    assert caught.value.__cause__ is None


def test_a_manifest_in_utf_16_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.toml"
    path.write_bytes(TOP.encode("utf-16"))
    with pytest.raises(ManifestError, match="not UTF-8"):
        load(path)


def test_a_folder_instead_of_a_manifest_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="cannot be read: Is a directory"):
        load(tmp_path)


@pytest.mark.parametrize("name", ["gone.toml", "file/gone.toml"])
def test_a_manifest_that_is_not_there_is_not_found(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ManifestNotFoundError):
        load(tmp_path / name)


def test_an_unknown_secret_is_a_mistake_of_the_manifest() -> None:
    with pytest.raises(UnknownSecretError, match=r"m\.toml: The manifest has no secret 'x'"):
        parse(render_default(), Path("m.toml")).find("x")


# --- lines ----------------------------------------------------------------------------------------------------------

AWKWARD = '''\
top = """ [not.a.table]
key = "no" """
a . "b c" = 1
list = [ "]", # ] [x]
  "x = 1",
]
text = \'\'\'
[inside]
x = 1\'\'\'\'\'
  [ "quoted.head" . 'it''s' ]  # comment
'''.replace("'it''s'", '"it\\"s"')


def test_lines_are_found_through_texts_lists_comments_and_quoted_keys() -> None:
    lines = locate(AWKWARD + 'inner = { deep = 1 }\n"k\\u0065y" = 2\n[[array]]\nx = 1\n[[array]]\ny = 1\n')
    assert dict(lines) == {
        ("top",): 1,
        ("a",): 3,
        ("a", "b c"): 3,
        ("list",): 4,
        ("text",): 7,
        ("quoted.head",): 10,
        ("quoted.head", 'it"s'): 10,
        ("quoted.head", 'it"s', "inner"): 11,
        ("quoted.head", 'it"s', "key"): 12,
        ("array",): 13,
        ("array", "x"): 14,
        ("array", "y"): 16,
    }


def test_a_key_without_a_line_has_that_of_the_nearest_table_around_it() -> None:
    lines = {("a",): 3}
    assert line_of(lines, ("a", "b", "c")) == 3
    assert line_of(lines, ("x",)) is None
