"""Copy from locked host memory to a card, when a line of stdin says for how many seconds.

    python -m verify.campaigns.service_links

Answers each with the bytes a second that arrived, after a first line that it is ready. Without a
card the copy stays on the host, which proves this program and no figure.
"""

from __future__ import annotations

import sys
import time

import torch

_BYTES, _AT_ONCE = 512 * 1024**2, 4


def main() -> None:
    """Serve stdin to its end."""
    has_card = torch.cuda.is_available()
    here = torch.empty(_BYTES if has_card else 1024**2, dtype=torch.uint8)
    here = here.pin_memory() if has_card else here
    there = torch.empty_like(here, device="cuda" if has_card else "cpu")
    print("ready", flush=True)
    for line in sys.stdin:
        began_s, copied = time.monotonic(), 0
        while (took_s := time.monotonic() - began_s) < float(line):
            for _ in range(_AT_ONCE):
                there.copy_(here, non_blocking=True)
            if has_card:
                torch.cuda.synchronize()
            copied += _AT_ONCE * here.numel()
        print(copied / took_s, flush=True)


if __name__ == "__main__":
    main()
