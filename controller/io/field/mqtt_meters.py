"""Meters that publish over the site's broker: their topics and what comes there."""

from __future__ import annotations

from functools import partial

from controller.config import Config, MqttSource
from controller.io.field.meter_desk import MeterDesk
from controller.io.shell import Clock, Submit, Topics


class MqttMeters:
    """The site's MQTT meters."""

    def __init__(self, config: Config, clock: Clock, submit: Submit) -> None:
        self._submit = submit
        self._desks = [
            (meter.source.topic, MeterDesk(config, meter, meter.source, clock)) for meter in config.meters if isinstance(meter.source, MqttSource)
        ]

    def join(self, topics: Topics) -> None:
        """Listen to every meter's topic. Raises ValueError for what is no topic."""
        for topic, desk in self._desks:
            topics.listen(topic, partial(self._take, desk))

    def _take(self, desk: MeterDesk, topic: str, payload: bytes, retained: bool) -> None:
        if retained:
            return  # of unknown age; the next live value counts
        fact = desk.read(payload, topic)
        if fact is not None:
            self._submit(fact)
