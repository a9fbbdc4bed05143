"""What a credential opens, and how to change it there."""
