"""Above both wings: finds tree and environment, and starts a patched script."""
