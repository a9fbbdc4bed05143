"""Opening a store in Vault: what URLs, options and logins mean, before anything is sent."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.canary import canary
from vantage_secrets.errors import (
    InsecurePermissionsError,
    InvalidInputError,
    InvalidURLError,
    StoreAccessDeniedError,
)
from vantage_secrets.stores.vault import open_vault
from vantage_secrets.stores.vault.login import (
    AppRoleLogin,
    KubernetesLogin,
    Lease,
    TokenLogin,
    login_named_by,
    read_private,
)
from vantage_secrets.stores.vault.opening import place_in


@pytest.mark.parametrize(
    ("url", "address", "store", "mount", "folder"),
    [
        ("vault://v.example/secret", "https://v.example:8200", "vault://v.example:8200/secret", "secret", ""),
        ("vault://v:1/kv/a/b/", "https://v:1", "vault://v:1/kv/a/b", "kv", "a/b/"),
        ("vault://v:1/team%2Fkv/a", "https://v:1", "vault://v:1/team%2Fkv/a", "team/kv", "a/"),
        ("vault://[::1]:1/kv", "https://[::1]:1", "vault://[::1]:1/kv", "kv", ""),
    ],
)
def test_a_url_names_server_mount_and_folder(url: str, address: str, store: str, mount: str, folder: str) -> None:
    place = place_in(url)
    assert (place.address, place.url, place.mount, place.folder) == (address, store, mount, folder)


@pytest.mark.parametrize(
    "url",
    [
        "vault:",
        "vault://",
        "vault://v.example",
        "vault://v.example/",
        "vault:///secret",
        "vault://v:port/secret",
        "vault://v/secret//x",
        "vault://v/sec ret",
        "vault://v/secret/%23",
        "http://v/secret",
    ],
)
def test_a_url_that_names_no_server_and_mount_is_refused(url: str) -> None:
    with pytest.raises(InvalidURLError):
        place_in(url)


def test_a_url_with_a_password_is_refused_and_the_password_not_repeated() -> None:
    password = canary()
    with pytest.raises(InvalidURLError) as caught:
        place_in(f"vault://user:{password}@v.example/secret")
    assert password not in str(caught.value) + caught.value.hint


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "localhost", "[::1]"])
def test_without_tls_only_this_machine_is_spoken_to(host: str) -> None:
    assert place_in(f"vault://{host}/secret", tls=False).address == f"http://{host}:8200"
    for other in ("vault.example", "10.0.0.1", "127.0.0.1.example", "[2001:db8::1]"):
        with pytest.raises(InvalidURLError, match="Without TLS"):
            place_in(f"vault://{other}/secret", tls=False)


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({"tokn_file": "x"}, "has no option 'tokn_file'"),
        ({"tls": "no"}, "'tls' is 'on' or 'off'"),
        ({"secret_id_wrapped": "yes"}, "'secret_id_wrapped' is 'on' or 'off'"),
        ({"ca_file": "/no/such/file", "token_file": "x"}, "no file '/no/such/file'"),
        ({"timeout": "10", "token_file": "x"}, "'10' is not a length of time"),
    ],
)
def test_an_option_that_means_nothing_is_refused(options: dict[str, str], found: str) -> None:
    with pytest.raises(InvalidInputError, match=found):
        open_vault("vault://v.example/secret", environment="test", options=options)


def test_opening_sends_nothing_and_shows_no_credentials(tmp_path: Path) -> None:
    token = canary()
    (tmp_path / "CLEAR").write_text(token)
    (tmp_path / "CLEAR").chmod(0o600)
    options = {"token_file": str(tmp_path / "CLEAR")}
    with open_vault("vault://v.example/secret/vantage", environment="test", options=options) as store:
        assert repr(store) == "VaultStore('vault://v.example:8200/secret/vantage')"
        assert token not in repr(vars(store))


def test_a_closed_store_holds_no_token_and_no_way_to_one(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("a token")
    (tmp_path / "token").chmod(0o600)
    options = {"token_file": str(tmp_path / "token")}
    store = open_vault("vault://v.example/secret", environment="test", options=options)
    session, client = store._connection._session, store._connection._client
    session._take(Lease("a token"))
    assert client.token == "a token"
    store.close()
    store.close()
    assert client.token is None
    assert "_login" not in vars(session)


def test_the_environment_s_proxy_is_used_and_no_netrc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", "inside.example")
    found = []
    for host in ("v.example", "inside.example"):
        with open_vault(f"vault://{host}/secret", environment="test", options={"token_file": "/nowhere"}) as store:
            session = store._connection._client.session
            found.append((session.proxies.get("https"), session.trust_env))
    assert found == [("http://proxy.example:3128", False), (None, False)]


def test_the_way_to_log_in_is_the_one_that_is_named(tmp_path: Path) -> None:
    environ = {"VAULT_TOKEN": "from VAULT_TOKEN", "BAO_TOKEN": "from BAO_TOKEN", "HOME": str(tmp_path)}
    assert isinstance(login_named_by({"role_id_file": "a", "secret_id_file": "b"}, environ), AppRoleLogin)
    assert isinstance(login_named_by({"kubernetes_role": "worker"}, environ), KubernetesLogin)
    assert login_named_by({"token_file": "/run/token"}, environ).words == "token from /run/token"
    assert login_named_by({}, environ).words == "token from VAULT_TOKEN"
    del environ["VAULT_TOKEN"]
    assert login_named_by({}, environ).words == "token from BAO_TOKEN"
    del environ["BAO_TOKEN"]
    with pytest.raises(StoreAccessDeniedError, match="Nothing says how to log in"):
        login_named_by({}, environ)
    (tmp_path / ".vault-token").write_text("a token")
    assert login_named_by({}, environ).words == f"token from {tmp_path}/.vault-token"
    assert isinstance(login_named_by({}, environ), TokenLogin)


def test_a_file_with_a_secret_that_everybody_may_use_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("a token\n")
    for mode in (0o604, 0o602, 0o644):
        file.chmod(mode)
        with pytest.raises(InsecurePermissionsError, match="Everybody"):
            read_private(file)
    for mode in (0o600, 0o640):
        file.chmod(mode)
        assert read_private(file) == "a token"


def test_a_file_that_is_missing_empty_or_no_text_is_no_way_to_log_in(tmp_path: Path) -> None:
    empty, binary = tmp_path / "empty", tmp_path / "binary"
    empty.write_text("\n")
    binary.write_bytes(b"\xff\xfe")
    for file in (empty, binary, tmp_path / "missing"):
        with pytest.raises(StoreAccessDeniedError, match="cannot be read") as caught:
            read_private(file)
        assert str(file) in caught.value.message
