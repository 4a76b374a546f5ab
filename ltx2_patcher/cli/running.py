"""Verbs that prepare a machine and run the patched scripts: install, run, doctor, inspect."""

from __future__ import annotations

import os
import sys

from ltx2_patcher.cli.patching import DEFAULT_BASE
from ltx2_patcher.cli.report import add_json, path, show, store

TYPE_CHECKING = False  # as in report.py
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace, _SubParsersAction
    from collections.abc import Iterator

    from ltx2_patcher.values.base import Base
    from ltx2_patcher.values.weights import Weights


def register(verbs: _SubParsersAction[ArgumentParser]) -> None:
    """Add the verbs; their jobs are imported when one is called."""
    install = verbs.add_parser("install", help="make an environment for the patched scripts")
    _base(install)
    _python(install, "complete this environment instead of making one")
    install.add_argument("--dry-run", action="store_true", help="say what it would install")
    add_json(install)
    install.set_defaults(verb=_install)

    run = verbs.add_parser(
        "run",
        help="run a patched script; without a name, list them",
        usage="%(prog)s [-h] [--base BASE] [--python PYTHON] [--gpu N] [--json] "
        "[--dry-run] [NAME [-- ARGS...]]",
    )
    run.add_argument("name", nargs="?", metavar="NAME", help="which script, for example distilled")
    _base(run)
    _python(run, "run in this environment (default: the one that install made)")
    _gpu(run)
    run.add_argument("--dry-run", action="store_true", help="check, and say what would be run")
    add_json(run)
    run.set_defaults(verb=_run, passed_on=())

    doctor = verbs.add_parser("doctor", help="look over machine, environment and weights")
    _base(doctor)
    _python(doctor, "look at this environment (default: the one that install made)")
    _gpu(doctor)
    doctor.add_argument(
        "--checkpoint", type=path, metavar="FILE", help="an LTX-2 checkpoint, or its transformer"
    )
    doctor.add_argument(
        "--gemma-root", type=path, metavar="ROOT", help="a Gemma text encoder, folder or file"
    )
    add_json(doctor)
    doctor.set_defaults(verb=_doctor)

    inspect = verbs.add_parser("inspect", help="tell what a weight file or Gemma root is")
    inspect.add_argument("path", type=path, metavar="FILE_OR_ROOT")
    _base(inspect)
    add_json(inspect)
    inspect.set_defaults(verb=_inspect)


def _base(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--base", default=DEFAULT_BASE, help="which upstream (default: %(default)s)"
    )


def _python(parser: ArgumentParser, what: str) -> None:
    parser.add_argument("--python", type=path, metavar="PYTHON", help=what)


def _gpu(parser: ArgumentParser) -> None:
    parser.add_argument("--gpu", type=int, metavar="N", help="which card, by nvidia-smi's index")


def _install(args: Namespace) -> int:
    from ltx2_patcher.jobs.launch.install import install_environment, join_environment

    def progress(line: str) -> None:
        print(f"  {line}", file=sys.stderr, flush=True)

    data = store()
    base = data.base(args.base)
    if args.python:
        done = join_environment(base, args.python, progress, dry_run=args.dry_run)
    else:
        done = install_environment(data, base, progress, dry_run=args.dry_run)
    if not done.added:
        lines = [f"nothing to do: {done.python} has what base {done.base} needs"]
    elif done.dry_run:
        lines = [f"would install {', '.join(done.added)}"]
    else:
        lines = [
            f"installed {', '.join(done.added)}",
            f"{done.python} has torch for {'CPU' if done.torch == 'cpu' else f'CUDA {done.torch}'}",
            "next: ltx2-patcher doctor",
        ]
    show(args, done, lines)
    return 0


