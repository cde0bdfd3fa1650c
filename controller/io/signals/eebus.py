"""Driver: LPC and LPP of a grid operator's box, through a bridge that speaks EEBUS there and MQTT here.

EEBUS (SHIP, SPINE) has no library in Python; a small program beside ours translates messages one to one and decides nothing. Its topics
are in deploy/signals.md. Heartbeats are messages of their own, a write of a limit is none (LPC-916). A limit of production may come with
EEBUS' own sign, negative.
"""

from __future__ import annotations

import asyncio
import json
from functools import partial
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from controller.config import Config
from controller.config_signals import EebusSignal, SignalConfig
from controller.facts import Direction, FailsafeStated, LimitRefused, LimitStated, SignalBeat, SourceChanged
from controller.io.mqtt.payloads import PayloadError, load_json, shown
from controller.io.signals.driver import Driver, Surroundings
from controller.orders import AnswerEvent, AnswerSignal, TellSource

BEAT_S: Final = 30.0
"""Our own heartbeat to the bridge: at least one a minute is asked for (LPC-031) [s]."""
MOST_OPEN: Final = 200


class LimitPayload(BaseModel):
    """A write of a limit. active false: released (LPC-914/1). duration_s absent: it has no end (APCL_DUR_02)."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)
    value_w: float
    active: bool
    duration_s: float | None = None
    number: int = Field(default=0, ge=0, le=2**53)


class FailsafePayload(BaseModel):
    """A write of failsafe values (scenario 2)."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)
    value_w: float | None = None
    duration_s: float | None = None
    number: int = Field(default=0, ge=0, le=2**53)


def build(entry: SignalConfig, around: Surroundings) -> Driver:
    """The driver of an entry of type eebus."""
    assert isinstance(entry, EebusSignal)
    return Eebus(entry, around)


class Eebus:
    """One bridge."""

    def __init__(self, entry: EebusSignal, around: Surroundings) -> None:
        self.source_id, self._around = entry.id, around
        self._head = entry.topic or f"yardmaster/{around.config.site.id}/eebus/{entry.id}"
        self._number = 0
        self._asked: dict[int, tuple[Direction, str, int]] = {}
        self._online: bool | None = None
        if around.topics is not None:
            self._listen()

    def _listen(self) -> None:
        topics = self._around.topics
        assert topics is not None
        for way in Direction:
            topics.listen(f"{self._head}/{way.value}/limit", partial(self._limit, way))
            topics.listen(f"{self._head}/{way.value}/failsafe", partial(self._failsafe, way))
        topics.listen(f"{self._head}/heartbeat", lambda _, payload, retained: self._beat(retained))
        topics.listen(f"{self._head}/status", lambda _, payload, retained: self._status(payload))

    async def run(self) -> None:
        """Say what we are, and that we live."""
        while True:
            stamp = self._around.clock.stamp()
            self._say("controller/heartbeat", {"at_wall_s": round(stamp.wall_s, 1)})
            self._say("controller/nominal", nominal(self._around.config), retain=True)
            await asyncio.sleep(BEAT_S)

    async def close(self) -> None:
        """Nothing is kept open."""

    # -- in ------------------------------------------------------------------------------------------------

    def _limit(self, way: Direction, topic: str, payload: bytes, retained: bool) -> None:
        said = self._read(LimitPayload, payload, way, "limit")
        if not isinstance(said, LimitPayload):
            return
        value_w = abs(said.value_w) if way is Direction.PRODUCTION else said.value_w
        number = self._ask(way, "limit", said.number)
        at = self._around.clock.stamp()
        fact = LimitStated(at, self.source_id, way, value_w if said.active else None, said.duration_s, retained=retained, number=number)
        self._around.submit(fact)

    def _failsafe(self, way: Direction, topic: str, payload: bytes, retained: bool) -> None:
        if retained:
            return  # of unknown age; the bridge writes it again when its box does
        said = self._read(FailsafePayload, payload, way, "failsafe")
        if isinstance(said, FailsafePayload):
            number = self._ask(way, "failsafe", said.number)
            self._around.submit(FailsafeStated(self._around.clock.stamp(), self.source_id, way, said.value_w, said.duration_s, number))

    def _beat(self, retained: bool) -> None:
        if not retained:
            self._around.submit(SignalBeat(self._around.clock.stamp(), self.source_id))

    def _status(self, payload: bytes) -> None:
        """The bridge's own will: "online" or "offline"."""
        online = payload.strip() == b"online"
        if online != self._online:
            self._online = online
            detail = "the EEBUS bridge is there" if online else "the EEBUS bridge is away; the failsafe holds when its heartbeat is missing"
            self._around.submit(SourceChanged(self._around.clock.stamp(), self.source_id, online, detail))

    def _ask(self, way: Direction, what: Literal["limit", "failsafe"], number: int) -> int:
        self._number += 1
        self._asked[self._number] = (way, what, number)
        for old in list(self._asked)[:-MOST_OPEN]:
            del self._asked[old]
        return self._number

    def _read(self, model: type[BaseModel], payload: bytes, way: Direction, what: str) -> BaseModel | None:
        try:
            return model.model_validate(load_json(payload))
        except PayloadError as error:
            reason = str(error)
        except ValidationError as error:
            item = error.errors()[0]
            reason = f"{'.'.join(map(str, item['loc']))[:80]}: {item['msg']}"
        if payload:
            self._around.submit(LimitRefused(self._around.clock.stamp(), self.source_id, reason, shown(payload)))
            self._say(f"{way.value}/answer", {"what": what, "number": 0, "accepted": False, "reason": reason, "in_force_w": None})
        return None

    # -- out -----------------------------------------------------------------------------------------------

    def answered(self, order: AnswerSignal | AnswerEvent | TellSource) -> None:
        """Tell the bridge."""
        if isinstance(order, AnswerSignal):
            way, what, number = self._asked.pop(order.number, (Direction.CONSUMPTION, "limit", 0))
            told = {"what": what, "number": number, "accepted": order.accepted, "reason": order.reason, "in_force_w": order.in_force_w}
            self._say(f"{way.value}/answer", told)
        elif isinstance(order, TellSource):
            power_w, at_s = order.power_w, round(order.wall_s, 1)
            taken = {"state": order.state, "limit_w": order.limit_w, "power_w": power_w, "controllable_w": order.controllable_w, "at_wall_s": at_s}
            fed_in = {"state": order.state, "limit_w": order.production_limit_w, "power_w": power_w, "pv_w": order.pv_w, "at_wall_s": at_s}
            self._say("consumption/state", taken, retain=True)
            self._say("production/state", fed_in, retain=True)

    def _say(self, what: str, told: dict[str, Any], retain: bool = False) -> None:
        if self._around.topics is not None:
            self._around.topics.say(f"{self._head}/{what}", json.dumps(told, separators=(",", ":")), retain)


def nominal(config: Config) -> dict[str, float]:
    """What an energy manager reports as its nominal maximum: the contract of the connection, not the minimum power; all inverters' rating."""
    grid = config.grid
    fuse_w = grid.fuse_a * grid.voltage_v * grid.phases
    taken_w = fuse_w if grid.max_import_w is None else min(fuse_w, grid.max_import_w)
    return {"consumption_nominal_max_w": taken_w, "production_nominal_max_w": sum(inverter.max_power_w for inverter in config.inverters)}
