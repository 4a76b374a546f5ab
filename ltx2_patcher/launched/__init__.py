"""What the processes of launched scripts take in, not the tool: its folder is put on their path."""
