"""Any series of calls leaves the embedded store as a simple model says; reopening and a new key change nothing."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.canary import canary, leaks_below, planted
from vantage_secrets.errors import (
    PendingVersionExistsError,
    SecretNotFoundError,
    VersionConflictError,
    VersionNotFoundError,
    VersionRetiredError,
)
from vantage_secrets.secret import SecretName, SecretValue, Stage
from vantage_secrets.stores.embedded import EmbeddedStore, create_embedded, open_embedded

NAMES = st.sampled_from([SecretName(text) for text in ("a", "a/b", "a-b", "b")])
NUMBERS = st.integers(0, 6).map(str)
TOKENS = st.sampled_from(["t1", "t2", "t3", "t4", "t5", "t6"])
CHOICES = st.integers(0, 2)


@dataclass
class _Version:
    value: int
    token: str
    stage: Stage = Stage.PENDING


@dataclass
class _Secret:
    """A secret as the contract tells it: versions by id."""

    last: int = 0
    versions: dict[str, _Version] = field(default_factory=dict)

    def in_stage(self, stage: Stage) -> str | None:
        return next((id_ for id_, version in self.versions.items() if version.stage is stage), None)


class StoreMachine(RuleBasedStateMachine):
    """Calls the store and a dictionary side by side."""

    @initialize()
    def create(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="vantage-secrets-"))
        contents = (canary(), canary().encode(), {"password": canary()})
        self.values = [SecretValue(content) for content in contents]
        self.model: dict[SecretName, _Secret] = {}
        self.store: EmbeddedStore = create_embedded(
            self.folder / "secrets.db", environment="test", key_file=self.folder / "key"
        )

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()
            leaks = leaks_below(self.folder, planted()[-3:])
            shutil.rmtree(self.folder)
            assert not leaks

    def _living(self, name: SecretName) -> _Secret | None:
        secret = self.model.get(name)
        return secret if secret is not None and secret.versions else None

    @rule(name=NAMES, choice=CHOICES, token=TOKENS)
    def stage(self, name: SecretName, choice: int, token: str) -> None:
        secret = self.model.setdefault(name, _Secret())
        sent = next((id_ for id_, version in secret.versions.items() if version.token == token), None)
        if sent is not None and secret.versions[sent].value == choice:
            again = self.store.stage(name, self.values[choice], token)
            assert (again.id, again.stage) == (sent, secret.versions[sent].stage)
        elif sent is not None:
            with pytest.raises(VersionConflictError):
                self.store.stage(name, self.values[choice], token)
        elif secret.in_stage(Stage.PENDING) is not None:
            with pytest.raises(PendingVersionExistsError):
                self.store.stage(name, self.values[choice], token)
        else:
            secret.last += 1
            secret.versions[str(secret.last)] = _Version(choice, token)
            assert self.store.stage(name, self.values[choice], token).id == str(secret.last)

    @rule(name=NAMES, version=NUMBERS, is_stale=st.booleans())
    def promote(self, name: SecretName, version: str, is_stale: bool) -> None:
        secret = self._living(name)
        current = secret.in_stage(Stage.CURRENT) if secret else None
        expect = "99" if is_stale else current
        error = self._promotion_error(secret, version, is_stale)
        if error is not None:
            with pytest.raises(error):
                self.store.promote(name, version, expect_current=expect)
            return
        assert secret is not None
        promoted = self.store.promote(name, version, expect_current=expect)
        assert (promoted.id, promoted.stage) == (version, Stage.CURRENT)
        if version == current:
            return
        previous = secret.in_stage(Stage.PREVIOUS)
        if previous is not None and previous != version:
            secret.versions[previous].stage = Stage.RETIRED
        if current is not None:
            secret.versions[current].stage = Stage.PREVIOUS
        secret.versions[version].stage = Stage.CURRENT

    def _promotion_error(self, secret: _Secret | None, version: str, is_stale: bool) -> type[Exception] | None:
        if secret is None:
            return SecretNotFoundError
        if version not in secret.versions:
            return VersionNotFoundError
        if secret.versions[version].stage is Stage.CURRENT:
            return None
        if is_stale:
            return VersionConflictError
        return VersionRetiredError if secret.versions[version].stage is Stage.RETIRED else None

    @rule(name=NAMES, version=NUMBERS)
    def retire(self, name: SecretName, version: str) -> None:
        secret = self._living(name)
        if secret is None or version not in secret.versions:
            with pytest.raises(SecretNotFoundError if secret is None else VersionNotFoundError):
                self.store.retire(name, version)
        elif secret.versions[version].stage is Stage.CURRENT:
            with pytest.raises(VersionConflictError):
                self.store.retire(name, version)
        else:
            assert self.store.retire(name, version).stage is Stage.RETIRED
            secret.versions[version].stage = Stage.RETIRED

    @rule(name=NAMES)
    def delete(self, name: SecretName) -> None:
        secret = self._living(name)
        assert self.store.delete(name) is (secret is not None)
        if secret is not None:
            secret.versions.clear()

    @rule()
    def reopen(self) -> None:
        self.store.close()
        options = {"key_file": str(self.folder / "key")}
        self.store = open_embedded(f"embedded://{self.folder}/secrets.db", environment="test", options=options)

    @rule()
    def rotate_key(self) -> None:
        self.store.rotate_key()

    @invariant()
    def the_store_is_as_the_model_says(self) -> None:
        if not hasattr(self, "store"):
            return
        living = sorted(name for name in self.model if self._living(name))
        assert [*self.store.list()] == living
        for name in living:
            versions = self.model[name].versions
            found = {version.id: version.stage for version in self.store.describe(name)}
            assert found == {id_: version.stage for id_, version in versions.items()}
            for id_, version in versions.items():
                if version.stage is Stage.RETIRED:
                    with pytest.raises(VersionRetiredError):
                        self.store.read(name, version=id_)
                else:
                    reading = self.store.read(name, stage=version.stage)
                    assert (reading.version.id, reading.value == self.values[version.value]) == (id_, True)


TestStoreMachine = StoreMachine.TestCase
TestStoreMachine.settings = settings(max_examples=30, stateful_step_count=25, deadline=None)
