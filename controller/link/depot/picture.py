"""What a depot face shows of itself: its EVSEs to the CSMS's side, its numbers to people."""

from __future__ import annotations

from controller.link.depot.office import Office
from controller.link.depot.states import States
from controller.ocpp.hub import EvseShape
from controller.snapshot import NumberView


def evse_shapes(office: Office) -> tuple[EvseShape, ...]:
    """All EVSEs the depot ever had, by number. One that is gone has no current."""
    shapes = []
    for number, evse in office.numbering.all():
        card = office.cards.get(evse.station_id)
        evses = card.config.evses if card is not None and card.config is not None else ()
        known = next((item for item in evses if item.id == evse.evse_id), None)
        connectors = max((connector for own, connector in card.states if own == evse.evse_id), default=1) if card is not None else 1
        shapes.append(EvseShape(number, connectors, len(known.phases) if known else 3, known.max_current_a if known else 0.0))
    return tuple(shapes)


def number_views(office: Office, states: States) -> tuple[NumberView, ...]:
    """Number, charger and connectors, for the page."""
    told: dict[int, list[str]] = {}
    for number, connector in states.places():
        told.setdefault(number, []).append(states.status((number, connector)))
    found = []
    for number, evse in office.numbering.all():
        card = office.cards.get(evse.station_id)
        here = card is not None and card.configured
        found.append(NumberView(number, evse.station_id, evse.evse_id, tuple(told.get(number, ())), here, card is not None and card.linked))
    return tuple(found)
