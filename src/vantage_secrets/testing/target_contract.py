"""The contract of a target as tests: every sentence of :mod:`vantage_secrets.targets.contract`, for any target.

A target's own test module subclasses :class:`TargetContract` and says how the door is tried without the target::

    class TestAcmeTarget(TargetContract):
        @pytest.fixture
        def target(self, server):
            target = AcmeTarget(TargetContext(...))
            yield target
            target.close()

        @pytest.fixture
        def opens(self, server):
            return lambda reading: server.plain_login(Credential.of(reading.value, account="ingest"))

The target's clock must be the real one. Nothing is skipped; what a target can do beyond the verbs is tested where it
says so.
"""

# ruff: noqa: D102  # A test's name is its sentence.
from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from itertools import count
from typing import ClassVar, Final

import pytest

from vantage_secrets.clock import utc_now
from vantage_secrets.credential import Credential
from vantage_secrets.errors import (
    CredentialAcceptedError,
    CredentialRefusedError,
    TargetUnavailableError,
)
from vantage_secrets.secret import SecretName, SecretReading, SecretValue, SecretVersion, Stage
from vantage_secrets.targets.contract import UNKNOWN_USE, Overlap, Target
from vantage_secrets.testing.store_steps import words

Opens = Callable[[SecretReading], bool]
MakeReading = Callable[[SecretValue], SecretReading]

_HOUR = timedelta(hours=1)
_PASSWORD_LENGTH_MIN = 22
"""The fewest characters of base 64 that can hold 128 random bits."""


