"""The outside world, one module a thing; its errors become ours here."""
