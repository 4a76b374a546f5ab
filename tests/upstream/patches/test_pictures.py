"""Each kind of picture goes in with the values that a viewer shows."""

import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from ltx_pipelines.utils.helpers import decode_image
from PIL import Image, ImageCms

from verify.upstream.process import Pipelines

Pixels = np.ndarray[tuple[int, ...], np.dtype[np.uint8]]
COLOURS = np.array(
    [[[255, 0, 0], [0, 255, 0], [0, 0, 255]], [[0, 0, 0], [255, 255, 255], [200, 100, 50]]],
    np.uint8,
)
GRAYS = np.array([[0, 1, 128], [254, 255, 77]], np.uint8)
ALPHA = np.array([[255, 0, 128], [255, 255, 0]], np.uint8)
ORIENTATION = 0x0112  # Exif 2.3, 4.6.4


def in_rgb(grays: Pixels) -> Pixels:
    return np.repeat(grays[..., None], 3, axis=2)


def over_black(colours: Pixels) -> Pixels:
    return np.rint(colours * (ALPHA[..., None] / 255)).astype(np.uint8)


def palette() -> Image.Image:
    return Image.fromarray(COLOURS).convert("P", palette=Image.Palette.ADAPTIVE, colors=8)


def with_one_colour_transparent() -> Image.Image:
    image = palette()
    image.info["transparency"] = image.getpixel((1, 0))  # the green one
    return image


def cmyk() -> Image.Image:
    ink = np.zeros((2, 3, 4), np.uint8)
    ink[..., :3] = 255 - COLOURS
    return Image.fromarray(ink, "CMYK")


def frames() -> list[Image.Image]:
    return [palette(), Image.fromarray(255 - COLOURS).convert("P")]


WITHOUT_GREEN = COLOURS * (COLOURS != [0, 255, 0]).any(axis=2)[..., None]

KINDS: dict[str, tuple[str, Callable[[], Image.Image], Pixels]] = {
    "RGB": ("png", lambda: Image.fromarray(COLOURS), COLOURS),
    "RGBA": ("png", lambda: Image.fromarray(np.dstack([COLOURS, ALPHA])), over_black(COLOURS)),
    "gray": ("png", lambda: Image.fromarray(GRAYS), in_rgb(GRAYS)),
    "gray and alpha": (
        "png",
        lambda: Image.fromarray(np.dstack([GRAYS, ALPHA]), "LA"),
        over_black(in_rgb(GRAYS)),
    ),
    "gray of 16 bits": (
        "png",
        lambda: Image.fromarray(GRAYS.astype(np.uint16) * 257),
        in_rgb(GRAYS),
    ),
    "gray of 16 bits in TIFF": (
        "tiff",
        lambda: Image.fromarray(GRAYS.astype(np.uint16) * 257),
        in_rgb(GRAYS),
    ),
    "one bit": (
        "png",
        lambda: Image.fromarray(GRAYS > 127),
        in_rgb(np.where(GRAYS > 127, 255, 0).astype(np.uint8)),
    ),
    "palette": ("png", palette, COLOURS),
    "palette with a transparent colour": ("png", with_one_colour_transparent, WITHOUT_GREEN),
    "GIF": ("gif", palette, COLOURS),
    "CMYK": ("tiff", cmyk, COLOURS),
}


@pytest.mark.core
@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_has_the_values_that_a_viewer_shows(kind: str, tmp_path: Path) -> None:
    suffix, make, shown = KINDS[kind]
    path = tmp_path / f"picture.{suffix}"
    make().save(path)
    read = decode_image(image_path=str(path))
    assert (read.dtype, read.shape) == (np.uint8, (2, 3, 3))
    assert np.abs(read.astype(int) - shown).max() <= 1  # of rounding alpha


TURNED: dict[int, Callable[[Pixels], Pixels]] = {
    1: lambda shown: shown,
    2: lambda shown: shown[:, ::-1],
    3: lambda shown: shown[::-1, ::-1],
    4: lambda shown: shown[::-1],
    5: lambda shown: shown.swapaxes(0, 1),
    6: lambda shown: np.rot90(shown, 1),
    7: lambda shown: shown[::-1, ::-1].swapaxes(0, 1),
    8: lambda shown: np.rot90(shown, -1),
}
"""How a camera stores what it saw, by the value of its orientation tag."""


@pytest.mark.core
@pytest.mark.parametrize("orientation", TURNED)
def test_a_picture_that_a_camera_turned_stands_upright(orientation: int, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    stored = Image.fromarray(np.ascontiguousarray(TURNED[orientation](COLOURS)))
    stored.save(tmp_path / "turned.png", exif=exif)
    assert np.array_equal(decode_image(image_path=str(tmp_path / "turned.png")), COLOURS)


def test_of_several_frames_the_first_counts(tmp_path: Path) -> None:
    first, *others = frames()
    first.save(tmp_path / "moving.gif", save_all=True, append_images=others)
    assert np.array_equal(decode_image(image_path=str(tmp_path / "moving.gif")), COLOURS)


def test_a_profile_that_is_none_of_ink_changes_nothing(tmp_path: Path) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    cmyk().save(tmp_path / "ink.tiff", icc_profile=profile)
    read = decode_image(image_path=str(tmp_path / "ink.tiff"))
    assert np.array_equal(read, COLOURS)


def test_a_picture_of_floats_is_refused(tmp_path: Path) -> None:
    Image.fromarray(GRAYS.astype(np.float32)).save(tmp_path / "floats.tiff")
    with pytest.raises(ValueError, match="floats has no white"):
        decode_image(image_path=str(tmp_path / "floats.tiff"))


def test_an_upright_rgb_picture_is_upstreams_to_the_byte(
    upstream: Pipelines, patched: Pipelines, tmp_path: Path
) -> None:
    """And what a viewer shows otherwise is read otherwise by upstream, on every base."""
    noise = np.random.default_rng(5).integers(0, 256, (16, 24, 3), np.uint8)
    photo, mirrored, clear = (tmp_path / f"{name}.png" for name in ("photo", "mirrored", "clear"))
    jpeg = io.BytesIO()
    Image.fromarray(noise).save(jpeg, "jpeg")
    photo.with_suffix(".jpg").write_bytes(jpeg.getvalue())
    exif = Image.Exif()
    exif[ORIENTATION] = 2
    Image.fromarray(noise).save(mirrored, exif=exif)
    Image.fromarray(np.dstack([noise, np.zeros((16, 24), np.uint8)])).save(clear)

    def read(pipelines: Pipelines, path: Path) -> Pixels:
        done = pipelines.run("tests.upstream.patches.constructed", ["pixels", str(path)])
        assert done.code == 0, done.err
        return np.array(json.loads(done.out), np.uint8)

    path = photo.with_suffix(".jpg")
    assert np.array_equal(read(upstream, path), read(patched, path))
    assert np.array_equal(read(upstream, mirrored), noise)
    assert np.array_equal(read(patched, mirrored), noise[:, ::-1])
    assert np.array_equal(read(upstream, clear), noise)
    assert not read(patched, clear).any()
