"""The calls to AWS Secrets Manager: bounded, silent in logs, and with our errors."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from typing import Any, Final

from vantage_secrets.errors import SecretNotFoundError, StoreError, StoreUnavailableError
from vantage_secrets.stores.aws.errors import translated

_DURING_OUR_CALL = threading.local()


class Service:
    """A client of AWS Secrets Manager. Safe to use from several threads.

    Args:
        client: What ``boto3.Session.client("secretsmanager")`` returned.
    """

    def __init__(self, client: Any) -> None:
        self._client = client
        self._closed = False
        _silence_sdk()

    def __repr__(self) -> str:
        return f"Service({self.endpoint!r})"

    @property
    def endpoint(self) -> str:
        """The URL that requests go to."""
        return str(self._client.meta.endpoint_url)

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Return the answer to one call of the client, such as ``get_secret_value``.

        Raises:
            StoreError: As :func:`~vantage_secrets.stores.aws.errors.translated` says.
            StoreUnavailableError: What answered is not AWS.
        """
        from botocore.exceptions import BotoCoreError, ClientError
        from botocore.parsers import ResponseParserError

        if self._closed:
            raise StoreUnavailableError("The store is closed.", hint="Open it again.")
        operation = "".join(word.capitalize() for word in method.split("_"))
        error: StoreError | None
        _DURING_OUR_CALL.active = True
        try:
            answer: dict[str, Any] = getattr(self._client, method)(**parameters)
            error = None if _is_of_aws(method, answer) else _other_server(operation)
        except ResponseParserError:
            error = _other_server(operation)
        except (BotoCoreError, ClientError, OSError) as exc:
            error = translated(exc, operation)
        finally:
            _DURING_OUR_CALL.active = False
        if error is not None:
            raise error
        return answer

    def find(self, method: str, **parameters: Any) -> dict[str, Any] | None:
        """Return the answer to one call, or ``None`` when AWS has no such secret or value."""
        try:
            return self.call(method, **parameters)
        except SecretNotFoundError:
            return None

    def pages(self, method: str, **parameters: Any) -> Iterator[dict[str, Any]]:
        """Yield the answers to a call that comes in pages, each when it is asked for."""
        while True:
            answer = self.call(method, **parameters)
            yield answer
            if not answer.get("NextToken"):
                return
            parameters["NextToken"] = answer["NextToken"]

    def close(self) -> None:
        """Close the connections. Safe to repeat; every call fails afterwards."""
        self._closed = True
        self._client.close()


_PROOF: Final = {
    "batch_get_secret_value": {"SecretValues", "Errors"},
    "list_secrets": {"SecretList"},
    "tag_resource": {"ResponseMetadata"},
    "untag_resource": {"ResponseMetadata"},
}
"""Of what there is one in every answer of AWS to these calls; to all others, the secret's ARN."""


def _is_of_aws(method: str, answer: dict[str, Any]) -> bool:
    """Whether AWS gave that answer: of a proxy's page the SDK makes an empty one, which is no absence."""
    return not _PROOF.get(method, {"ARN"}).isdisjoint(answer)


def _other_server(operation: str) -> StoreUnavailableError:
    return StoreUnavailableError(
        f"What answered {operation} is not AWS Secrets Manager.",
        hint="Check endpoint_url, and any proxy between here and AWS.",
    )


class _NotOurCalls(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        return record.levelno > logging.DEBUG or not getattr(_DURING_OUR_CALL, "active", False)


_NOT_OUR_CALLS = _NotOurCalls()


def _silence_sdk() -> None:
    """Keep what the SDK logs at DEBUG during our calls out of every log.

    SECURITY: botocore writes the bodies of requests and answers to its debug log, values and all. A filter acts
    only on the logger that it hangs on, so it hangs on each of the SDK's.
    """
    for name in [*logging.root.manager.loggerDict]:
        if name.partition(".")[0] in ("botocore", "boto3"):
            logger = logging.getLogger(name)
            if _NOT_OUR_CALLS not in logger.filters:
                logger.addFilter(_NOT_OUR_CALLS)
