"""What asks the service, by HTTP alone: requests on a connection that is kept, and events."""

from __future__ import annotations

import contextlib
import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from ltx2_patcher.values.errors import OutsideError

Video = dict[str, Any]
_ANSWER_S = 60.0
_POLL_S = 0.05
_MOST = 100  # clips of a page
_KEPT_S = 2.0  # that a connection is used again: the service ends one that is idle for 5 s
ENDS = ("completed", "failed")


class Client:
    """One connection, on which an answer may take so long."""

    def __init__(self, port: int, answer_s: float = _ANSWER_S) -> None:
        self._port = port
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=answer_s)
        self._used_s = 0.0

    def ask(
        self, method: str, path: str, body: Mapping[str, object] | None = None
    ) -> tuple[int, bytes]:
        """Status and body. Raises: OutsideError where nothing answers."""
        headers = {} if body is None else {"Content-Type": "application/json"}
        if time.monotonic() - self._used_s > _KEPT_S:
            self._connection.close()
        try:
            data = None if body is None else json.dumps(body)
            self._connection.request(method, path, data, headers)
            answer = self._connection.getresponse()
            told = answer.status, answer.read()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()  # the next request begins another
            raise OutsideError(
                f"nothing answers on port {self._port}: {error!r}", remedy="see the service's log"
            ) from error
        self._used_s = time.monotonic()
        return told

    def post(self, prompt: str, **fields: object) -> str:
        """The id of a clip that is asked for."""
        return str(self.json("POST", "/v1/videos", {"prompt": prompt, **fields})["id"])

    def video(self, name: str) -> Video:
        """A clip as it is now."""
        return self.json("GET", f"/v1/videos/{name}")

    def videos(self, most: int) -> dict[str, Video]:
        """The newest clips by id."""
        found: dict[str, Video] = {}
        after = ""
        while len(found) < most:
            page = self.json("GET", f"/v1/videos?limit={min(most, _MOST)}{after}")
            found |= {one["id"]: one for one in page["data"]}
            if not page["has_more"]:
                break
            after = f"&after={page['last_id']}"
        return found

    def json(
        self, method: str, path: str, body: Mapping[str, object] | None = None
    ) -> dict[str, Any]:
        """The JSON that a request is answered with. Raises: OutsideError where it is refused."""
        status, data = self.ask(method, path, body)
        if status != http.client.OK:
            raise OutsideError(
                f"{method} {path} was answered with {status}: {data[:200]!r}",
                remedy="see the service's log",
            )
        told: dict[str, Any] = json.loads(data)
        return told

    def lives(self) -> bool:
        """Whether the service answers."""
        with contextlib.suppress(OutsideError):
            return self.ask("GET", "/livez")[0] == http.client.OK
        return False

    def ended(self, names: Sequence[str], limit_s: float) -> Iterator[tuple[Video, float]]:
        """Each clip once it has ended, with the moment that this was seen at, by the monotonic
        clock; between, the service is asked 20 times a second.

        Raises: OutsideError where they have not ended in time.
        """
        left, end_s = set(names), time.monotonic() + limit_s
        while left:
            now = self.videos(len(names))
            for name in sorted(left & now.keys()):
                if now[name]["status"] in ENDS:
                    left.discard(name)
                    yield now[name], time.monotonic()
            if left and time.monotonic() > end_s:
                raise OutsideError(
                    f"{len(left)} of {len(names)} clips have not ended within {limit_s:.0f} s",
                    remedy="see the service's log and its workers'",
                )
            time.sleep(_POLL_S)


@dataclass(frozen=True, slots=True)
class Told:
    """An event, and when it came, in seconds since 1970."""

    at_s: float
    kind: str
    data: Mapping[str, Any]


class Followed:
    """The events of a clip as they come; a context manager, at whose end nobody listens."""

    def __init__(self, port: int, name: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
        self._connection.request("GET", f"/v1/videos/{name}/events")
        self._answer = self._connection.getresponse()
        self._changed = threading.Condition()
        self._told: list[Told] = []
        self._is_over = False
        threading.Thread(target=self._read, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    @property
    def told(self) -> list[Told]:
        """All that came so far."""
        with self._changed:
            return [*self._told]

    def first(self, wanted: Callable[[Told], bool], limit_s: float) -> Told:
        """The first that is wanted; waits for it.

        Raises: OutsideError where it does not come in time, or the clip ended without it.
        """
        end_s = time.monotonic() + limit_s
        with self._changed:
            while True:
                if (found := next(filter(wanted, self._told), None)) is not None:
                    return found
                left_s = end_s - time.monotonic()
                if self._is_over or left_s <= 0:
                    last = self._told[-1] if self._told else "nothing"
                    raise OutsideError(
                        f"the event that is waited for did not come; the last was {last}",
                        remedy="see the service's log",
                    )
                self._changed.wait(left_s)

    def _read(self) -> None:
        fields: dict[str, str] = {}
        with contextlib.suppress(OSError, ValueError, AttributeError, http.client.HTTPException):
            for line in self._answer:
                at_s = time.time()
                name, _, value = line.decode().rstrip("\n").partition(": ")
                if name:
                    fields[name] = value
                elif "event" in fields:
                    told = Told(at_s, fields["event"], json.loads(fields["data"]))
                    fields = {}
                    with self._changed:
                        self._told.append(told)
                        self._changed.notify_all()
        with self._changed:
            self._is_over = True
            self._changed.notify_all()


def runs(told: Told, attempt: int = 1) -> bool:
    """Whether an attempt begins."""
    return told.kind == "running" and told.data["attempt"] == attempt


def steps(told: Told) -> bool:
    """Whether a step of the denoising is over."""
    return told.kind == "progress" and told.data["stage"] == "denoising" and told.data["step"] > 0


def is_end(told: Told) -> bool:
    """Whether the clip has ended."""
    return told.kind in ENDS
