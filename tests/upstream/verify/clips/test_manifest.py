"""A recording is whole, or is refused in a sentence."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ltx2_patcher.values.errors import InvalidError, PatcherError, UsageError
from tests.upstream.verify.clips.recordings import write_recording
from verify.clips.manifest import NAME, open_recording, parse, render


def test_what_was_written_is_read(tmp_path: Path) -> None:
    written = write_recording(tmp_path / "r")
    assert open_recording(tmp_path / "r") == written
    assert parse(render(written.manifest), "it") == written.manifest


@pytest.mark.parametrize("name", ["clip.mp4", "last.png", "hidden.safetensors"])
def test_a_torn_recording_is_refused(name: str, tmp_path: Path) -> None:
    file = write_recording(tmp_path / "r").file("keyframes", name)
    file.write_bytes(file.read_bytes()[:-100])  # a copy that was cut off
    with pytest.raises(InvalidError, match=f"torn: keyframes/{name} has changed"):
        open_recording(tmp_path / "r")
    file.unlink()
    with pytest.raises(InvalidError, match=f"torn: keyframes/{name} is missing"):
        open_recording(tmp_path / "r")


def test_what_is_no_recording_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no folder"):
        open_recording(tmp_path / "nothing")
    with pytest.raises(UsageError, match=r"no manifest\.json"):
        open_recording(tmp_path)
    (tmp_path / NAME).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InvalidError, match="is no manifest"):
        open_recording(tmp_path)


CHANGES: dict[str, Callable[[dict[str, Any]], object]] = {
    "another format": lambda raw: raw.update(format=2),
    "no format": lambda raw: raw.pop("format"),
    "a field is missing": lambda raw: raw.pop("machine"),
    "a field too many": lambda raw: raw.update(more=1),
    "another Gemma": lambda raw: raw.update(gemma="2bit"),
    "a prequantized Gemma": lambda raw: raw.update(gemma="prequantized-4bit"),
    "other weights": lambda raw: raw.update(weights="huge"),
    "no case": lambda raw: raw.update(cases=[]),
    "cases are no list": lambda raw: raw.update(cases=3),
    "a file is not promised": lambda raw: raw["cases"][0]["files"].pop("clip.mp4"),
    "a case elsewhere": lambda raw: raw["cases"][0].update(name="../other"),
    "an image elsewhere": lambda raw: raw.update(images={"../other": "00"}),
    "no shape": lambda raw: raw.update(shape=None),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_manifest_that_is_none_is_refused(change: str, tmp_path: Path) -> None:
    text = (write_recording(tmp_path / "r").folder / NAME).read_text("utf-8")
    raw = json.loads(text)
    CHANGES[change](raw)
    with pytest.raises(PatcherError, match=r"is no manifest|another format"):
        parse(json.dumps(raw), "it")
    for other in ("", "[]", "null", "{}", text[:-20]):
        with pytest.raises(InvalidError):
            parse(other, "it")
