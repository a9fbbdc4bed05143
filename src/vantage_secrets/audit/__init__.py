"""Who did what to which secret: an append-only, hash-chained trail."""
