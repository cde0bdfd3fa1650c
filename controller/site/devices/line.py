"""One device we command: what it was told, what it says is in force, who else commands it, and when to say it again.

A command has a life and is told again well before its end, so that the device falls free by itself when we are gone. It counts as
obeyed when it was read back. Something else that commands the same device shows in what is read back: then we leave the device alone
for a while, say so, and try once more, each time after a longer pause (``insist``: command it again, and say so). A command of our own that
it shows late is not somebody else's. What was commanded is on disk, so that a start after a crash can release what nobody else would.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Final, NamedTuple

from controller.facts import DeviceAnswered, DeviceRead, Steering
from controller.orders import Order, Persist, Severity, SteerDevice, Tell

SPACE: Final = "device"
RENEWED_PART: Final = 1.0 / 3.0
"""A command is told again at this part of its life: two may get lost."""
GAP_S: Final = 1.0
"""Commands are not told more often than this unless they are urgent [s]."""
URGENT_GAP_S: Final = 0.3
ANSWER_S: Final = 6.0
"""So long a command may take to be carried out and read back [s]."""
SETTLE_S: Final = 3.0
"""So long after a command the device may still show the one before [s]."""
SILENT_S: Final = 15.0
"""A device that says nothing for so long is silent [s]."""
FAILS: Final = 2
"""So many commands in a row that fail make it one that does not obey."""
FOREIGN_READS: Final = 2
"""So many readings in a row must show somebody else's command."""
STRAY_S: Final = 20.0
SLOW_STRAY_S: Final = 40.0
"""What flows may differ from the command for so long before that is told [s]; inverters may be slow: one that is held down late does no harm."""
YIELD_S: Final = 300.0
LONGEST_YIELD_S: Final = 3600.0
PEACE_S: Final = 900.0
"""After so long without a dispute the next one begins with a short pause again [s]."""
KEEPS_S: Final = 3.0
"""A command on which no fuse hangs any more for so long is told anew, so that it does not outlive us [s]."""
LEAVING_S: Final = 60.0
"""So long cars are given to make room for what one gives that does not follow, before it is given free [s]."""
FREE_S: Final = 30.0
"""A device that says it is free for so long is tried before the pause is over [s]."""
MOVE_PART: Final = 0.05
"""A change of the command by more than this part of the rated power takes the device a while to follow; smaller ones it has followed."""
LATE_S: Final = 60.0
"""A command of ours may be shown so long after the one that followed it [s]."""
REACTION_S: Final = 6.0
SLOWEST_S: Final = 45.0
"""So long after a command a device may be anywhere between before and after it, until it has shown that it takes longer; and at most [s]."""
FOLLOWED_PART: Final = 0.8
"""It has followed when this part of the way is gone."""
FORGETS_PART: Final = 0.8
"""What is left of a long reaction after one that was quick."""
SAME_W: Final = 50.0
SAME_PART: Final = 0.02


class Wish(NamedTuple):
    """What a device shall do: a power [W] or a contact; both None = as it likes. keeps: a fuse hangs on it, see ``SteerDevice``."""

    power_w: float | None = None
    closed: bool | None = None
    keeps: bool = False

    @property
    def free(self) -> bool:
        """Whether it may do as it likes."""
        return self.power_w is None and self.closed is None


FREE: Final = Wish()


@dataclass(slots=True)
class Sent:
    """The last command. ok None: not answered yet."""

    number: int
    wish: Wish
    at_mono_s: float
    ok: bool | None = None
    confirmed: bool = False


class Numbers:
    """Numbers of commands, one row for all devices."""

    def __init__(self) -> None:
        self._last = 0

    def next(self) -> int:
        """The next one."""
        self._last += 1
        return self._last


