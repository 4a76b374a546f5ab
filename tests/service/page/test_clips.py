"""What a person does with clips: ask, look, cancel, delete, ask again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ltx2_service.http.app import create_app
from ltx2_service.values.job import Failure, Job, State, Wanted
from ltx2_service.values.settings import Limits
from tests.browser import Tab
from tests.service.http.server import served, until
from tests.service.http.small_service import TAGGED
from tests.service.page.conftest import OFFERS, Shown, ShownService, opened, settings_in

PROMPT = "A lighthouse at dusk"
HOSTILE = "<img src=x onerror=\"document.title='broken'\"> </script> & 'more'"


def accepted(service: ShownService) -> Job:
    """The clip that was asked for last."""
    until(lambda: service.rows)
    return list(service.rows.values())[-1]


def ask(service: ShownService, prompt: str = PROMPT) -> str:
    """A clip that somebody else asked for."""
    return service.accept(Wanted(prompt, num_frames=25, frame_rate=25.0))[0].id


def made(service: ShownService, prompt: str = PROMPT) -> str:
    clip = ask(service, prompt)
    service.run(clip)
    service.end(clip)
    return clip


def test_a_clip_is_typed_and_made(shown: Shown, service: ShownService) -> None:
    shown.until("!document.querySelector('#wanted').inert")
    shown.fill("[name=prompt]", PROMPT)
    shown.choose("[name=size]", "1024x576")
    shown.fill("#length", "5")
    assert shown.ask("document.querySelector('#frames').value") == (
        "129 frames: 5.16 s at 25 a second"
    )
    shown.fill("[name=seed]", "11")
    shown.choose("[name=gpu_id]", "1")
    shown.click("[name=enhance]")
    shown.click("#make")
    shown.says(PROMPT, "#queue")
    job = accepted(service)
    assert job.wanted.key
    expected = Wanted(
        PROMPT, "small", None, 1024, 576, 129, 25.0, 11, enhance_prompt=True, gpu=1
    )  # fmt: skip
    assert replace(job.wanted, key=None) == expected
    shown.says("Next in line", "#queue")
    service.run(job.id)
    service.step(job.id, 3, 8)
    shown.says("Denoising, step 3 of 8", "#queue")
    shown.until("document.querySelector('.preview').naturalWidth > 0")
    assert shown.ask("document.querySelector('progress').value") == 37
    assert shown.ask("document.title").startswith("37 %")
    service.end(job.id)
    shown.says(PROMPT, "#gallery")
    shown.says("Nothing waits", "#works")
    shown.until("document.querySelector('#told').textContent.includes('is done')")
    shown.until("document.querySelector('.thumbnail').naturalWidth > 0")
    assert shown.ask("document.title") == "LTX-2 clips"


def test_a_clip_plays_and_shows_its_settings(shown: Shown, service: ShownService) -> None:
    made(service)
    shown.look()
    shown.click(".play")
    shown.until("document.querySelector('.clip video')?.src.startsWith('blob:')")
    shown.click(".clip summary")
    shown.says("25 frames, 1 s at 25 a second", ".clip dl")
    shown.says("gpu0", ".clip dl")


def test_a_clip_is_downloaded_whole(shown: Shown, service: ShownService, tmp_path: Path) -> None:
    clip = made(service)
    shown.look()
    folder = tmp_path / "downloads"
    shown.tab.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder))
    shown.click(".clip .download")
    file = service.rows[clip].clip
    assert file
    got = folder / f"{clip}.mp4"
    until(lambda: got.exists() and got.read_bytes() == file.read_bytes())


def test_a_clip_is_downloaded_with_its_settings_inside(
    shown: Shown, service: ShownService, tmp_path: Path
) -> None:
    clip = made(service)
    shown.look()
    folder = tmp_path / "downloads"
    shown.tab.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder))
    shown.click(".clip summary")
    shown.click(".clip .tagged")
    got = folder / f"{clip}.mp4"
    until(lambda: got.exists() and got.read_bytes() == TAGGED)


def test_a_clip_that_failed_says_why(shown: Shown, service: ShownService) -> None:
    clip = ask(service)
    service.run(clip)
    service.end(clip, Failure("out_of_memory", "The card ran out of memory. Ask for fewer frames."))
    shown.look()
    shown.says("Ask for fewer frames.", ".clip .why")
    shown.click(".clip summary")
    for button in ("download", "tagged"):
        assert not shown.ask(f"document.querySelector('.clip .{button}').checkVisibility()")
    assert not shown.ask("document.querySelector('.clip .play').checkVisibility()")


def test_a_waiting_and_a_running_clip_are_cancelled(shown: Shown, service: ShownService) -> None:
    first, second = ask(service, "runs"), ask(service, "waits")
    service.run(first)
    shown.until("document.querySelectorAll('.job').length === 2")
    for clip, place in ((second, 2), (first, 1)):
        shown.click(f".job:nth-child({place}) .cancel")
        shown.until(f"document.querySelectorAll('.job').length === {place - 1}")
        assert service.rows[clip].state is State.FAILED
    shown.until("document.querySelectorAll('.clip[data-code=cancelled]').length === 2")


def test_a_clip_is_deleted_after_a_question(shown: Shown, service: ShownService) -> None:
    clip = made(service)
    shown.look()
    shown.click(".clip .remove")
    shown.click("#ask-delete [value=keep]")
    shown.until("!document.querySelector('#ask-delete').open")
    assert clip in service.rows
    shown.click(".clip .remove")
    shown.click("#ask-delete [value=delete]")
    shown.until("document.querySelectorAll('.clip').length === 0")
    assert clip not in service.rows
    shown.says("No clip yet", "#clips")


def test_what_was_deleted_elsewhere_goes(shown: Shown, service: ShownService) -> None:
    kept, gone = made(service, "kept"), made(service, "gone")
    shown.until("document.querySelectorAll('.clip').length === 2")
    service.delete(gone)
    shown.look()
    shown.until("document.querySelectorAll('.clip').length === 1")
    shown.says("kept", "#gallery")
    assert kept in service.rows


def test_a_clip_is_made_again_with_another_seed(shown: Shown, service: ShownService) -> None:
    clip = made(service)
    shown.look()
    shown.click(".clip .again")
    until(lambda: len(service.rows) == 2)
    job = accepted(service)
    assert job.wanted.remixed_from == clip and job.wanted.prompt == PROMPT
    shown.says(PROMPT, "#queue")


def test_settings_of_a_clip_go_into_the_form(shown: Shown, service: ShownService) -> None:
    wanted = Wanted(
        "Fog", "guided", "blur", 512, 352, 41, 20.0, 5, gpu=1
    )  # a size that no list has
    service.accept(wanted)
    clip = accepted(service).id
    service.run(clip)
    service.end(clip)
    shown.look()
    shown.click(".clip .reuse")
    shown.until("document.activeElement === document.querySelector('[name=prompt]')")
    shown.click("#make")
    until(lambda: len(service.rows) == 2)
    again = accepted(service).wanted
    assert replace(again, key=None) == wanted


def test_a_reload_in_the_middle_loses_nothing(shown: Shown, service: ShownService) -> None:
    clip = ask(service)
    service.run(clip)
    service.step(clip, 2, 8)
    shown.look()
    shown.says("step 2 of 8", "#queue")
    shown.fill("[name=prompt]", "half a thou")
    shown.tab.open(shown.ask("location.href"))
    shown.says("step 2 of 8", "#queue")
    shown.until("document.querySelector('[name=prompt]').value === 'half a thou'")
    service.end(clip)
    shown.says(PROMPT, "#gallery")


def test_what_the_service_refuses_is_said_with_its_remedy(window: Tab, tmp_path: Path) -> None:
    settings = replace(settings_in(tmp_path), limits=Limits(queued=0))
    service = ShownService(settings, holds=True)
    with (
        served(create_app(service, settings, OFFERS)) as address,
        opened(window, address) as shown,
    ):
        shown.until("!document.querySelector('#wanted').inert")
        shown.fill("[name=prompt]", PROMPT)
        shown.click("#make")
        shown.says("The queue is full: 0 clips wait. Ask again in 7 s.", "#refused")
        assert shown.ask("document.querySelector('[name=prompt]').value") == PROMPT
        assert not service.rows


def test_text_of_others_is_never_markup(shown: Shown, service: ShownService) -> None:
    made(service, HOSTILE)
    ask(service, HOSTILE)
    shown.look()
    shown.says(HOSTILE, "#gallery")
    shown.says(HOSTILE, "#queue")
    assert shown.ask("document.title") == "LTX-2 clips"
    assert shown.ask("document.querySelectorAll('.prompt *').length") == 0


def test_a_service_that_is_away_is_said_and_found_again(
    shown: Shown, service: ShownService
) -> None:
    made(service)
    shown.look()
    shown.says(PROMPT, "#gallery")
    away = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
    shown.tab.call("Network.enable")
    shown.tab.call("Network.emulateNetworkConditions", offline=True, **away)
    shown.look()
    shown.says("The service does not answer.", "#offline")
    shown.tab.call("Network.emulateNetworkConditions", offline=False, **away)
    shown.look()
    shown.until("document.querySelector('#offline').hidden")
    shown.says(PROMPT, "#gallery")


def test_many_clips_come_page_by_page(shown: Shown, service: ShownService) -> None:
    oldest = ask(service, "the first of all")
    for number in range(120):
        ask(service, f"waits {number}")
    service.run(oldest)
    shown.look()
    shown.says("the first of all", ".job:first-child")
    for clip in list(service.rows):
        service.end(clip)
    shown.until("document.querySelectorAll('.job').length === 0")
    assert shown.ask("document.querySelectorAll('.clip').length") <= 121
    if shown.ask("document.querySelector('#more').checkVisibility()"):
        shown.click("#more")
    shown.until("document.querySelectorAll('.clip').length === 121")


def test_a_token_is_asked_for_once_and_kept_for_the_tab(window: Tab, tmp_path: Path) -> None:
    service = ShownService(settings_in(tmp_path, {"secret": "ann"}), holds=True)
    with (
        served(create_app(service, service.settings, OFFERS)) as address,
        opened(window, address) as shown,
    ):
        for token in ("wrong", "secret"):
            shown.until("document.querySelector('#ask-token').open")
            shown.until("document.activeElement.id === 'token'")
            shown.tab.type(token)
            shown.tab.press("Enter", 13, text="\r")
            if token == "wrong":
                shown.says("no token that is known", "#token-refused")
        shown.until("!document.querySelector('#wanted').inert")
        shown.fill("[name=prompt]", PROMPT)
        shown.click("#make")
        job = accepted(service)
        assert job.wanted.owner == "ann"
        service.run(job.id)
        service.step(job.id, 1, 2)
        shown.says("step 1 of 2", "#queue")
        service.end(job.id)
        shown.until("document.querySelector('.thumbnail')?.naturalWidth > 0")
        shown.tab.open(address)
        shown.says(PROMPT, "#gallery")
        assert not shown.ask("document.querySelector('#ask-token').open")
