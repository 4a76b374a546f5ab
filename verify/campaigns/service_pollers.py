"""Clients that ask for clips as OpenAI's does: each on a connection of its own, which is kept, and
once a second, as that does of itself.

    python -m verify.campaigns.service_pollers PORT POLLERS SECONDS CLIP...

Prints the seconds that each answer took, as JSON; null is one that was none.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time

_PACE_S = 1.0


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
    port, pollers, seconds, *names = sys.argv[1:]
    took: list[float | None] = []
    until_s = time.monotonic() + float(seconds)
    each = [names[at % len(names)] for at in range(int(pollers))]
    await asyncio.gather(*(poll(int(port), name, until_s, took) for name in each))
    print(json.dumps(took))


if __name__ == "__main__":
    asyncio.run(main())
