"""The child's side of `verify.upstream.process`: runs `main()` of one module after another.

Reads one JSON request a line on stdin, {"module": name, "argv": [...]}, and writes one JSON reply
a line on what was stdout when it started: {"code": int, "out": text, "err": text}. Before the
first request it says {"ltx_core": path}, so that the parent knows whose upstream this is.
"""

import gc
import importlib
import importlib.util
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import IO, Any

from verify.upstream import convolutions, unpatched

KEPT_BYTES = 100_000  # of each stream in a reply, counted from its end


def answer_requests(*, helped: bool) -> None:
    """Answer requests until stdin ends; `helped` is for upstream without our group `portable`."""
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    upstream = importlib.util.find_spec("ltx_core")
    convolutions.round_from_float32()
    if helped:
        unpatched.lend_unpublished()
    _say(replies, {"ltx_core": upstream.origin if upstream else None})
    for line in sys.stdin:
        request = json.loads(line)
        module, argv = request["module"], request["argv"]
        _freeze_modules()
        code, out, err = _captured(partial(_exit_code_of, module, argv, helped=helped))
        _say(replies, {"code": code, "out": out, "err": err})


def _freeze_modules() -> None:
    """Upstream collects garbage several times a clip: let that pass by what is loaded already."""
    gc.collect()
    gc.freeze()


def _exit_code_of(module: str, argv: Sequence[str], *, helped: bool) -> int:
    """What `python -m module` with `argv` would exit with."""
    before, hook = sys.argv, sys.excepthook
    try:
        loaded = importlib.import_module(module)
        sys.argv = [str(loaded.__file__), *argv]
        with _help(argv) if helped else ExitStack():
            return _as_code(loaded.main())
    except SystemExit as stop:
        return _as_code(stop.code)
    except Exception as error:  # noqa: BLE001 - whatever a script lets through
        return _last_word(error)
    finally:
        sys.argv, sys.excepthook = before, hook


def _last_word(error: Exception) -> int:
    """As the interpreter ends with an uncaught exception: a script may have a hook of its own."""
    try:
        sys.excepthook(type(error), error, error.__traceback__)
    except SystemExit as stop:
        return _as_code(stop.code)
    return 1


def _as_code(value: object) -> int:
    """As the interpreter reads the argument of `sys.exit`."""
    if value is None or isinstance(value, int):
        return value or 0
    print(value, file=sys.stderr)
    return 1


@contextmanager
def _help(argv: Sequence[str]) -> Iterator[None]:
    """What unpatched upstream needs on this machine, with the Gemma root that `argv` names."""
    with ExitStack() as stack:
        stack.enter_context(unpatched.without_cuda())
        if "--gemma-root" in argv:
            root = Path(argv[argv.index("--gemma-root") + 1])
            stack.enter_context(unpatched.gemma_of(root))
        yield


def _captured(run: Callable[[], int]) -> tuple[int, str, str]:
    """The result of `run`, its stdout and its stderr, native libraries' writes included."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        saved = {fd: os.dup(fd) for fd in (1, 2)}
        os.dup2(out.fileno(), 1)
        os.dup2(err.fileno(), 2)
        try:
            code = run()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for fd, original in saved.items():
                os.dup2(original, fd)
                os.close(original)
        return code, _tail(out), _tail(err)


def _tail(file: IO[bytes]) -> str:
    file.seek(max(0, file.seek(0, os.SEEK_END) - KEPT_BYTES))
    return file.read().decode("utf-8", "replace")


def _say(replies: IO[str], message: dict[str, Any]) -> None:
    print(json.dumps(message), file=replies, flush=True)


if __name__ == "__main__":
    answer_requests(helped="--helped" in sys.argv[1:])
