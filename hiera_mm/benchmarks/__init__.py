"""How fast models are, beside each other."""
