"""A renderer without models: the protocol of ltx_pipelines.parked.child, and clips of a few bytes.

`python fake_child.py`. What a request does is said by its argv, in this order:

    --steps N --step-s S      so many steps, each so long
    --through MODEL...        hands out these models, and an LTXModel without it
    --hold                    waits at the last of them for a cancel
    --hang                    no step and no end, and deaf to a cancel
    --until FILE              goes on after the first step once that file is there
    --die SIGNAL              ended by that signal after the steps
    --kill-worker             ends so the process that started it, after the steps
    --fail TEXT               fails with that word after the steps
    --silent                  ends as it should, without a clip
    --output-path PATH        the clip, which is --clip TEXT, or with --times when it was begun and
                              done, in seconds since 1970

It imports nothing of the project, as upstream's child does not.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import signal
import sys
import threading
import time
from pathlib import Path


def say(event: str, **parts: object) -> None:
    """Tell an event."""
    print(json.dumps({"event": event, **parts}), flush=True)


def make(name: str, argv: list[str], latents: str | None, cancelled: set[str]) -> None:
    """Do a request; those in `cancelled` end at their next step."""
    began_s = time.time()
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--step-s", type=float, default=0.0)
    parser.add_argument("--through", nargs="+", default=["LTXModel"])
    parser.add_argument("--hold", action="store_true")
    parser.add_argument("--hang", action="store_true")
    parser.add_argument("--until", type=Path)
    parser.add_argument("--die", type=int)
    parser.add_argument("--kill-worker", action="store_true")
    parser.add_argument("--fail")
    parser.add_argument("--silent", action="store_true")
    parser.add_argument("--clip", default="clip")
    parser.add_argument("--times", action="store_true")
    parser.add_argument("--output-path", type=Path, required=True)
    args = parser.parse_args(argv)
    say("begun", id=name)
    for model in args.through:
        say("model", id=name, model=model)
    while args.hold and name not in cancelled:
        time.sleep(0.01)
    while args.hang:
        time.sleep(0.05)
    for step in range(1, args.steps + 1):
        time.sleep(args.step_s)
        while step > 1 and args.until and not args.until.exists() and name not in cancelled:
            time.sleep(0.01)
        if name in cancelled:
            say("cancelled", id=name)
            return
        told: dict[str, object] = {"id": name, "of": "samplers", "done": step, "total": args.steps}
        if latents is not None:
            place = Path(latents) / f"{step:04}.npy"
            place.write_bytes(b"latents")
            told["latents"] = str(place)
        say("step", **told)
    if args.die is not None:
        os.kill(os.getpid(), args.die)
    if args.kill_worker:
        os.kill(os.getppid(), signal.SIGKILL)
    if args.fail is not None:
        say("failed", id=name, code=1, error=args.fail)
        return
    if not args.silent:
        args.output_path.write_text(f"{began_s} {time.time()}" if args.times else args.clip)
    say("done", id=name, seconds=args.steps * args.step_s, peak_bytes=7)


def main() -> None:
    """Do requests until the input ends."""
    cancelled: set[str] = set()
    requests: queue.SimpleQueue[dict[str, object] | None] = queue.SimpleQueue()

    def read() -> None:
        for line in sys.stdin:
            asked = json.loads(line)
            if "cancel" in asked:
                cancelled.add(asked["cancel"])
            else:
                requests.put(asked)
        requests.put(None)

    threading.Thread(target=read, daemon=True).start()
    if delay := os.environ.get("FAKE_START_S"):
        time.sleep(float(delay))
    if code := os.environ.get("FAKE_START_CODE"):
        sys.exit(int(code))
    say("ready")
    while (request := requests.get()) is not None:
        argv, latents = request["argv"], request.get("latents")
        assert isinstance(argv, list)
        make(str(request["id"]), argv, None if latents is None else str(latents), cancelled)


if __name__ == "__main__":
    main()
