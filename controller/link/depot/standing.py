"""What the CSMS has set for the whole site, or for a charger that was away: every station gets it, also one that comes later.

A slot holds the CALL that brings a station into the wished state. A station that has answered it, whatever it answered, is done with it;
one that was away gets it when it is back; one that was swapped for another box (another serial number) gets everything again. A slot that
the CSMS takes back becomes the CALL that removes it, until every station that had it has heard so. All of it is on disk.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from typing import Any, Final

from controller.link.depot.asking import Asking, Heard, ask_each, ask_one, configured, tell
from controller.link.depot.office import Card, Office
from controller.ocpp.hub import Conversation, Keep, Payload, Reply, Said, Step
from controller.orders import Severity

AGAIN_S: Final = 60.0
"""A station that is linked and did not answer is asked again after so long."""
MOST: Final = 500
"""Slots of one part."""


class Standing:
    """The slots of one part. name: of the part, for the keys of the memory."""

    def __init__(self, office: Office, name: str) -> None:
        self._office = office
        self._prefix = f"stand:{name}:"
        self._done_prefix = f"stood:{name}:"
        self._known: dict[str, Payload] | None = None
        self._busy: set[str] = set()
        self._again_mono_s: dict[str, float] = {}

    # -- what the CSMS sets -------------------------------------------------------------------------------

    @property
    def full(self) -> bool:
        """Whether there is no room for another slot."""
        return len(self._slots()) >= MOST

    def slots(self) -> dict[str, Payload]:
        """Slot -> its CALL's payload, of those in force."""
        return {slot: what["payload"] for slot, what in self._slots().items() if not what["gone"] and not what["once"]}

    def only(self, slot: str) -> str:
        """The one station a slot is for, "" for all, and for a slot that is not in force."""
        what = self._slots().get(slot)
        return str(what["only"]) if what is not None and not what["gone"] else ""

    def set(self, slot: str, action: str, payload: Payload, only: str = "", gone: bool = False, once: bool = False) -> None:
        """From now on this holds; the caller keeps it on disk. only: for this station alone. gone: this takes back what the slot held.
        once: an errand: the slot is forgotten when its one station has answered."""
        what = {"action": action, "payload": payload, "only": only, "gone": gone, "once": once, "number": self._office.number()}
        self._slots()[slot] = what
        self._office.memory.put(f"{self._prefix}{slot}", what)

    def declare(self, slot: str, action: str, payload: Payload, only: str = "", gone: bool = False, once: bool = False) -> Asking[None]:
        """``set``, and on disk; a disk that refuses undoes it."""
        before = self._office.memory.get(f"{self._prefix}{slot}")
        self.set(slot, action, payload, only, gone, once)
        try:
            yield Keep()
        except GeneratorExit:
            self._office.memory.put(f"{self._prefix}{slot}", before)
            self._known = None
            raise

    def forget(self, slot: str) -> None:
        """It holds no more, and no station need hear of it."""
        if self._slots().pop(slot, None) is None:
            return
        self._office.memory.put(f"{self._prefix}{slot}", None)
        for card in self._office.cards.values():
            done = self._done(card.station_id)
            if slot in done["slots"]:
                self._note(card.station_id, {**done, "slots": {key: value for key, value in done["slots"].items() if key != slot}})

    def spare(self, slot: str, station_id: str) -> None:
        """This station need not be asked: it is as wished already."""
        if slot in self._slots():
            self._mark(station_id, slot, self._slots()[slot]["number"])

    def everywhere(self, slot: str) -> Asking[list[Heard]]:
        """Ask all stations that can be asked now; those that were away are asked later. The caller keeps the memory on disk."""
        what = self._slots()[slot]
        wanted = [card for card in configured(self._office) if what["only"] in ("", card.station_id)]
        asked = [card for card in wanted if not what["gone"] or self._done(card.station_id)["slots"].get(slot, what["number"]) != what["number"]]
        mine = {card.station_id for card in asked if card.linked and card.station_id not in self._busy}
        self._busy |= mine
        try:
            heard = yield from ask_each([(card, what["action"], what["payload"]) for card in asked])
        finally:
            self._busy -= mine
        for one in heard:
            if not one.away:
                self._mark(one.station_id, slot, what["number"])
        self._tidy()
        self._look_again(wanted)
        return heard

    def _look_again(self, cards: Iterable[Card]) -> None:
        """Those that did not answer, or came while the others were asked."""
        now_mono_s = self._office.now().mono_s
        for card in cards:
            if card.linked and self._debts(card):
                self._again_mono_s.setdefault(card.station_id, now_mono_s + AGAIN_S)

    # -- stations ---------------------------------------------------------------------------------------

    def has(self, station_id: str, slot: str) -> bool:
        """Whether a station has ever answered this slot's CALL."""
        return slot in self._done(station_id)["slots"]

    def station_changed(self, card: Card) -> list[Conversation]:
        """It may be back."""
        self._swapped(card)
        if not card.linked:
            self._again_mono_s.pop(card.station_id, None)
            return []
        return self._owed(card)

    def tick(self) -> list[Conversation]:
        """Those that did not answer are asked again."""
        due = [station_id for station_id, mono_s in self._again_mono_s.items() if self._office.now().mono_s >= mono_s]
        talks: list[Conversation] = []
        for station_id in due:
            del self._again_mono_s[station_id]
            card = self._office.cards.get(station_id)
            talks += self._owed(card) if card is not None and card.linked else []
        return talks

    def _owed(self, card: Card) -> list[Conversation]:
        if card.station_id in self._busy or not card.configured or not self._debts(card):
            return []
        self._busy.add(card.station_id)
        return [self._bring(card)]

    def _bring(self, card: Card) -> Generator[Step, Reply | None, Reply]:
        try:
            for slot in self._debts(card):
                what = self._slots().get(slot)
                if what is None:  # taken back while another one was under way
                    continue
                heard = yield from ask_one(card, what["action"], what["payload"])
                if heard.away:
                    self._again_mono_s[card.station_id] = self._office.now().mono_s + AGAIN_S
                    break
                self._mark(card.station_id, slot, what["number"])
                self._tidy()
                yield Keep()
                if not what["once"] and heard.status not in ("Accepted", "Scheduled"):
                    text = f"{card.station_id} did not take what the CSMS has set for it ({what['action']}): {heard.words}"
                    yield tell(self._office, Severity.WARNING, text)
        finally:
            self._busy.discard(card.station_id)
        return Said({})

    def _debts(self, card: Card) -> list[str]:
        done = self._done(card.station_id)["slots"]
        meant = [(slot, what) for slot, what in self._slots().items() if what["only"] in ("", card.station_id)]
        owed = [(what["number"], slot) for slot, what in meant if done.get(slot) != what["number"] and (not what["gone"] or slot in done)]
        return [slot for _, slot in sorted(owed)]

    def _swapped(self, card: Card) -> None:
        serial, done = str(card.boot.get("serialNumber", "")), self._done(card.station_id)
        if not serial or serial == done["serial"]:
            return
        self._note(card.station_id, {"serial": serial, "slots": {} if done["serial"] else done["slots"]})

    def _mark(self, station_id: str, slot: str, number: int) -> None:
        done = self._done(station_id)
        self._note(station_id, {**done, "slots": {**done["slots"], slot: number}})

    def _done(self, station_id: str) -> Payload:
        found = self._office.memory.get(f"{self._done_prefix}{station_id}")
        return found if isinstance(found, dict) else {"serial": "", "slots": {}}

    def _note(self, station_id: str, done: Payload) -> None:
        self._office.memory.put(f"{self._done_prefix}{station_id}", done)

    def _tidy(self) -> None:
        """Slots that were taken back at every station that had them, and errands that are done, are forgotten."""
        for slot, what in list(self._slots().items()):
            done = [self._done(card.station_id)["slots"].get(slot, what["number"]) for card in configured(self._office)]
            ran = what["once"] and self._done(what["only"])["slots"].get(slot) == what["number"]
            if ran or (what["gone"] and all(number == what["number"] for number in done)):
                self.forget(slot)

    def _slots(self) -> dict[str, Any]:
        if self._known is None:
            start = len(self._prefix)
            self._known = {key[start:]: value for key, value in self._office.memory.starting(self._prefix) if isinstance(value, dict)}
        return self._known
