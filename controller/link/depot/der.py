"""DER controls at the depot face (R01-R05): what the grid wants of the whole depot, kept, executed and reported.

The depot is one station with one inverter as far as the CSMS can see. LimitMaxDischarge is executed by Yardmaster itself: a
percentage of what all cars together could give back here (the ``v2g`` ratings of the site file), and of the rated output of the inverters
and the battery it commands, each kind its part of it; told to the site as a hard limit (``GridControlled``). Everything else
only a charger's inverter can do: it goes to the chargers that say they can (``der_stations``), and a type that no charger executes is
answered NotSupported (R04.FR.01). Nothing is Accepted before it is on disk (R01.FR.03).

Starts and ends are told once for the depot: by its own clock or the first charger's word, and after the last charger has ended. What
the CSMS could not hear is kept and told when it is back, with the time at which it happened.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from controller.facts import EvseKey, GridControlled, GridStep
from controller.link.depot.der_alarms import OWN, DerAlarms
from controller.link.depot.der_bodies import BODY_OF
from controller.link.depot.der_stations import AT, GONE, DerStations
from controller.link.depot.der_store import CONTROLS, COUNTER, LIMIT, Control, DerStore, Turn, percent_of, report_pages
from controller.link.depot.office import Card, FromCsms, FromStation, Office, Quiet
from controller.ocpp.hub import Ask, Conversation, Emit, Failed, Keep, Message, Said, answered
from controller.ocpp.times import timestamp

Payload = dict[str, Any]

NEWS: Final = "der:news"
ENDING: Final = "der:ending"
MOST_NEWS: Final = 200
"""Notices kept for a CSMS that is away; the oldest go first."""
TRIES: Final = 3
"""A notice the CSMS answers with an error is told so often."""
AGAIN_S: Final = 30.0
GRACE_S: Final = 30.0
"""So long after its end a control waits for chargers that have not ended it yet [s]."""
EARLY_S: Final = 60.0
"""A charger's clock may be ahead of ours by so much [s]."""
DROPPED: Final = ("NotSupported", "NotImplemented")
REFUSED: Final[dict[str, str]] = {
    "SetDERControl": "NotSupported for a type that no charger executes; LimitMaxDischarge where neither v2g, battery nor inverter is commanded",
    "GetDERControl": "NotSupported for a type that no charger executes and that is not set",
    "ClearDERControl": "NotSupported for a type that no charger executes and that is not set",
}
_CHANGED_BY_CALLS: Final = (CONTROLS, COUNTER, AT, GONE, ENDING)


