"""Handing secrets to processes."""
