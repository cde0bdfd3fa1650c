"""Meters that publish over the site's broker: their topics, their payloads, and what they mean."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from controller.config import Config, MeterConfig, MqttSource
from controller.facts import MeterFailed, MeterRead
from controller.io.meter_rules import expectation
from controller.io.payloads import PayloadError, parse_meter
from controller.io.shell import Clock, Submit, Topics
from meters.quality import judge_reading


class MqttMeters:
    """The site's MQTT meters."""

    def __init__(self, config: Config, clock: Clock, submit: Submit) -> None:
        self._config, self._clock, self._submit = config, clock, submit

    def join(self, topics: Topics) -> None:
        """Listen to every meter's topic."""
        for meter in self._config.meters:
            if isinstance(meter.source, MqttSource):
                topics.listen(meter.source.topic, partial(self._take, meter))

    def _take(self, meter: MeterConfig, _topic: str, payload: bytes, retained: bool) -> None:
        if retained:
            return  # of unknown age; the next live value counts
        at = self._clock.stamp()
        try:
            reading = parse_meter(payload, meter.id)
        except PayloadError as error:
            self._submit(MeterFailed(at, meter.id, str(error)))
            return
        expected = expectation(self._config, meter)
        if reading.current_a == (None, None, None):
            expected = replace(expected, current_phases=())  # a meter that publishes power only
        self._submit(MeterRead(at, judge_reading(reading, expected)))
