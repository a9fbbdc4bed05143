"""The same reads for asynchronous code: ``await get_secret("vantage/api-key")``.

What is cached is answered straight, without a thread and without giving up control; what has to ask the store does
so in a thread. Many tasks that wait for one secret share one call, which goes on when one of them is cancelled.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from vantage_secrets import SecretClient, SecretName, SecretValue
    from vantage_secrets.client import ClientReading

__all__ = ["AsyncSecretClient", "get_secret", "read", "refresh", "validate"]

Result = TypeVar("Result")


class AsyncSecretClient:
    """An asynchronous face of a :class:`vantage_secrets.SecretClient`, which stays the caller's to close.

    Usable from several event loops.

    Args:
        client: The client that does the work.
    """

    def __init__(self, client: SecretClient) -> None:
        """Stand before ``client``."""
        self.client = client
        self._reads: dict[tuple[asyncio.AbstractEventLoop, str], asyncio.Task[ClientReading]] = {}

    async def get(self, name: str | SecretName) -> SecretValue:
        """Return the current value of the secret.

        Raises:
            VantageSecretsError: As :meth:`vantage_secrets.SecretClient.get`.
        """
        fresh = self.client.fresh_values.get(str(name))
        return fresh if fresh is not None else (await self.read(name)).value

    async def read(self, name: str | SecretName, *, max_age: timedelta | None = None) -> ClientReading:
        """Return the current value with its version, and whether it is stale.

        Raises:
            VantageSecretsError: As :meth:`vantage_secrets.SecretClient.read`.
        """
        if max_age is not None:
            return await asyncio.to_thread(self.client.read, name, max_age=max_age)
        cached = self.client.read_cached(name)
        return cached if cached is not None else await self._read_once(name)

    async def refresh(self, name: str | SecretName | None = None) -> tuple[SecretName, ...]:
        """Ask the store now for one secret or all that are cached; return the names that have another version.

        Raises:
            VantageSecretsError: As :meth:`vantage_secrets.SecretClient.refresh`.
        """
        return await asyncio.to_thread(self.client.refresh, name)

    async def validate(self, name: str | SecretName, candidate: str | None) -> bool:
        """Return whether ``candidate`` is the current value, or the one before while the overlap lasts.

        Raises:
            VantageSecretsError: As :meth:`vantage_secrets.SecretClient.validate`.
        """
        known = self.client.validate_cached(name, candidate)
        return known if known is not None else await asyncio.to_thread(self.client.validate, name, candidate)

    async def _read_once(self, name: str | SecretName) -> ClientReading:
        key = (asyncio.get_running_loop(), str(name))
        task = self._reads.get(key)
        if task is None:
            task = self._reads[key] = asyncio.create_task(asyncio.to_thread(self.client.read, name))
            task.add_done_callback(self._landed(key))
        # The task belongs to all that wait: a cancelled one leaves without it.
        return await asyncio.shield(task)

    def _landed(self, key: tuple[asyncio.AbstractEventLoop, str]) -> Callable[[asyncio.Task[ClientReading]], None]:
        def forget(task: asyncio.Task[ClientReading]) -> None:
            self._reads.pop(key, None)
            if not task.cancelled():
                task.exception()  # Seen, even when everyone who waited was cancelled: asyncio would log it otherwise.

        return forget


async def get_secret(name: str | SecretName) -> SecretValue:
    """Return the current value of a secret of the nearest manifest.

    Raises:
        VantageSecretsError: As :func:`vantage_secrets.get_secret`.
    """
    return await (await _default()).get(name)


async def read(name: str | SecretName) -> ClientReading:
    """Return the current value of a secret of the nearest manifest with its version, and whether it is stale.

    Raises:
        VantageSecretsError: As :func:`vantage_secrets.get_secret`.
    """
    return await (await _default()).read(name)


async def refresh(name: str | SecretName | None = None) -> tuple[SecretName, ...]:
    """Ask the store of the nearest manifest now; return the names that have another version.

    Raises:
        VantageSecretsError: As :meth:`vantage_secrets.SecretClient.refresh`.
    """
    return await (await _default()).refresh(name)


async def validate(name: str | SecretName, candidate: str | None) -> bool:
    """Return whether ``candidate`` is the current value of the secret, or the one before while the overlap lasts.

    Raises:
        VantageSecretsError: As :meth:`vantage_secrets.SecretClient.validate`.
    """
    return await (await _default()).validate(name, candidate)


_face: AsyncSecretClient | None = None


async def _default() -> AsyncSecretClient:
    global _face
    if _face is None or _face.client.is_closed:
        from vantage_secrets import default_client

        _face = AsyncSecretClient(await asyncio.to_thread(default_client))
    return _face
