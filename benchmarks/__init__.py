"""Every bar of speed, measured beside its peer in one run: ``python -m benchmarks``."""
