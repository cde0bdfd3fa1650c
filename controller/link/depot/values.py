"""Meter values: those of chargers, which may wait for each other by policy, and those of the site for EVSE 0.

Values that wait are on disk before the charger hears that they were taken, and stay there until the CSMS has them. Too many of
an EVSE are thinned, every second one. A signed value passes letter for letter. What a charger with several EVSEs measures for
itself as a whole (its EVSE 0) has no number in the depot: EVSE 0 is the site.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from controller.link.depot.office import FromStation, Office, Payload, Quiet
from controller.link.depot.renumber import OutsideError, numbers_of
from controller.ocpp.hub import Ask, Conversation, Failed, Keep, Message, Said, answered
from controller.ocpp.times import timestamp
from controller.orders import AnnounceSite

REFUSED: Final[dict[str, str]] = {
    "MeterValues": "of the main meter of a charger with several EVSEs: not passed, EVSE 0 is the site; answered here",
}
PREFIX: Final = "values:"
MOST_WAITING: Final = 120
"""Values of one EVSE that may wait."""
MOST_AT_ONCE: Final = 30
"""Values in one message."""
RETRY_S: Final = 30.0


class Values(Quiet):
    """MeterValues up."""

    def __init__(self, office: Office) -> None:
        self._office = office
        now_mono_s = office.now().mono_s
        self._due: dict[int, float] = {int(key.removeprefix(PREFIX)): now_mono_s for key, _ in office.memory.starting(PREFIX)}
        self._sending: set[int] = set()
        self._site_due_mono_s = now_mono_s
        office.says["MeterValues"] = self._triggered

    def of_station(self) -> Mapping[str, FromStation]:
        """MeterValues."""
        return {"MeterValues": self._values}

    def _values(self, station_id: str, message: Message) -> Conversation:
        evse_id, values = message.payload.get("evseId"), message.payload.get("meterValue")
        try:
            numbers = numbers_of(self._office, station_id, evse_id)
        except OutsideError as outside:
            return Failed("PropertyConstraintViolation", str(outside))
        if len(numbers) > 1:
            return Said({})  # see REFUSED
        if self._office.policy.values_batch_s > 0 and isinstance(values, list):
            return (yield from self._wait(numbers[0], values))
        reply = yield Ask("MeterValues", {**message.payload, "evseId": numbers[0]})
        assert reply is not None
        return reply

    # -- waiting together -----------------------------------------------------------------------------------

    def _wait(self, number: int, values: list[Any]) -> Conversation:
        waiting = [*self._office.memory.get(f"{PREFIX}{number}", []), *values]
        if len(waiting) > MOST_WAITING:
            waiting = [value for index, value in enumerate(waiting) if index % 2 == len(waiting) % 2 or "signedMeterValue" in str(value)]
        self._office.memory.put(f"{PREFIX}{number}", waiting[-2 * MOST_WAITING :])
        self._due.setdefault(number, self._office.now().mono_s + self._office.policy.values_batch_s)
        yield Keep()
        return Said({})

    def _send(self, number: int) -> Conversation:
        key = f"{PREFIX}{number}"
        batch = self._office.memory.get(key, [])[:MOST_AT_ONCE]
        reply = yield Ask("MeterValues", {"evseId": number, "meterValue": batch}) if batch else Keep()
        self._sending.discard(number)
        now_mono_s = self._office.now().mono_s
        if isinstance(reply, Failed) and not self._taken(reply):
            self._due[number] = now_mono_s + RETRY_S
            return reply
        rest = [value for value in self._office.memory.get(key, []) if value not in batch]
        self._office.memory.put(key, rest or None)
        if rest:
            self._due[number] = now_mono_s if len(rest) >= MOST_AT_ONCE else now_mono_s + self._office.policy.values_batch_s
        return Said({})

    @staticmethod
    def _taken(reply: Failed) -> bool:
        """A CSMS that says it does not know the message, or does not like it, will say so again."""
        return reply.code in ("NotImplemented", "NotSupported", "FormatViolation", "PropertyConstraintViolation", "TypeConstraintViolation")

    # -- the site ----------------------------------------------------------------------------------------------

    def tick(self) -> list[Conversation]:
        """Batches that are due, and the site's values."""
        if not self._office.accepted:
            return []
        now_mono_s = self._office.now().mono_s
        due = [number for number, due_mono_s in self._due.items() if now_mono_s >= due_mono_s and number not in self._sending]
        for number in due:
            del self._due[number]
            self._sending.add(number)
        return [*map(self._send, due), *self._site(now_mono_s)]

    def _site(self, now_mono_s: float) -> list[Conversation]:
        every_s, site = self._office.policy.site_values_s, self._office.site
        if every_s <= 0 or site is None or now_mono_s < self._site_due_mono_s:
            return []
        self._site_due_mono_s = now_mono_s + every_s
        return [self._tell(site, "Sample.Periodic")]

    def _triggered(self) -> Conversation:
        """TriggerMessage for the site's own values."""
        return self._tell(self._office.site, "Trigger") if self._office.site is not None else answered(Said({}))

    def _tell(self, site: AnnounceSite, context: str) -> Conversation:
        # Only 2.1 has a word for a meter above the whole station; for the others it is the inlet from the grid.
        samples = site_samples(site, context, "Upstream" if self._office.csms_version == "ocpp2.1" else "Inlet")
        if not samples:
            return Said({})
        value = {"timestamp": timestamp(self._office.now().wall_s), "sampledValue": samples}
        return (yield Ask("MeterValues", {"evseId": 0, "meterValue": [value]})) or Said({})


def site_samples(site: AnnounceSite, context: str = "Sample.Periodic", location: str = "Upstream") -> list[Payload]:
    """sampledValue list of the grid connection: the direction is in the measurand, no value is negative."""
    samples: list[Payload] = []
    if site.power_w is not None:
        way = "Import" if site.power_w >= 0 else "Export"
        samples.append(_sample(f"Power.Active.{way}", abs(site.power_w), "W"))
    for phase, current_a in enumerate(site.phase_current_a, start=1):
        if current_a is not None:
            way = "Import" if current_a >= 0 else "Export"
            samples.append({**_sample(f"Current.{way}", abs(current_a), "A"), "phase": f"L{phase}"})
    if site.voltage_v is not None:
        samples.append(_sample("Voltage", site.voltage_v, "V"))
    for way, register_wh in (("Import", site.import_wh), ("Export", site.export_wh)):
        if register_wh is not None:
            samples.append(_sample(f"Energy.Active.{way}.Register", register_wh, "Wh"))
    return [{**sample, "context": context, "location": location} for sample in samples]


def _sample(measurand: str, value: float, unit: str) -> Payload:
    return {
        "value": round(value, 1),
        "measurand": measurand,
        "unitOfMeasure": {"unit": unit},
    }
