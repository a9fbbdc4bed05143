"""What the services are told by their environment: places, and no secret."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple


class Settings(NamedTuple):
    """Where things are.

    Attributes:
        kafka: Brokers to begin with, as ``host:port``; empty for the stand-in.
        kafka_security: How they are talked to, as librdkafka's ``security.protocol`` has it.
        clickhouse_host: Where ClickHouse is; empty for the stand-in.
        clickhouse_port: Its native port.
        folder: Where the stand-ins have their files.
        port: Port to serve on; 0 is any free one.
    """

    kafka: str
    kafka_security: str
    clickhouse_host: str
    clickhouse_port: int
    folder: Path
    port: int

    @property
    def bus_file(self) -> Path:
        """The stand-in for Kafka."""
        return self.folder / "bus.db"

    @property
    def table_file(self) -> Path:
        """The stand-in for ClickHouse."""
        return self.folder / "table.db"

    def kafka_config(self) -> dict[str, str]:
        """Return what producer and consumer share; user name and password come from the secret."""
        return {
            "bootstrap.servers": self.kafka,
            "security.protocol": self.kafka_security,
            "sasl.mechanism": "SCRAM-SHA-512",
            "log_level": "3",
        }


def _from_environment() -> Settings:
    get = os.environ.get
    return Settings(
        kafka=get("KAFKA_BOOTSTRAP", ""),
        kafka_security=get("KAFKA_SECURITY", "SASL_SSL"),
        clickhouse_host=get("CLICKHOUSE_HOST", ""),
        clickhouse_port=int(get("CLICKHOUSE_PORT", "9000")),
        folder=Path(get("PLATFORM_FOLDER", ".")),
        port=int(get("PORT", "0")),
    )


settings = _from_environment()
