"""The page of a small service on a real port, and a browser that shows it."""

from __future__ import annotations

import base64
import io
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from ltx2_service.http.app import create_app
from ltx2_service.rules.offer import Offer
from ltx2_service.values.job import Job
from ltx2_service.values.settings import Model, Settings
from ltx2_service.values.told import Card
from tests.browser import PROGRAM, Tab, browser
from tests.service.http.server import served
from tests.service.http.small_service import SmallService

WIDTH, HEIGHT = 1280, 860
PHONE = 320
OFFERS = (
    Offer("small", "1.2.0", "distilled", "Quick", 64, True, False, True, 768, 512, 25),
    Offer("guided", "1.2.0", "ti2vid_two_stages", "Slow", 32, False, True, False, 768, 512, 25),
)
"""Two models of different abilities."""
GIB = 2**30
_PATIENCE_S = 20.0  # only a page that hangs meets it


class ShownService(SmallService):
    """Its pictures can be looked at, and each clip waits for the test."""

    def preview(self, id: str) -> bytes | None:  # noqa: A002
        return webp((60, 120, 90))

    def thumbnail(self, job: Job) -> Path:
        assert job.clip
        path = job.clip.with_suffix(".webp")
        path.write_bytes(webp((120, 60, 90)))
        return path

    def cards(self) -> tuple[Card, ...]:
        running = next((job.id for job in self.rows.values() if job.state.value == "running"), None)
        card = Card(0, "NVIDIA GeForce RTX 3090", "gpu0", "idle", "1.2.0", ("small",), None)
        if running:
            card = replace(card, state="running", job=running)
        return (
            replace(card, used_bytes=18 * GIB, total_bytes=24 * GIB),
            replace(card, index=1, worker="gpu1", state="lost", job=None),
        )


def webp(colour: tuple[int, int, int]) -> bytes:
    data = io.BytesIO()
    Image.new("RGB", (48, 32), colour).save(data, "WEBP")
    return data.getvalue()


def settings_in(folder: Path, tokens: dict[str, str] | None = None) -> Settings:
    models = tuple(Model(offer.name, offer.base, offer.pipeline, {}) for offer in OFFERS)
    return Settings(models, folder / "state", folder / "clips", tokens=tokens or {})


@pytest.fixture
def service(tmp_path: Path) -> ShownService:
    return ShownService(settings_in(tmp_path), holds=True)


@pytest.fixture
def address(service: ShownService) -> Iterator[str]:
    with served(create_app(service, service.settings, OFFERS)) as address:
        yield address


@dataclass
class Shown:
    """A page in a browser, as a person uses it."""

    tab: Tab

    def ask(self, expression: str) -> Any:
        """The value of a JavaScript expression."""
        return self.tab.ask(expression)

    def until(self, expression: str) -> None:
        """Wait until an expression is truthy."""
        ends = time.monotonic() + _PATIENCE_S
        while time.monotonic() < ends:
            if self.ask(f"Boolean({expression})"):
                return
            time.sleep(0.02)
        text = self.ask("document.body.innerText")
        raise AssertionError(f"never {expression}: {self.tab.faults}\n{text}")

    def look(self) -> None:
        """Let the page ask the service now, as when its tab comes to the front."""
        self.ask("document.dispatchEvent(new Event('visibilitychange'))")

    def says(self, text: str, within: str = "body") -> None:
        """Wait until a part of the page shows a text."""
        self.until(f"document.querySelector({within!r})?.innerText.includes({text!r})")

    def click(self, selector: str) -> None:
        """Bring a control into sight and press it with the mouse."""
        self.until(f"document.querySelector({selector!r})?.checkVisibility()")
        place = self.ask(
            f"(() => {{ const one = document.querySelector({selector!r});"
            " one.scrollIntoView({block: 'center', behavior: 'instant'});"
            " const {x, y, width, height} = one.getBoundingClientRect();"
            " return {x: x + width / 2, y: y + height / 2}; })()"
        )
        self.tab.point(place, click=True)

    def fill(self, selector: str, text: str) -> None:
        """Type over what a field holds."""
        self.ask(f"document.querySelector({selector!r}).select()")
        self.tab.type(text)

    def choose(self, selector: str, value: str) -> None:
        """Choose an option of a list."""
        self.ask(
            f"(() => {{ const one = document.querySelector({selector!r}); one.value = {value!r};"
            " for (const kind of ['input', 'change'])"
            " one.dispatchEvent(new Event(kind, {bubbles: true})); })()"
        )

    def picture(self) -> Image.Image:
        """What the window shows."""
        data = self.tab.call("Page.captureScreenshot")["data"]
        return Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB")

    def faults(self) -> list[str]:
        """What went wrong on the page; a refused request is no fault of it."""
        return [one for one in self.tab.faults if "Failed to load resource" not in one]


@pytest.fixture(scope="session")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    """One browser for all tests: each has a server, and so an origin, of its own."""
    if PROGRAM is None:
        pytest.skip("no Chromium or Chrome on the PATH")
    with browser(tmp_path_factory.mktemp("browser"), WIDTH, HEIGHT) as tab:
        yield tab


@contextmanager
def opened(
    tab: Tab,
    address: str,
    *,
    width: int = WIDTH,
    scheme: str = "light",
    motion: str = "no-preference",
) -> Iterator[Shown]:
    """The page at an address, on a screen of this width, for who likes such a theme and motion.

    At the end nothing has gone wrong on it.
    """
    liked = {"prefers-color-scheme": scheme, "prefers-reduced-motion": motion}
    tab.call(
        "Emulation.setEmulatedMedia",
        features=[{"name": name, "value": value} for name, value in liked.items()],
    )
    tab.call(
        "Emulation.setDeviceMetricsOverride",
        width=width,
        height=HEIGHT,
        deviceScaleFactor=1,
        mobile=width <= PHONE,
    )
    tab.open(address)
    tab.faults.clear()
    page = Shown(tab)
    yield page
    faults = page.faults()
    tab.call("Page.navigate", url="about:blank")
    assert faults == []


@pytest.fixture
def shown(window: Tab, address: str) -> Iterator[Shown]:
    """The page on a desk's screen."""
    with opened(window, address) as page:
        yield page
