"""Keep credentials in a secrets manager, rotate them without downtime, and prove the old ones dead."""

from __future__ import annotations

__version__ = "0.1.0"
