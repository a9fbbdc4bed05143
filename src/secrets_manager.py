"""The migration guide's own import name."""
