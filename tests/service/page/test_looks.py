"""The page for everybody: on a phone, in the dark, by keyboard, for readers of screens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ltx2_service.values.job import Failure, State, Wanted
from tests.browser import Tab
from tests.service.http.server import until
from tests.service.page.conftest import PHONE, WIDTH, Shown, ShownService, opened

CONTRAST = Path(__file__).with_name("contrast.js").read_text("utf-8")
LONG = "Averylongwordwithoutanyspaceinit" * 8
TAB, ENTER, SPACE = ("Tab", 9), ("Enter", 13), (" ", 32)


def lived_in(service: ShownService) -> None:
    """One clip of each kind, with texts that don't fit."""
    ids = [service.accept(Wanted(f"{number} {LONG}"))[0].id for number in range(5)]
    completed, failed, cancelled, running, _ = ids
    service.run(completed)
    service.end(completed)
    service.run(failed)
    service.end(failed, Failure("script_failed", f"The script failed: {LONG}"))
    service.cancel(cancelled)
    service.run(running)
    service.step(running, 3, 8)


def all_shown(shown: Shown) -> None:
    shown.until("document.querySelectorAll('.clip').length === 3")
    shown.until("document.querySelectorAll('.job').length === 2")
    shown.ask("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    shown.choose("[name=size]", "own")


@pytest.mark.parametrize("width", [PHONE, 390, 700, 840, WIDTH, 2200])
def test_nothing_is_cut_or_scrolls_sideways(
    window: Tab, service: ShownService, address: str, width: int
) -> None:
    lived_in(service)
    with opened(window, address, width=width) as shown:
        all_shown(shown)
        assert shown.ask("document.documentElement.scrollWidth") <= width
        cut = (
            "[...document.querySelectorAll('main *, header *')].filter((one) =>"
            " one.checkVisibility() && one.getBoundingClientRect().right > innerWidth + 1"
            " && !one.closest('.unseen')).map((one) => one.outerHTML.slice(0, 80))"
        )
        assert shown.ask(cut) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_can_be_read(
    window: Tab, service: ShownService, address: str, scheme: str
) -> None:
    lived_in(service)
    with opened(window, address, scheme=scheme) as shown:
        all_shown(shown)
        told = shown.ask(CONTRAST)
        assert told["checked"] > 60
        assert told["found"] == []
        ground = shown.picture().getpixel((5, 400))
        assert isinstance(ground, tuple)
        assert (sum(ground) > 3 * 128) == (scheme == "light")


def test_whoever_wants_no_motion_gets_none(
    window: Tab, service: ShownService, address: str
) -> None:
    lived_in(service)
    moving = "document.getAnimations().length"
    with opened(window, address) as shown:
        shown.until(f"{moving} > 0")
    with opened(window, address, motion="reduce") as shown:
        all_shown(shown)
        shown.says("running", "#cards")
        assert shown.ask(moving) == 0


def test_every_control_has_a_name_of_its_own(shown: Shown, service: ShownService) -> None:
    lived_in(service)
    all_shown(shown)
    names = [
        (node["role"]["value"], node.get("name", {}).get("value", ""))
        for node in shown.tab.call("Accessibility.getFullAXTree")["nodes"]
        if not node["ignored"] and _is_control(node)
    ]
    assert len(names) > 25
    assert [role for role, name in names if not name.strip()] == []
    assert len(set(names)) == len(names)


def _is_control(node: dict[str, Any]) -> bool:
    properties = {one["name"]: one["value"].get("value") for one in node.get("properties", ())}
    roles = {"RootWebArea", "option", "MenuListPopup", "DisclosureTriangle", "region", "generic"}
    return bool(properties.get("focusable")) and node["role"]["value"] not in roles


def test_a_clip_is_made_cancelled_and_deleted_by_the_keyboard_alone(
    shown: Shown, service: ShownService
) -> None:
    def go_to(selector: str) -> None:
        """Press Tab until the control has the focus, and is seen to have it."""
        for _ in range(60):
            shown.tab.press(*TAB)
            if shown.ask(f"document.activeElement.matches({selector!r})"):
                outline = "getComputedStyle(document.activeElement).outlineStyle"
                assert shown.ask(outline) != "none"
                return
        raise AssertionError(f"Tab never comes to {selector}")

    shown.until("!document.querySelector('#wanted').inert")
    shown.ask("document.body.focus()")
    go_to(".skip")
    shown.tab.press(*ENTER, text="\r")
    assert shown.ask("document.activeElement.id") == "clips"
    shown.ask("document.activeElement.blur()")
    shown.tab.open(shown.ask("location.origin"))
    shown.until("!document.querySelector('#wanted').inert")
    go_to("[name=prompt]")
    shown.tab.type("By keys")
    shown.tab.press(*ENTER, text="\r", modifiers=2)
    shown.says("By keys", "#queue")
    go_to(".cancel")
    shown.tab.press(*SPACE, text=" ")
    (job,) = service.rows.values()
    until(lambda: service.rows[job.id].state is State.FAILED)
    # The clip is gone from the queue, so the keyboard goes on from where it stood.
    shown.until("document.activeElement.id === 'works'")
    go_to(".clip .remove")
    shown.tab.press(*ENTER, text="\r")
    shown.until("document.querySelector('#ask-delete').open")
    assert shown.ask("document.activeElement.value") == "keep"
    go_to("[value=delete]")
    shown.tab.press(*ENTER, text="\r")
    shown.until("document.querySelectorAll('.clip').length === 0")
    assert not service.rows
    assert shown.ask("document.activeElement.id") == "clips"


def test_a_player_goes_on_while_the_list_changes(shown: Shown, service: ShownService) -> None:
    clip = service.accept(Wanted("plays"))[0].id
    service.run(clip)
    service.end(clip)
    shown.look()
    shown.click(".play")
    shown.until("document.querySelector('.clip video')")
    shown.ask("window.before = document.querySelector('.clip video'); window.before.focus()")
    other = service.accept(Wanted("comes later"))[0].id
    service.run(other)
    service.end(other)
    shown.look()
    shown.says("comes later", ".clip:first-child")
    assert shown.ask("window.before.isConnected && document.activeElement === window.before")
