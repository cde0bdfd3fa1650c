"""What follows from a measured value: of a meter, of a charger about itself, of a battery or an inverter.

The fast path lies here (P3): reading -> excess -> lowered setpoints, all in the call that brought the reading. The most frequent facts of
a site come here, so the rooms they need are looked up once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from controller.config import ROOT_CIRCUIT
from controller.facts import DeviceAnswered, DeviceRead, EvseKey, EvseMeasured, MeterFailed, MeterRead, Stamp
from controller.orders import Order
from controller.site.guard import Excess
from controller.site.measuring import measured
from controller.site.meters.draws import draw_of
from controller.site.meters.otherload import Draw
from controller.site.meters.virtual_meters import Found
from controller.site.reactions import Handlers
from controller.site.reactions.sessions import remember
from controller.site.state import Session

if TYPE_CHECKING:
    from controller.site.site import Site

GIVEN_STEP_WH = 100.0
"""What a car gives back is kept on disk in steps of so much [Wh]."""


class OnReadings:
    """Reactions to readings."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._meters, self._limits, self._deciding = site.meters, site.limits, site.deciding
        self._evses, self._channels = site.evses, site.actuator.channels

    def handlers(self) -> Handlers:
        """By type of fact."""
        return {
            MeterRead: self._meter_read,
            MeterFailed: self._meter_failed,
            EvseMeasured: self.evse_measured,
            DeviceRead: self._device_read,
            DeviceAnswered: self._device_answered,
        }

    def _meter_read(self, fact: MeterRead) -> list[Order]:
        return self._take(self._site.readings.read(fact))

    def _meter_failed(self, fact: MeterFailed) -> list[Order]:
        return self._take(self._site.readings.failed(fact))

    def evse_measured(self, fact: EvseMeasured) -> list[Order]:
        """A charger told what its car draws."""
        evse = self._evses.get(fact.evse)
        if evse is None:
            return []
        site, now, channel = self._site, fact.at.mono_s, self._channels[fact.evse]
        setpoint_a = channel.present_a(now)
        fact = site.proof.believed(fact, evse, setpoint_a)
        evse = self._evses[fact.evse]
        after = self._evses[fact.evse] = measured(evse, fact, site.layout.voltage_v, setpoint_a)
        site.proof.moved(evse, after, now)
        orders = self.from_chargers(fact.at, fact.evse.station_id)
        if self._meters.above.take(after, channel, now):
            return orders + self.cut_derived(fact.at)
        if evse.session is not None and after.session is not None and _worth_keeping(evse.session, after.session):
            return [*orders, remember(after)]
        return orders

    def from_chargers(self, at: Stamp, station_id: str | None = None) -> list[Order]:
        """Meters worked out from what chargers say: of one station, else of all."""
        found = self._site.readings.chargers(self._evses, self._channels, at, station_id)
        return self._take(found) if found else []

    def _take(self, found: list[Found]) -> list[Order]:
        """What a meter, and the meters worked out from it, said."""
        orders: list[Order] = []
        for one in found:
            if isinstance(one, MeterRead):
                orders += self._metered(one)
            else:
                self._meters.failed(one)
        return orders

    def _metered(self, fact: MeterRead) -> list[Order]:
        circuit = self._meters.read(fact, self._evses, self._channels)
        if circuit is None:
            return []
        now = fact.at.mono_s
        limits = self._limits.bounds(now)
        self._meters.estimate(circuit, self._draws(circuit, now), limits, now)
        orders = self._deciding.cut(self._meters.check_over(circuit, limits, now), fact.at)
        return orders + self.look_at_devices(fact.at) if circuit == ROOT_CIRCUIT else orders

    def _draws(self, circuit: str, now: float) -> dict[EvseKey, Draw]:
        evses, channels, booked_a = self._evses, self._channels, self._deciding.booked_a
        unused_s, volts = self._site.config.control.unused_after_s, self._site.layout.voltage_v
        return {key: draw_of(evses[key], channels[key], booked_a.get(key), now, unused_s, volts) for key in self._site.layout.below[circuit]}

    def cut_derived(self, at: Stamp) -> list[Order]:
        """Lower what is too much on circuits that nobody measures, by what their stations say."""
        return self._deciding.cut(self._derived(at.mono_s), at)

    def _derived(self, now: float) -> tuple[Excess, ...]:
        return self._meters.check_derived(self._limits.bounds(now), self._evses, self._channels, self._deciding.booked_a, now)

    # -- battery, inverters and relays --------------------------------------------------------------------

    def look_at_devices(self, at: Stamp) -> list[Order]:
        """A defect there must not keep the guard from the cars."""
        site = self._site
        if not site.devices.any:
            return []
        orders: list[Order] = site.planner.contained.run("battery and inverters", lambda: site.devices.look(site.pictures.take(site, at)), list)
        return orders

    def _device_read(self, fact: DeviceRead) -> list[Order]:
        return self._site.devices.read(fact)

    def _device_answered(self, fact: DeviceAnswered) -> list[Order]:
        return self._site.devices.answered(fact)


def _worth_keeping(before: Session, after: Session) -> bool:
    """Without its base a restart would count the session from 0, and a car would not get back what it gave."""
    return before.base_wh is None is not after.base_wh or before.given_wh // GIVEN_STEP_WH != after.given_wh // GIVEN_STEP_WH
