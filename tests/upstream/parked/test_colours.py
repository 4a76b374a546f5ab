"""The colours of latents follow from what clips were decoded to, whatever came with those."""

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from ltx_pipelines.parked.colours import Colours

CHANNELS, ROWS, COLUMNS, SIDE = 6, 4, 5, 4
APART = 8  # frames of the clip to one of the latents
MAP = torch.rand(CHANNELS, 3, generator=torch.Generator().manual_seed(1)) * 0.1
Numbers = list[int]


def latents(seed: int, frames: int = 4, channels: int = CHANNELS) -> torch.Tensor:
    return torch.randn(
        channels, frames, ROWS, COLUMNS, generator=torch.Generator().manual_seed(seed)
    )


def decoded(video: torch.Tensor) -> torch.Tensor:
    """(frames, height, width, 3) of [0, 1]: each token's pixels differ, and their mean is linear in
    its channels.
    """
    means = 0.5 + torch.einsum("cfhw,cx->fhwx", video, MAP)
    frames = torch.cat([means[:1], means[1:].repeat_interleave(APART, 0)])
    blocks = frames.repeat_interleave(SIDE, 1).repeat_interleave(SIDE, 2)
    across = torch.arange(blocks.shape[2]) % 2  # the left pixel is darker than the right
    return (blocks + (0.1 * across - 0.05)[:, None]).clamp(0, 1)


def learn(place: Path, video: torch.Tensor, chunks: Sequence[torch.Tensor]) -> None:
    """Let a clip be encoded; its chunks come through as they are."""
    for given_, chunk in zip(
        Colours(place).learning(iter(chunks), video, APART), chunks, strict=True
    ):
        assert given_ is chunk


def error(place: Path, seed: int = 99) -> float:
    """The largest of a clip that was not learned from, in levels of 255."""
    video = latents(seed)
    picture = Colours(place).picture(video[:, 2].to(torch.float16).numpy())
    assert picture is not None
    assert picture.dtype == np.uint8
    truth = decoded(video)[1 + APART : 1 + 2 * APART].reshape(APART, ROWS, SIDE, COLUMNS, SIDE, 3)
    return float(np.abs(picture - truth.mean((0, 2, 4)).numpy() * 255).max())


@settings(deadline=None, max_examples=30)
@given(cuts=st.lists(st.integers(1, 24), max_size=4), whole=st.booleans())
def test_what_a_decoder_does_to_each_token_is_found_again(
    tmp_path_factory: pytest.TempPathFactory, cuts: Numbers, whole: bool
) -> None:
    """However its frames come: uint8 of 1.0.0, or of [0, 1]."""
    place = tmp_path_factory.mktemp("previews") / "made" / "map.npy"
    for seed in range(3):
        video = latents(seed)
        frames = decoded(video)
        if whole:
            frames = (frames * 255).to(torch.uint8)
        ends = [0, *sorted(set(cuts)), len(frames)]
        learn(place, video, [frames[a:b] for a, b in itertools.pairwise(ends)])
    assert error(place) < 2.5
    assert [path.name for path in place.parent.iterdir()] == ["map.npy"]


def test_nothing_is_shown_before_a_clip_was_decoded_nor_for_other_latents(tmp_path: Path) -> None:
    place = tmp_path / "map.npy"
    video = latents(0)
    assert Colours(place).picture(video[:, 0].numpy()) is None
    learn(place, video, [decoded(video)])
    assert Colours(place).picture(video[:, 0].numpy()) is not None
    assert Colours(place).picture(latents(0, channels=CHANNELS + 1)[:, 0].numpy()) is None


def test_a_picture_has_but_colours_whatever_the_numbers_are(tmp_path: Path) -> None:
    place = tmp_path / "map.npy"
    video = latents(0)
    learn(place, video, [decoded(video)])
    values = video[:, 0].to(torch.float16)
    values[:, 0, 0], values[:, 1, 1], values[0, 2, 2] = torch.inf, -torch.inf, torch.nan
    values[:, 3, 3] = 60_000.0
    picture = Colours(place).picture(values.numpy())
    assert picture is not None
    assert picture.shape == (ROWS, COLUMNS, 3)
    assert (picture[0, 0] == picture[1, 1]).all()  # what is no number tells nothing


