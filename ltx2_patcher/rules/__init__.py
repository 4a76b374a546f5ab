"""Pure rules: bytes and values in, values out."""
