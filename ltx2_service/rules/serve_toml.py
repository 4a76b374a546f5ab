"""serve.toml -> Settings; docs/service.md has a table of its keys.

Whatever can be told of it without looking at the disk is told here; jobs/checking.py does the rest.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import replace
from difflib import get_close_matches
from math import isfinite
from pathlib import Path
from posixpath import normpath
from typing import Literal, TypeVar

from ltx2_patcher.rules.models.request import option_of
from ltx2_patcher.rules.shown import cut, shown
from ltx2_patcher.values.errors import UsageError
from ltx2_service.values.settings import CARD, Cluster, Limits, Model, Settings

Kind = TypeVar("Kind")

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_FEWEST_CHARACTERS = 16  # of a token: shorter ones can be guessed
_PORTS = range(2**16)
_CARDS = range(64)
_COUNTS = range(1, 2**31)
_BYTES = range(1024, 2**40)
_EXECUTORS = ("local", "ray")
_ADDRESS = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):[0-9]{1,5}")
_CARDS_OF_RAY = "which cards there are, each machine's Ray says"
_DECIDED = frozenset(
    {
        "--prompt",
        "--output-path",
        "--seed",
        "--vram-budget",
        "--host-budget",
        "--weights-folder",
    }
)
"""Options that the service gives itself."""


def parse_settings(text: str, file: Path, tree: Path, home: Path | None = None) -> Settings:
    """The settings that the text of `file` says; relative paths in it begin at its folder.

    `tree` is the toolkit's checkout, `home` what "~" stands for.

    Raises: UsageError for what is no TOML, a key that is none, and a value that can't be meant.
    """
    try:
        top = _Table(tomllib.loads(text), str(file), file.parent, home)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(
            f"{file} is no TOML: {error}",
            remedy="mend that line; serve.example.toml shows the form",
        ) from error
    usual = Settings(models=(), state=Path(), clips=Path())
    clips = top.path("clips")
    settings = Settings(
        models=_models(top),
        state=top.path("state"),
        clips=clips,
        host=top.text("host", usual.host),
        port=top.integer("port", usual.port, _PORTS),
        gpus=_gpus(top),
        tokens=_tokens(top),
        image_root=top.path_or_none("image_root"),
        weights_folder=top.path_or_none("weights_folder"),
        retain_days=top.positive("retain_days", usual.retain_days),
        logs_prompts=top.truth("logs_prompts", usual.logs_prompts),
        limits=_limits(top),
        lease_s=top.positive("lease_s", usual.lease_s),
        orphan_s=top.positive("orphan_s", usual.orphan_s),
        drain_s=top.positive("drain_s", usual.drain_s),
        tree=tree,
        cluster=_cluster(top, clips),
    )
    top.done()
    return settings


def changed(
    settings: Settings,
    *,
    host: str | None = None,
    port: int | None = None,
    gpus: tuple[int, ...] | None = None,
) -> Settings:
    """The settings with what a command line says instead; None leaves it. Raises: UsageError."""
    if gpus is not None and settings.cluster is not None:
        raise UsageError(_CARDS_OF_RAY, remedy="leave --gpus out")
    return replace(
        settings,
        host=settings.host if host is None else host,
        port=settings.port if port is None else port,
        gpus=settings.gpus if gpus is None else gpus,
    )


def parse_gpus(text: str) -> tuple[int, ...]:
    """The cards of a command line: "0,1". Raises: UsageError."""
    try:
        found = tuple(map(int, text.split(",")))
    except ValueError:
        found = ()
    if not found or len(set(found)) < len(found) or any(gpu not in _CARDS for gpu in found):
        raise UsageError(
            f"{shown(text)} names no cards", remedy="give nvidia-smi's indices, each once: 0,1"
        )
    return found


def _models(top: _Table) -> tuple[Model, ...]:
    models = tuple(map(_model, top.tables("models")))
    if not models:
        raise top.refusal("there is no model", "add a [[models]] with name, base, pipeline, files")
    for model in models:
        if [other.name for other in models].count(model.name) > 1:
            raise top.refusal(f"two models are called {model.name}", "give each its own name")
    return models


def _model(table: _Table) -> Model:
    name = table.text("name")
    if not _NAME.fullmatch(name):
        raise table.refusal(
            f"the name {shown(name)} is none that a request could give",
            "take letters, digits, dots, dashes and underscores, 64 at most",
        )
    table.origin = f"{table.file}, model {name}"
    usual = Model("", "", "", {})
    model = Model(
        name=name,
        base=table.text("base"),
        pipeline=table.text("pipeline").replace("-", "_"),
        files=_files(table),
        flags=_flags(table),
        vram_budget=table.budget("vram_budget", usual.vram_budget),
        host_budget=table.budget("host_budget", usual.host_budget),
        run_limit_s=table.positive("run_limit_s", usual.run_limit_s),
    )
    table.done()
    return model


def _files(table: _Table) -> Mapping[str, Path]:
    files = table.table("files")
    found = {option_of(key): files.path(key) for key in files.keys}
    files.done()
    if not found:
        raise table.refusal(
            "it names no files", "add [models.files] with the options that `run` takes for them"
        )
    return found


def _flags(table: _Table) -> tuple[str, ...]:
    flags = table.texts("flags")
    if taken := sorted(_DECIDED & {flag.split("=")[0] for flag in flags}):
        key = taken[0].removeprefix("--").replace("-", "_")
        settable = key.endswith("budget") or key == "weights_folder"
        remedy = f"set {key} instead" if settable else "leave it out"
        raise table.refusal(f"flags: the service gives {taken[0]} itself", remedy)
    return flags


def _gpus(top: _Table) -> tuple[int, ...] | None:
    if "gpus" not in top.keys:
        return None
    gpus = top.integers("gpus", _CARDS)
    if not gpus or len(set(gpus)) < len(gpus):
        raise top.refusal("gpus names no card, or one twice", "leave it out for all cards")
    return gpus


def _cluster(top: _Table, clips: Path) -> Cluster | None:
    """None where workers are processes of this machine."""
    executor = top.text("executor", "local")
    if executor not in _EXECUTORS:
        raise top.refusal(
            f"there is no executor {shown(executor)}", f"write {' or '.join(_EXECUTORS)}"
        )
    if executor == "local":
        if "ray" in top.keys:
            raise top.refusal("[ray] says nothing without executor", 'add executor = "ray"')
        return None
    if "gpus" in top.keys:
        raise top.refusal(_CARDS_OF_RAY, "leave gpus out")
    table = top.table("ray")
    cluster = Cluster(
        address=table.text("address"),
        shared=table.path("shared"),
        token_file=table.path("token_file"),
        card=table.text("card", CARD),
    )
    table.done()
    if not _ADDRESS.fullmatch(cluster.address):
        raise table.refusal(
            f"address is {shown(cluster.address)}", "it must be the head's: 10.0.0.1:6379"
        )
    if not clips.is_relative_to(cluster.shared):
        raise top.refusal(
            f"clips is {clips}, which lies outside of what the machines share",
            f"name a folder below {cluster.shared}",
        )
    return cluster


def _tokens(top: _Table) -> Mapping[str, str]:
    """Written by owner, used by token."""
    table = top.table("tokens")
    owners: dict[str, str] = {}
    for owner in table.keys:
        token = table.text(owner)
        if len(token) < _FEWEST_CHARACTERS or not token.isascii() or not token.isprintable():
            raise table.refusal(
                f"the token of {cut(owner)} is short or has odd characters",
                "take 32 of what `openssl rand -hex 16` gives",
            )
        if token in owners:
            raise table.refusal(
                f"{cut(owner)} and {cut(owners[token])} have one token", "give each its own"
            )
        owners[token] = owner
    return owners


def _limits(top: _Table) -> Limits:
    table, usual = top.table("limits"), Limits()
    limits = Limits(
        queued=table.integer("queued", usual.queued, _COUNTS),
        body_bytes=table.integer("body_bytes", usual.body_bytes, _BYTES),
        body_s=table.positive("body_s", usual.body_s),
        picture_pixels=table.integer("picture_pixels", usual.picture_pixels, _COUNTS),
        wait_s=table.positive("wait_s", usual.wait_s),
    )
    table.done()
    return limits


class _Table:
    """A table of the file, whose keys are read once each; `done` refuses those that were not."""

    def __init__(
        self, values: Mapping[str, object], file: str, folder: Path, home: Path | None
    ) -> None:
        self._values, self._folder, self._home = values, folder, home
        self._read: set[str] = set()
        self.file = self.origin = file

    @property
    def keys(self) -> Collection[str]:
        """As they stand in the file."""
        return self._values.keys()

    def done(self) -> None:
        """Raises: UsageError for a key that nobody asked for, with near ones."""
        for key in self._values.keys() - self._read:
            near = get_close_matches(key, sorted(self._read), cutoff=0.5)
            known = ", ".join(sorted(self._read))
            raise self.refusal(
                f"there is no setting {shown(key)}",
                f"write {' or '.join(near)}" if near else f"leave it out; known are {known}",
            )

    def refusal(self, fact: str, remedy: str) -> UsageError:
        """An error about it."""
        return UsageError(f"{self.origin}: {fact}", remedy=remedy)

    def table(self, key: str) -> _Table:
        """The table of that name, empty where there is none."""
        return self._below(key, self._value(key, {}, dict))

    def tables(self, key: str) -> tuple[_Table, ...]:
        """The tables that stand under [[key]]."""
        values = self._value(key, [], list)
        if not all(isinstance(value, dict) for value in values):
            raise self._wrong(key, values, f"written as [[{key}]]")
        return tuple(
            self._below(f"{key}, number {number}", value)
            for number, value in enumerate(values, start=1)
        )

    def text(self, key: str, usual: str | None = None) -> str:
        """A text that is not empty and has no NUL; needed where there is no usual one."""
        value = self._value(key, usual, str)
        if not value.strip() or "\0" in value:
            raise self._wrong(key, value, "a text")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts."""
        values = self._value(key, [], list)
        if not all(isinstance(value, str) and "\0" not in value for value in values):
            raise self._wrong(key, values, 'a list of texts: ["--quantization", "fp8-cast"]')
        return tuple(values)

    def path(self, key: str) -> Path:
        """A path, from the file's folder on."""
        text = self.text(key)
        if self._home is not None and (text == "~" or text.startswith("~/")):
            return self._home / text[2:]
        return Path(normpath(self._folder / text))  # people are told it, so without ".."

    def path_or_none(self, key: str) -> Path | None:
        """A path; None where there is no such key."""
        self._read.add(key)
        return self.path(key) if key in self._values else None

    def truth(self, key: str, usual: bool) -> bool:
        """Whether it is set."""
        return self._value(key, usual, bool)

    def integer(self, key: str, usual: int, allowed: range) -> int:
        """A whole number in a range."""
        value = self._value(key, usual, int)
        if value not in allowed:
            raise self._wrong(key, value, f"a number from {allowed[0]} to {allowed[-1]}")
        return value

    def integers(self, key: str, allowed: range) -> tuple[int, ...]:
        """A list of whole numbers in a range."""
        values = self._value(key, [], list)
        if not all(type(value) is int and value in allowed for value in values):
            raise self._wrong(key, values, f"a list of numbers from {allowed[0]} to {allowed[-1]}")
        return tuple(values)

    def positive(self, key: str, usual: float) -> float:
        """A number above 0."""
        value = self._value(key, usual, float)
        if not (isfinite(value) and value > 0):
            raise self._wrong(key, value, "a number above 0")
        return value

    def budget(self, key: str, usual: float | Literal["auto"]) -> float | Literal["auto"]:
        """A number of GiB, or "auto"."""
        if self._values.get(key, usual) == "auto":
            self._read.add(key)
            return "auto"
        return self.positive(key, 0.0)

    def _value(self, key: str, usual: object, kind: type[Kind]) -> Kind:
        """The value of a key, of that kind. Raises: UsageError where it is another or lacking."""
        self._read.add(key)
        value = self._values.get(key, usual)
        if value is None:
            raise self.refusal(f"{key} is lacking", f"add {key}")
        if kind is float and type(value) is int:
            value = float(value)
        if type(value) is not kind:  # not isinstance: true is an int to it
            raise self._wrong(key, value, _KINDS[kind])
        return value

    def _wrong(self, key: str, value: object, wanted: str) -> UsageError:
        return self.refusal(f"{key} is {shown(value)}", f"it must be {wanted}")

    def _below(self, name: str, values: Mapping[str, object]) -> _Table:
        table = _Table(values, self.file, self._folder, self._home)
        table.origin = f"{self.origin}, {name}"
        return table


_KINDS: Mapping[type, str] = {
    str: "a text",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    list: "a list",
    dict: "a table",
}
