"""The story that 'make demo' tells, on real files and processes."""
