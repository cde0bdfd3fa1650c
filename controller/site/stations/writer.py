"""Writer: brings what is wanted to one charger, when it is new or due, in the way of its strategy.

Lower at once and urgent; higher only after the last answer, inside the write budget and with a distance to the last
change; the same again before it ends. An older setpoint that would shadow the new one is taken out first.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from controller.config import ControlConfig
from controller.facts import FeaturesLearned, Stamp
from controller.orders import ClearSetpoint, Inject, Order, Strategy
from controller.site.sharing.arbiter import EPS
from controller.site.stations.channel import CLOCK_SLACK_S, Channel, Floor, Sent, Wanted
from controller.site.stations.floors import ANSWER_S, Floors, Numbers
from controller.site.stations.strategies import TX, TX_DEFAULT
from controller.site.stations.writes import WriteBook

POWER_W: Final = 1.0
"""V2X setpoints that differ by less are the same [W]."""
RISE_GAP_S: Final = 5.0
"""Between two rises of a car that charges lies so much [s]: one large step instead of many small ones."""
CUT_GAP_S: Final = 20.0
"""After a cut a car that still charges rises only this much later [s]: else every motor that starts and stops costs two writes."""


class Writer:
    """Works on a ``Channel``; keeps only what all of them share. Times are ``Stamp.mono_s`` unless a name says otherwise."""

    def __init__(self, number: Numbers, control: ControlConfig, floors: Floors, writes: WriteBook) -> None:
        self._number, self._control, self._floors, self.writes = number, control, floors, writes

    def bring(self, line: Channel, wanted: Wanted, at: Stamp) -> list[Order]:
        """The orders for it: one setpoint, something that must go before it, or nothing."""
        now = at.mono_s
        line.want(wanted, now)
        if not line.online or line.clearing or now < line.retry_mono_s or line.floor in (Floor.UNKNOWN, Floor.WRITING):
            return []
        wanted, held = self._affordable(line, wanted, now)
        if held or not self._due(line, wanted, now):
            return []
        rises = wanted.limit_a > line.present_a(now) + EPS
        if rises and (fresh := self._floors.refresh(line, now)) is not None:
            return [fresh]
        if rises and line.refresh_number:
            return []
        urgent = wanted.limit_a < max(line.present_a(now), line.ceiling_a(now, None, -math.inf)) - EPS or _gives_less(wanted, line.sent)
        strategy = self._strategy(line, wanted, urgent, now)
        if strategy is None:
            return []
        if self._shadowed(line, strategy, now):
            return self._clear_first(line, now)
        return [self._inject(line, wanted, strategy, urgent, at)]

    def again(self, line: Channel, at: Stamp) -> list[Order]:
        """What was last wanted, at once: after a refusal, or when the way is free."""
        return self.bring(line, line.wanted, at) if line.wanted is not None else []

    def _strategy(self, line: Channel, wanted: Wanted, urgent: bool, now: float) -> Strategy | None:
        if wanted.giving:
            return line.giving_ways[min(line.giving_at, len(line.giving_ways) - 1)]
        return line.tries.choose(urgent, now)

    @staticmethod
    def _shadowed(line: Channel, strategy: Strategy, now: float) -> bool:
        """Whether an older setpoint of ours with another purpose may still be in the station."""
        held = {sent.strategy.purpose for sent in (line.live(now), *line.outstanding.values()) if sent is not None}
        held |= {purpose for purpose, until_mono_s in line.doubts.items() if now < until_mono_s}
        # A TxProfile goes before any default (SC.01), so that a cut need not wait for it to be cleared.
        return bool(held - ({TX, TX_DEFAULT} if strategy.purpose == TX else {strategy.purpose}))

    def _clear_first(self, line: Channel, now: float) -> list[Order]:
        orders = self.clear(line, now)
        line.outstanding.clear()
        line.doubts.clear()  # asked for once: a station that does not clear anything must not stop what follows
        line.sent, line.accepted, line.answered = None, None, True
        return orders

    def clear(self, line: Channel, now: float) -> list[Order]:
        """Take our setpoint out. Until that is known it counts, and so does the floor that follows."""
        line.left_a = line.ceiling_a(now, None, -math.inf)
        ends = [sent.ends_mono_s for sent in (line.accepted, *line.outstanding.values()) if sent is not None]
        line.left_until_mono_s = max([now, *ends, *line.doubts.values()]) + CLOCK_SLACK_S
        if not line.online:
            return []
        line.clear_number, line.clear_until_mono_s = self._number(), now + ANSWER_S
        self.writes.wrote(line.place.key.station_id, line.place.model, now)
        return [ClearSetpoint(line.place.key, line.clear_number)]

    def _inject(self, line: Channel, wanted: Wanted, strategy: Strategy, urgent: bool, at: Stamp) -> Order:
        now, key, life_s = at.mono_s, line.place.key, self._control.setpoint_life_s
        before = line.sent.told_a if line.sent is not None else None
        if before is None or abs(wanted.told_a - before) > EPS:
            line.changed_mono_s = now
            if before is None or wanted.told_a > before:
                line.risen_mono_s = now
            else:
                line.cut_mono_s = now
        if abs(wanted.given_w - (line.sent.given_w if line.sent is not None else 0.0)) > POWER_W:
            line.given_changed_mono_s = now
        if line.answered:
            line.asked_mono_s = now
        number = self._number()
        line.sent = Sent(number, wanted.limit_a, wanted.reason, now, now + life_s, strategy, wanted, urgent)
        line.answered, line.resend = False, False
        line.outstanding[number] = line.sent
        self.writes.wrote(key.station_id, line.place.model, now)
        return Inject(
            key,
            number,
            wanted.told_a,
            wanted.phase_count,
            life_s,
            wanted.reason,
            urgent,
            wanted.setpoint_w,
            strategy,
            wanted.phase_to_use,
            wanted.idle,
        )

    def _affordable(self, line: Channel, wanted: Wanted, now: float) -> tuple[Wanted, bool]:
        """What may be written of it by the write budget, and whether nothing may. Cuts and pauses always may."""
        model, sent = line.place.model, line.sent
        present = sent if sent is not None and now < sent.ends_mono_s else None
        open_ = self.writes.may(line.place.key.station_id, model, now)
        if present is not None and present.wanted is not None and wanted.given_w > present.given_w + POWER_W and present.told_a <= EPS:
            return (wanted, False) if open_ else (present.wanted, False)
        if wanted.told_a < max(line.place.fallback_a, present.told_a if present is not None else 0.0) - EPS:
            return wanted, False
        rises = present is None or wanted.told_a > present.told_a + EPS
        if not rises:
            return wanted, not open_
        paused = present is None or present.told_a < line.place.min_a
        since_s = min(now - line.risen_mono_s, now - line.cut_mono_s)
        rested = paused or (since_s >= RISE_GAP_S and now - line.risen_mono_s >= model.min_write_s and now - line.cut_mono_s >= CUT_GAP_S)
        if open_ and rested:
            return wanted, False
        if present is None or present.wanted is None:
            return wanted, True
        return present.wanted, not open_

    def _due(self, line: Channel, wanted: Wanted, now: float) -> bool:
        sent = line.sent
        if sent is not None and now >= sent.ends_mono_s and not line.resend and _floor_does(line, wanted, sent, now):
            return False
        if sent is None or now >= sent.ends_mono_s or line.resend:
            return True
        if wanted.told_a < sent.told_a - EPS or _gives_less(wanted, sent):
            return True
        if not line.answered:
            return False
        if _floor_does(line, wanted, sent, now):
            return False
        renew_s = self.writes.renew_s(line.place.model, self._control.setpoint_renew_s, self._control.setpoint_life_s)
        return _differs(wanted, sent) or now - sent.at_mono_s >= renew_s


def _gives_less(wanted: Wanted, sent: Sent | None) -> bool:
    """Whether a car shall give back less than its setpoint says: a reserve, a limit or a silent meter wants it at once.

    More has time: no charging counts on it.
    """
    return sent is not None and wanted.given_w < sent.given_w - POWER_W


def _floor_does(line: Channel, wanted: Wanted, sent: Sent, now: float) -> bool:
    """Whether the end of a setpoint changes nothing: it says what the floor says, and the floor is known to be in the station.

    Only where that was read back, nothing of the CSMS gets past us (merge), and nothing else may be in the station: then a car
    that pauses, or charges with its floor, costs no write a minute.
    """
    model, place, accepted = line.place.model, line.place, line.accepted
    if not line.confirmed or not (model.reads_back and model.keeps_default) or model.csms_profiles != "merge" or line.mis_stacks or line.probed:
        return False
    if accepted is None or accepted.number != sent.number or line.outstanding or now < max(line.left_until_mono_s, line.settling_until_mono_s):
        return False
    plain = wanted.phase_count == len(place.phases) and wanted.phase_to_use is None and not wanted.giving
    return plain and abs(wanted.told_a - place.fallback_a) <= EPS and abs(sent.told_a - place.fallback_a) <= EPS and not _differs(wanted, sent)


def _differs(wanted: Wanted, sent: Sent) -> bool:
    """Whether a station has to be told something new."""
    if abs(wanted.told_a - sent.told_a) > EPS:
        return True
    was = sent.wanted
    if was is None:
        return False
    same_phases = (was.phase_count, was.phase_to_use, was.idle, was.setpoint_w is None) == (
        wanted.phase_count,
        wanted.phase_to_use,
        wanted.idle,
        wanted.setpoint_w is None,
    )
    return not same_phases or abs((was.setpoint_w or 0.0) - (wanted.setpoint_w or 0.0)) > POWER_W


def possible(line: Channel, wanted: Wanted, features: Mapping[str, FeaturesLearned]) -> Wanted:
    """Without the V2X words that the station did not announce, or refused in this session. features: by station."""
    if wanted.giving and not _may_give(line, features.get(line.place.key.station_id)):
        return replace(wanted, setpoint_w=None, idle=False)
    return replace(wanted, idle=False) if wanted.idle and line.idle_refused else wanted


def _may_give(line: Channel, features: FeaturesLearned | None) -> bool:
    """Whether a V2X setpoint may go out: announced for this EVSE, and not refused in this session."""
    announced = features is not None and "CentralSetpoint" in features.modes and line.place.key.evse_id in features.v2x
    return announced and bool(line.giving_ways) and not line.giving_refused
