"""Out of .env files: read, import."""
