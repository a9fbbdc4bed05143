"""Where secrets live: one contract, one folder a store."""
