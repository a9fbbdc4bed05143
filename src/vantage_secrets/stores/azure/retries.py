"""How often and how long the SDK tries: a bound for each call, waits that grow and differ, ``Retry-After`` kept."""

from __future__ import annotations

import random
import time
from typing import Any, Final

from azure.core.exceptions import ServiceRequestError, ServiceResponseError
from azure.core.pipeline import PipelineRequest, PipelineResponse
from azure.core.pipeline.policies import RetryPolicy

CONNECT_SECONDS_MAX: Final = 3.0
READ_SECONDS_MAX: Final = 10.0
_TRIES_MAX: Final = 4
_FIRST_WAIT_SECONDS: Final = 0.2
_LEAST_SECONDS: Final = 0.1  # What is left of the bound may be nothing; no time at all would mean no bound to the SDK.
_STATUSES: Final = frozenset({408, 429, 500, 502, 503, 504})


class BoundedRetries(RetryPolicy[Any, Any]):
    """Takes the place of azure-core's retry policy in a client's pipeline; every request of this store may be repeated.

    azure-core's own sleeps for as long as ``Retry-After`` says and bounds no single read, so an outage could last for
    minutes. Here a wait that would not fit ends the call with the answer at hand.

    Args:
        seconds: How long one call may take, all tries together.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._seconds = seconds

    def send(self, request: PipelineRequest[Any]) -> PipelineResponse[Any, Any]:
        """Return the first answer that is final, or the last one."""
        ends_at = time.monotonic() + self._seconds
        for number in range(_TRIES_MAX):
            left = max(ends_at - time.monotonic(), _LEAST_SECONDS)
            request.context.options["connection_timeout"] = min(CONNECT_SECONDS_MAX, left)
            request.context.options["read_timeout"] = min(READ_SECONDS_MAX, left)
            wait = _FIRST_WAIT_SECONDS * 2**number * random.uniform(0.5, 1)  # noqa: S311  # Spreads clients, no secret.
            last = number == _TRIES_MAX - 1
            try:
                response = self.next.send(request)
            except (ServiceRequestError, ServiceResponseError):
                if last or time.monotonic() + wait >= ends_at:
                    raise
            else:
                wait = self.get_retry_after(response) or wait
                final = response.http_response.status_code not in _STATUSES
                if final or last or time.monotonic() + wait >= ends_at:
                    return response
            time.sleep(wait)
        raise AssertionError("the last try returns or raises")
