"""Pictures that a clip passes through, dropped and moved to their places."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.browser import Tab
from tests.service.http.server import until
from tests.service.page.conftest import PHONE, Shown, ShownService, opened, webp

COLOURS = {"dawn": (200, 120, 60), "noon": (120, 180, 220), "dusk": (60, 40, 90)}


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    for name, colour in COLOURS.items():
        (tmp_path / f"{name}.webp").write_bytes(webp(colour))
    return {name: str(tmp_path / f"{name}.webp") for name in COLOURS}


def drop(shown: Shown, share: float, file: str) -> None:
    """Drag a file from a folder to a place of the strip."""
    place = shown.ask(
        "(() => { const one = document.querySelector('#strip');"
        " one.scrollIntoView({block: 'center'});"
        " const {x, y, width, height} = one.getBoundingClientRect();"
        f" return {{x: x + {share} * width, y: y + height / 2}}; }})()"
    )
    data = {"items": [], "files": [file], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        shown.tab.call("Input.dispatchDragEvent", type=kind, data=data, **place)


def choose(shown: Shown, *files: str) -> None:
    """Choose files as the system's dialog would."""
    found = shown.tab.call(
        "Runtime.evaluate", expression="document.querySelector('#picture-files')"
    )
    shown.tab.call("DOM.setFileInputFiles", files=list(files), objectId=found["result"]["objectId"])


def frames(shown: Shown) -> list[int]:
    """Where the pictures lie, in the order of the list below the strip."""
    return [
        int(value)
        for value in shown.ask("[...document.querySelectorAll('.at')].map((one) => one.value)")
    ]


def ready(shown: Shown, seconds: str) -> None:
    shown.until("!document.querySelector('#wanted').inert")
    shown.fill("[name=prompt]", "A day")
    shown.fill("#length", seconds)


def test_pictures_are_dropped_at_places_of_the_clip(
    shown: Shown, service: ShownService, files: dict[str, str]
) -> None:
    ready(shown, "4.84")
    for share, name in ((0.02, "dawn"), (0.52, "noon"), (0.99, "dusk")):
        drop(shown, share, files[name])
    shown.until("document.querySelectorAll('.marker').length === 3")
    assert frames(shown) == [0, 64, 120]
    shown.fill(".picture:nth-child(2) .strength", "0.5")
    shown.tab.press("Tab", 9)
    shown.click("#make")
    until(lambda: service.rows)
    (job,) = service.rows.values()
    assert [(one.frame, one.strength) for one in job.wanted.pictures] == [
        (0, 1.0), (64, 0.5), (120, 1.0),
    ]  # fmt: skip
    assert all(one.path.is_file() for one in job.wanted.pictures)


def test_pictures_have_room_on_a_phone(window: Tab, address: str, files: dict[str, str]) -> None:
    with opened(window, address, width=PHONE) as shown:
        ready(shown, "9.64")
        choose(shown, *files.values())
        shown.until("document.querySelectorAll('.marker').length === 3")
        right = "document.querySelector('#wanted').getBoundingClientRect().right"
        beyond = (
            "[...document.querySelectorAll('.pictures *')].filter((one) => one.checkVisibility()"
            f" && one.getBoundingClientRect().right > {right}).length"
        )
        assert shown.ask(beyond) == 0


def test_a_picture_that_misses_the_strip_changes_nothing(
    shown: Shown, files: dict[str, str]
) -> None:
    ready(shown, "1")
    data = {"items": [], "files": [files["dawn"]], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        shown.tab.call("Input.dispatchDragEvent", type=kind, data=data, x=900, y=500)
    assert shown.ask("document.querySelectorAll('.marker').length") == 0
    assert shown.ask("document.querySelector('[name=prompt]').value") == "A day"


def test_pictures_find_places_of_their_own(shown: Shown, files: dict[str, str]) -> None:
    ready(shown, "4.84")
    choose(shown, *files.values())
    shown.until("document.querySelectorAll('.marker').length === 3")
    assert frames(shown) == [0, 112, 120]


def test_a_place_is_moved_by_keys(shown: Shown, files: dict[str, str]) -> None:
    ready(shown, "4.84")
    drop(shown, 0.52, files["noon"])
    shown.until("document.querySelector('.marker')")
    shown.ask("document.querySelector('.marker').focus()")
    for key, code, modifiers, frame in (
        ("ArrowRight", 39, 0, 72),
        ("ArrowLeft", 37, 8, 71),
        ("End", 35, 0, 120),
        ("ArrowRight", 39, 0, 120),
        ("Home", 36, 0, 0),
    ):
        shown.tab.press(key, code, modifiers=modifiers)
        assert frames(shown) == [frame]
        said = shown.ask("document.querySelector('.marker').ariaValueText")
        assert said.startswith(f"frame {frame},")
    shown.tab.press("Delete", 46)
    shown.until("document.querySelectorAll('.marker, .picture').length === 0")


def test_a_place_is_dragged(shown: Shown, files: dict[str, str]) -> None:
    ready(shown, "4.84")
    drop(shown, 0.05, files["dawn"])
    shown.until("document.querySelector('.marker')")
    begin, end = (
        shown.ask(
            "(() => { const one = document.querySelector('#strip').getBoundingClientRect();"
            f" return {{x: one.x + {share} * one.width, y: one.y + one.height / 2}}; }})()"
        )
        for share in (0.1, 0.75)
    )
    mouse = "Input.dispatchMouseEvent"
    shown.tab.call(mouse, type="mousePressed", button="left", clickCount=1, **begin)
    shown.tab.call(mouse, type="mouseMoved", button="left", buttons=1, **end)
    shown.tab.call(mouse, type="mouseReleased", button="left", clickCount=1, **end)
    assert frames(shown) == [96]


def test_places_follow_the_length(shown: Shown, files: dict[str, str]) -> None:
    ready(shown, "4.84")
    for share, name in ((0.52, "noon"), (0.99, "dusk")):
        drop(shown, share, files[name])
    shown.until("document.querySelectorAll('.marker').length === 2")
    shown.fill("#length", "9.64")
    assert frames(shown) == [64, 240]
    shown.fill("#length", "2")
    assert frames(shown) == [56, 56]


def test_a_model_without_pictures_is_sent_none(
    shown: Shown, service: ShownService, files: dict[str, str]
) -> None:
    ready(shown, "1")
    drop(shown, 0, files["dawn"])
    shown.until("document.querySelector('.marker')")
    shown.choose("[name=model]", "guided")
    assert not shown.ask("document.querySelector('#strip').checkVisibility()")
    assert shown.ask("document.querySelector('[name=negative_prompt]').checkVisibility()")
    shown.click("#make")
    until(lambda: service.rows)
    (job,) = service.rows.values()
    assert job.wanted.model == "guided" and not job.wanted.pictures
