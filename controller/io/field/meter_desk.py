"""Between the bytes a JSON meter sends and the fact the engine gets: parsing, convention, judgement.

One desk per meter, used by the MQTT and the HTTP shell alike, so that a device means the same over both.
"""

from __future__ import annotations

from dataclasses import replace

from controller.config import Config, HttpSource, MeterConfig, MqttSource
from controller.facts import MeterFailed, MeterRead
from controller.io.field.meter_rules import expectation
from controller.io.mqtt.payloads import PayloadError, load_json, parse_meter
from controller.io.shell import Clock
from meters.json_fields import Field, JsonError, parse_path
from meters.json_meter import JsonMeter, Values
from meters.quality import Expectation, judge, judge_reading
from meters.reading import Quality, Reading

MAX_BYTES = 65_536
"""Longest answer of a device: the whole status of the largest Shelly has about 6 KiB."""
NO_CURRENTS = (None, None, None)


class MeterDesk:
    """One meter."""

    def __init__(self, config: Config, meter: MeterConfig, source: MqttSource | HttpSource, clock: Clock) -> None:
        self.meter_id = meter.id
        self._clock = clock
        self._kind = source.format
        fields = {name: Field(parse_path(field.path), field.scale) for name, field in source.fields.items()}
        self._json = JsonMeter(source.format, fields, parse_path(source.measured_at) if source.measured_at is not None else None)
        self._expected = expectation(config, meter)

    def read(self, payload: bytes, topic: str = "") -> MeterRead | MeterFailed | None:
        """The fact in a payload; None = it is about something else. Never raises for what a device sends."""
        at = self._clock.stamp()
        try:
            if self._kind == "yardmaster":
                return MeterRead(at, self._own(payload))
            values = self._json.take(load_json(payload, MAX_BYTES), at.mono_s, topic)
        except (PayloadError, JsonError) as error:
            return MeterFailed(at, self.meter_id, str(error))
        return None if values is None else MeterRead(at, self._judged(values), values.age_s)

    def failed(self, reason: str) -> MeterFailed:
        """The fact that nothing came."""
        return MeterFailed(self._clock.stamp(), self.meter_id, reason)

    def _own(self, payload: bytes) -> Reading:
        reading = parse_meter(payload, self.meter_id)
        return judge_reading(reading, self._asked(reading.current_a != NO_CURRENTS))

    def _judged(self, values: Values) -> Reading:
        has_currents = any(name.startswith("i_") for name in values.quantities)
        return judge(self.meter_id, values.quantities, values.convention, self._asked(has_currents))

    def _asked(self, has_currents: bool) -> Expectation:
        """A meter that shows powers only cannot be asked for currents; whether that is enough is judged where it is used."""
        return self._expected if has_currents else replace(self._expected, current_phases=())


def usable(fact: MeterRead | MeterFailed | None) -> bool:
    """Whether a device's answer was a reading that may count."""
    return isinstance(fact, MeterRead) and fact.reading.quality is not Quality.BAD
