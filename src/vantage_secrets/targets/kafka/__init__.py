"""Kafka as a target: SCRAM credentials, ACLs and quotas of the principals that a platform logs in with."""

from vantage_secrets.targets.kafka.target import KafkaTarget

__all__ = ["KafkaTarget"]
