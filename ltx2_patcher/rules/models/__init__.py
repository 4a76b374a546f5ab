"""Models: files, variants, Gemma, pairing, budgets and requests."""
