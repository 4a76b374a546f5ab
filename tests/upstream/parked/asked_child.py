"""The overlay's child as a process that tests ask for clips."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ltx2_patcher.boundaries.child import Step, parse_event
from tests.upstream.cases import Case, Mode, command_line
from tests.upstream.conftest import BASE, FileSets
from verify.upstream.command_line import Gemma
from verify.upstream.tree import script_environment

VARIANT = "2.0" if BASE == "1.0.0" else "2.3"
CASE = Case("distilled", Mode.T2V, Gemma.PLAIN, VARIANT)


class Child:
    """The overlay's child, and what it says."""

    test = ""  # whose requests they are: names are of one test

    def __init__(self, tree: Path, files: FileSets, folder: Path) -> None:
        self._tree, self._files, self._folder = tree, files, folder
        with (folder / "err").open("wb") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "ltx_pipelines.parked.child"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=os.environ | script_environment(tree),
                cwd=folder,  # which Python looks for modules in, too
                text=True,
            )

    def write_script(self, name: str, text: str) -> None:
        """Let there be a script of that name."""
        (self._folder / f"{name}.py").write_text(text)

    def ask(
        self,
        name: str,
        *more: str,
        case: Case = CASE,
        module: str | None = None,
        latents: Path | None = None,
    ) -> Path:
        """Ask for a clip of a case; the last of an option counts."""
        name = self.test + name
        out = self._folder / f"{name}.mp4"
        files = self._files(VARIANT)
        argv = command_line(case, files, files.text_encoder, None, out, tree=self._tree)
        request: dict[str, Any] = {"id": name, "module": module or case.module}
        request["argv"] = [*argv, "--vram-budget", "auto", *more]
        if latents is not None:
            request["latents"] = str(latents)
        self.say(request)
        return out

    def say(self, message: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message) + "\n")
        self._process.stdin.flush()

    def cancel(self, name: str) -> None:
        self.say({"cancel": self.test + name})

    def events(self, name: str) -> Iterator[dict[str, Any]]:
        """What it says of a request from now on, without the request's name."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            event = json.loads(line)
            if event.pop("id", None) == self.test + name:
                yield event

    def steps(self, name: str) -> list[Step]:
        """The steps of the request of that name, which is to be made, as the tool reads them."""
        steps: list[Step] = []
        for event in self.events(name):
            if event["event"] == "done":
                return steps
            assert event["event"] in {"begun", "model", "step"}
            if isinstance(step := parse_event(json.dumps(event).encode()), Step):
                steps.append(step)
        raise AssertionError("its process ended")

    def models(self, name: str) -> list[str]:
        """The models that were handed out for the request of that name, which is to be made."""
        models: list[str] = []
        for event in self.events(name):
            if event["event"] == "done":
                return models
            if event["event"] == "model":
                models.append(str(event["model"]))
        raise AssertionError("its process ended")

    def ended(self, name: str) -> dict[str, Any]:
        """How the request of that name ended."""
        ends = {"done", "failed", "cancelled"}
        return next(event for event in self.events(name) if event["event"] in ends)

    def close(self) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        return self._process.wait(60)
