"""A producer and a consumer of ``confluent-kafka`` that take a new credential while they run."""

from vantage_secrets.connections.confluent_kafka.consumer import FollowingConsumer
from vantage_secrets.connections.confluent_kafka.producer import FollowingProducer

__all__ = ["FollowingConsumer", "FollowingProducer"]