@pytest.mark.parametrize("cut", ["frames", "rows", "more"])
def test_frames_of_other_latents_teach_nothing(tmp_path: Path, cut: str) -> None:
    place = tmp_path / "map.npy"
    video = latents(0)
    frames = decoded(video)
    other = {
        "frames": frames[:-1],
        "rows": frames[:, :-1],
        "more": torch.cat([frames, frames]),
    }
    learn(place, video, [other[cut]])
    assert not place.exists()


def test_a_clip_without_an_end_teaches_nothing(tmp_path: Path) -> None:
    place = tmp_path / "map.npy"
    video = latents(0)
    frames = decoded(video)
    chunks = Colours(place).learning(iter([frames[:5], frames[5:]]), video, APART)
    next(chunks)
    del chunks  # a script that fails lets go of it
    assert not place.exists()


def test_latents_that_are_no_numbers_teach_nothing(tmp_path: Path) -> None:
    place = tmp_path / "map.npy"
    video = latents(0)
    frames = decoded(video)
    video[0, 1, 0, 0] = torch.nan
    learn(place, video, [frames])
    assert not place.exists()


@pytest.mark.parametrize("content", [b"", b"no numbers", b"\x93NUMPY\x01\x00", "shape", "nan"])
def test_what_is_damaged_counts_as_not_there(tmp_path: Path, content: bytes | str) -> None:
    place = tmp_path / "map.npy"
    if isinstance(content, bytes):
        place.write_bytes(content)
    else:
        shape = (3, 3) if content == "shape" else (CHANNELS + 1, CHANNELS + 4)
        np.save(place, np.full(shape, np.nan))
    video = latents(0)
    assert Colours(place).picture(video[:, 0].numpy()) is None
    learn(place, video, [decoded(video)])
    assert error(place) < 2.5


def test_where_nothing_can_be_written_the_clip_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_bytes(b"")
    place = tmp_path / "file" / "map.npy"
    video = latents(0)
    learn(place, video, [decoded(video)])
    assert "previews stay without colours" in caplog.text


def test_a_picture_of_one_frame_teaches_too(tmp_path: Path) -> None:
    place = tmp_path / "map.npy"
    for seed in range(3):
        video = latents(seed, frames=1)
        learn(place, video, [decoded(video)])
    assert error(place) < 2.5


def test_each_clip_counts_alike_until_there_are_enough(tmp_path: Path) -> None:
    place = tmp_path / "map.npy"
    for seed in range(16):
        assert Colours(place).is_learning
        video = latents(seed, frames=1 + seed % 3)
        learn(place, video, [decoded(video)])
    assert not Colours(place).is_learning


def test_they_are_of_the_file_that_holds_the_video_decoder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    files = {}
    for name in ("one", "two", "vae"):
        files[name] = str(tmp_path / name)
        Path(files[name]).write_bytes(name.encode() * 9000)
    option, distilled, vae = "--checkpoint-path", "--distilled-checkpoint-path", "--video-vae-path"

    def learned(name: str, *argv: str) -> bool:
        """Whether a clip with these arguments has the colours that a file of `name` was taught."""
        video = latents(0)
        colours = Colours.of([option, files[name]])
        assert colours is not None
        list(colours.learning(iter([decoded(video)]), video, APART))
        found = Colours.of(argv)
        for path in (tmp_path / "cache/ltx2-patcher/previews").iterdir():
            path.unlink()
        return found is not None and found.picture(video[:, 0].numpy()) is not None

    assert learned("one", distilled, files["one"], "--seed", "7")
    assert not learned("one", distilled, files["two"])
    assert learned("two", option, files["one"], option, files["two"])  # as argparse has it
    assert learned("vae", vae, files["vae"], option, files["one"])
    assert not learned("one", vae, files["vae"], option, files["one"])
    assert Colours.of([option, str(tmp_path / "lost")]) is None
    assert Colours.of(["--seed", "7"]) is None
    assert Colours.of([option]) is None
