"""Prove a patched tree on this machine: `python -m verify --tree DIR`.

With weights named it records the reference clips of them; without, it makes a tiny random file set
of the true architecture, which takes under three minutes on a CPU. Flags off must be unpatched
upstream, byte for byte, each Gemma flag must stay within its bounds of bf16, and what a run takes
of the card and the host within verify/limits.toml. The last line says what was proved. What a clip
looks like, and what a full-size model needs, only real weights show.
"""

from __future__ import annotations

import argparse
import contextlib
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from ltx2_patcher.values.errors import InvalidError
from verify import command
from verify.clips.models import Models, WeightsKind, examine, of_files
from verify.clips.options import add_weights, weights_of
from verify.clips.prove import Proof, prove
from verify.clips.report import write_report
from verify.clips.vram_report import read_vram_report
from verify.measure import Reported, keep_baseline, measure_all, requests_of
from verify.synthetic.abilities import layouts, variants
from verify.synthetic.files import FileSet
from verify.synthetic.staging import require_vacant
from verify.upstream.process import Pipelines
from verify.upstream.tree import core_of

OUT_OF_BOUNDS = 1
_PROVED: dict[WeightsKind, str] = {
    "tiny": "proved with tiny random weights; the looks and the memory of real ones are not",
    "random": "proved with random weights of the true size; the looks of real ones are not",
    "real": "proved with real weights",
}


def run(args: argparse.Namespace) -> int:
    """0 where all holds, 1 where clips or memory are out of bounds."""
    tree, extra = args.tree.absolute(), args.passed_on
    with contextlib.ExitStack() as stack:
        if args.out is None:
            out = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        else:
            out = args.out.absolute()
            require_vacant(out)
        models = weights_of(args) or stack.enter_context(_tiny(tree))
        out.mkdir(parents=True, exist_ok=True)
        # Before clips are recorded, which takes minutes: what can be told without a model.
        wanted = requests_of(tree, models, examine(models, tree, extra), out, extra)
        proof = prove(tree, models, out, lambda line: print(f"  {line}"), extra=extra)
        measured = measure_all(wanted, out)
        if args.html is not None:
            vram = [read_vram_report(one.path) for one in measured]
            write_report(args.html, proof.recordings[0], proof.recordings[1:], vram)
        if proof.weights == "real" and (baseline := keep_baseline(measured)):
            print(f"what it took of this card is kept in {baseline}: send it to us")
    return _tell(proof, measured, args.html)


def _tell(proof: Proof, measured: list[Reported], html: Path | None) -> int:
    for one in measured:
        measurement = one.measurement
        mark = "ok " if measurement.verdict.passed else "OUT"
        print(f"{mark} {measurement.ready.task.script}: {measurement.verdict.text}")
    for verdict in proof.verdicts:
        print(f"{'ok ' if verdict.passed else 'OUT'} {verdict.text}")
    if proof.unproved:
        print(f"not proved: {proof.unproved}")
    if html is not None:
        print(f"the clips side by side: {html}")
    if not (proof.passed and all(one.measurement.verdict.passed for one in measured)):
        print("not proved: see the lines marked OUT")
        return OUT_OF_BOUNDS
    print(f"{_PROVED[proof.weights]}; on {proof.recordings[0].manifest.machine}")
    return 0


@contextlib.contextmanager
def _tiny(tree: Path) -> Iterator[Models]:
    """A tiny file set of the newest variant and layout that the tree loads."""
    core = core_of(tree)
    variant, layout = variants(core)[-1], layouts(core)[-1]
    with tempfile.TemporaryDirectory() as name:
        files = FileSet(Path(name) / "files", layout)
        arguments = [str(files.root), "--variant", variant.value, "--layout", layout.value]
        with Pipelines(tree) as pipelines:
            done = pipelines.run("verify.synthetic.__main__", arguments)
        if done.code:
            raise InvalidError(
                f"verify.synthetic ended with {done.code}: {done.last_line}",
                remedy="patch a fresh checkout (`make patch`) and its environment (`make install`)"
                ", then again",
            )
        yield of_files(files)


def parser() -> argparse.ArgumentParser:
    """What is typed."""
    parser = argparse.ArgumentParser(
        prog="python -m verify",
        description="Prove a patched tree on this machine.",
        epilog="What stands behind -- goes to every script: -- --quantization fp8-cast",
    )
    parser.set_defaults(passed_on=())
    parser.add_argument("--tree", type=Path, required=True, help="a patched checkout of upstream")
    parser.add_argument("--out", type=Path, metavar="DIR", help="keep the recordings here")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write one page of them")
    add_weights(parser)
    return parser


main = partial(command.main, parser, run)

if __name__ == "__main__":
    raise SystemExit(main())
