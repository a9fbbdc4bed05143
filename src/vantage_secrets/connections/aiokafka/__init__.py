"""A producer and a consumer of ``aiokafka`` that take a new credential while they run."""

from vantage_secrets.connections.aiokafka.consumer import FollowingConsumer
from vantage_secrets.connections.aiokafka.producer import FollowingProducer

__all__ = ["FollowingConsumer", "FollowingProducer"]
