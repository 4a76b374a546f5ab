"""Files in whole: read by content id, replaced by rename, locked against a second run."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from ltx2_patcher.boundaries.refusals import refusal
from ltx2_patcher.rules.series.blobs import blob_id
from ltx2_patcher.values.errors import BusyError, ConflictError, OutsideError


def blob_ids(root: Path, paths: Iterable[str]) -> dict[str, str | None]:
    """The blob id of each file below `root`; None where there is no file.

    Raises: ConflictError where something other than a plain file stands there.
    """
    return {path: None if (data := read(root / path)) is None else blob_id(data) for path in paths}


def read(path: Path) -> bytes | None:
    """The bytes of a plain file; None where nothing stands there.

    Raises: ConflictError for a link, folder or device; OutsideError where it can't be read.
    """
    with translated(path, reading=True):
        try:
            # O_NOFOLLOW: what is replaced later must be the file that was read, not a link to it.
            # O_NONBLOCK: opening a pipe would wait for someone to write into it.
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
            with os.fdopen(os.open(path, flags), "rb") as file:
                if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                    raise _not_a_file(path)
                return file.read()
        except (FileNotFoundError, NotADirectoryError):
            return None


def below(root: Path) -> Iterator[Path]:
    """All that lies below a folder, links not followed; nothing where there is no folder.

    Raises: OutsideError where a folder can't be read, which `rglob` would pass by.
    """

    def refuse(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError | NotADirectoryError):
            raise error

    with translated(root, reading=True):
        for folder, folders, files in os.walk(root, onerror=refuse):
            yield from (Path(folder, name) for name in (*folders, *files))


def require_readable(root: Path, paths: Iterable[str]) -> None:
    """Each path can be looked at, whether something lies there or not. Raises: OutsideError."""
    for path in paths:
        absent = contextlib.suppress(FileNotFoundError, NotADirectoryError)
        with translated(root / path, reading=True), absent:
            (root / path).lstat()


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder of our own, gone afterwards. Raises: OutsideError where there is no room for it."""
    try:
        folder = tempfile.TemporaryDirectory()
    except OSError as error:
        raise OutsideError(
            "there is no folder in which temporary files can be written",
            remedy="free some space in /tmp, or name another folder with TMPDIR",
        ) from error
    with folder as name:
        yield Path(name)


def expanded(name: str) -> Path:
    """The path that a person names; a "~" of which the home is not known stays as it is."""
    try:
        return Path(name).expanduser()
    except RuntimeError:
        return Path(name)


def has_crlf_of(path: Path, blob: str) -> bool:
    """Whether a file is the content `blob` but for CRLF line ends."""
    data = read(path)
    return data is not None and b"\r\n" in data and blob_id(data.replace(b"\r\n", b"\n")) == blob


def require_replaceable(root: Path, paths: Iterable[str]) -> None:
    """Every path can be replaced, and lies below `root` without a link on the way.

    Raises: ConflictError for a link, OutsideError where a folder can't be written. Nothing is half
    done then, since nothing was begun.
    """
    for folder in {parent for path in paths for parent in Path(path).parents}:
        place = root / folder
        if place != root and place.is_symlink():
            raise ConflictError(
                f"{place} is a link", remedy=f"put the folder itself there, below {root}"
            )
        with translated(place):
            if place.exists() and not os.access(place, os.W_OK | os.X_OK):
                raise PermissionError(errno.EACCES, "not writable", str(place))


def replace(path: Path, content: bytes, *, durable: bool = False) -> None:
    """Put `content` at `path` in one step, keeping the mode of what stood there.

    The new file takes the place by rename: a hard link (installers share files with their caches)
    is left, not written through. The temporary name is fixed, so that the run that finishes a
    killed one overwrites what it left. With `durable` the bytes are on the disk before they take
    the place, and the place is on the disk when this returns, so that a power cut can't leave a
    torn file; like git, we ask that of records, not of a working tree.
    """
    partial = path.with_name(f".{path.name}.ltx2-patcher")
    with translated(path):
        _make_folder(path.parent)
        try:
            with partial.open("wb") as file:
                file.write(content)
                if durable:
                    file.flush()
                    os.fsync(file.fileno())
            try:
                mode = stat.S_IMODE(path.stat().st_mode)
            except FileNotFoundError:  # as readable as its folder, whatever the umask
                mode = stat.S_IMODE(path.parent.stat().st_mode) & 0o666
            partial.chmod(mode)
            partial.replace(path)
        except OSError:  # a full disk is not made fuller
            with contextlib.suppress(OSError):
                partial.unlink(missing_ok=True)
            raise
        if durable:
            _flush(path.parent)
        if path.suffix == ".py":
            _drop_unchecked(path)


def remove(path: Path, *, below: Path) -> None:
    """Remove a file, its compiled form, and the folders up to `below` that this empties."""
    with translated(path):
        path.unlink(missing_ok=True)
        cache = path.parent / "__pycache__"
        for compiled in cache.glob(f"{path.stem}.*.pyc"):
            compiled.unlink(missing_ok=True)
        for folder in (cache, *path.parents):
            if folder == below:
                break
            try:
                folder.rmdir()
            except FileNotFoundError:
                continue
            except OSError as error:
                if error.errno in {errno.ENOTEMPTY, errno.EEXIST}:
                    if folder == cache:
                        continue
                    break
                raise


@contextlib.contextmanager
def locked(path: Path, *, wait_s: float = 10.0) -> Iterator[None]:
    """Hold `path` as a lock between processes; the system drops it when the holder dies.

    The file goes away with the lock, so that nothing is left behind.

    Raises: BusyError where another run holds it for longer than `wait_s`.
    """
    deadline = time.monotonic() + wait_s
    while True:
        with translated(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(file, path):  # else its last holder took it away meanwhile
                break
        except BlockingIOError as error:
            if time.monotonic() > deadline:
                os.close(file)
                raise BusyError(
                    f"another ltx2-patcher works on {path.parent}",
                    remedy="wait for it to end and run the command again",
                ) from error
            time.sleep(0.05)
        os.close(file)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(file)


@contextlib.contextmanager
def translated(path: Path, *, reading: bool = False) -> Iterator[None]:
    """Turn the operating system's refusals at `path` into ours, below it where it is only read."""
    try:
        yield
    except OSError as error:
        named = isinstance(error.filename, str | bytes)  # else it is an open file's number, or none
        place = Path(os.fsdecode(error.filename)) if reading and named else path
        if error.errno in {errno.ELOOP, errno.EISDIR}:
            raise _not_a_file(place) from error
        if known := refusal(error.errno, place, reading=reading):
            raise known from error
        raise OutsideError(
            f"{place} can't be used: {error.strerror}", remedy="check that path, then try again"
        ) from error


def _flush(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _make_folder(folder: Path) -> None:
    """Make `folder` with the mode of the one above it, whatever the umask."""
    if not folder.is_dir():
        _make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        folder.chmod(stat.S_IMODE(folder.parent.stat().st_mode))


def _drop_unchecked(path: Path) -> None:
    """Remove a compiled form that Python would use without looking at the source.

    Flags 1 in bytes 4 to 8: hash-based, not checked (PEP 552). Any other kind notices by itself.
    """
    for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"):
        if compiled.read_bytes()[4:8] == b"\x01\0\0\0":
            compiled.unlink()


def _is_at(file: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except FileNotFoundError:
        return False


def _not_a_file(path: Path) -> ConflictError:
    return ConflictError(
        f"{path} is not a plain file", remedy="move away what stands there and try again"
    )