class DerControls(Quiet):
    """The part. See the module."""

    def __init__(self, office: Office) -> None:
        self._office, self._memory = office, office.memory
        self.store = DerStore(office.memory)
        self.stations = DerStations(office, self.store)
        self._alarms = DerAlarms(office.memory)
        self._told: dict[EvseKey, GridControlled] = {}
        self._telling = False
        self._tell_again_mono_s = float("-inf")
        self._tries = 0
        office.shows["DCDERCtrlr", "ModesSupported"] = lambda: ",".join(sorted(self.supported()))
        office.shows["DCDERCtrlr", "Available"] = lambda: "true" if self.supported() else ""

    # -- what it answers -------------------------------------------------------------------------------------

    def of_csms(self) -> Mapping[str, FromCsms]:
        """The three CALLs of the block."""
        return {"SetDERControl": self._set, "GetDERControl": self._get, "ClearDERControl": self._clear}

    def of_station(self) -> Mapping[str, FromStation]:
        """What chargers report."""
        return {"NotifyDERStartStop": self._started_or_ended, "NotifyDERAlarm": self._alarmed, "ReportDERControl": self._ignored}

    def supported(self) -> frozenset[str]:
        """Types of control this depot executes: for ModesSupported of its DCDERCtrlr."""
        return self.stations.types() | (frozenset({LIMIT}) if self.rating_w() > 0 else frozenset())

    def rating_w(self) -> float:
        """The most that cars, commanded battery and inverters together may give here [W]: what percentages of LimitMaxDischarge are of."""
        return sum(self._ratings().values()) + self._own_rated_w()

    def _own_rated_w(self) -> float:
        """Rated output of the inverters and of the battery, as far as Yardmaster commands them [W]."""
        config = self._office.config
        stored = config.battery.max_discharge_w if config.battery is not None and config.battery.command is not None else 0.0
        return stored + sum(inverter.max_power_w for inverter in config.inverters)

    def _ratings(self) -> dict[EvseKey, float]:
        """Rated discharge power of each EVSE of this depot that may give back [W]."""
        return {
            EvseKey(card.station_id, evse.id): evse.v2g.max_discharge_w
            for card in self._office.cards.values()
            if card.config is not None
            for evse in card.config.evses
            if evse.v2g is not None
        }

    def _set(self, message: Message) -> Conversation:
        request, now = message.payload, self._office.now()
        if request.get("controlType") in BODY_OF and request["controlType"] not in self.supported():
            return Said({"status": "NotSupported", "statusInfo": _info("UnsupportedParam", "no charger of this depot executes it")})
        before = self._before()
        verdict = self.store.set(request, now.wall_s, now.wall_trusted)
        if verdict.status != "Accepted":
            return Said({"status": verdict.status, "statusInfo": _info(verdict.reason_code, verdict.info)})
        control = self.store.find(request["controlId"])
        if control is not None:
            self.stations.plan(control)
        yield from self._kept(before)
        yield from self._grid()
        return Said({"status": "Accepted", **({"supersededIds": list(verdict.superseded)} if verdict.superseded else {})})

    def _clear(self, message: Message) -> Conversation:
        request = message.payload
        control_id, control_type = request.get("controlId"), request.get("controlType")
        control_type = control_type if control_id is None else None  # the type is not used beside an id
        chosen = self.store.select(bool(request.get("isDefault")), control_type, control_id)
        if not chosen and control_type is not None and control_type not in self.supported():
            return Said({"status": "NotSupported"})
        if not chosen and (control_id is not None or control_type is not None):
            return Said({"status": "NotFound"})
        if chosen:
            before = self._before()
            self.store.remove(chosen)
            self.stations.drop(chosen)
            self._not_ending(one.control_id for one in chosen)
            yield from self._kept(before)
            yield from self._grid()
        return Said({"status": "Accepted"})

    def _get(self, message: Message) -> Conversation:
        request = message.payload
        control_type = request.get("controlType")
        chosen = self.store.select(request.get("isDefault"), control_type, request.get("controlId"))
        if not chosen:
            unsupported = control_type is not None and control_type not in self.supported()
            return answered(Said({"status": "NotSupported" if unsupported else "NotFound"}))
        self._office.afterwards.append(self._report(list(report_pages(chosen, request["requestId"]))))
        return answered(Said({"status": "Accepted"}))

    def _before(self) -> dict[str, Any]:
        return {key: value for prefix in _CHANGED_BY_CALLS for key, value in self._memory.starting(prefix)}

    def _kept(self, before: dict[str, Any]) -> Conversation:
        """On disk, or as it was."""
        try:
            yield Keep()
        except GeneratorExit:
            after = self._before()
            for key in after.keys() | before.keys():
                self._memory.put(key, before.get(key))
            raise
        return Said({})

    # -- what chargers report --------------------------------------------------------------------------------------

    def _started_or_ended(self, station_id: str, message: Message) -> Conversation:
        started = message.payload.get("started") is True
        control_id = self.stations.heard(station_id, message.payload.get("controlId"), started)
        control = self.store.find(control_id) if control_id is not None else None
        now = self._office.now()
        if started and control is not None and not control.begun and now.wall_trusted:
            ahead_s = (control.start_wall_s or now.wall_s) - now.wall_s
            if 0 < ahead_s <= EARLY_S:
                self._turned(self.store.advance(now.wall_s + ahead_s), now.wall_s)
        if control_id is not None:
            yield Keep()
        return Said({})

    def _alarmed(self, station_id: str, message: Message) -> Conversation:
        said = message.payload
        cause = (str(said.get("controlType", "")), str(said.get("gridEventFault") or ""))
        notices = self._alarms.heard(station_id, cause, said.get("alarmEnded") is True, self._office.now().wall_s, str(said.get("extraInfo") or ""))
        self._queue("NotifyDERAlarm", notices)
        yield Keep()
        return Said({})

    def _ignored(self, station_id: str, message: Message) -> Conversation:
        return answered(Said({}))

    # -- time -----------------------------------------------------------------------------------------------------------

    def opened(self) -> list[Conversation]:
        """The CSMS is back."""
        self._tell_again_mono_s = float("-inf")
        return []

    def station_changed(self, card: Card) -> list[Conversation]:
        """A charger came or went."""
        self.stations.changed(card)
        return []

    def tick(self) -> list[Conversation]:
        """Starts, ends, alarms, and whatever waits to be said."""
        now = self._office.now()
        if now.wall_trusted:
            self._turned(self.store.advance(now.wall_s), now.wall_s)
            self._end_late(now.wall_s)
        self._look_at_alarms()
        talks = list(self.stations.visits())
        if self._memory.changed or any(True for _ in self._changes()):
            talks.append(self._keep_and_tell_site())
        here = self._office.accepted and self._office.csms_version and now.mono_s >= self._tell_again_mono_s
        if here and not self._telling and self._memory.get(NEWS):
            self._telling = True
            talks.append(self._tell())
        return talks

    def _turned(self, turns: list[Turn], wall_s: float) -> None:
        """Controls that came into force or are over: news for the CSMS, at once or when the last charger has ended."""
        for turn in turns:
            control = turn.control
            if turn.started:
                self._queue("NotifyDERStartStop", [_start_stop(control.control_id, True, wall_s, turn.superseded)])
            elif not turn.told:
                self.stations.forget(control.control_id)
            else:
                self._memory.put(ENDING, {**(self._memory.get(ENDING) or {}), control.control_id: min(wall_s, control.end_wall_s)})
                self._end_late(wall_s)  # an end is told before the start that follows it

    def _end_late(self, wall_s: float) -> None:
        """Ends are told when no charger executes the control any more, or should not for a while."""
        for control_id, ended_wall_s in dict(self._memory.get(ENDING) or {}).items():
            on = self.stations.still_on(control_id)
            if on and wall_s - ended_wall_s < GRACE_S:
                continue
            self._queue("NotifyDERStartStop", [_start_stop(control_id, False, wall_s if on else ended_wall_s)])
            self._not_ending([control_id])
            self.stations.forget(control_id)

    def _not_ending(self, control_ids: Any) -> None:
        gone = set(control_ids)
        left = {key: value for key, value in (self._memory.get(ENDING) or {}).items() if key not in gone}
        self._memory.put(ENDING, left or None)

    def _look_at_alarms(self) -> None:
        """Our own alarm, and those of chargers that are away."""
        now, site = self._office.now(), self._office.site
        held = site is not None and LIMIT in site.alarms
        if held != (OWN in self._alarms.who()):
            self._queue("NotifyDERAlarm", self._alarms.heard(OWN, (LIMIT, ""), not held, now.wall_s))
        for who in self._alarms.who():
            card = self._office.cards.get(who)
            if who != OWN:
                self._queue("NotifyDERAlarm", self._alarms.absent(who, card is None or not card.linked, now.mono_s, now.wall_s))

    # -- what the CSMS hears -------------------------------------------------------------------------------------------------

    def _queue(self, action: str, payloads: list[Payload]) -> None:
        if payloads:
            news = [*(self._memory.get(NEWS) or ()), *([action, payload] for payload in payloads)]
            self._memory.put(NEWS, news[-MOST_NEWS:])

    def _tell(self) -> Conversation:
        """All news in their order; what an older CSMS does not know it never asked for."""
        try:
            while (news := self._memory.get(NEWS)) and self._office.accepted:
                action, payload = news[0]
                reply = yield Ask(action, payload)
                if isinstance(reply, Failed) and reply.code not in DROPPED:
                    self._tries += 1 if self._office.csms_version else 0
                    if not self._office.csms_version or self._tries < TRIES:
                        self._tell_again_mono_s = self._office.now().mono_s + AGAIN_S
                        return Said({})
                self._tries = 0
                left = self._memory.get(NEWS) or []
                self._memory.put(NEWS, [one for one in left if one is not news[0]] or None)
                yield Keep()
        finally:
            self._telling = False
        return Said({})

    def _report(self, pages: list[Payload]) -> Conversation:
        for page in pages:
            reply = yield Ask("ReportDERControl", page)
            if isinstance(reply, Failed):
                break
        return Said({})

    # -- what the site hears -------------------------------------------------------------------------------------------------

    def _keep_and_tell_site(self) -> Conversation:
        yield from self._grid()
        yield Keep()
        return Said({})

    def _grid(self) -> Conversation:
        """What is in force for the site and each EVSE, where it changed."""
        for fact in list(self._changes()):
            self._told[fact.evse] = fact
            yield Emit(fact)
        return Said({})

    def _changes(self) -> Iterator[GridControlled]:
        for fact in self._wanted():
            before = self._told.get(fact.evse)
            if _said(before) != _said(fact):
                yield fact

    def _wanted(self) -> Iterator[GridControlled]:
        now, face, ratings = self._office.now(), self._office.identity, self._ratings()
        control = self.store.discharge_limit(now.wall_s, now.wall_trusted)
        later = self.store.coming_limits(now.wall_s) if now.wall_trusted else []
        cars_w, own_w = sum(ratings.values()), self._own_rated_w()
        coming = tuple(GridStep(start_s, *_of_site(_part(one), cars_w, own_w)) for start_s, one in later)
        discharge_w, export_w, part = _of_site(_part(control), cars_w, own_w)
        yield GridControlled(now, face, EvseKey("", 0), discharge_w, export_w, _words(control), part, coming)
        for key, rated_w in ratings.items():
            own = self._at(control, key)
            coming = tuple(GridStep(start_s, _share(_part(self._at(one, key)), rated_w)) for start_s, one in later)
            yield GridControlled(now, face, key, _share(_part(own), rated_w), None, _words(own), None, coming)

    def _at(self, control: Control | None, key: EvseKey) -> Control | None:
        """A control where a charger has it, too."""
        return control if control is not None and self.stations.has(control, key.station_id) else None


