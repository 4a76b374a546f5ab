"""Whether the host lets a weight file be mapped, which is how safetensors opens one."""

from __future__ import annotations

from ltx2_patcher.rules.models.card import GIB
from ltx2_patcher.values.errors import OutsideError, PatcherError


def refusal_of_mapping(bytes_: int, mappable_bytes: int | None, origin: str) -> PatcherError | None:
    """Why a file of so many bytes can't be opened here; None where it can.

    torch maps it privately, and Linux promises memory for all of it; `mappable_bytes` is the most
    that it promises, None where it promises anything.
    """
    if mappable_bytes is None or bytes_ <= mappable_bytes:
        return None
    return OutsideError(
        f"{origin} holds {bytes_ / GIB:.1f} GiB, and this machine maps files of at most "
        f"{mappable_bytes / GIB:.1f} GiB",
        remedy="as root: `sysctl vm.overcommit_memory=1` lets it map any file without more memory; "
        "or add swap",
    )
