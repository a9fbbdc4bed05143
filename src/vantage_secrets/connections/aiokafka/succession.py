"""Finding the login that comes after the one in use, in the event loop, and proving it first."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from typing import Any, Final

from vantage_secrets.connections.following import FollowedSecret, Login, missing_library
from vantage_secrets.errors import (
    CredentialRefusedError,
    InvalidInputError,
    TargetUnavailableError,
    VantageSecretsError,
)

DEFAULT_MECHANISM: Final = "SCRAM-SHA-512"
LOGIN_SECONDS_MAX: Final = 10.0
"""How long a fresh login may take at each broker before it counts as an outage."""

RETRY_SECONDS: Final = 1.0

_CLEAN_SECONDS_MAX: Final = 2.0
"""How long what is left of a client of aiokafka may take to end."""

_FOR_A_CONNECTION: Final = ("client_id", "ssl_context", "security_protocol")


def checked(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of the user's settings.

    Raises:
        InvalidInputError: They hold a login, or a transactional id, which one producer at a time may use.
        MissingExtraError: ``aiokafka`` is not installed.
    """
    try:
        import aiokafka  # noqa: F401
    except ImportError as exc:
        raise missing_library("aiokafka") from exc
    for setting in ("sasl_plain_username", "sasl_plain_password"):
        if setting in settings:
            raise InvalidInputError(f"The settings hold {setting}.", hint="Leave it out; it comes from the secret.")
    if settings.get("transactional_id") is not None:
        raise InvalidInputError(
            "A producer with a transactional_id cannot follow: a second one would end its transactions.",
            hint="Make a new producer between two transactions, when SecretClient.on_change tells of a new version.",
        )
    return dict(settings)


def with_login(settings: Mapping[str, Any], login: Login) -> dict[str, Any]:
    """Return the settings of a client of ``aiokafka`` with this login."""
    return {
        **settings,
        "sasl_mechanism": login.mechanism or settings.get("sasl_mechanism", DEFAULT_MECHANISM),
        "sasl_plain_username": login.username,
        "sasl_plain_password": login.password.reveal_text(),
    }


def give_login(client: Any, settings: Mapping[str, Any], login: Login) -> None:
    """Have a live ``AIOKafkaClient`` log in with this from its next connection on.

    aiokafka 0.14 has no call for that. It is wanted only where the old credential is refused already: so what is
    queued gets out, and a consumer can say goodbye to its group.
    """
    for name, setting in with_login(settings, login).items():
        if name.startswith("sasl_"):
            setattr(client, f"_{name}", setting)


async def prove(settings: Mapping[str, Any], login: Login) -> None:
    """Return when a broker has accepted a fresh login; ``aiokafka``'s own start does not tell refusal from outage.

    Raises:
        CredentialRefusedError: A broker answered, and refused it.
        TargetUnavailableError: None answered.
    """
    from aiokafka import errors
    from aiokafka.conn import collect_hosts, create_conn

    chosen = {key: setting for key, setting in settings.items() if key in _FOR_A_CONNECTION}
    sasl = {key: setting for key, setting in with_login(settings, login).items() if key.startswith("sasl_")}
    for host, port, _family in collect_hosts(settings["bootstrap_servers"]):
        try:
            async with asyncio.timeout(LOGIN_SECONDS_MAX):
                connection = await create_conn(host, port, **chosen, **sasl)
            connection.close()
            return
        except (errors.SaslAuthenticationFailed, errors.AuthenticationFailedError):
            raise CredentialRefusedError(f"Kafka refused the login of '{login.username}'.") from None
        except (OSError, errors.KafkaError, TimeoutError):
            continue
    raise TargetUnavailableError("No Kafka broker answered.")


async def begin(
    bare: Any, start: Callable[[], Coroutine[Any, Any, None]], settings: Mapping[str, Any], login: Login
) -> None:
    """Start a producer or consumer of ``aiokafka``; where it does not start, nothing of it is left.

    Its own start tries without an end where the login is refused meanwhile: a fresh login shows that.

    Args:
        bare: The producer or consumer.
        start: Starts it.
        settings: The user's settings.
        login: The login that is among its settings.

    Raises:
        CredentialRefusedError: A broker refused the login.
        TargetUnavailableError: None answered, or the bare client's start failed.
    """
    from aiokafka.errors import KafkaError

    starting = asyncio.ensure_future(start())
    try:
        while not starting.done():
            await asyncio.wait({starting}, timeout=LOGIN_SECONDS_MAX)
            if not starting.done() or starting.cancelled() or starting.exception() is not None:
                await prove(settings, login)
        starting.result()
    except BaseException as exc:
        if not _is_bootstrapped(bare):  # Cut off in there, aiokafka leaves a connection open.
            await asyncio.wait({starting}, timeout=_CLEAN_SECONDS_MAX)
        starting.cancel()
        await end(bare, 0)
        if isinstance(exc, KafkaError):
            raise TargetUnavailableError("Kafka did not let a client start.") from exc
        raise


async def end(bare: Any, seconds: float | None) -> None:
    """Stop a producer or consumer of ``aiokafka``, whatever comes of its own stop; nothing of it is left.

    That (aiokafka 0.14) tries a last commit and what is queued without an end, also where no broker lets it in. And
    where a fetch has just failed, it ends in the middle with the ``CancelledError`` of that fetch, which is none of
    the caller's, and leaves connections open (``Fetcher.close``).

    Args:
        bare: The producer or consumer.
        seconds: How long its own stop may take; without, until it is done.
    """
    stopping = asyncio.ensure_future(bare.stop())
    try:
        await asyncio.wait({stopping}, timeout=seconds)
    finally:
        left = _tasks_of(bare) | {stopping}
        for task in left:
            task.cancel()
        closing = asyncio.ensure_future(_client_of(bare).close())
        await asyncio.wait({closing, *left}, timeout=_CLEAN_SECONDS_MAX)
        for task in {closing, *left}:
            _ = not task.done() or task.cancelled() or task.exception()  # What nobody asks for is logged as lost.