class Line:
    """One device. Mutable; ``now`` is monotonic seconds. rated_w: what tolerances are a part of. tells: it reports its state by itself."""

    def __init__(
        self,
        device: str,
        kind: str,
        life_s: float,
        rated_w: float,
        numbers: Numbers,
        *,
        insist: bool = False,
        tells: bool = True,
        keeps_s: float = 0.0,
    ) -> None:
        """keeps_s: a command that a fuse hangs on lives at least so long [s]."""
        self.device, self.kind, self.life_s, self.rated_w = device, kind, life_s, rated_w
        self._keeps_s = max(life_s, keeps_s)
        self.reacts_s = REACTION_S
        self._learns, self._asked_mono_s = False, -math.inf
        self._from_w: float | None = None
        self._lately: deque[tuple[float, float]] = deque(maxlen=40)
        self._numbers, self._insist, self._tells = numbers, insist, tells
        self.wanted, self.reason = FREE, ""
        self.sent: Sent | None = None
        self.before: Wish = FREE
        self.read: DeviceRead | None = None
        self.trouble = ""
        self.moved_mono_s = -math.inf
        self._ours = False
        self._left_behind = False
        self._fails = 0
        self._again_mono_s = -math.inf
        self._heard_mono_s = -math.inf
        self._began_mono_s: float | None = None
        self._silent = False
        self._foreign = 0
        self._disputes = 0
        self._yields_until = -math.inf
        self._free_since: float | None = None
        self._disputed_mono_s = -math.inf
        self._stray_since: float | None = None
        self.strays = False
        self._needed_mono_s = -math.inf
        self._left_until = self._left_mono_s = -math.inf
        self._left_pause_s = YIELD_S

    # -- what it is ------------------------------------------------------------------------------------------

    def yields(self, now: float) -> bool:
        """Whether it is left to somebody else."""
        return now < self._yields_until

    def obeys(self, now: float) -> bool:
        """Whether what we want of it may be counted on."""
        return not (self.yields(now) or self._silent or self._fails >= FAILS or self.strays)

    def state(self, now: float) -> str:
        """As the page shows it, see ``snapshot.DeviceView``."""
        if self.yields(now):
            return "other"
        if self._silent:
            return "silent"
        if self._fails:
            return "refused"
        if self.wanted.free:
            return "free"
        return "confirmed" if self.sent is not None and self.sent.ok and self.sent.confirmed and self._same(self.sent.wish) else "commanded"

    @property
    def commanded_w(self) -> float | None:
        """What it was told last and has not refused [W]; None = nothing."""
        return self.sent.wish.power_w if self.sent is not None and self.sent.ok is not False else None

    def power_w(self, now: float) -> float | None:
        """What it says flows now [W]."""
        return self.read.power_w if self.read is not None and now - self._heard_mono_s <= SILENT_S else None

    def soc_percent(self) -> float | None:
        """The state of charge it tells, None while it is silent."""
        return self.read.soc_percent if self.read is not None and not self._silent else None

    def bounds_w(self, measured_w: float, now: float) -> tuple[float, float]:
        """(what it shows, what it may be doing by its command): while that is young it may be anywhere between [W]."""
        told_w = self.commanded_w
        if told_w is None or now - self.moved_mono_s > self.reacts_s:
            return measured_w, measured_w
        return measured_w, told_w

    def strayed(self, measured_w: float, tolerance_w: float, now: float) -> bool | None:
        """Whether a battery does what no command of ours can have meant; None = it is on its way. Less than it was told is its own right: full,
        cold, tapering."""
        if self.commanded_w is None:
            return None
        young = now - self.moved_mono_s <= self.reacts_s
        if young and self.before.free:
            return None
        told_w = [self.commanded_w, *self._since(now - self.reacts_s)] if young else [self.commanded_w]
        beyond = measured_w > max(0.0, *told_w) + tolerance_w or measured_w < min(0.0, *told_w) - tolerance_w
        return True if beyond else None if young else False

    def lately_w(self, now: float) -> list[float]:
        """What it was told in the time it takes to follow, and before that [W]: it may still be on its way from one to the next."""
        return self._since(now - self.reacts_s)

    def _since(self, from_mono_s: float) -> list[float]:
        """What it was told from then on, and what it was told before that."""
        earlier = [told_w for at, told_w in self._lately if at < from_mono_s]
        return [*earlier[-1:], *(told_w for at, told_w in self._lately if at >= from_mono_s)]

    def learn(self, measured_w: float, now: float) -> None:
        """How long it takes to follow: seen, never assumed. An inverter that is let up makes what the sun gives: that shows nothing."""
        told_w, passed_s = self.commanded_w, now - self._asked_mono_s
        if told_w is None or not self._learns or passed_s > SLOWEST_S:
            return
        self._from_w = measured_w if self._from_w is None else self._from_w
        way_w = told_w - self._from_w
        if abs(way_w) < MOVE_PART * self.rated_w or (way_w > 0 and self.kind == "inverter"):
            self._learns = False
        elif (measured_w - self._from_w) / way_w >= FOLLOWED_PART:
            least_s = max(REACTION_S, FORGETS_PART * self.reacts_s)
            self.reacts_s, self._learns = max(least_s, min(SLOWEST_S, passed_s + 2.0)), False

    def _same(self, wish: Wish) -> bool:
        return self.wanted == wish

    # -- commanding --------------------------------------------------------------------------------------------

    def steer(self, wish: Wish, reason: str, now: float, *, urgent: bool = False, dead_w: float = 0.0) -> list[Order]:
        """Tell it what we want, if it has to be told now. dead_w: smaller changes of a power can wait for the next renewal [W].

        One that shall be given free because it does not follow is, at the latest, after ``LEAVING_S`` if a fuse hangs on what it does now.
        """
        self.reason = reason
        if self.yields(now):
            self.wanted = wish
            return []
        wish = FREE if now < self._left_until and not (wish.keeps and now < self._left_mono_s + LEAVING_S) else wish
        self._needed_mono_s = now if wish.keeps else self._needed_mono_s
        spared = now - self._needed_mono_s >= KEEPS_S
        if self.sent is not None and self._close(wish, self.sent.wish, dead_w, spared):
            wish = self.sent.wish if not self._due(now) else wish
        self.wanted = wish
        if wish.free:
            return self._release(now)
        if self.sent is not None and self.sent.wish == wish and self.sent.ok is not False and not self._due(now):
            return []
        if now < self._again_mono_s and not urgent:
            return []
        if self.sent is not None and now - self.sent.at_mono_s < (URGENT_GAP_S if urgent else GAP_S):
            return []
        return [*self._remember(True), self._order(wish, now, urgent)]

    @staticmethod
    def _close(wish: Wish, other: Wish, dead_w: float, spared: bool) -> bool:
        """spared: no fuse has hung on it for a while."""
        if other.keeps and not wish.keeps and spared:
            return False
        if wish.power_w is None or other.power_w is None or (wish.power_w == 0.0) != (other.power_w == 0.0) or (wish.keeps and not other.keeps):
            return False
        return abs(wish.power_w - other.power_w) < dead_w

    def _due(self, now: float) -> bool:
        """Whether the command must be renewed, or has not been answered."""
        if self.sent is None or self.sent.wish.free:
            return False
        passed_s = now - self.sent.at_mono_s
        return passed_s >= RENEWED_PART * self.life_s or (self.sent.ok is None and passed_s >= ANSWER_S)

    def _release(self, now: float) -> list[Order]:
        """Give it free, until it says so or its own watchdog must have done it."""
        if not self._ours and not self._left_behind:
            return []
        told = self.sent is not None and self.sent.wish.free
        if told and self.sent is not None and self.sent.ok:
            self._left_behind = False
            return self._remember(False)
        wait_s = ANSWER_S if told and self.sent is not None and self.sent.ok is None else GAP_S
        if self.sent is not None and now - self.sent.at_mono_s < wait_s:
            return []
        if now < self._again_mono_s:
            return []
        return [self._order(FREE, now, False)]

    def _order(self, wish: Wish, now: float, urgent: bool) -> Order:
        self.before = self.sent.wish if self.sent is not None else FREE
        self.sent = Sent(self._numbers.next(), wish, now)
        before_w, told_w = self.before.power_w, wish.power_w
        if (before_w is None) != (told_w is None) or abs((told_w or 0.0) - (before_w or 0.0)) > MOVE_PART * self.rated_w:
            self.moved_mono_s = now
            if told_w is None or not any(now - at <= LATE_S and abs(earlier_w - told_w) <= SAME_W for at, earlier_w in self._lately):
                self._learns, self._from_w, self._asked_mono_s = True, None, now
        if told_w is not None:
            self._lately.append((now, told_w))
        self._began_mono_s = now if self._began_mono_s is None else self._began_mono_s
        keeps = wish.keeps and told_w is not None and told_w < 0.0
        life_s = self._keeps_s if keeps else self.life_s
        return SteerDevice(self.device, self.sent.number, wish.power_w, wish.closed, life_s, urgent, keeps)

    def _remember(self, ours: bool) -> list[Order]:
        if ours == self._ours:
            return []
        self._ours = ours
        return [Persist(0, remember={(SPACE, self.device): {"ours": True} if ours else None})]

    def recall(self, memory: object) -> None:
        """A command of ours was in force when the controller last stopped: it is released unless it is wanted again."""
        self._left_behind = isinstance(memory, dict) and memory.get("ours") is True
        self._ours = self._left_behind

    # -- what comes back ------------------------------------------------------------------------------------------

    def answered(self, fact: DeviceAnswered) -> list[Order]:
        """A command was carried out, or not."""
        if self.sent is None or fact.number != self.sent.number:
            return []
        self.sent.ok, self.sent.confirmed = fact.ok, fact.confirmed
        self._heard_mono_s = max(self._heard_mono_s, fact.at.mono_s) if fact.ok else self._heard_mono_s
        if fact.ok:
            self._again_mono_s = -math.inf
            failed, self._fails, self.trouble = self._fails >= FAILS, 0, ""
            return [Tell(Severity.INFO, self.device, f"{self.device} takes commands again")] if failed else []
        self._fails += 1
        self.trouble = fact.reason or "it did not take the command"
        self._again_mono_s = fact.at.mono_s + min(2.0**self._fails, self.life_s / 4.0, 60.0)
        if self._fails != FAILS:
            return []
        text = f"{self.device} does not take commands: {self.trouble} - it is tried again, and the site does without it; check the device"
        return [Tell(Severity.WARNING, self.device, text)]

    def heard(self, fact: DeviceRead) -> list[Order]:
        """It says what it does."""
        now, self.read = fact.at.mono_s, fact
        self._heard_mono_s = now
        orders: list[Order] = []
        if self._silent:
            self._silent = False
            orders.append(Tell(Severity.INFO, self.device, f"{self.device} answers again"))
        self._free(fact, now)
        if self._lapsed(fact, now):
            self.sent = None  # the device's own watchdog has ended it, or somebody released it: it is told again
        return orders + self._judge(fact, now)

    def _free(self, fact: DeviceRead, now: float) -> None:
        free = fact.steering is Steering.FREE
        self._free_since = (now if self._free_since is None else self._free_since) if free else None
        if free and self.yields(now) and self._free_since is not None and now - self._free_since >= FREE_S:
            self._yields_until = now

    def _lapsed(self, fact: DeviceRead, now: float) -> bool:
        settled = self.sent is not None and self.sent.ok and self.sent.confirmed and now - self.sent.at_mono_s > SETTLE_S
        return bool(settled and self.sent is not None and not self.sent.wish.free and fact.steering is Steering.FREE and fact.command_w is None)

    def _judge(self, fact: DeviceRead, now: float) -> list[Order]:
        """Whether somebody else commands it while we want to."""
        if self.yields(now) or self.wanted.free:
            self._foreign = 0
            return []
        self._foreign = self._foreign + 1 if self._by_another(fact, now) else 0
        if self._foreign < FOREIGN_READS:
            return []
        self._foreign = 0
        theirs = "another command" if fact.command_w is None else f"{fact.command_w:.0f} W"
        return self._disputed(theirs, fact, now)

    def _by_another(self, fact: DeviceRead, now: float) -> bool:
        if (self.sent is not None and now - self.sent.at_mono_s <= SETTLE_S) or self._own_late(fact, now):
            return False
        if fact.steering is Steering.OTHER:
            return True
        sent = self.sent
        if sent is None or not sent.ok or not sent.confirmed:
            return False
        if sent.wish.closed is not None:
            return fact.closed is not None and fact.closed != sent.wish.closed
        if sent.wish.power_w is None or fact.command_w is None:
            return False
        return abs(fact.command_w - sent.wish.power_w) > max(SAME_W, SAME_PART * self.rated_w)

    def _own_late(self, fact: DeviceRead, now: float) -> bool:
        """Whether it shows a command of ours that another one has followed since."""
        if fact.command_w is None:
            return False
        return any(now - at <= LATE_S and abs(fact.command_w - told_w) <= SAME_W for at, told_w in self._lately)

    def _disputed(self, theirs: str, fact: DeviceRead, now: float) -> list[Order]:
        calm = now - self._disputed_mono_s > PEACE_S
        self._disputed_mono_s, self._stray_since = now, None
        detail = f" ({fact.detail})" if fact.detail else ""
        if self._insist:
            self.sent = None
            self._disputes = 1 if calm else self._disputes + 1
            text = f"something else commands {self.device}, too: {theirs}{detail} - it is commanded again, as other_master: insist says"
            return [Tell(Severity.WARNING, self.device, text)] if self._disputes == 1 else []
        self._disputes = 0 if calm and self._disputes and now - self._yields_until > PEACE_S else self._disputes
        pause_s = min(YIELD_S * 2.0**self._disputes, LONGEST_YIELD_S)
        self._disputes += 1
        self._yields_until, self.sent = now + pause_s, None
        self.trouble = f"something else commands it: {theirs}{detail}"
        text = (
            f"something else commands {self.device}, too: {theirs}{detail} - it is left alone for {pause_s / 60:.0f} min and then tried again; "
            "find out what it is, or set other_master: insist"
        )
        return [*self._remember(False), Tell(Severity.WARNING, self.device, text)]

    # -- time --------------------------------------------------------------------------------------------------------

    def look(self, now: float, strayed: bool | None) -> list[Order]:
        """Let time pass. strayed: whether what flows is not what it was told; None = nobody can tell now."""
        if self._began_mono_s is None:
            self._began_mono_s = now
        orders: list[Order] = []
        heard_s = now - max(self._heard_mono_s, self._began_mono_s)
        if self._tells and not self._silent and heard_s > SILENT_S:
            self._silent = True
            text = f"{self.device} has been silent for {heard_s:.0f} s - the site does without it; check its cable, power and address"
            orders.append(Tell(Severity.WARNING, self.device, text))
        if self._yields_until != -math.inf and now >= self._yields_until and self.trouble.startswith("something else"):
            self.trouble = ""
        if self._left_until != -math.inf and now >= self._left_until:
            self._left_until, self.strays, self._stray_since, self.trouble = -math.inf, False, None, ""
        return orders + self._stray(now, strayed)

    def _stray(self, now: float, strayed: bool | None) -> list[Order]:
        if strayed is None:
            return []
        if not strayed:
            self._stray_since = None
            was, self.strays = self.strays, now < self._left_until
            if was and not self.strays:
                self.trouble = ""
            return [Tell(Severity.INFO, self.device, f"{self.device} follows its commands again")] if was and not self.strays else []
        self._stray_since = now if self._stray_since is None else self._stray_since
        if self.strays or now - self._stray_since < (STRAY_S if self.kind == "battery" else SLOW_STRAY_S):
            return []
        self.strays, self.trouble = True, "it confirms commands and does not follow them"
        if self.kind == "battery":  # commanding one that does something else may do harm: it is given free and tried again later
            self._left_mono_s = now
            self._left_until, self._left_pause_s = now + self._left_pause_s, min(2.0 * self._left_pause_s, LONGEST_YIELD_S)
        text = f"{self.device} confirms its commands but does something else - the site does not count on it; check its settings"
        return [Tell(Severity.WARNING, self.device, text)]
