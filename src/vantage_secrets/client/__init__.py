"""How an application reads secrets."""
