"""A number of bytes as people read it."""


def in_words(count: int) -> str:
    """As in "22.7 GiB" and "6.4 MiB": binary units, one digit after the point."""
    for unit, bytes_of_unit in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if count >= bytes_of_unit:
            return f"{count / bytes_of_unit:.1f} {unit}"
    return f"{count} B"
