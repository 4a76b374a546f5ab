"""A folder that is there whole or not at all."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ltx2_patcher.values.errors import OutsideError, UsageError


def require_vacant(out: Path) -> None:
    """Return if `out` is free to be made. Raises: UsageError (it holds something)."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} exists and is not empty", remedy="name a new or an empty folder")


def require_space(out: Path, nbytes: int) -> None:
    """Return if the disk that `out` is to lie on has room for `nbytes`.

    Raises: OutsideError (it has not).
    """
    disk = next(folder for folder in (out, *out.parents) if folder.exists())
    free = shutil.disk_usage(disk).free
    if nbytes >= free:
        raise OutsideError(
            f"{disk} has {_amount(free)} free and what is to lie there takes {_amount(nbytes)}",
            remedy="free some space, name a folder on another disk, or ask for less with --only",
        )


@contextmanager
def staged(out: Path) -> Iterator[Path]:
    """A folder beside `out` that takes its place when the block ends well, else disappears.

    Raises: UsageError (`out` holds something), OutsideError (space, permissions).
    """
    require_vacant(out)
    staging = out.with_name(f".{out.name}.{os.getpid()}.partial")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        staging.mkdir()
        yield staging
        staging.rename(out)
    except OSError as error:
        raise OutsideError(
            f"{out} could not be made: {error.strerror or error}",
            remedy="free some space, or name a folder that you may write to",
        ) from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _amount(nbytes: int) -> str:
    return f"{nbytes / 2**30:.1f} GiB" if nbytes >= 2**30 else f"{(nbytes >> 20) + 1} MiB"
