"""Shell: reads meters, inverters and batteries that speak SunSpec and hands their readings in.

One task per meter polls on a drift-free beat, as for meters with a register map; meters behind the
same address share one connection with everything else there. Every poll ends in exactly one fact,
``MeterRead`` or ``MeterFailed``. What the models mean is in ``meters/sunspec*.py``.
"""

from __future__ import annotations

import asyncio
from functools import partial

from controller.config import Config
from controller.config_meters import MeterConfig, SunSpecSource
from controller.io.field.bus import Buses
from controller.io.field.meter_beat import ask_for_ever
from controller.io.field.meter_rules import expectation
from controller.io.field.sunspec_device import SunSpecDevice
from controller.io.shell import Clock, Submit
from controller.io.tasks import end, keep
from controller.orders import Order
from meters.quality import Expectation
from meters.reading import Quality, Reading, ReadingError
from meters.sunspec_models import Found, Picture
from meters.sunspec_values import Source, choose, reading, settled

ASK_AGAIN_S = 10.0
"""A device whose reading is bad is asked for all its registers again, those it refused included, once in so long."""


class SunSpecMeter:
    """One meter: its device, and which of the device's models hold its values."""

    def __init__(self, meter: MeterConfig, source: SunSpecSource, expected: Expectation, device: SunSpecDevice) -> None:
        self.meter_id = meter.id
        self.poll_s = source.poll_s
        self._role = meter.role
        self._wish = source
        self._expected = expected
        self._device = device
        self._models: tuple[Found, ...] = ()
        self._asked_again_s = -1e9
        self._source: Source | None = None

    async def poll(self) -> Reading:
        """One reading. Raises ReadingError."""
        picture = await self._device.read(self._choose)
        if self._source is None:  # never: it was chosen before the picture was read
            raise ReadingError("model missing", "no models were chosen")
        result = reading(self.meter_id, picture, self._source, self._wish.sign, self._expected)
        self._settle(picture, self._source, result)
        return result

    def _settle(self, picture: Picture, source: Source, result: Reading) -> None:
        """Leave out what turned out to be of no use; when a reading is bad, ask for everything again, but not each time."""
        now_s = asyncio.get_running_loop().time()
        slim = settled(picture, source)
        if slim != source or (result.quality is Quality.BAD and now_s - self._asked_again_s >= ASK_AGAIN_S):
            self._source, self._asked_again_s = slim, now_s
            self._device.choose_again(self._choose)

    def _choose(self, models: tuple[Found, ...]) -> tuple[tuple[Found, int], ...]:
        if self._source is None or models != self._models:
            self._models, self._source = models, choose(models, self._role, self._wish.models, self._wish.nth)
        return self._source.wanted


class SunSpecShell:
    """Polls every SunSpec meter of the site."""

    orders: tuple[type[Order], ...] = ()

    def __init__(self, config: Config, clock: Clock, submit: Submit, buses: Buses) -> None:
        self._clock = clock
        self._submit = submit
        self._meters = build_meters(config, buses)
        self._tasks: list[asyncio.Task[None]] = []

    def carry(self, order: Order) -> None:
        """Takes no orders."""

    async def start(self) -> None:
        """Begin polling; a meter that is away is no reason to fail."""
        self._tasks = [
            keep(partial(ask_for_ever, meter.meter_id, meter.poll_s, meter.poll, self._clock, self._submit), f"meter {meter.meter_id}")
            for meter in self._meters
        ]

    async def stop(self) -> None:
        """Stop polling. The connections belong to the process."""
        await end(self._tasks)


def build_meters(config: Config, buses: Buses) -> list[SunSpecMeter]:
    """Every SunSpec meter of the site; those of one unit share what is known about it."""
    devices: dict[tuple[int, int, int | None], SunSpecDevice] = {}
    built = []
    for meter in config.meters:
        source = meter.source
        if isinstance(source, SunSpecSource):
            bus = buses.of(source)
            key = (id(bus), source.unit, source.base)
            device = devices.setdefault(key, SunSpecDevice(bus, source, source.base))
            built.append(SunSpecMeter(meter, source, expectation(config, meter), device))
    return built
