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
