"""Reading a checkpoint's transformer without the connectors, which lie under its prefix and belong to another model.

Upstream's key map takes all of `model.diffusion_model.`. The transformer has no place for the connectors of the
embeddings processor, so they reach the card, a few GiB in LTX-2.3, and are dropped when the transformer is complete.
"""

from dataclasses import dataclass, fields

from ltx_core.loader.sd_ops import SDOps

_CONNECTORS = (".video_embeddings_connector.", ".audio_embeddings_connector.")
_SUFFIX = "_WITHOUT_CONNECTORS"


@dataclass(frozen=True, slots=True)
class _WithoutConnectors(SDOps):
    """The same operations; a connector's tensor has no key, so it is not read."""

    def apply_to_key(self, key: str) -> str | None:
        if any(connector in key for connector in _CONNECTORS):
            return None
        return SDOps.apply_to_key(self, key)  # super() knows no class that was made anew for its slots


def without_connectors(sd_ops: SDOps) -> SDOps:
    """Return `sd_ops`, a transformer's, that pass the connectors by; a registry tells the two apart by their names."""
    same = {field.name: getattr(sd_ops, field.name) for field in fields(sd_ops)}
    return _WithoutConnectors(**{**same, "name": sd_ops.name.removesuffix(_SUFFIX) + _SUFFIX})
