"""The policies in docs/stores/vault.md are enough, and no more than enough, against a real server."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.canary import canary
from tests.servers.vault import Engine, engine_fixture, vault_server_fixture  # noqa: F401  # Fixtures.
from tests.servers.vault_steps import NAME, PACKED, put
from vantage_secrets.errors import StoreAccessDeniedError
from vantage_secrets.secret import SecretName, SecretValue, Stage
from vantage_secrets.stores.contract import Health, Store
from vantage_secrets.stores.vault import VaultStore
from vantage_secrets.testing import StoreContract

PAGE = Path(__file__).parents[2] / "docs" / "stores" / "vault.md"
OTHER = SecretName("team/other")


def policy_on_the_page(name: str, engine: Engine) -> str:
    """Return the policy that the page shows, for the engine of this test."""
    found = re.search(rf"```hcl\n# {name}\.hcl\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert found
    return found[1].replace('"secret/', f'"{engine.mount}/').replace("vantage/api-key", f"vantage/{NAME}")


def token_with(engine: Engine, policy: str) -> str:
    """Return a token that has ``policy``, and ``default``."""
    client = engine.server.client()
    name = f"policy-{secrets.token_hex(4)}"
    client.sys.create_or_update_policy(name, policy)
    return str(client.auth.token.create(policies=[name], ttl="1h")["auth"]["client_token"])


class TestVaultStoreWithTheRotatorsPolicy(StoreContract):
    """The whole contract with the least privilege that the page names."""

    race_rounds = 2

    @pytest.fixture
    def store(self, engine: Engine) -> Iterator[Store]:
        with engine.open(token_with(engine, policy_on_the_page("rotator", engine))) as store:
            yield store

    @pytest.fixture
    def make_value(self) -> Callable[[], str]:
        return canary


def use_everything(store: VaultStore) -> None:
    """Call every verb, on a secret alone and on a packed one."""
    for name in (NAME, PACKED):
        first, second = put(store, name), put(store, name)
        store.promote(name, first.id, expect_current=second.id)
        store.read(name, stage=Stage.PREVIOUS)
        store.retire(name, second.id)
        store.describe(name)
        assert name in [*store.list()]
        store.delete(name)


def test_with_the_rotator_s_policy_every_verb_works_and_examining_finds_nothing_missing(engine: Engine) -> None:
    with engine.open(token_with(engine, policy_on_the_page("rotator", engine))) as store:
        use_everything(store)
        health = {one.part: one.health for one in store.examine()}
    assert {*health.values()} == {Health.WORKS, Health.WARNING}
    assert [part for part, one in health.items() if one is Health.WARNING] == ["TLS"]


@pytest.mark.parametrize(
    ("kind", "capability"),
    [
        *(("data", word) for word in ("create", "read", "update", "patch")),
        *(("metadata", word) for word in ("create", "read", "patch", "delete", "list")),
        ("destroy", "update"),
    ],
)
def test_without_any_one_capability_a_verb_is_denied_and_examining_names_it(
    engine: Engine, kind: str, capability: str
) -> None:
    whole = policy_on_the_page("rotator", engine)
    head, block = whole.split(f'path "{engine.mount}/{kind}/', 1)
    less = re.sub(rf'"{capability}"(, )?', "", block, count=1).replace(", ]", "]")
    policy = f'{head}path "{engine.mount}/{kind}/{less}'
    assert len(policy) < len(whole)
    with engine.open(token_with(engine, policy)) as store:
        with pytest.raises(StoreAccessDeniedError) as caught:
            use_everything(store)
        assert capability in caught.value.hint
        assert f"{engine.mount}/{kind}/" in caught.value.hint
        missing = [one for one in store.examine() if one.health is Health.MISSING]
    wanted = f'path "{engine.mount}/{kind}/vantage/*" {{ capabilities = ["{capability}"] }}'
    assert missing
    assert all(wanted in one.next_action for one in missing)


def test_the_reader_s_policy_reads_one_secret_and_nothing_else(engine: Engine) -> None:
    values = [canary() for _ in range(3)]
    with engine.open() as root:
        put(root, NAME, values[0])
        put(root, NAME, values[1])
        put(root, OTHER)
        pending = root.stage(NAME, SecretValue(values[2]), "next")
    with engine.open(token_with(engine, policy_on_the_page("reader", engine))) as reader:
        assert reader.read(NAME).value.matches(values[1])
        assert reader.read(NAME, stage=Stage.PREVIOUS).value.matches(values[0])
        for call in (
            lambda: reader.read(NAME, stage=Stage.PENDING),
            lambda: reader.read(NAME, version=pending.id),
            lambda: reader.read(OTHER),
            lambda: reader.describe(NAME),
            lambda: [*reader.list()],
            lambda: reader.stage(NAME, SecretValue(canary()), "t"),
            lambda: reader.promote(NAME, pending.id, expect_current=None),
            lambda: reader.retire(NAME, pending.id),
            lambda: reader.delete(NAME),
        ):
            with pytest.raises(StoreAccessDeniedError):
                call()


def test_a_refusal_on_one_secret_only_is_told_and_the_others_work(engine: Engine) -> None:
    policy = policy_on_the_page("rotator", engine)
    for kind in ("data", "metadata", "destroy"):
        for mark in ("", "--pending"):
            policy += f'path "{engine.mount}/{kind}/vantage/{NAME}{mark}" {{ capabilities = ["deny"] }}\n'
    with engine.open() as root:
        version = put(root, NAME)
    with engine.open(token_with(engine, policy)) as store:
        put(store, OTHER)
        for call in (
            lambda: store.read(NAME),
            lambda: store.read(NAME, version=version.id),
            lambda: store.describe(NAME),
            lambda: store.stage(NAME, SecretValue(canary()), "t"),
            lambda: store.promote(NAME, version.id, expect_current=None),
            lambda: store.retire(NAME, version.id),
            lambda: store.delete(NAME),
            lambda: [*store.read_many([OTHER, NAME])],
        ):
            with pytest.raises(StoreAccessDeniedError) as caught:
                call()
            assert str(NAME) in caught.value.message
        assert [*store.list()] == [NAME, OTHER]
        assert store.read(OTHER).version == store.describe(OTHER)[0]


def test_a_promotion_that_was_refused_half_way_is_finished_once_it_is_allowed(engine: Engine) -> None:
    allowed = policy_on_the_page("rotator", engine)
    denied = f'{allowed}path "{engine.mount}/metadata/vantage/{NAME}" {{ capabilities = ["read"] }}\n'
    with engine.open(token_with(engine, denied)) as store:
        pending = store.stage(NAME, SecretValue(canary()), "t")
        with pytest.raises(StoreAccessDeniedError):
            store.promote(NAME, pending.id, expect_current=None)
        assert engine.plain_read(NAME) is None
    with engine.open(token_with(engine, allowed)) as store:
        assert store.promote(NAME, pending.id, expect_current=None).stage is Stage.CURRENT
        assert [one.id for one in store.describe(NAME)] == [pending.id]
