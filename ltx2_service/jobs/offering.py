"""What the settings' models can be asked for."""

from __future__ import annotations

from ltx2_patcher.boundaries import machine
from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.jobs.launch.script import find_script
from ltx2_service.rules.offer import Offer, offer_of
from ltx2_service.values.settings import Settings


def offers(settings: Settings) -> tuple[Offer, ...]:
    """One of each model, in the settings' order.

    Raises: UsageError for a pipeline that there is none of; ConflictError without a patched
    checkout or an environment.
    """
    toolkit = Store(settings.tree)
    return tuple(
        offer_of(
            model,
            find_script(toolkit, toolkit.base(model.base), model.pipeline).target.pipeline,
            on_a_card=machine.has_nvidia(),
        )
        for model in settings.models
    )