def _client_of(bare: Any) -> Any:
    return bare.client if hasattr(bare, "client") else bare._client


def _is_bootstrapped(bare: Any) -> bool:
    return _client_of(bare)._sync_task is not None


def _tasks_of(bare: Any) -> set[asyncio.Future[Any]]:
    """Return what a client of aiokafka does in the background."""
    parts = [getattr(bare, name, None) for name in ("_coordinator", "_fetcher", "_sender")]
    found = [each for part in parts if part is not None for each in vars(part).values()]
    tasks = {each for each in found if isinstance(each, asyncio.Task)}
    return tasks | getattr(parts[1], "_pending_tasks", set())


class Succession:
    """Finds the login that comes after the one in use, one search at a time.

    Args:
        following: The secret.
        settings: The user's settings.
        on_ready: Awaited with a login that a broker has accepted; it takes it into use.

    Attributes:
        current: The login in use, once :meth:`start` has returned.
    """

    def __init__(
        self, following: FollowedSecret, settings: Mapping[str, Any], on_ready: Callable[[Login], Awaitable[None]]
    ) -> None:
        self._following = following
        self._settings = settings
        self._on_ready = on_ready
        self._failure: VantageSecretsError | None = None
        self._denied_version: str | None = None
        self._is_refused = self._is_slow = self._is_asked = self._is_closed = False
        self._task: asyncio.Task[None] | None = None
        self.current: Login

    async def start(self) -> Login:
        """Log in, with one refresh and one retry; follow from then on.

        Raises:
            CredentialRefusedError: Kafka refused the login, and again after a refresh.
            TargetUnavailableError: No broker answered.
            VantageSecretsError: As :meth:`SecretClient.get`.
        """
        self._loop = asyncio.get_running_loop()
        self.current = await self._log_in()
        self._following.listen(self._hear)
        return self.current

    def used(self, login: Login) -> None:
        """Note that this login is in use, and no other any more."""
        self.current = login
        self._is_refused = False
        self._following.confirm(login.version_id)

    def look(self) -> asyncio.Task[None]:
        """Search for another login if the secret has one; return the search."""
        self._is_asked = True
        if self._task is None or self._task.done():
            self._task = asyncio.ensure_future(self._work())
        return self._task

    def doubt(self) -> asyncio.Task[None]:
        """Search if a fresh login with the one in use is refused: silence alone says nothing."""
        self._is_slow = True
        return self.look()

    def deny(self) -> asyncio.Task[None] | None:
        """Note that a broker denied what the login in use wanted; return the search, ``None`` if it is of no use.

        It is not once a refresh has shown that this is the current version: then its user lacks the right.
        """
        if self.current.version_id == self._denied_version:
            return None
        self._is_refused = True
        return self.look()

    def refuse(self) -> asyncio.Task[None]:
        """Note that a broker refused a login; return the search."""
        self._is_refused = True
        return self.look()

    async def newest(self) -> Login:
        """Return the login as the client has it now, not proven.

        Raises:
            VantageSecretsError: As :meth:`SecretClient.get`.
        """
        return await asyncio.to_thread(self._following.now)

    def take_failure(self) -> VantageSecretsError | None:
        """Return why there is no other login, once: what was refused again."""
        failure, self._failure = self._failure, None
        return failure

    async def close(self) -> None:
        """End the search and the receipt. Safe to repeat."""
        self._is_closed = True  # News may be on its way still.
        task, self._task = self._task, None
        try:
            if task is not None and task is not asyncio.current_task():
                task.cancel()
                await asyncio.wait({task})
        finally:
            self._following.close()

    def _hear(self) -> None:
        with suppress(RuntimeError):  # The loop was closed before the connection.
            self._loop.call_soon_threadsafe(self.look)

    async def _work(self) -> None:
        try:
            while self._is_asked and not self._is_closed:
                self._is_asked = False
                if await self._is_wanted() and not await self._succeeds():
                    self._is_asked = True
                    await asyncio.sleep(RETRY_SECONDS)
        except VantageSecretsError as exc:
            self._is_refused = False
            self._failure = exc

    async def _succeeds(self) -> bool:
        before = self.current.version_id
        try:
            login = await self._log_in()
            if login.version_id == before:
                self._denied_version = before
        except TargetUnavailableError:
            return False
        try:
            await self._on_ready(login)
        except TargetUnavailableError:
            return False
        except CredentialRefusedError:  # Between its proof and its use; is there another one?
            self._is_refused = True
            return False
        return True

    async def _is_wanted(self) -> bool:
        if self._is_refused or self._following.is_outdated(self.current.version_id):
            return True
        if self._is_slow:
            self._is_slow = False
            with suppress(TargetUnavailableError):
                try:
                    await prove(self._settings, self.current)
                except CredentialRefusedError:
                    self._is_refused = True
        return self._is_refused

    async def _log_in(self) -> Login:
        if self._is_refused:
            return await self._proven(self._following.after_refusal)
        try:
            return await self._proven(self._following.now)
        except CredentialRefusedError:
            return await self._proven(self._following.after_refusal)

    async def _proven(self, read: Callable[[], Login]) -> Login:
        login = await asyncio.to_thread(read)
        await prove(self._settings, login)
        return login
