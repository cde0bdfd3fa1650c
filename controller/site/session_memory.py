"""What the journal keeps of a session, so that a restart does not forget a promise to a driver."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from controller.facts import EvseKey, NeedsAnnounced, Stamp
from controller.site.state import Session


def session_memory(session: Session) -> dict[str, Any]:
    """What the journal keeps of a session so that a restart does not forget a promise to a driver."""
    return {
        "transaction_id": session.transaction_id,
        "started_wall_s": session.started_wall_s,
        "base_wh": session.base_wh,
        "target_wh": session.target_wh,
        "departure_wall_s": session.departure_wall_s,
        "need_source": session.need_source,
        "given_wh": session.given_wh,
        "given_base_wh": session.given_base_wh,
        "announced": _needs_memory(session.announced),
        "announced_net_wh": session.announced_net_wh,
    }


_KEPT_NEEDS = (
    "max_discharge_w", "min_discharge_w", "capacity_wh", "soc_percent", "min_wh", "max_wh", "min_v2x_wh", "max_v2x_wh",
)  # fmt: skip
"""What of a car's own word is needed again after a restart; of need and departure there is a memory anyway."""


def _needs_memory(car: NeedsAnnounced | None) -> dict[str, Any] | None:
    """Only of a car that can give back: it says so once."""
    if car is None or not car.bidirectional:
        return None
    return {"transfer_mode": car.transfer_mode, **{name: getattr(car, name) for name in _KEPT_NEEDS}}


def _needs_recalled(memory: Any, at: Stamp, key: EvseKey | None) -> NeedsAnnounced | None:
    if not isinstance(memory, Mapping) or key is None:
        return None
    numbers: dict[str, Any] = {name: number_or_none(memory.get(name)) for name in _KEPT_NEEDS}
    return NeedsAnnounced(at, key, None, None, bidirectional=True, transfer_mode=str(memory.get("transfer_mode", "")), **numbers)


def session_recalled(session: Session, memory: Mapping[str, Any], at: Stamp, key: EvseKey | None = None) -> Session:
    """The session with what the journal knew of it; ``session`` unchanged if it is another one. key: its EVSE."""
    if memory.get("transaction_id") != session.transaction_id:
        return session
    started, base = number_or_none(memory.get("started_wall_s")), number_or_none(memory.get("base_wh"))
    return replace(
        session,
        started_wall_s=min(started, at.wall_s) if started is not None else at.wall_s,
        base_wh=base if base is not None else session.base_wh,
        target_wh=number_or_none(memory.get("target_wh")),
        departure_wall_s=number_or_none(memory.get("departure_wall_s")),
        need_source=str(memory.get("need_source", "")),
        given_wh=max(0.0, number_or_none(memory.get("given_wh")) or 0.0),
        given_base_wh=number_or_none(memory.get("given_base_wh")),
        announced=session.announced or _needs_recalled(memory.get("announced"), at, key),
        announced_net_wh=number_or_none(memory.get("announced_net_wh")) or 0.0,
    )


def number_or_none(value: Any) -> float | None:
    """A finite number from the journal, None for anything else (F75)."""
    usable = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if usable else None
