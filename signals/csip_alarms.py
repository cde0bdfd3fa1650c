"""DER alarms as CSIP wants them told (4.6.3): as bits of DERStatus, and as a LogEvent when one comes and when it has gone.

Codes of CSIP table 14 (5.2.5.3): twice the number of the alarm's bit, one more for its return to normal; function set 11 (DER), profile 2
(IEEE 2030.5) and the standard's own enterprise number. Of the table's eleven alarms the site knows two by its own measuring, the voltage at
the grid connection being too high or too low; the others are in ``REFUSED``.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Final

from signals.csip_xml import Parts, document

OVER_VOLTAGE, UNDER_VOLTAGE = 1, 2
"""Bits of DERStatus.alarmStatus."""
REFUSED: Final[dict[str, str]] = {
    "over current": "fuses are the guard's own business, which lets none be over",
    "over frequency": "frequency is not measured here",
    "under frequency": "frequency is not measured here",
    "voltage imbalance": "one mean voltage is told to signals",
    "current imbalance": "a depot's cars load phases unevenly by nature",
    "local emergency": "there is no emergency stop that the site file knows",
    "remote emergency": "there is no emergency stop that the site file knows",
    "low input power": "a cloud is no fault",
    "phase rotation": "the direction of the field is not measured here",
}
"""Alarm of the table -> why it is not told."""
DER_FUNCTION_SET, PROFILE, PEN = 11, 2, 40_732
OUT: Final = 0.10
"""Part of the nominal voltage that it may be off (EN 50160)."""
BACK: Final = 0.09
HOLD_S: Final = 10.0
"""It must be so for so long: a motor that starts is no alarm."""
MOST_WAITING: Final = 100
MOST_ID: Final = 65_536


@dataclass(frozen=True, slots=True)
class LogEvent:
    """number: 16 bits, with the time it makes the event one of its kind. at_s: server time. details: at most 32 characters."""

    number: int
    code: int
    at_s: int
    details: str


def document_of(event: LogEvent) -> bytes:
    """LogEvent, as it is POSTed to the LogEventList of our EndDevice."""
    codes: Parts = (("functionSet", DER_FUNCTION_SET), ("logEventCode", event.code), ("logEventID", event.number))
    parts: Parts = (("createdDateTime", event.at_s), ("details", event.details[:32]), *codes, ("logEventPEN", PEN), ("profileID", PROFILE))
    return document("LogEvent", parts)


@dataclass(slots=True)
class Alarms:
    """What is wrong now, and what of it the server has not been told. nominal_v: of a phase [V]."""

    nominal_v: float
    bits: int = 0
    next_number: int = 0
    waiting: list[LogEvent] = field(default_factory=list)
    _since_s: dict[int, float] = field(default_factory=dict)

    def see(self, voltage_v: float | None, at_s: float, server_s: float) -> bool:
        """A reading at a wall time. True = an alarm came or went. None says nothing."""
        if voltage_v is None or not self.nominal_v > 0:
            return False
        off = voltage_v / self.nominal_v - 1
        changed = [self._judged(bit, off * sign, voltage_v, at_s, server_s) for bit, sign in ((OVER_VOLTAGE, 1), (UNDER_VOLTAGE, -1))]
        return any(changed)

    def _judged(self, bit: int, off: float, voltage_v: float, at_s: float, server_s: float) -> bool:
        raised = bool(self.bits & (1 << bit))
        if (off < BACK) if raised else (off > OUT):
            since_s = min(self._since_s.setdefault(bit, at_s), at_s)
            if at_s - since_s < HOLD_S:
                return False
            self._turn(bit, raised, voltage_v, server_s)
            return True
        self._since_s.pop(bit, None)
        return False

    def _turn(self, bit: int, raised: bool, voltage_v: float, server_s: float) -> None:
        self.bits ^= 1 << bit
        self._since_s.pop(bit, None)
        event = LogEvent(self.next_number, 2 * bit + raised, int(server_s), f"{voltage_v:.1f} V")
        self.next_number = (self.next_number + 1) % MOST_ID
        self.waiting = [*self.waiting, event][-MOST_WAITING:]

    def told(self, event: LogEvent) -> None:
        """The server has it, or never will."""
        self.waiting = [one for one in self.waiting if one != event]

    def text(self) -> str:
        """What outlives a restart, as JSON."""
        waiting = [asdict(one) for one in self.waiting]
        return json.dumps({"bits": self.bits, "next": self.next_number, "waiting": waiting}, separators=(",", ":"))

    def remember(self, text: str) -> None:
        """Read it back. Raises ValueError for what is none."""
        try:
            content = json.loads(text)
            waiting = [LogEvent(int(one["number"]), int(one["code"]), int(one["at_s"]), str(one["details"])) for one in content["waiting"]]
            bits, number = int(content["bits"]) & 0b110, int(content["next"]) % MOST_ID
        except (KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            raise ValueError(f"these are no alarms: {error}") from None
        self.bits, self.next_number, self.waiting = bits, number, waiting[-MOST_WAITING:]
