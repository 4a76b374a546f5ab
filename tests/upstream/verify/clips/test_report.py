"""The page: all that the recordings say, nothing fetched, nothing unescaped, and it plays."""

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ltx2_patcher.values.errors import ConflictError, InvalidError, UsageError
from tests.upstream.verify.clips.browser import find_browser, said_of_itself, visit
from tests.upstream.verify.clips.recordings import PLAIN, QUANTIZED, SHAPE, write_recording
from verify.clips.report import write_report
from verify.clips.vram_report import read_vram_report
from verify.upstream.command_line import Gemma

EVIL = "<script>alert('x')</script> & \"quoted\" </style>"
NOISE = dict.fromkeys(range(SHAPE.frames), 3.0)
VRAM = {
    "pipeline": "distilled",
    "flags": ["--gemma-4bit", EVIL],
    "base": "1.0.0",
    "machine": "a card held to 24 GB",
    "budget_gib": 23.6,
    "verdict": {"passed": False, "text": "24.1 GiB in stage 2, 0.5 over: take fewer frames."},
    "stages": [
        {
            "name": "text encoding",
            "load_s": 3.25,
            "compute_s": None,
            "peak_allocated_bytes": 8 << 30,
            "peak_reserved_bytes": 9 << 30,
            "device_peak_bytes": 10 << 30,
            "host_anon_bytes": 1 << 30,
            "host_file_bytes": 2 << 30,
            "left_bytes": 13 << 30,
        }
    ],
}
BROWSER = find_browser()
with_browser = pytest.mark.skipif(
    BROWSER is None, reason="no chromium, chromium-browser or google-chrome on the PATH"
)


