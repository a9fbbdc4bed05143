"""ClickHouse: the password of an account, by several methods of one user, by two users, or by files of the server."""

from vantage_secrets.targets.clickhouse.target import ClickHouseTarget

__all__ = ["ClickHouseTarget"]
