"""Pictures from strangers: judged by their head, decoded once, and kept as plain files."""

from __future__ import annotations

import io
import os
import uuid
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from ltx2_patcher.values.errors import OutsideError
from ltx2_service.values.job import Picture
from ltx2_service.values.request_faults import BadPicture

_FORMATS = ("PNG", "JPEG", "WEBP")
_LEAST = 2  # pixels a side: upstream halves nothing smaller for its video codec
_ORIENTATION = 0x0112  # EXIF's tag, which the scripts turn a picture by
_AS_PNG = {"1", "L", "LA", "P", "RGB", "RGBA", "I;16"}


class Uploads:
    """The folder of pictures that jobs have of their own."""

    def __init__(self, folder: Path, most_pixels: int) -> None:
        self._folder = folder
        self._most_pixels = most_pixels

    def keep(self, data: bytes, *, param: str) -> Path:
        """Write a picture's pixels to a file of its own, which alone is read from then on.

        What else the bytes held (a second format, programs, places, a thumbnail) is gone; what the
        scripts look at (its turn, its colours' profile, its transparency) is kept.

        Raises: BadPicture, OutsideError.
        """
        picture = self._decoded(data, param)
        as_tiff = picture.mode not in _AS_PNG  # CMYK, which PNG can't hold
        path = self._folder / f"{uuid.uuid4().hex}.{'tiff' if as_tiff else 'png'}"
        with self._writing(path) as file:
            self._write(picture, file, "TIFF" if as_tiff else "PNG")
        return path

    def copy(self, picture: Picture) -> Picture:
        """A copy of a kept picture, for another job. Raises: BadPicture, OutsideError."""
        path = self._folder / f"{uuid.uuid4().hex}{picture.path.suffix}"
        try:
            data = picture.path.read_bytes()
        except FileNotFoundError as error:
            raise BadPicture(
                "The clip's pictures are no longer kept.",
                remedy="Ask for a new clip with them.",
            ) from error
        with self._writing(path) as file:
            file.write(data)
        return Picture(path, picture.frame, picture.strength)

    def forget(self, pictures: Iterable[Picture]) -> None:
        """Remove pictures that no job has."""
        for picture in pictures:
            picture.path.unlink(missing_ok=True)

    @contextmanager
    def _writing(self, path: Path) -> Iterator[io.BufferedWriter]:
        """A new file, which is on the disk afterwards or not there. Raises: OutsideError."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with path.open("xb") as file:
                try:
                    yield file
                    file.flush()
                    os.fsync(file.fileno())
                except BaseException:
                    path.unlink()
                    raise
        except OSError as error:
            raise OutsideError(
                f"A picture can't be kept in {self._folder}: {error.strerror}",
                remedy="See to its disk and permissions",
            ) from error

    def _decoded(self, data: bytes, param: str) -> Image.Image:
        """The picture that bytes hold. Raises: BadPicture."""
        with warnings.catch_warnings():
            # Ours is the limit that counts; Pillow only warns, and at another number.
            warnings.simplefilter("ignore")
            try:
                picture = Image.open(io.BytesIO(data), formats=_FORMATS)
                self._refuse_by_head(picture, param)
                picture.load()
            except BadPicture:
                raise
            except Image.DecompressionBombError as error:  # Pillow's own limit, where it is lower
                raise _bad("has too many pixels", "Send a smaller one", param) from error
            except UnidentifiedImageError as error:
                raise _bad("is no PNG, JPEG or WEBP", "Send one of these", param) from error
            except Exception as error:  # whatever a decoder throws at a broken file
                raise _bad("can't be decoded", "Save it anew as a PNG", param) from error
        return picture

    def _refuse_by_head(self, picture: Image.Image, param: str) -> None:
        """Before anything is decoded: 20 kB can unfold to gigabytes. Raises: BadPicture."""
        width, height = picture.size
        if not (min(width, height) >= _LEAST and width * height <= self._most_pixels):
            remedy = f"Send one of {_LEAST}x{_LEAST} to {self._most_pixels} pixels"
            raise _bad(f"has {width}x{height} pixels", remedy, param)
        # A phone's JPEG may bring a second picture (MPO): its first is the one that is meant.
        if getattr(picture, "n_frames", 1) > 1 and picture.format != "MPO":
            raise _bad("moves", "Send one that stands still", param)

    @staticmethod
    def _write(picture: Image.Image, file: io.BufferedWriter, format_: str) -> None:
        exif = Image.Exif()
        if (turn := picture.getexif().get(_ORIENTATION)) in range(1, 9):
            exif[_ORIENTATION] = turn
        kept = {
            name: picture.info[name]
            for name in ("icc_profile", "transparency")
            if picture.info.get(name) is not None
        }
        picture.info = {}
        fast = {"compress_level": 1} if format_ == "PNG" else {}
        picture.save(file, format_, exif=exif, **kept, **fast)


def _bad(what: str, remedy: str, param: str) -> BadPicture:
    return BadPicture(f"The picture {what}.", remedy=remedy, param=param)
