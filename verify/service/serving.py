"""The service as `python -m ltx2_service run` has it, on a machine that lacks cards or models.

    python -m verify.service.serving --config FILE [--fake]

What serve.toml says of cards is taken as it stands: without a driver each is a worker on the CPU.
With --fake requests pass the gate as ever, and fake_child.py makes what their prompts ask for.
"""

from __future__ import annotations

import argparse
import logging
import os
import shlex
import sys
from dataclasses import replace
from pathlib import Path

from ltx2_patcher.values.errors import PatcherError
from ltx2_service.boundaries.serve_file import read_settings
from ltx2_service.cli.main import TREE
from ltx2_service.cli.serving import serve
from ltx2_service.jobs.judging import Judging
from ltx2_service.values.assignment import Renderer
from ltx2_service.values.job import Wanted
from ltx2_service.values.judged import Judge, Judged
from verify.service import fake_child

RENDERER = Renderer("1.2.0", "series", (sys.executable, fake_child.__file__), dict(os.environ))


def with_fake_renderer(judge: Judge) -> Judge:
    """What `judge` says, made by the fake renderer: a clip's prompt is what that is asked for."""

    def judged(wanted: Wanted) -> Judged:
        argv = tuple(shlex.split(wanted.prompt))
        return replace(judge(wanted), argv=argv, renderer=RENDERER, module="fake")

    return judged


def main() -> int:
    """As ltx2_service.cli.main ends."""
    parser = argparse.ArgumentParser(prog="python -m verify.service.serving")
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--fake", action="store_true")
    args = parser.parse_args()
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s", level="INFO")
    logging.getLogger("uvicorn").setLevel("WARNING")
    try:
        settings = read_settings(args.config, TREE)
        judge = Judging(settings)
        return serve(settings, with_fake_renderer(judge) if args.fake else judge)
    except PatcherError as error:
        print(f"ltx2-service: {error}\n  to do: {error.remedy}", file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
