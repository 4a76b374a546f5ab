"""The places that a request names: each file is there, and its clip can be written."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryFile

from ltx2_patcher.boundaries import disk
from ltx2_patcher.jobs.models.inspect import described
from ltx2_patcher.jobs.models.looked import Looked
from ltx2_patcher.rules.models.options import FRAME_FOLDERS, LORAS, SUFFIXES
from ltx2_patcher.rules.models.pairing import UPSAMPLERS
from ltx2_patcher.rules.models.pipelines import Pipeline
from ltx2_patcher.values.errors import UsageError
from ltx2_patcher.values.request import Request
from ltx2_patcher.values.weights import Lora, Upsampler


def at_home(request: Request) -> Request:
    """The request with each "~" the folder that it stands for: not every script takes it so."""

    def there(path: Path | None) -> Path | None:
        return None if path is None else _path(path)

    return replace(
        request,
        output=there(request.output),
        checkpoint=there(request.checkpoint),
        gemma_root=there(request.gemma_root),
        enhancer_root=there(request.enhancer_root),
        weights_folder=there(request.weights_folder),
        calibration=there(request.calibration),
        parts={option: _path(path) for option, path in request.parts.items()},
        files=tuple(replace(file, path=_path(file.path)) for file in request.files),
    )


def _path(path: Path | str) -> Path:
    return disk.expanded(str(path))


def make_output_folder(request: Request) -> None:
    """Make the folder of an admitted request's clip, as upstream does from 2026-08-11 on; a file
    can be written there.

    Raises: OutsideError where that fails.
    """
    if request.output is not None:
        folder = request.output.parent
        with disk.translated(folder):
            folder.mkdir(parents=True, exist_ok=True)
            TemporaryFile(dir=folder).close()  # of some places no access rights tell


def check_places(request: Request, pipeline: Pipeline, looked: Looked) -> None:
    """Each file is there and of its option's kind, and the clip has a place."""
    # Upstream opens the clip's file only once it is rendered.
    if request.output is not None:
        _check_output(request.output, pipeline)
    named = [(file.option, file.path) for file in request.files]
    if request.calibration is not None:
        named.append(("--quantization", request.calibration))
    for option, path in named:
        with disk.translated(path, reading=True):
            frames = option in FRAME_FOLDERS and "--hdr" in pipeline.options and path.is_dir()
            if not path.is_file() and not frames:
                raise UsageError(f"{option}: there is no file {path}", remedy="check the path")
        _check_kind(option, path, looked)
        if request.output is not None and _is_same(request.output, path):
            raise UsageError(
                f"--output-path: {path} is what {option} names too, and the clip would take its "
                "place",
                remedy="choose another place for the clip",
            )


def _is_same(output: Path, path: Path) -> bool:
    """Whether both are one file, by whatever names and links."""
    with disk.translated(output):
        place = output.resolve()  # as upstream names it
        return place.exists() and place.samefile(path)


def _check_output(path: Path, pipeline: Pipeline) -> None:
    """A file with a suffix that tells its format, in a folder that is there or can be made."""
    with disk.translated(path):
        if path.is_dir():
            raise UsageError(
                f"--output-path: {path} is a folder",
                remedy=f"give a file in it: {path / 'clip.mp4'}",
            )
        if path.is_symlink() and not path.exists():
            raise UsageError(
                f"--output-path: {path} is a link that leads nowhere",
                remedy="remove it, or choose another place for the clip",
            )
        if path.exists() and not (path.is_file() and os.access(path, os.W_OK)):
            raise UsageError(
                f"--output-path: {path} is no file that you can write to",
                remedy="choose another place for the clip",
            )
        taken = SUFFIXES[pipeline.makes]
        if taken and path.suffix.lower() not in taken:
            suffix = f"ends in {path.suffix}" if path.suffix else "has no suffix"
            raise UsageError(
                f"--output-path: {path} {suffix}, and upstream tells the format by it",
                remedy=f"let it end in {taken[0]}",
            )
        folder = next(above for above in path.absolute().parents if above.exists())
        if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
            raise UsageError(
                f"--output-path: {folder} is no folder that you can write to",
                remedy="choose another place for the clip",
            )


def _check_kind(option: str, path: Path, looked: Looked) -> None:
    wanted = _KINDS.get(option)
    if path.suffix not in {".safetensors", ".gguf"} or wanted is None:
        return
    weights = looked.weights(path)
    if not isinstance(weights, wanted):
        raise UsageError(
            f"{option}: {path} is {described(weights)}", remedy="check which file goes where"
        )


_KINDS = {
    **dict.fromkeys(LORAS, Lora),
    **dict.fromkeys(UPSAMPLERS, Upsampler),
}
