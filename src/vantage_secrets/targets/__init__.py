"""What a credential opens, and how to change it there: one contract, one folder a target."""