def _run(args: Namespace) -> int:
    from ltx2_patcher.boundaries.proc import become
    from ltx2_patcher.jobs.launch.pipelines import pipelines_in
    from ltx2_patcher.jobs.launch.script import find_script
    from ltx2_patcher.jobs.models.gate import admit
    from ltx2_patcher.jobs.series.obtain import checkout_path
    from ltx2_patcher.rules.models.request import parse_argv

    data = store()
    base = data.base(args.base)
    if args.name is not None:
        script = find_script(data, base, args.name, python=args.python, gpu=args.gpu)
        if {"--help", "-h"} & set(args.passed_on):
            launch = script.started_with(args.passed_on, os.environ)
        else:
            request = parse_argv(script.target.pipeline, args.passed_on)
            launch = script.launch(admit(request, script.target).request, os.environ)
        if not args.dry_run:
            become(launch.argv, launch.variables)
        from shlex import join

        show(args, {"argv": launch.argv}, [join(launch.argv)])
        return 0
    found = pipelines_in(checkout_path(data, base))
    width = max(len(pipeline.name) for pipeline in found)
    listed = [{"name": p.name, "summary": p.summary, "divisor": p.divisor} for p in found]
    show(args, listed, (f"{p.name:{width}}  {p.summary}" for p in found))
    return 0


def _doctor(args: Namespace) -> int:
    from ltx2_patcher.jobs.launch.doctor import Subject, examine
    from ltx2_patcher.values.errors import OutsideError
    from ltx2_patcher.values.finding import Level

    data = store()
    subject = Subject(
        base=data.base(args.base),
        python=args.python,
        gpu=args.gpu,
        checkpoint=args.checkpoint,
        gemma_root=args.gemma_root,
    )
    findings = tuple(examine(data, subject))
    if args.json:
        show(args, findings, ())
    else:
        from ltx2_patcher.cli.findings_table import show_findings

        show_findings(findings)
    failed = any(finding.level is Level.FAILURE for finding in findings)
    return OutsideError.exit_code if failed else 0


def _inspect(args: Namespace) -> int:
    from ltx2_patcher.jobs.models.inspect import inspect

    found = inspect(args.path)
    show(args, found, _described(found, store().base(args.base), str(args.path)))
    return 0


def _described(found: Weights, base: Base, origin: str) -> Iterator[str]:
    from ltx2_patcher.rules.models.abilities import stated
    from ltx2_patcher.rules.models.pairing import refusal_of
    from ltx2_patcher.rules.size import in_words
    from ltx2_patcher.values.weights import Checkpoint, GemmaRoot, Lora, ModelPart, Upsampler

    size = in_words(found.bytes)
    match found:
        case Checkpoint():
            name = f"{found.name} checkpoint" if found.whole else f"transformer of {found.name}"
            yield f"{name}, {found.precision}, {size}"
        case GemmaRoot():
            how = f"{found.quantization}: {found.detail}" if found.quantization else found.detail
            files = "one file" if found.packed else f"{found.shards} shards"
            yield f"{found.name}, {how}, {size} in {files}"
        case ModelPart():
            yield f"{found.name}, {size}"
        case Lora():
            yield f"LoRA of rank {found.rank} on {found.modules} modules, {size}"
        case Upsampler():
            of = f" of {found.generation}" if found.generation else ""
            yield f"latent upsampler {found.scale}{of}, {size}"
        case _:
            yield f"nothing that a pipeline takes by itself, {size}"
    for part in found.components:
        dtypes = ", ".join(f"{dtype} {count}" for dtype, count in part.dtypes.items())
        yield f"  {part.name:<21} {part.tensors:>5} tensors {in_words(part.bytes):>10}  {dtypes}"
    if isinstance(found, Checkpoint | GemmaRoot | ModelPart):
        yield from (f"  missing  {name}" for name in found.missing[:_SHOWN])
        if len(found.missing) > _SHOWN:
            yield f"  missing  and {len(found.missing) - _SHOWN} more (--json has them all)"
        if error := refusal_of(found, stated(base), tuple(map(stated, store().bases())), origin):
            yield f"base {base.name} can't load it: {error}"
            yield f"  to do: {error.remedy}"
        else:
            yield f"complete, as base {base.name} expects it"


_SHOWN = 12
