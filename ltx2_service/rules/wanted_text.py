"""A wanted clip as JSON and back, and the digest by which the same request is known again. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from ltx2_service.values.job import Picture, Wanted


def render_wanted(wanted: Wanted) -> str:
    """The JSON, which `parse_wanted` reads back."""
    return json.dumps(fields_of(wanted), ensure_ascii=True, sort_keys=True)


def fields_of(wanted: Wanted) -> dict[str, Any]:
    """What JSON can hold of it, which is all."""
    fields = asdict(replace(wanted, echo=dict(wanted.echo)))
    fields["pictures"] = [
        {"path": str(one.path), "frame": one.frame, "strength": one.strength}
        for one in wanted.pictures
    ]
    return fields


def parse_wanted(text: str) -> Wanted:
    """What `render_wanted` wrote."""
    fields = json.loads(text)
    fields["pictures"] = tuple(
        Picture(Path(one["path"]), one["frame"], one["strength"]) for one in fields["pictures"]
    )
    return Wanted(**fields)


def digest_of(wanted: Wanted, pictures: Sequence[str]) -> str:
    """A digest of what was asked for, as it came; `pictures` are digests of their bytes, since the
    service keeps each copy under a new name.
    """
    fields = fields_of(replace(wanted, key=None))
    for field, content in zip(fields["pictures"], pictures, strict=True):
        field["path"] = content
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode("ascii")).hexdigest()
