"""Which proofs and measurements are of other code than lies here, and what renews each."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.values.series import Series
from tests.proofs.record import FOLDER, REPLAY, hooks_digest, proof_digest
from verify.upstream.measured_code import KINDS, measured_code

BASELINES = Path("verify/baselines")


@dataclass(frozen=True, slots=True)
class Stale:
    """One proof or measurement that no longer holds."""

    path: str  # below the repository's root
    why: str
    renew: str  # a command, with the machine it needs

    @property
    def text(self) -> str:
        """Both, on two lines."""
        return f"{self.path}: {self.why}\n  renew: {self.renew}"


@dataclass(frozen=True, slots=True)
class Repository:
    """The series below a root, each read once."""

    root: Path
    series: dict[str, Series]

    @classmethod
    def at(cls, root: Path) -> Repository:
        """Raises: InvalidError, as `Store.series`."""
        store = Store(root)
        return cls(root, {base.name: store.series(base.name) for base in store.bases()})

    def stale_proofs(self) -> list[Stale]:
        """A base without a proof of its whole run counts too."""
        bases = Store(self.root).bases()
        digests = {base.name: proof_digest(base, self.series[base.name]) for base in bases}
        hooks = {base.name: hooks_digest(base, self.series[base.name]) for base in bases}
        folder = self.root / FOLDER
        runs = {folder / f"{name}-history.json" for name in digests}
        found = []
        for path in sorted(runs | set(folder.glob("*-*.json"))):
            proof = _read(path)
            name = path.name.rpartition("-")[0]
            if proof.get("digest") != digests.get(name):
                renew = f"python -m tests.runner --base {name}"
                if not path.name.endswith("-history.json"):
                    renew = f"{proof['proved']}, on {proof['machine']}"
                found.append(Stale(_below(self.root, path), _since(proof, name), renew))
        replay = _read(folder / REPLAY)
        if replay.get("digests") != hooks:
            why = _since(replay, "a base")
            found.append(Stale(f"{FOLDER}/{REPLAY}", why, "python -m tests.replay"))
        return found

    def stale_measurements(self) -> list[Stale]:
        """One an entry of a file."""
        return [stale for path in baselines(self.root) for stale in self._stale_entries(path)]

    def _stale_entries(self, path: Path) -> Iterator[Stale]:
        kind = path.stem.split("-")[0]
        for entry in entries(path):
            base, before = entry["base"], entry["code"]
            now = measured_code(self.series[base], kind)
            changed = sorted(k for k in before.keys() | now if before.get(k) != now.get(k))
            if changed or not before:
                below = _below(self.root, path)
                names = ", ".join(name.rsplit("/", 1)[-1] for name in changed)
                renew = KINDS[kind].command.format(base=base, path=below)
                why = f"{names} changed since {entry['date']} ({base})"
                yield Stale(below, why, f"on {entry['machine']}: {renew}")


def baselines(root: Path) -> list[Path]:
    """The files of measurements."""
    return sorted((root / BASELINES).glob("*.json"))


def entries(path: Path) -> list[dict[str, Any]]:
    """What a baseline holds: seconds are of several requests, everything else of one machine."""
    held = _read(path)
    return held if isinstance(held, list) else [held]


def _read(path: Path) -> Any:
    return json.loads(path.read_bytes()) if path.exists() else {}


def _since(proof: dict[str, Any], what: str) -> str:
    return f"{what} changed since {proof['date']}" if proof else f"{what} was never proved"


def _below(root: Path, path: Path) -> str:
    return path.relative_to(root).as_posix()