class TargetContract:
    """Tests that every target passes unchanged.

    A subclass must provide the fixtures ``target``, open, at whose place no credential of ours is installed yet, and
    ``opens``, another way than the target's own to try a credential. It may override ``first``, ``make_reading`` and
    the names below.

    Attributes:
        secret: The secret that the target serves.
        account: The user at the target, as the manifest names it.
        ends_by_itself: Whether the target can end a credential at a time without us, which ``limit`` promises.
    """

    secret: ClassVar[SecretName] = SecretName("vantage/credential")
    account: ClassVar[str] = ""
    ends_by_itself: ClassVar[bool] = True

    @pytest.fixture
    def target(self) -> Iterator[Target]:
        """Yield the open target; the subclass says which."""
        raise NotImplementedError("The subclass provides the fixture 'target'.")

    @pytest.fixture
    def opens(self) -> Opens:
        """Return a fresh login that does not go through the target's code; the subclass says how."""
        raise NotImplementedError("The subclass provides the fixture 'opens'.")

    @pytest.fixture
    def make_reading(self) -> MakeReading:
        """Return a maker of readings, each of a version that no other has."""
        serial = count(1)

        def make(value: SecretValue) -> SecretReading:
            version = SecretVersion(self.secret, f"version-{next(serial)}", Stage.PENDING, utc_now())
            return SecretReading(value, version)

        return make

    @pytest.fixture
    def first(self, target: Target, make_reading: MakeReading) -> SecretReading:
        """Return what opens the door before the first rotation; here a credential that the target made itself.

        Override it to begin with one that was there before vantage-secrets was.
        """
        reading = make_reading(target.generate(None))
        target.install(reading, keep=None)
        return reading

    @pytest.fixture
    def second(self, target: Target, first: SecretReading, make_reading: MakeReading) -> SecretReading:
        """Return the next credential, installed beside the first."""
        reading = make_reading(target.generate(first))
        target.install(reading, keep=first)
        return reading

    # probe

    def test_a_probe_tells_something_and_changes_nothing(
        self, target: Target, first: SecretReading, second: SecretReading, opens: Opens
    ) -> None:
        probe = target.probe()
        assert probe.summary
        assert "\n" not in probe.summary
        assert probe.overlap in Overlap
        assert target.probe() == probe
        assert opens(first)
        assert opens(second)

    def test_a_target_that_counts_what_it_accepts_counts_right(
        self, target: Target, first: SecretReading, make_reading: MakeReading
    ) -> None:
        before = target.probe().accepted_count
        target.install(make_reading(target.generate(first)), keep=first)
        assert (before, target.probe().accepted_count) in {(None, None), (1, 2)}

    # generate

    def test_no_two_generated_credentials_are_alike(self, target: Target, first: SecretReading) -> None:
        passwords = [Credential.of(target.generate(first), account=self.account).password for _ in range(10)]
        texts = [password.reveal_text() for password in passwords]
        assert len({*texts}) == len(texts)
        assert min(map(len, texts)) >= _PASSWORD_LENGTH_MIN

    def test_a_generated_credential_is_not_installed_yet(
        self, target: Target, first: SecretReading, make_reading: MakeReading, opens: Opens
    ) -> None:
        reading = make_reading(target.generate(first))
        assert not opens(reading)
        with pytest.raises(CredentialRefusedError):
            target.verify(reading)
        assert opens(first)

    def test_a_generated_credential_is_for_the_account_and_alternates_where_two_do(
        self, target: Target, first: SecretReading, second: SecretReading
    ) -> None:
        users = [Credential.of(reading.value, account=self.account).username for reading in (first, second)]
        users.append(Credential.of(target.generate(second), account=self.account).username)
        assert all(user.startswith(self.account) for user in users)
        if target.probe().overlap is Overlap.ALTERNATING_USERS:
            third = Credential.of(target.generate(first), account=self.account).username
            assert third == users[1] != users[2]
            assert users[1] != users[0]
        else:
            assert users[2] in users[:2]

    # install and verify

    def test_what_is_installed_opens_the_door_and_keep_goes_on_working(
        self, target: Target, first: SecretReading, second: SecretReading, opens: Opens
    ) -> None:
        for reading in (first, second):
            assert opens(reading)
            target.verify(reading)

    def test_installing_twice_is_installing_once(
        self, target: Target, first: SecretReading, second: SecretReading, opens: Opens
    ) -> None:
        before = target.probe()
        target.install(second, keep=first)
        assert target.probe() == before
        assert opens(first)
        assert opens(second)

    def test_nothing_of_this_secret_but_pending_and_keep_is_accepted(
        self, target: Target, first: SecretReading, second: SecretReading, make_reading: MakeReading, opens: Opens
    ) -> None:
        third = make_reading(target.generate(first))
        target.install(third, keep=first)
        assert [opens(reading) for reading in (first, second, third)] == [True, False, True]
        target.verify_refused(second)

    def test_a_first_credential_is_installed_beside_nothing(
        self, target: Target, first: SecretReading, make_reading: MakeReading, opens: Opens
    ) -> None:
        reading = make_reading(target.generate(first))
        target.install(reading, keep=None)
        assert opens(reading)
        target.verify(reading)

    def test_a_wrong_credential_is_refused_by_the_door_and_by_verify(
        self, target: Target, second: SecretReading, make_reading: MakeReading, opens: Opens
    ) -> None:
        wrong = make_reading(self.spoiled(second.value))
        assert not opens(wrong)
        target.verify_refused(wrong)
        with pytest.raises(CredentialRefusedError):
            target.verify(wrong)

    def test_verify_refused_of_a_live_credential_raises(
        self, target: Target, first: SecretReading, second: SecretReading
    ) -> None:
        for reading in (first, second):
            with pytest.raises(CredentialAcceptedError):
                target.verify_refused(reading)

    # limit

    def test_a_limit_never_lengthens_a_life(
        self, target: Target, first: SecretReading, second: SecretReading, opens: Opens
    ) -> None:
        until = utc_now() + _HOUR
        ends_at = target.limit(first, until=until, keep=second)
        assert ends_at.utcoffset() == timedelta(0)
        assert abs(ends_at - until) <= timedelta(seconds=1)
        assert target.limit(first, until=until, keep=second) == ends_at
        later = target.limit(first, until=until + _HOUR, keep=second)
        assert later == (ends_at if self.ends_by_itself else until + _HOUR)
        assert opens(first)
        assert opens(second)

    def test_a_shorter_limit_holds(self, target: Target, first: SecretReading, make_reading: MakeReading) -> None:
        second = make_reading(target.generate(first))
        target.install(second, keep=first)
        until = utc_now() + _HOUR
        target.limit(first, until=until + _HOUR, keep=second)
        assert abs(target.limit(first, until=until, keep=second) - until) <= timedelta(seconds=1)

    def test_a_limit_in_the_past_ends_it_where_the_target_can_end_anything(
        self, target: Target, first: SecretReading, second: SecretReading, opens: Opens
    ) -> None:
        ends_at = target.limit(first, until=utc_now() - _HOUR, keep=second)
        assert ends_at < utc_now()
        assert opens(first) is not self.ends_by_itself
        agrees = target.verify_refused if self.ends_by_itself else target.verify
        agrees(first)
        assert opens(second)

    # revoke and verify_refused

    def test_what_is_revoked_is_refused_and_keep_goes_on_working(
        self, target: Target, first: SecretReading, second: SecretReading, opens: Opens
    ) -> None:
        target.revoke(first, keep=second)
        self._assert_only(target, second, (first,), opens)

    def test_revoking_twice_is_revoking_once(
        self, target: Target, first: SecretReading, second: SecretReading, opens: Opens
    ) -> None:
        target.revoke(first, keep=second)
        before = target.probe()
        target.revoke(first, keep=second)
        assert target.probe() == before
        self._assert_only(target, second, (first,), opens)

    def test_the_only_credential_is_revoked_when_nothing_is_kept(
        self, target: Target, first: SecretReading, opens: Opens
    ) -> None:
        target.revoke(first, keep=None)
        assert not opens(first)
        target.verify_refused(first)

    def test_revoking_what_was_never_installed_harms_nobody(
        self, target: Target, first: SecretReading, make_reading: MakeReading, opens: Opens
    ) -> None:
        abandoned = make_reading(target.generate(first))
        target.revoke(abandoned, keep=first)
        self._assert_only(target, first, (abandoned,), opens)

    # a whole life

    def test_rotating_there_and_back_leaves_exactly_one_accepted(
        self, target: Target, first: SecretReading, make_reading: MakeReading, opens: Opens
    ) -> None:
        dead, current = [], first
        for _ in range(3):
            pending = make_reading(target.generate(current))
            target.install(pending, keep=current)
            target.verify(pending)
            assert opens(current)
            target.limit(current, until=utc_now() + _HOUR, keep=pending)
            target.revoke(current, keep=pending)
            dead.append(current)
            current = pending
            self._assert_only(target, current, dead, opens)
        for reading in dead:  # as a run would that slept all the while
            target.revoke(reading, keep=current)
        self._assert_only(target, current, dead, opens)

    def test_last_use_is_told_of_others_logins_and_not_of_our_own(
        self, target: Target, first: SecretReading, second: SecretReading, opens: Opens
    ) -> None:
        target.verify(second)
        assert target.last_used(second).at is None
        assert opens(first)
        used = target.last_used(first)
        assert used == UNKNOWN_USE or used.at is None or used.at.utcoffset() == timedelta(0)

    def test_a_target_closes_twice(self, target: Target) -> None:
        target.close()
        target.close()

    def test_no_error_and_no_repr_holds_a_value(
        self, target: Target, first: SecretReading, second: SecretReading, make_reading: MakeReading
    ) -> None:
        wrong = make_reading(self.spoiled(second.value))
        said = [repr(target), repr(target.probe()), repr(first)]
        with pytest.raises(CredentialRefusedError) as refused:
            target.verify(wrong)
        with pytest.raises(CredentialAcceptedError) as accepted:
            target.verify_refused(second)
        said += words(refused.value) + words(accepted.value)
        readings = (first, second, wrong)
        values = [Credential.of(one.value, account=self.account).password.reveal_text() for one in readings]
        assert not [text for text in said if any(value in text for value in values)]

    def spoiled(self, value: SecretValue) -> SecretValue:
        """Return a credential like ``value`` for the same user, with a password that nobody has."""
        fields = value.reveal()
        password = secrets.token_urlsafe(32)
        return SecretValue({**fields, "password": password} if isinstance(fields, dict) else password)

    def _assert_only(
        self,
        target: Target,
        accepted: SecretReading,
        refused: list[SecretReading] | tuple[SecretReading, ...],
        opens: Opens,
    ) -> None:
        """Check by both ways that one opens the door and the others do not."""
        assert opens(accepted)
        target.verify(accepted)
        for reading in refused:
            assert not opens(reading)
            target.verify_refused(reading)
            with pytest.raises(CredentialRefusedError):
                target.verify(reading)
        assert target.probe().accepted_count in (None, 1)


