"""Kubernetes Secrets as a store: one Secret object holds many of our secrets."""

from __future__ import annotations

from vantage_secrets.stores.kubernetes.opening import open_kubernetes
from vantage_secrets.stores.kubernetes.store import KubernetesStore

__all__ = ["KubernetesStore", "open_kubernetes"]
