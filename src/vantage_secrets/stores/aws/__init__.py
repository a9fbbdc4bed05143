"""The AWS store: AWS Secrets Manager, staging labels as stages."""

from __future__ import annotations

from vantage_secrets.stores.aws.opening import open_aws
from vantage_secrets.stores.aws.store import AwsStore

__all__ = ["AwsStore", "open_aws"]
