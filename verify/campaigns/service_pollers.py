"""Clients that ask for clips as OpenAI's does: each on a connection of its own, which is kept, and
once a second, as that does of itself.

    python -m verify.campaigns.service_pollers PORT SECONDS CLIP...

Prints the seconds that each answer took, as JSON; null is one that was none.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections.abc import Sequence

from ltx2_patcher.boundaries import proc
from ltx2_patcher.values.errors import OutsideError
from verify.campaigns.service_rows import Figures, spread
from verify.upstream.tree import ROOT

_POLLERS, _PACE_S = 200, 1.0


def polled(port: int, names: Sequence[str], seconds: float) -> Figures:
    """What status takes them, in a process of their own. Raises: OutsideError."""
    words = [sys.executable, "-m", "verify.campaigns.service_pollers", str(port), str(seconds)]
    done = proc.call([*words, *names], cwd=ROOT)
    if done.code:
        raise OutsideError(f"the pollers ended: {done.complaint}", remedy="see the service's log")
    took = json.loads(done.out)
    answered = [one for one in took if one is not None]
    return {
        "pollers": _POLLERS,
        "per_second": len(took) / seconds,
        "failed": len(took) - len(answered),
        **spread("status", answered, unit="ms"),
    }


async def poll(port: int, name: str, until_s: float, took: list[float | None]) -> None:
    """Ask until then."""
    await asyncio.sleep(random.uniform(0, _PACE_S))  # noqa: S311 - a pace, not a secret
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    request = f"GET /v1/videos/{name} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode()
    while time.monotonic() < until_s:
        began_s = time.perf_counter()
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if line)
        await reader.readexactly(int(fields[b"content-length"]))
        answered = head.startswith(b"HTTP/1.1 200 ")
        took.append(time.perf_counter() - began_s if answered else None)
        await asyncio.sleep(_PACE_S)
    writer.close()


async def main() -> None:
    """Poll, then print."""
    port, seconds, *names = sys.argv[1:]
    took: list[float | None] = []
    until_s = time.monotonic() + float(seconds)
    each = [names[at % len(names)] for at in range(_POLLERS)]
    await asyncio.gather(*(poll(int(port), name, until_s, took) for name in each))
    print(json.dumps(took))


if __name__ == "__main__":
    asyncio.run(main())
