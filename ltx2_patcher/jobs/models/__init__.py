"""Weight files and requests, told by headers."""