@pytest.fixture(scope="module")
def vram(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report with its timeline beside it."""
    path = tmp_path_factory.mktemp("vram") / "distilled.json"
    path.write_text(json.dumps(VRAM), encoding="utf-8")
    Image.fromarray(np.full((40, 200, 3), 200, np.uint8)).save(path.with_suffix(".png"))
    return path


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory, vram: Path) -> Path:
    """Of a reference, one within bounds and one out of them."""
    folder = tmp_path_factory.mktemp("page")
    reference = write_recording(folder / "reference", prompt=EVIL)
    well = write_recording(
        folder / "8",
        replace(PLAIN, gemma=Gemma.FLAG_8BIT, extra=()),
        prompt=EVIL,
        hidden_noise=0.02,
        picture_noise=NOISE,
    )
    out = write_recording(
        folder / "4", QUANTIZED, prompt=EVIL, hidden_noise=3.0, picture_noise={2: 60.0}
    )
    verdicts = write_report(folder / "page.html", reference, [well, out], [read_vram_report(vram)])
    assert [verdict.passed for verdict in verdicts] == [True, False]
    return folder / "page.html"


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def read(page: Path) -> _Reader:
    reader = _Reader()
    reader.feed(page.read_text("utf-8"))
    return reader


def test_every_clip_and_picture_is_in_the_page(read: _Reader) -> None:
    videos = [attributes["src"] or "" for attributes in read.all("video")]
    assert len(videos) == 2 * 3
    assert all(source.startswith("data:video/mp4;base64,") for source in videos)
    pictures = [attributes["src"] or "" for attributes in read.all("img")]
    # A case: the given image, and a row for the reference and two for each other, of first,
    # middle and last frame, and up to two worst ones.
    assert len(pictures) - 1 >= 2 * (1 + 5 * 3)
    assert all(re.match(r"data:image/(png|jpeg);base64,", source) for source in pictures)
    assert len([a for a in read.all("svg") if a["class"] == "chart"]) == 2 * 2


def test_the_page_fetches_nothing(page: Path, read: _Reader) -> None:
    text = re.sub(r"base64,[A-Za-z0-9+/=]+", "", page.read_text("utf-8"))
    assert not re.search(r"https?://|//cdn|url\(|@import", text)
    for name, attributes in read.tags:
        for attribute in ("src", "href", "poster", "srcset", "data"):
            value = attributes.get(attribute)
            assert value is None or value.startswith(("data:", "#")), (name, value)
    assert not read.all("link")


def test_nothing_of_a_recording_is_taken_for_markup(read: _Reader) -> None:
    assert len(read.all("script")) == len(read.all("style")) == 1
    assert EVIL in read.text


def test_the_verdicts_come_first_and_say_both_numbers(page: Path, read: _Reader) -> None:
    text = page.read_text("utf-8")
    assert text.index('class="verdict good"') < text.index('class="verdict bad"')
    assert text.index('class="verdict bad"') < text.index("<video")
    assert "8-bit: within bounds" in read.text
    assert "4-bit: not within bounds" in read.text
    assert re.search(r"hidden-state cosine of \S+ \(text \d, layer \d\) is 0\.\d+, 0\.\d+ below "
                     r"its bound of 0\.8", read.text)  # fmt: skip
    assert "Tiny random weights" in read.text


def test_the_memory_reports_are_in_it(read: _Reader) -> None:
    assert VRAM["verdict"]["text"] in read.text  # type: ignore[index]
    assert "13.00" in read.text  # GiB left
    assert any((a.get("class") or "") == "timeline" for a in read.all("img"))


@pytest.mark.parametrize(
    "change", [{"stages": 3}, {"verdict": None}, {"budget_gib": "much"}, {"stages": [{}]}]
)
def test_a_file_that_is_no_memory_report_is_refused(
    change: dict[str, object], tmp_path: Path
) -> None:
    path = tmp_path / "report.json"
    path.write_text(json.dumps(VRAM | change), encoding="utf-8")
    with pytest.raises(InvalidError, match=r"is no report of verify\.vram"):
        read_vram_report(path)
    path.write_bytes(b"\xff")
    with pytest.raises(InvalidError, match="is no report"):
        read_vram_report(path)
    with pytest.raises(UsageError, match="there is no"):
        read_vram_report(tmp_path / "nothing.json")


def test_a_report_without_a_timeline_is_shown(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text(json.dumps(VRAM), encoding="utf-8")
    assert read_vram_report(path).timeline is None


def test_a_page_is_not_written_where_a_folder_is(tmp_path: Path) -> None:
    made = write_recording(tmp_path / "r", names=("keyframes",))
    with pytest.raises(ConflictError):
        write_report(tmp_path, made, [made], [])


@with_browser
def test_a_browser_reads_every_clip(page: Path, tmp_path: Path) -> None:
    """With its metadata, and without an error of the script."""
    assert BROWSER is not None
    said = said_of_itself(visit(BROWSER, page, tmp_path / "profile", "--dump-dom"))
    assert said == {"videos": "6", "readable": "6", "ready": "yes", "errors": "0"}


# As a person would: play all, stop, and step through a case; what came of it goes to the body.
_PLAY = """<script>
addEventListener("load", () => setTimeout(() => {
  const all = document.getElementById("all"), section = document.querySelector(".case");
  const videos = [...section.querySelectorAll("video")];
  all.click();
  setTimeout(() => {
    document.body.dataset.playing = document.querySelectorAll("video").length
      - [...document.querySelectorAll("video")].filter((v) => v.paused).length;
    document.body.dataset.label = all.textContent.replace(" ", "-");
    all.click();
    document.body.dataset.paused = videos.every((v) => v.paused);
    const range = section.querySelector("input");
    range.value = 2;
    range.dispatchEvent(new Event("input"));
    section.querySelector(".step[data-by='1']").click();
    const times = videos.map((v) => v.currentTime);
    document.body.dataset.step = Math.max(...times) - Math.min(...times);
    document.body.dataset.frame = Math.floor(times[0] * section.dataset.fps);
  }, 300);
}, 1000));
</script></body>"""


@with_browser
@pytest.mark.slow
def test_the_clips_play_in_step(page: Path, tmp_path: Path) -> None:
    assert BROWSER is not None
    played = tmp_path / "page.html"
    played.write_text(page.read_text("utf-8").replace("</body>", _PLAY), encoding="utf-8")
    dom = visit(
        BROWSER,
        played,
        tmp_path / "profile",
        "--dump-dom",
        "--autoplay-policy=no-user-gesture-required",
    )
    said = said_of_itself(dom)
    assert (said["playing"], said["label"], said["paused"]) == ("6", "Pause-all", "true")
    assert (said["frame"], said["step"], said["errors"]) == ("3", "0", "0")


@with_browser
@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_is_drawn_in_both_schemes(scheme: str, page: Path, tmp_path: Path) -> None:
    """Not blank, as wide as the window, and dark where the reader's system is."""
    assert BROWSER is not None
    shot = tmp_path / "page.png"
    number = 0 if scheme == "dark" else 1
    visit(
        BROWSER,
        page,
        tmp_path / "profile",
        f"--screenshot={shot}",
        "--window-size=1200,1600",
        f"--blink-settings=preferredColorScheme={number}",
    )
    pixels = np.asarray(Image.open(shot).convert("RGB"))
    assert pixels.shape == (1600, 1200, 3)
    assert pixels.std() > 20
    corner = pixels[:10, :10].mean()
    assert corner < 60 if scheme == "dark" else corner > 200