def _said(fact: GridControlled | None) -> tuple[Any, ...]:
    """What a fact says; nothing was told yet: nothing is in force."""
    if fact is None:
        return None, None, None, "", ()
    return fact.max_discharge_w, fact.max_export_w, fact.part, fact.control, fact.coming


def _part(control: Control | None) -> float | None:
    """What it leaves of the rated power (0..1)."""
    return (percent_of(control) or 0.0) / 100.0 if control is not None else None


def _share(part: float | None, rated_w: float) -> float | None:
    return None if part is None else part * rated_w


def _of_site(part: float | None, cars_w: float, own_w: float) -> tuple[float | None, float | None, float | None]:
    """(most the cars may give back [W], most feed-in [W], part of devices of our own). More than all of them may give cannot flow out either."""
    if part is None or own_w <= 0:
        return _share(part, cars_w), None, None
    return part * cars_w, part * (cars_w + own_w), part


def _words(control: Control | None) -> str:
    return f"DER {control.control_type} {control.control_id}" if control is not None else ""


def _start_stop(control_id: str, started: bool, wall_s: float, superseded: tuple[str, ...] = ()) -> Payload:
    notice: Payload = {"controlId": control_id, "started": started, "timestamp": timestamp(wall_s)}
    return notice | ({"supersededIds": list(superseded)} if superseded else {})


def _info(reason_code: str, info: str) -> Payload:
    return {"reasonCode": reason_code[:20], "additionalInfo": info[:512]}
