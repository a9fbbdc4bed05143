"""Credential files, read by their structure: what is a password there is one by its place, however weak it looks.

``names`` tells a file's parser by its name, ``shapes`` reads the syntaxes, and each other module knows the formats
of one family. ``kinds`` says what is told to people.
"""

from __future__ import annotations

from vantage_secrets.leaks.credential_files.contract import Field, Kind, Parser
from vantage_secrets.leaks.credential_files.kinds import KINDS
from vantage_secrets.leaks.credential_files.names import BASE_NAMES, MARKS, SUFFIXES, parser_for, parser_of_text

__all__ = ["BASE_NAMES", "Field", "KINDS", "Kind", "MARKS", "Parser", "SUFFIXES", "parser_for", "parser_of_text"]
