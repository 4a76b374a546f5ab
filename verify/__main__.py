"""Prove a patched tree on this machine: `python -m verify --tree DIR`.

Makes a tiny random file set of the true architecture and runs the three main scripts with a
quantized Gemma. It shows that everything is in place and works together; what a clip looks like,
and what a full-size model needs, only real weights show.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from ltx2_patcher.values.errors import InvalidError, PatcherError
from verify.cases import FPS, FRAMES, HEIGHT, SCRIPTS, WIDTH, Case, Gemma, Mode, command_line
from verify.clips.decoding import faults, read_clip
from verify.pipelines import Pipelines, core_of
from verify.synthetic.abilities import layouts, variants
from verify.synthetic.files import FileSet


def main(argv: Sequence[str] | None = None) -> int:
    """Return 0 where every script wrote a whole clip, else an error class's code."""
    parser = argparse.ArgumentParser(prog="python -m verify", description=__doc__.split("\n")[0])
    parser.add_argument("--tree", type=Path, required=True, help="a patched checkout of upstream")
    args = parser.parse_args(argv)
    try:
        with tempfile.TemporaryDirectory() as folder, Pipelines(args.tree.absolute()) as pipelines:
            _prove(pipelines, Path(folder))
    except PatcherError as error:
        print(f"verify: {error}\n  to do: {error.remedy}", file=sys.stderr)
        return error.exit_code
    print("proved with tiny random weights; the looks and the memory of real ones are not")
    return 0


def _prove(pipelines: Pipelines, folder: Path) -> None:
    core = core_of(pipelines.tree)
    variant, layout = variants(core)[-1].value, layouts(core)[-1]  # the newest
    files = FileSet(folder / "files", layout)
    arguments = [str(files.root), "--variant", variant, "--layout", layout.value]
    _must(pipelines, "verify.synthetic.__main__", arguments)
    for script, gemma in zip(
        SCRIPTS, (Gemma.FLAG_4BIT, Gemma.FLAG_8BIT, Gemma.FLAG_4BIT), strict=True
    ):
        case = Case(script, Mode.T2V, gemma, variant, layout=layout)
        out = folder / f"{script}.mp4"
        start = time.monotonic()
        argv = command_line(case, files, files.text_encoder, None, out, tree=pipelines.tree)
        _must(pipelines, case.module, argv)
        clip = read_clip(out)
        if wrong := faults(clip, frames=FRAMES, width=WIDTH, height=HEIGHT, fps=FPS):
            raise InvalidError(f"{script} wrote a clip with {', '.join(wrong)}", remedy=_REMEDY)
        print(
            f"  {script:<24} gemma {gemma.value:<5} {time.monotonic() - start:5.1f} s, a whole clip"
        )


_REMEDY = "patch a fresh checkout (`make patch`) and its environment (`make install`), then again"


def _must(pipelines: Pipelines, module: str, argv: list[str]) -> None:
    done = pipelines.run(module, argv)
    if done.code:
        said = done.err.strip().splitlines() or ["nothing"]
        raise InvalidError(f"{module} ended with {done.code}: {said[-1]}", remedy=_REMEDY)


if __name__ == "__main__":
    sys.exit(main())