ASKING: Final[dict[str, Callable[[Target, SecretReading, SecretReading], object]]] = {
    "probe": lambda target, _one, _two: target.probe(),
    "install": lambda target, one, two: target.install(two, keep=one),
    "verify": lambda target, one, _two: target.verify(one),
    "revoke": lambda target, one, two: target.revoke(one, keep=two),
    "verify_refused": lambda target, one, _two: target.verify_refused(one),
}
"""Every verb that cannot do without the target's answer, by name."""


class TargetOutageContract:
    """Tests for a target that can be brought to a state in which it does not answer.

    A subclass must provide the fixtures ``unreachable_target``, open and unreachable, and ``readings``: two
    credentials of its kind, of which the first was installed.
    """

    @pytest.fixture
    def unreachable_target(self) -> Iterator[Target]:
        """Yield an open target that does not answer; the subclass says how."""
        raise NotImplementedError("The subclass provides the fixture 'unreachable_target'.")

    @pytest.fixture
    def readings(self) -> tuple[SecretReading, SecretReading]:
        """Return two credentials; the subclass says which."""
        raise NotImplementedError("The subclass provides the fixture 'readings'.")

    @pytest.mark.parametrize("verb", ASKING)
    def test_a_target_that_does_not_answer_is_unavailable_which_is_neither_a_refusal_nor_acceptance(
        self, unreachable_target: Target, readings: tuple[SecretReading, SecretReading], verb: str
    ) -> None:
        with pytest.raises(TargetUnavailableError):
            ASKING[verb](unreachable_target, *readings)

    def test_what_needs_no_answer_says_nothing_that_only_the_target_knows(
        self, unreachable_target: Target, readings: tuple[SecretReading, SecretReading]
    ) -> None:
        until = utc_now() + _HOUR
        calls: tuple[tuple[Callable[[], object], object], ...] = (
            (lambda: unreachable_target.limit(readings[0], until=until, keep=readings[1]), until),
            (lambda: unreachable_target.last_used(readings[0]), UNKNOWN_USE),
        )
        for call, answer in calls:
            with suppress(TargetUnavailableError):
                assert call() == answer

    def test_closing_needs_no_answer(self, unreachable_target: Target) -> None:
        unreachable_target.close()
