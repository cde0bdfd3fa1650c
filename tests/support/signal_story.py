"""A source of limits of any type, spoken to in one language: state, beat, fall silent. Behind it the real site in virtual time."""

from __future__ import annotations

from typing import Any

from controller.facts import ContactsRead, Direction, EventsTold, FailsafeStated, GridEvent, LimitStated, Restored, SignalBeat
from controller.orders import AnswerSignal, Order, RecordCompliance
from controller.site.grid.limit_machine import State
from tests.support.site_story import WALL_S, Story, depot

CONSUMPTION, PRODUCTION = Direction.CONSUMPTION, Direction.PRODUCTION
FAILSAFE_W, FAILSAFE_PRODUCTION_W = 4200.0, 1000.0
LEVELS_W = (0.0, 3000.0, 6000.0, 11_000.0)
"""What the contacts of this story can say; other values cannot be said with relays."""
STATED = ("mqtt", "api", "eebus")
TOLD = ("openadr3", "openadr2", "ieee2030_5")
EVERY_TYPE = (*STATED, "contacts", *TOLD)

_MORE: dict[str, dict[str, Any]] = {
    "openadr3": {"url": "http://vtn", "ven_name": "yard"},
    "openadr2": {"url": "http://vtn/OpenADR2/Simple/2.0b", "ven_name": "yard"},
    "ieee2030_5": {"url": "https://utility/dcap", "cert_file": "c.pem", "key_file": "k.pem", "ca_file": "a.pem"},
    "contacts": {
        "debounce_s": 0.0,
        "contacts": [
            {
                "name": f"K{number}",
                "pin": {"type": "file", "path": f"/pins/{number}"},
                "consumption_w": watts,
                "production_w": watts,
                "missing": "hold",
            }
            for number, watts in enumerate(LEVELS_W)
        ],
    },
}


def entry(kind: str, **more: Any) -> dict[str, Any]:
    """An entry of ``signals``, with both failsafes."""
    return {"id": "dso", "type": kind, "failsafe_w": FAILSAFE_W, "failsafe_production_w": FAILSAFE_PRODUCTION_W} | _MORE.get(kind, {}) | more


class SignalStory(Story):
    """One or more sources beside a depot. Every word goes in as the driver of its type would hand it in."""

    def __init__(self, *entries: dict[str, Any], count: int = 1, **parts: Any) -> None:
        super().__init__(depot(count, signals=list(entries), **parts))
        self._entries = list(entries)
        self._parts, self._count, self._restarts = parts, count, 0
        self._kinds = {str(one["id"]): str(one["type"]) for one in entries}
        self._version = 0

    # -- the source speaks ------------------------------------------------------------------------------------

    def say(self, watts: float | None, way: Direction = CONSUMPTION, duration_s: float | None = None, source: str = "dso") -> list[Order]:
        """The source states a limit of one direction, or that there is none, in its own way."""
        kind = self._kinds[source]
        if kind == "contacts":
            closed = tuple(level == watts for level in LEVELS_W)
            return self.do(ContactsRead(self.at(), source, closed))
        if kind in TOLD:
            return self.do(EventsTold(self.at(), source, self._events(watts, way, duration_s)))
        self._version += 1
        return self.do(LimitStated(self.at(), source, way, watts, duration_s, number=self._version))

    def _events(self, watts: float | None, way: Direction, duration_s: float | None) -> tuple[GridEvent, ...]:
        if watts is None:
            return ()
        self._version += 1
        limit: dict[str, Any] = {"consumption_w": watts} if way is CONSUMPTION else {"production_w": watts}
        return (GridEvent(f"e{self._version}", 1, self.at().wall_s, duration_s, created_wall_s=self.at().wall_s, **limit),)

    def beat(self, source: str = "dso") -> list[Order]:
        """A sign of life that states nothing."""
        return self.do(SignalBeat(self.at(), source))

    def failsafe(self, watts: float | None, duration_s: float | None = None, way: Direction = CONSUMPTION) -> AnswerSignal:
        """LPC scenario 2."""
        orders = self.do(FailsafeStated(self.at(), "dso", way, watts, duration_s, 99))
        return next(order for order in orders if isinstance(order, AnswerSignal))

    def wait(self, seconds: float, beats: bool = False, step_s: float = 10.0) -> None:
        """Let time pass; with a heartbeat at least each 30 s."""
        end, beaten = self.now + seconds, self.now
        while self.now < end - 1e-9:
            self.now = min(end, self.now + step_s)
            if beats and self.now - beaten >= min(30.0, step_s):
                beaten = self.now
                self.beat()
            self.do(self.tick())

    def restart(self, down_s: float = 5.0, trusted: bool = True) -> None:
        """Kill and start again with what the journal has."""
        self.now += down_s
        fresh = Story(depot(self._count, signals=self._entries, **self._parts))
        self.site = fresh.site
        self.unwritten.clear()
        stamp = self.at() if trusted else type(self.at())(self.now, 0.0, wall_trusted=False)
        self.do(Restored(stamp, {key: memory for key, memory in self.memories.items() if memory is not None}, {}))

    # -- what holds -----------------------------------------------------------------------------------------------

    def state(self, way: Direction = CONSUMPTION, source: str = "dso") -> State:
        """Of its machine."""
        return self.site.limits.signals[source].machines[way].state

    def holds_w(self, way: Direction = CONSUMPTION, source: str = "dso") -> float | None:
        """The limit in force."""
        return self.site.limits.signals[source].value_w(way, self.now)

    def record(self, event: str = "") -> list[RecordCompliance]:
        """Lines of the compliance record."""
        return [order for order in self.of(RecordCompliance) if event in ("", order.event)]


__all__ = [
    "CONSUMPTION",
    "EVERY_TYPE",
    "FAILSAFE_PRODUCTION_W",
    "FAILSAFE_W",
    "LEVELS_W",
    "PRODUCTION",
    "STATED",
    "TOLD",
    "WALL_S",
    "SignalStory",
    "entry",
]
