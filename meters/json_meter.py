"""One meter that speaks JSON: its messages in, quantities out.

Formats: ``tasmota``, ``shelly`` (their own shapes) and ``json`` (fields by path). A message may hold
only a part: registers that come in messages of their own are remembered for the next reading, and the
bare numbers of a Shelly of Generation 1 are gathered until all three channels have spoken.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from meters.json_fields import Field, JsonError, Quantities, Step, look, pick
from meters.quality import Convention
from meters.shelly import channel_value, shelly
from meters.tasmota import tasmota

REGISTERS: Final = ("e_imp", "e_exp")
REMEMBERED_S: Final = 300.0
"""A register that came alone is told with the readings after it for so long [s]."""
SPREAD_S: Final = 5.0
"""Values of three channels that came further apart than this are not of one moment [s]."""


@dataclass(frozen=True, slots=True)
class Values:
    """One reading's quantities, how the device writes direction, and how old they are at least [s]."""

    quantities: Quantities
    convention: Convention
    age_s: float = 0.0


class Pulse:
    """Whether a document is about a new measurement: a time or a counter in it moves. While it stands still the values get older.

    Only changes count, so the device's clock need not be right. What was there at first may be of any age: nothing is believed
    before the first change.
    """

    def __init__(self, steps: tuple[Step, ...]) -> None:
        self._steps = steps
        self._seen: str | None = None
        self._moved_mono_s: float | None = None

    def age_s(self, document: Any, mono_s: float) -> float:
        """How long it has stood still [s]. Raises JsonError while nobody can know."""
        found = look(document, self._steps)
        if not isinstance(found, str | int | float):
            raise JsonError("measured_at is not in the document; check its path")
        if repr(found) != self._seen:
            self._moved_mono_s = mono_s if self._seen is not None else None
            self._seen = repr(found)
        if self._moved_mono_s is None:
            raise JsonError(f"measured_at has not moved yet ({self._seen[:40]}); nobody knows how old these values are")
        return mono_s - self._moved_mono_s


class JsonMeter:
    """The messages of one meter. Mutable; ``mono_s`` is monotonic seconds.

    measured_at: where in a document of format json something is that is new with every measurement.
    """

    def __init__(self, kind: str, fields: Mapping[str, Field], measured_at: tuple[Step, ...] | None = None) -> None:
        self._kind, self._fields = kind, dict(fields)
        self._pulse = Pulse(measured_at) if measured_at is not None else None
        self._registers: dict[str, tuple[float, float]] = {}
        self._gathered: dict[tuple[int, str], tuple[float, float]] = {}

    def take(self, document: Any, mono_s: float, topic: str = "") -> Values | None:
        """The reading in a message; None = there is none in it. Raises JsonError."""
        if self._kind == "json":
            age_s = self._pulse.age_s(document, mono_s) if self._pulse is not None else 0.0
            return Values(_signed(pick(document, self._fields)), Convention(), age_s)
        if self._kind == "tasmota":
            return Values(tasmota(document), Convention(current="unsigned"))
        if self._kind != "shelly":
            raise JsonError(f"{self._kind} is no format of JSON meters")
        if not isinstance(document, dict):
            return self._gather(topic, document, mono_s)
        quantities = shelly(document)
        if quantities is None:
            return None
        for name in REGISTERS:
            value = quantities.get(name)
            if value is not None:
                self._registers[name] = (value, mono_s)
        return self._reading(quantities, mono_s)

    def _reading(self, quantities: Quantities, mono_s: float) -> Values | None:
        if not any(name == "p" or name.startswith(("p_", "i_")) for name in quantities):
            return None  # only registers, or something of no interest
        known = {name: value for name, (value, at_s) in self._registers.items() if mono_s - at_s <= REMEMBERED_S}
        return Values({**known, **quantities}, Convention(current="unsigned"))

    def _gather(self, topic: str, document: Any, mono_s: float) -> Values | None:
        """Bare numbers of Generation 1: a reading is complete when power, voltage and current of all three channels are new."""
        told = channel_value(topic, document)
        if told is None:
            return None
        channel, quantity, value = told
        if quantity in REGISTERS:
            return None  # one register per channel: the sum would mix moments; HTTP tells them together
        self._gathered[channel, quantity] = (value, mono_s)
        self._gathered = {key: one for key, one in self._gathered.items() if mono_s - one[1] <= SPREAD_S}
        if len(self._gathered) < 9:
            return None
        quantities: Quantities = {f"{name}_l{place}": one[0] for (place, name), one in self._gathered.items()}
        self._gathered.clear()
        return self._reading(quantities, mono_s)


def _signed(found: Quantities) -> Quantities:
    """Where the power of a phase is known its sign tells the direction of the current, which many devices write without."""
    for phase in ("l1", "l2", "l3"):
        current_a, power_w = found.get(f"i_{phase}"), found.get(f"p_{phase}")
        imported_w, exported_w = found.get(f"p_{phase}_imp"), found.get(f"p_{phase}_exp")
        if power_w is None and imported_w is not None and exported_w is not None:
            power_w = imported_w - exported_w
        if current_a is not None and power_w is not None:
            found[f"i_{phase}"] = -abs(current_a) if power_w < 0 else abs(current_a)
    return found
