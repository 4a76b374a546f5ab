"""A headless browser, driven over its own pipe: no port, and nothing to install beside it."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fcntl import F_DUPFD_CLOEXEC, fcntl
from pathlib import Path
from typing import Any, BinaryIO

_NAMES = ("chromium", "chromium-browser", "google-chrome")
PROGRAM = next(filter(None, map(shutil.which, _NAMES)), None)
"""Where one is installed."""


@dataclass
class Tab:
    """One page, and what went wrong on it."""

    commands: BinaryIO
    answers: Iterator[dict[str, Any]]
    session: str = ""
    number: int = 0
    faults: list[str] = field(default_factory=list)

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command of the DevTools protocol and its answer."""
        self.number += 1
        asked = {"id": self.number, "method": method, "params": parameters}
        named = {"sessionId": self.session} if self.session else {}
        self.commands.write(json.dumps(asked | named).encode() + b"\0")
        self.commands.flush()
        answer = self._until(lambda said: said.get("id") == self.number)
        assert "error" not in answer, (method, answer)
        result: dict[str, Any] = answer["result"]
        return result

    def open(self, address: str) -> None:
        """Load a page and all it needs."""
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")
        self.call("Page.navigate", url=address)
        self._until(lambda said: said.get("method") == "Page.loadEventFired")

    def ask(self, expression: str) -> Any:
        """The value of a JavaScript expression; a promise's is waited for."""
        done = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in done, done
        return done["result"].get("value")

    def point(self, place: dict[str, float], *, click: bool = False) -> None:
        """Bring the mouse to a place; with `click` press and let go there."""
        kinds = ["mouseMoved", *(["mousePressed", "mouseReleased"] if click else [])]
        for kind in kinds:
            button = "none" if kind == "mouseMoved" else "left"
            self.call("Input.dispatchMouseEvent", type=kind, button=button, clickCount=1, **place)

    def press(self, key: str, code: int, *, text: str = "", modifiers: int = 0) -> None:
        """Press and let go a key; `text` is what it types, 2 of the modifiers is Control."""
        for kind in ("keyDown" if text else "rawKeyDown", "keyUp"):
            typed = {"text": text} if text and kind == "keyDown" else {}
            self.call(
                "Input.dispatchKeyEvent",
                type=kind,
                key=key,
                code=key,
                windowsVirtualKeyCode=code,
                modifiers=modifiers,
                **typed,
            )

    def type(self, text: str) -> None:
        """Put text where the keyboard is, as if it were typed."""
        self.call("Input.insertText", text=text)

    def _until(self, wanted: Any) -> dict[str, Any]:
        for said in self.answers:
            if said.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded"):
                self.faults.append(json.dumps(said["params"]))
            if wanted(said):
                return said
        raise AssertionError("the browser ended")


@contextmanager
def browser(profile: Path, width: int, height: int) -> Iterator[Tab]:
    """An empty page of a window of that size."""
    assert PROGRAM
    theirs_in, ours_out = os.pipe()
    ours_in, theirs_out = os.pipe()
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe"]
    flags += [f"--user-data-dir={profile}", f"--window-size={width},{height}", "about:blank"]
    # The browser reads file 3 and writes file 4: both ends are put out of the way first.
    reads, writes = (fcntl(end, F_DUPFD_CLOEXEC, 10) for end in (theirs_in, theirs_out))
    child = os.posix_spawn(
        PROGRAM,
        [PROGRAM, *flags],
        os.environ,
        file_actions=[
            (os.POSIX_SPAWN_DUP2, reads, 3),
            (os.POSIX_SPAWN_DUP2, writes, 4),
            (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
        ],
        setpgroup=0,
    )
    for end in (theirs_in, theirs_out, reads, writes):
        os.close(end)
    with os.fdopen(ours_out, "wb") as commands, os.fdopen(ours_in, "rb") as said:
        try:
            tab = Tab(commands, _messages(said))
            (target,) = (
                one["targetId"]
                for one in tab.call("Target.getTargets")["targetInfos"]
                if one["type"] == "page"
            )
            attached = tab.call("Target.attachToTarget", targetId=target, flatten=True)
            tab.session = attached["sessionId"]
            yield tab
        finally:
            os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)


def _messages(stream: BinaryIO) -> Iterator[dict[str, Any]]:
    left = b""
    while data := os.read(stream.fileno(), 1 << 16):
        *whole, left = (left + data).split(b"\0")
        yield from map(json.loads, whole)
