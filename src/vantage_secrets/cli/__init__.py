"""The command line: one module a group, no logic."""
