"""The service as `serve` runs it, with its workers, but for the gate and the scripts: a clip's
prompt is what the fake renderer is asked for.
"""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

from ltx2_patcher.values.errors import PatcherError
from ltx2_service.cli import serving
from ltx2_service.cli.serving import serve
from ltx2_service.rules.offer import Offer
from ltx2_service.values.job import Wanted
from ltx2_service.values.judged import Judged
from ltx2_service.values.settings import Model, Settings
from verify.service.serving import RENDERER

_OFFERS = (Offer("fake", "1.2.0", "distilled", "Quick", 64, True, False, True, 768, 512, 25),)


def judge(wanted: Wanted) -> Judged:
    """Any prompt will do."""
    return Judged(
        argv=tuple(shlex.split(wanted.prompt)),
        seed=wanted.seed or 0,
        width=wanted.width or 768,
        height=wanted.height or 512,
        num_frames=wanted.num_frames or 25,
        frame_rate=wanted.frame_rate or 25.0,
        series="series",
        renderer=RENDERER,
        module="fake",
    )


def settings_in(folder: Path, *, port: int = 0, drain_s: float = 20.0) -> Settings:
    """One model, and one worker."""
    return Settings(
        models=(Model("fake", "1.2.0", "distilled", {}),),
        state=folder / "state",
        clips=folder / "clips",
        port=port,
        gpus=(0,),
        drain_s=drain_s,
    )


def main(folder: Path, port: int, drain_s: float) -> int:
    """As ltx2_service.cli.main ends, but that workers which do not end get less time to."""
    serving._WORKERS_S = 1
    try:
        return serve(settings_in(folder, port=port, drain_s=drain_s), judge, _OFFERS)
    except PatcherError as error:
        print(f"ltx2-service: {error}\n  to do: {error.remedy}", file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
