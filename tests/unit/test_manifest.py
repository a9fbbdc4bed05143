"""What a manifest without mistakes says, where it is found, and how a secret is added to it."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tomllib
from datetime import timedelta
from pathlib import Path

import pytest

from vantage_secrets.errors import ManifestError, ManifestNotFoundError, UnknownSecretError
from vantage_secrets.manifest import SecretSpec, add_secret, find_manifest, load, parse, render_default
from vantage_secrets.secret import SecretName

SMALL = """\
environment = "test"
[store]
url = "embedded:secrets.db"
"""
TOKEN = SecretSpec(
    key="STRIPE_TOKEN",
    name=SecretName("stripe-token"),
    kind="static",
    purpose='Payments, the "live" account \\ EU',
    owner="payments team",
    consumers=("billing", "web"),
    max_age=timedelta(days=30),
    grace=timedelta(hours=1, minutes=30),
    required=False,
    feature=None,
)


def written(folder: Path, text: str = SMALL, name: str = "vantage-secrets.toml") -> Path:
    path = folder / name
    path.write_bytes(text.encode())
    return path


# --- the default ----------------------------------------------------------------------------------------------------


def test_the_default_manifest_loads_and_has_the_five_secrets_of_vantage(tmp_path: Path) -> None:
    manifest = load(written(tmp_path, render_default()))
    assert {spec.key: (str(spec.name), spec.kind, spec.consumers) for spec in manifest.secrets} == {
        "VANTAGE_API_KEY": ("vantage/api-key", "api-key", ("collector",)),
        "API_KEY": ("vantage/query-api-key", "api-key", ("query-api",)),
        "WORKER_CLICKHOUSE_PASSWORD": ("vantage/worker-clickhouse-password", "clickhouse-password", ("worker",)),
        "API_CLICKHOUSE_PASSWORD": ("vantage/api-clickhouse-password", "clickhouse-password", ("query-api",)),
        "KAFKA_SASL_PASSWORD": ("vantage/kafka-sasl-password", "kafka-password", ("collector", "worker")),
    }
    assert {(spec.max_age, spec.grace) for spec in manifest.secrets} == {(timedelta(days=90), timedelta(hours=24))}
    assert len(manifest.required_secrets()) == 5


def test_the_default_manifest_takes_the_settings_of_init(tmp_path: Path) -> None:
    text = render_default(environment="staging", store_url="embedded:a b.db", key_file=None, audit_public_key='k"\\=')
    manifest = load(written(tmp_path, text))
    assert manifest.environment == "staging"
    assert manifest.store.url == f"embedded://{tmp_path}/a b.db"
    assert manifest.store.key_file is None
    assert manifest.audit.public_key == 'k"\\='


def test_without_kafka_sasl_its_password_is_not_required(tmp_path: Path) -> None:
    text = render_default().replace("kafka-sasl = true", "kafka-sasl = false")
    manifest = load(written(tmp_path, text))
    assert manifest.features == frozenset()
    assert [spec.key for spec in manifest.required_secrets()] == [
        "VANTAGE_API_KEY",
        "API_KEY",
        "WORKER_CLICKHOUSE_PASSWORD",
        "API_CLICKHOUSE_PASSWORD",
    ]


def test_a_secret_that_is_never_required_is_not_among_the_required_ones(tmp_path: Path) -> None:
    path = written(tmp_path)
    add_secret(path, TOKEN)
    assert load(path).required_secrets() == ()


# --- defaults and paths ---------------------------------------------------------------------------------------------


def test_what_is_left_out_has_the_documented_default(tmp_path: Path) -> None:
    manifest = load(written(tmp_path))
    assert manifest.audit.on_unwritable == "spool"
    assert manifest.audit.folder == tmp_path / ".vantage-secrets/audit"
    assert manifest.audit.segment_bytes == 16 * 1024 * 1024
    assert manifest.client.refresh_interval == timedelta(seconds=300)
    assert manifest.client.max_stale == timedelta(hours=1)
    assert manifest.database.url == f"sqlite:///{tmp_path}/.vantage-secrets/control.db"
    assert manifest.secrets == ()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("embedded:secrets.db", "embedded://{folder}/secrets.db"),
        ("embedded:../x/secrets.db", "embedded://{above}/x/secrets.db"),
        ("embedded:/var/lib/s.db", "embedded:///var/lib/s.db"),
        ("embedded:///var/lib/s.db", "embedded:///var/lib/s.db"),
        ("embedded://host/s.db", "embedded://host/s.db"),
        ("vault://vault.example:8200/kv", "vault://vault.example:8200/kv"),
        ("aws:eu-central-1", "aws:eu-central-1"),
    ],
)
def test_a_relative_store_counts_from_the_manifest_s_folder(tmp_path: Path, given: str, expected: str) -> None:
    manifest = load(written(tmp_path, SMALL.replace("embedded:secrets.db", given)))
    assert manifest.store.url == expected.format(folder=tmp_path, above=tmp_path.parent)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("sqlite:///state/control.db", "sqlite:///{folder}/state/control.db"),
        ("sqlite+pysqlite:///c.db", "sqlite+pysqlite:///{folder}/c.db"),
        ("sqlite:////var/c.db", "sqlite:////var/c.db"),
        ("sqlite:///:memory:", "sqlite:///:memory:"),
        ("postgresql://vantage@db.example/control", "postgresql://vantage@db.example/control"),
    ],
)
def test_a_relative_database_counts_from_the_manifest_s_folder(tmp_path: Path, given: str, expected: str) -> None:
    manifest = load(written(tmp_path, f'{SMALL}[database]\nurl = "{given}"\n'))
    assert manifest.database.url == expected.format(folder=tmp_path)


def test_a_tilde_in_a_path_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    manifest = load(written(tmp_path, SMALL + 'key_file = "~/keys/key"\npassphrase_file = "p~"\n'))
    assert manifest.store.key_file == Path("/home/somebody/keys/key")
    assert manifest.store.passphrase_file == tmp_path / "p~"


def test_a_relative_manifest_path_gives_absolute_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path)
    monkeypatch.chdir(tmp_path)
    manifest = load(Path("vantage-secrets.toml"))
    assert manifest.path == tmp_path / "vantage-secrets.toml"
    assert manifest.audit.folder.is_absolute()


def test_paths_count_from_the_link_and_not_from_what_it_leads_to(tmp_path: Path) -> None:
    (tmp_path / "hidden").mkdir()
    (tmp_path / "link.toml").symlink_to(written(tmp_path / "hidden"))
    assert load(tmp_path / "link.toml").store.url == f"embedded://{tmp_path}/secrets.db"


def test_a_byte_order_mark_and_windows_line_ends_are_fine(tmp_path: Path) -> None:
    path = tmp_path / "vantage-secrets.toml"
    path.write_bytes(b"\xef\xbb\xbf" + render_default().replace("\n", "\r\n").encode())
    assert len(load(path).secrets) == 5


def test_a_manifest_is_immutable(tmp_path: Path) -> None:
    manifest = load(written(tmp_path))
    with pytest.raises(AttributeError):
        manifest.environment = "other"  # type: ignore[misc]


# --- finding --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("asked", ["vantage/query-api-key", "API_KEY"])
def test_a_secret_is_found_by_its_name_and_by_its_variable(asked: str) -> None:
    assert parse(render_default(), Path("m.toml")).find(asked).key == "API_KEY"


@pytest.mark.parametrize(
    ("asked", "near"),
    [("vantage/api-kex", "vantage/api-key"), ("VANTAGE_APIKEY", "VANTAGE_API_KEY"), ("api_key", "API_KEY")],
)
def test_an_unknown_secret_is_answered_with_the_nearest_one(asked: str, near: str) -> None:
    with pytest.raises(UnknownSecretError, match=f"no secret '{asked}'") as caught:
        parse(render_default(), Path("m.toml")).find(asked)
    assert f"'{near}'" in caught.value.hint


def test_a_text_that_is_too_long_for_a_name_is_not_repeated() -> None:
    with pytest.raises(UnknownSecretError) as caught:
        parse(render_default(), Path("m.toml")).find("x" * 200)
    assert "xxx" not in str(caught.value)
    assert caught.value.hint == UnknownSecretError.default_hint


def test_the_manifest_is_found_in_a_folder_above(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VANTAGE_SECRETS_MANIFEST", raising=False)
    path = written(tmp_path)
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    assert find_manifest(deep) == path
    monkeypatch.chdir(deep)
    assert find_manifest() == path


def test_the_variable_names_the_manifest_before_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path)
    other = written(tmp_path, name="other.toml")
    monkeypatch.setenv("VANTAGE_SECRETS_MANIFEST", str(other))
    assert find_manifest(tmp_path) == other


def test_a_variable_that_names_no_file_is_an_error_and_no_folder_is_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path)
    monkeypatch.setenv("VANTAGE_SECRETS_MANIFEST", str(tmp_path / "gone.toml"))
    with pytest.raises(ManifestNotFoundError, match=r"gone\.toml"):
        find_manifest(tmp_path)


def test_without_a_manifest_the_hint_names_init(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VANTAGE_SECRETS_MANIFEST", raising=False)
    with pytest.raises(ManifestNotFoundError) as caught:
        find_manifest(tmp_path)
    assert "vantage-secrets init" in caught.value.hint


# --- adding a secret ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "before",
    [
        render_default().encode(),
        render_default().rstrip("\n").encode(),
        b"\xef\xbb\xbf" + SMALL.replace("\n", "\r\n").encode(),
        SMALL.encode() + b"\n# a comment at the end, \xc3\xa4",
    ],
)
def test_an_added_secret_is_read_back_and_every_byte_before_it_stays(tmp_path: Path, before: bytes) -> None:
    path = tmp_path / "vantage-secrets.toml"
    path.write_bytes(before)
    known = load(path).secrets
    add_secret(path, TOKEN)
    assert load(path).secrets == (*known, TOKEN)
    after = path.read_bytes()
    assert after.startswith(before)
    assert (b"\r\n" in before) == (b"\r\n" in after)
    assert after.count(b"\r\n") in (0, after.count(b"\n"))


@pytest.mark.parametrize(("required", "feature"), [(True, None), (False, None), (True, "kafka-sasl")])
def test_an_added_secret_keeps_when_it_is_required(tmp_path: Path, required: bool, feature: str | None) -> None:
    path = written(tmp_path, render_default())
    spec = TOKEN._replace(required=required, feature=feature, consumers=())
    add_secret(path, spec)
    assert load(path).secrets[-1] == spec


@pytest.mark.parametrize(
    "change",
    [
        {"key": "API_KEY"},
        {"name": SecretName("vantage/api-key")},
        {"name": SecretName("vantage-api-key")},
        {"key": "not a variable"},
        {"feature": "unknown", "required": True},
        {"grace": timedelta(days=31)},
        {"owner": ""},
        {"purpose": "two\nlines"},
    ],
)
def test_a_secret_that_would_be_a_mistake_is_refused_and_the_file_stays(tmp_path: Path, change: dict) -> None:
    path = written(tmp_path, render_default())
    before = path.read_bytes()
    with pytest.raises(ManifestError):
        add_secret(path, TOKEN._replace(**change))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_adding_keeps_the_file_s_permissions_and_goes_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    real = written(tmp_path / "real")
    real.chmod(0o640)
    link = tmp_path / "vantage-secrets.toml"
    link.symlink_to(real)
    add_secret(link, TOKEN)
    assert link.is_symlink()
    assert stat.S_IMODE(real.stat().st_mode) == 0o640
    assert [spec.key for spec in load(real).secrets] == ["STRIPE_TOKEN"]


def test_adding_to_a_manifest_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(ManifestNotFoundError):
        add_secret(tmp_path / "vantage-secrets.toml", TOKEN)


def test_when_the_disk_fails_the_old_file_stays_and_nothing_is_left_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path)
    before = path.read_bytes()

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ManifestError, match="No space left"):
        add_secret(path, TOKEN)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


# --- cost -----------------------------------------------------------------------------------------------------------


def test_importing_the_manifest_does_not_bring_in_a_toml_parser_or_a_database() -> None:
    heavy = "{'tomllib', 'sqlite3', 'sqlalchemy', 'typer', 'rich', 'cryptography', 'difflib', 'logging'}"
    code = f"import sys, vantage_secrets.manifest; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_default_manifest_is_toml_that_others_read_alike() -> None:
    document = tomllib.loads(render_default())
    assert document["secrets"]["KAFKA_SASL_PASSWORD"]["required_with"] == "kafka-sasl"


def test_secrets_that_one_entry_packs_are_named_with_their_field(tmp_path: Path) -> None:
    text = SMALL + (
        '\n[secrets.CONFIG_API_KEY]\nname = "vantage/config#api_key"\nkind = "static"\npurpose = "x"\nowner = "x"\n'
        'consumers = []\nmax_age = "90d"\ngrace = "1h"\n'
        '\n[secrets.CONFIG_PASSWORD]\nname = "vantage/config#clickhouse_password"\nkind = "static"\npurpose = "x"\n'
        'owner = "x"\nconsumers = []\nmax_age = "90d"\ngrace = "1h"\n'
    )
    manifest = load(written(tmp_path, text))
    assert manifest.find("vantage/config#api_key").key == "CONFIG_API_KEY"
    assert manifest.find("CONFIG_PASSWORD").name.field == "clickhouse_password"
