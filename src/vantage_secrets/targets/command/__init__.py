"""Anything else as a target: a program of the user's, which is asked in JSON, one verb at a time."""

from __future__ import annotations

from vantage_secrets.targets.command.target import CommandTarget

__all__ = ["CommandTarget"]
