"""Replacing a credential without downtime."""
