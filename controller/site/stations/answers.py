"""Answers: what a station says to a setpoint becomes knowledge of what it obeys.

After a definite no the next strategy of the model is tried (F04), after silence the same again under a new number (F05); when nothing is
left the EVSE counts with its maximum until a probe a minute succeeds. What was accepted is confirmed by a sample of composites. Must never:
believe in a cut before the station accepted it and had time to apply it; forget what may be in force without an answer.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from controller.config import ControlConfig
from controller.facts import FeaturesLearned, FloorConfirmed, SetpointAnswered
from controller.orders import Order, Persist, ReadBack, Strategy
from controller.site.sharing.arbiter import EPS
from controller.site.stations.channel import CLOCK_SLACK_S, Channel, Floor, Sent, Wanted
from controller.site.stations.floors import RETRY_LOST_S, Floors
from controller.site.stations.strategies import strategy_memory
from controller.site.stations.writer import Writer, possible

ROUNDS: Final = 2
"""So often all strategies of a model are refused before the EVSE counts as uncontrollable."""
ROUND_S: Final = 2.0
"""Wait before all strategies are tried again [s]."""
LOSSES: Final = 2
"""Setpoints without an answer in a row after which the EVSE counts as uncontrollable (F05: one retry)."""
LOST_RETRY_S: Final = 1.0
"""Wait before a setpoint without an answer is sent again [s]."""
LOOK_GAP_S: Final = 30.0
"""Composites of one EVSE are read no more often than this [s]."""
MISREADS: Final = 2
"""Composites above the accepted setpoint in a row after which the strategy counts as refused: the station mis-stacks."""
MENDED: Final = ("DuplicateProfile", "NoPhaseForDC")
"""Refusals after which the link clears or leaves out what is in the way: the same way is tried once more."""
SPACE: Final = "strategy"
"""Where the journal keeps the strategy that worked, by EVSE."""


class Answers:
    """Works on a ``Channel``; keeps only what all of them share. features: what each station announced."""

    def __init__(self, control: ControlConfig, floors: Floors, writer: Writer, features: Mapping[str, FeaturesLearned]) -> None:
        self._control, self._floors, self._writer, self._features = control, floors, writer, features

    def answered(self, line: Channel, fact: SetpointAnswered) -> list[Order]:
        """A station answered a setpoint, a floor or a clearing; the orders that follow at once."""
        now = fact.at.mono_s
        if fact.number == line.floor_number and line.floor is Floor.WRITING:
            return self._floors.answered(line, fact.accepted, fact.lost, fact.reason, now, fact.retry_after_s)
        if fact.number == line.refresh_number and line.refresh_number:
            self._floors.refreshed(line, fact.accepted, fact.reason, now, fact.retry_after_s)
            return []
        if fact.number == line.clear_number and line.clear_number:
            return self._cleared(line, fact)
        sent = line.outstanding.pop(fact.number, None)
        if sent is None:
            return []
        if fact.accepted:
            return self._accepted(line, sent, now)
        if line.sent is None or line.sent.number != fact.number:
            if fact.lost:
                self.doubt(line, sent, now)  # a newer one has taken its place, but nobody knows in which order they arrived
                self._book(line, sent, now)
            return []
        return self._rejected(line, sent, fact)

    def _accepted(self, line: Channel, sent: Sent, now: float) -> list[Order]:
        # A station carries out one after the other: this one has taken the place of all before it.
        older_a = [line.outstanding.pop(older).limit_a for older in list(line.outstanding) if older < sent.number]
        before_a = max(line.known_a(now), *older_a, 0.0)
        cut = sent.limit_a < before_a - EPS
        if cut:
            still_settling = now < line.settling_until_mono_s
            line.settling_a = max(before_a, line.settling_a) if still_settling else before_a
            line.settling_until_mono_s = now + line.place.model.apply_s
            line.lowered_mono_s, line.lowered_by_a = now, before_a - sent.limit_a
        line.doubts.pop(sent.strategy.purpose, None)  # it has taken its place
        line.accepted = replace(sent, at_mono_s=now, ends_mono_s=now + self._control.setpoint_life_s)
        line.rejections, line.losses, line.uncontrollable = 0, 0, False
        line.tries.rounds, line.tries.duplicate = 0, False
        line.tries.refused.clear()
        if line.floor is Floor.FAILED:
            # The new setpoint has taken the place of what was in the way of the floor: look again.
            line.floor_retry_mono_s = now
        if line.sent is not None and line.sent.number == sent.number:
            line.answered = True
        return [*self._remember(line, sent.strategy, sent.wanted), *self._look(line, sent, cut, now)]

    @staticmethod
    def _remember(line: Channel, strategy: Strategy, wanted: Wanted | None) -> list[Order]:
        tries = line.tries
        if tries.unsure or strategy == tries.remembered or strategy not in tries.ways or (wanted is not None and wanted.giving):
            tries.unsure = False
            return []
        if tries.remembered is None and strategy == tries.ways[0]:
            return []  # nothing to remember: a better way the station tells of later comes first
        tries.remembered = strategy
        return [Persist(0, remember={(SPACE, str(line.place.key)): strategy_memory(strategy)})]

    # -- a no, or silence -------------------------------------------------------------------

    def _rejected(self, line: Channel, sent: Sent, fact: SetpointAnswered) -> list[Order]:
        """Not accepted, or no answer: it may be in force all the same, so its value stays booked."""
        now = fact.at.mono_s
        line.last_reason = fact.reason
        self._book(line, sent, now)
        line.sent, line.answered = line.accepted, True
        if fact.lost:
            self.doubt(line, sent, now)
            return self._lost(line, now)
        line.losses = 0
        line.risen_mono_s = -math.inf  # a rise that did not happen holds up none
        if fact.retry_after_s is not None:
            line.tries.waits[sent.strategy] = now + max(0.0, fact.retry_after_s)
            return self._writer.again(line, fact.at) if sent.urgent else []
        if sent.wanted is not None and sent.wanted.giving:
            return self._giving_refused(line, sent.wanted, fact)
        return self._refused(line, sent, fact)

    def _refused(self, line: Channel, sent: Sent, fact: SetpointAnswered) -> list[Order]:
        """A definite no: the next strategy at once; when all were refused, a pause and all again."""
        tries, now = line.tries, fact.at.mono_s
        line.rejections += 1
        if sent.strategy != tries.way:
            return self._writer.again(line, fact.at)  # the list has changed meanwhile
        if any(word in fact.reason for word in MENDED) and not tries.duplicate:
            tries.duplicate = True
            return self._writer.again(line, fact.at)
        tries.unsure = tries.unsure or "TxNotFound" in fact.reason
        if tries.refuse():
            return self._writer.again(line, fact.at)
        line.uncontrollable = line.uncontrollable or tries.rounds >= ROUNDS
        line.retry_mono_s = now + (RETRY_LOST_S if line.uncontrollable else ROUND_S)
        return []

    def _giving_refused(self, line: Channel, refused: Wanted, fact: SetpointAnswered) -> list[Order]:
        """A V2X setpoint was refused: the other kind, then back to plain charging until the session is over.

        Who only refuses to idle may still give back: a limit of 0 A does instead (Q10 is optional).
        """
        if any(word in fact.reason for word in MENDED) and not line.tries.duplicate:
            line.tries.duplicate = True
            return self._writer.again(line, fact.at)
        line.tries.duplicate = False
        if refused.setpoint_w is None:
            line.idle_refused = True
        else:
            line.giving_at += 1
            line.giving_refused = line.giving_at >= len(line.giving_ways)
        if line.wanted is not None:
            line.wanted = possible(line, line.wanted, self._features)
        return self._writer.again(line, fact.at)

    def silent(self, line: Channel, now: float) -> None:
        """Answers that never came count as lost."""
        for sent in line.outstanding.values():
            self._book(line, sent, now)
            self.doubt(line, sent, now)
        line.outstanding.clear()
        line.sent, line.answered, line.last_reason = line.accepted, True, "no answer"
        self._lost(line, now)

    def _lost(self, line: Channel, now: float) -> list[Order]:
        line.losses += 1
        line.rejections += 1
        line.uncontrollable = line.uncontrollable or line.losses >= LOSSES
        line.retry_mono_s = now + (RETRY_LOST_S if line.uncontrollable else LOST_RETRY_S)
        return []

    def _book(self, line: Channel, sent: Sent, now: float) -> None:
        if sent.limit_a > line.known_a(now):
            line.settle(sent.limit_a, now + self._control.setpoint_life_s, now)

    def doubt(self, line: Channel, sent: Sent, now: float) -> None:
        """Without an answer it may be in the station: it must be cleared before another kind of profile follows."""
        line.doubts[sent.strategy.purpose] = now + self._control.setpoint_life_s + CLOCK_SLACK_S

    # -- confirmation by composite ----------------------------------------------------------

    def _look(self, line: Channel, sent: Sent, cut: bool, now: float) -> list[Order]:
        """Read the composite after the first setpoint of a session and after cuts: samples, not every renewal."""
        plain = sent.wanted is None or not sent.wanted.giving
        line.look_owed = line.look_owed or cut
        due = plain and (line.first or line.look_owed or line.misread > 0) and now - line.looked_mono_s >= LOOK_GAP_S
        if not due or not line.place.model.reads_back or not line.confirmed:
            return []
        line.looked_mono_s, line.first, line.look_owed = now, False, False
        outstanding_a = [one.limit_a for one in line.outstanding.values()]
        left_a = line.left_a if now < line.left_until_mono_s else 0.0
        return [ReadBack(line.place.key, max(sent.told_a, left_a, *outstanding_a), sent.number)]

    def read(self, line: Channel, fact: FloorConfirmed) -> list[Order]:
        """A composite above what was accepted: sent again, then the next strategy. None at all says nothing (16.9)."""
        now, accepted = fact.at.mono_s, line.accepted
        if accepted is None or accepted.number != fact.number or fact.limit_a is None:
            return []
        if fact.ok:
            line.misread, line.mis_stacks = 0, False
            return []
        line.misread += 1
        line.looked_mono_s = -math.inf
        line.last_reason = f"accepted {accepted.told_a:g} A and reports {fact.limit_a:g} A"
        line.settle(min(fact.limit_a, line.place.config.max_current_a), now + self._control.setpoint_life_s, now)
        line.resend = True
        if line.misread < MISREADS:
            return []
        line.misread, line.mis_stacks = 0, True
        if not line.tries.refuse():
            line.uncontrollable = line.uncontrollable or line.tries.rounds >= ROUNDS
            line.retry_mono_s = now + (RETRY_LOST_S if line.uncontrollable else ROUND_S)
        return []

    # -- taking a setpoint out --------------------------------------------------------------

    def _cleared(self, line: Channel, fact: SetpointAnswered) -> list[Order]:
        line.clear_number = 0
        # A station that does not know it has not got it any more.
        if fact.accepted or (not fact.lost and "unknown" in fact.reason.lower()):
            line.left_until_mono_s = min(line.left_until_mono_s, fact.at.mono_s + line.place.model.apply_s)
        return self._writer.again(line, fact.at)
