"""The process of one card: it makes clip after clip, and outlives the API."""
