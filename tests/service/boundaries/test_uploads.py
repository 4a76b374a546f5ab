"""Pictures from strangers."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from ltx2_patcher.values.errors import OutsideError
from ltx2_service.boundaries.uploads import Uploads
from ltx2_service.values.job import Picture
from ltx2_service.values.request_faults import BadPicture

MOST = 1_000_000


def encoded(image: Image.Image, format_: str = "PNG", **options: object) -> bytes:
    data = io.BytesIO()
    image.save(data, format_, **options)
    return data.getvalue()


def gradient(mode: str = "RGB") -> Image.Image:
    return Image.linear_gradient("L").resize((48, 32)).convert(mode)


@pytest.fixture
def uploads(tmp_path: Path) -> Uploads:
    return Uploads(tmp_path / "uploads", MOST)


def shown(path: Path) -> Image.Image:
    with Image.open(path) as image:
        image.load()
        return image


def left(tmp_path: Path) -> list[Path]:
    return [*(tmp_path / "uploads").iterdir()] if (tmp_path / "uploads").exists() else []


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_pixels_stay_as_they_are(uploads: Uploads, mode: str) -> None:
    image = gradient("I").convert("I;16") if mode == "I;16" else gradient(mode)
    kept = shown(uploads.keep(encoded(image), param="image"))
    assert (kept.format, kept.size) == ("PNG", image.size)
    assert kept.convert("RGBA").tobytes() == image.convert("RGBA").tobytes()


@pytest.mark.parametrize("format_", ["JPEG", "WEBP"])
def test_other_formats_give_the_pixels_that_decoding_gives(uploads: Uploads, format_: str) -> None:
    data = encoded(gradient(), format_)
    kept = shown(uploads.keep(data, param="image"))
    assert kept.tobytes() == Image.open(io.BytesIO(data)).tobytes()


def test_what_the_scripts_look_at_is_kept_and_nothing_else(uploads: Uploads) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010F] = "a camera's maker"
    data = encoded(gradient(), "JPEG", exif=exif, icc_profile=profile, comment=b"a comment")
    path = uploads.keep(data, param="image")
    kept = shown(path)
    assert dict(kept.getexif()) == {0x0112: 6}
    assert kept.info["icc_profile"] == profile
    assert b"maker" not in path.read_bytes()
    assert b"a comment" not in path.read_bytes()


def test_ink_stays_ink(uploads: Uploads) -> None:
    data = encoded(gradient("CMYK"), "JPEG")
    kept = shown(uploads.keep(data, param="image"))
    assert (kept.mode, kept.format) == ("CMYK", "TIFF")
    assert kept.tobytes() == Image.open(io.BytesIO(data)).tobytes()


def test_a_second_format_in_one_file_is_gone(uploads: Uploads) -> None:
    hidden = b"PK\x03\x04 a zip <script>alert(1)</script> %PDF-1.7"
    path = uploads.keep(encoded(gradient()) + hidden, param="image")
    assert hidden not in path.read_bytes()
    assert path.suffix == ".png"


def bomb(width: int, height: int) -> bytes:
    """A PNG of few bytes with so many pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes((width // 8 + 1) * height) if height < 20_000 else b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(12_000, 12_000), (2**31 - 1, 2**31 - 1), (1, 100), (1001, 1000)])
def test_bombs_are_refused_by_their_head(
    uploads: Uploads, tmp_path: Path, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def decode(self: Image.Image) -> None:
        raise AssertionError(self)

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", decode)
    with pytest.raises(BadPicture, match=f"{size[0]}x{size[1]} pixels|too many pixels"):
        uploads.keep(bomb(*size), param="image")
    assert left(tmp_path) == []


def test_moving_pictures_are_refused(uploads: Uploads) -> None:
    other = gradient().rotate(90)
    for format_ in ("PNG", "WEBP"):
        data = encoded(gradient(), format_, save_all=True, append_images=[other])
        with pytest.raises(BadPicture, match="moves"):
            uploads.keep(data, param="image")
    two = encoded(gradient(), "MPO", save_all=True, append_images=[other])
    assert shown(uploads.keep(two, param="image")).size == (48, 32)


@pytest.mark.parametrize("format_", ["GIF", "BMP", "TIFF", "PPM", "PDF", "EPS", "ICO"])
def test_other_formats_are_refused(uploads: Uploads, format_: str) -> None:
    with pytest.raises(BadPicture, match="no PNG, JPEG or WEBP"):
        uploads.keep(encoded(gradient(), format_), param="image")


@pytest.mark.parametrize("format_", ["PNG", "JPEG", "WEBP"])
def test_cut_pictures_are_refused(uploads: Uploads, tmp_path: Path, format_: str) -> None:
    data = encoded(Image.effect_noise((64, 64), 90).convert("RGB"), format_)
    for part in (0, 1, 8, 30, len(data) // 2, len(data) * 9 // 10):
        with pytest.raises(BadPicture):
            uploads.keep(data[:part], param="image")
    assert left(tmp_path) == []


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.sampled_from(["PNG", "JPEG", "WEBP"]), st.integers(0, 2**16), st.binary(max_size=6))
def test_damage_is_refused_or_harmless(
    uploads: Uploads, format_: str, at: int, damage: bytes
) -> None:
    data = bytearray(encoded(gradient(), format_))
    at %= len(data)
    data[at : at + len(damage)] = damage
    try:
        path = uploads.keep(bytes(data), param="image")
    except BadPicture as error:
        assert error.remedy
    else:
        shown(path)


def test_a_copy_is_a_job_s_own(uploads: Uploads) -> None:
    first = Picture(uploads.keep(encoded(gradient()), param="image"), 8, 0.5)
    second = uploads.copy(first)
    uploads.forget([first, first])
    assert (second.frame, second.strength, second.path.is_file()) == (8, 0.5, True)
    with pytest.raises(BadPicture, match="no longer kept"):
        uploads.copy(first)


def test_a_folder_that_can_t_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutsideError, match="can't be kept"):
        Uploads(tmp_path / "file" / "uploads", MOST).keep(encoded(gradient()), param="image")


def test_each_upload_has_a_name_of_its_own(uploads: Uploads) -> None:
    data = encoded(gradient())
    assert len({uploads.keep(data, param="image") for _ in range(3)}) == 3
