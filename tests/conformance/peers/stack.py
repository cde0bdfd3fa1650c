"""The charging profiles inside an independent station: replacement, stacking and combination as part 2 K and 1.6 3.13 say.

Nothing of ours. Profiles come as on the wire (camelCase, a dict). ``temper`` is what the station does wrong.
Limits are per phase [A] for three phases of 230 V; None = unlimited.
"""

from datetime import datetime

VOLTS = 230.0
PURPOSES = {"TxProfile": "tx", "TxDefaultProfile": "default", "ChargingStationMaxProfile": "max", "ChargePointMaxProfile": "max"}


def wall(text):
    moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return moment.timestamp()


class Kept:
    """One profile as stored. updated: when a Dynamic one last changed."""

    def __init__(self, evse, raw, now):
        schedule = raw["chargingSchedule"]
        self.evse, self.raw, self.updated = evse, raw, now
        self.schedule = schedule[0] if isinstance(schedule, list) else schedule
        self.id = raw.get("id", raw.get("chargingProfileId"))
        self.purpose, self.kind, self.stack = PURPOSES[raw["chargingProfilePurpose"]], raw["chargingProfileKind"], raw["stackLevel"]
        self.transaction = raw.get("transactionId")

    def place(self):
        """Where only one can be."""
        return self.purpose, self.stack, self.evse, self.transaction

    def limit(self, now, session_began):
        """(valid, limit) at a moment."""
        began = self.updated if self.kind == "Dynamic" else session_began if self.kind == "Relative" else wall(self.schedule["startSchedule"])
        elapsed = now - began
        if elapsed < 0 or elapsed >= self.schedule.get("duration", float("inf")):
            return False, None
        periods = [period for period in self.schedule["chargingSchedulePeriod"] if period["startPeriod"] <= elapsed]
        period = periods[-1]
        share = VOLTS * period.get("numberPhases", 3) if self.schedule["chargingRateUnit"] == "W" else 1.0
        return True, period["limit"] / share


class Stack:
    """All profiles of a station with one EVSE."""

    def __init__(self, replaces, keeps_older=False):
        self.replaces, self.keeps_older = replaces, keeps_older
        self.kept = []

    def set(self, evse, raw, now):
        """ "" when taken, else the reason code."""
        new = Kept(evse, raw, now)
        same_id = [old for old in self.kept if old.id == new.id]
        if self.keeps_older and [old for old in same_id if old.limit(now, now)[0]]:
            return ""  # it says Accepted and goes on with what it has
        place = [
            old for old in self.kept if (old.purpose, old.stack, old.evse, old.transaction) == (new.purpose, new.stack, new.evse, new.transaction)
        ]
        if not self.replaces and [old for old in place if old.id != new.id]:
            return "DuplicateProfile"
        gone = same_id + (place if self.replaces else [])
        self.kept = [old for old in self.kept if old not in gone] + [new]
        return ""

    def clear(self, wanted, profile_id=None, evse=None, purpose=None, stack=None):
        before = len(self.kept)
        self.kept = [old for old in self.kept if not _matches(old, profile_id, evse, purpose, stack)] if wanted else self.kept
        return "Accepted" if len(self.kept) < before else "Unknown"

    def update(self, profile_id, limit, now):
        found = [kept for kept in self.kept if kept.id == profile_id and kept.kind == "Dynamic"]
        for kept in found:
            kept.schedule["chargingSchedulePeriod"][0]["limit"], kept.updated = limit, now
        return bool(found)

    def forget(self, purpose):
        self.kept = [kept for kept in self.kept if kept.purpose != purpose]

    def limit(self, now, session_began):
        """What the EVSE may draw: the leading profile of each purpose, the lowest of them; TxProfile before TxDefaultProfile."""
        led = {purpose: self._leading(purpose, now, session_began) for purpose in ("tx", "default", "max")}
        layer = led["tx"] if led["tx"] is not None else led["default"]
        limits = [limit for limit in (layer, led["max"]) if limit is not None]
        return min(limits) if limits else None

    def _leading(self, purpose, now, session_began):
        valid = []
        for kept in self.kept:
            good, limit = kept.limit(now, session_began) if kept.purpose == purpose else (False, None)
            if good:
                valid.append((kept.stack, kept.evse, limit))
        return max(valid)[2] if valid else None

    def composite(self, now, seconds, session_began, unlimited):
        """Periods as [(start, limit)], second by second."""
        periods = []
        for second in range(seconds):
            limit = self.limit(now + second, session_began)
            limit = unlimited if limit is None else min(limit, unlimited)
            if not periods or periods[-1][1] != limit:
                periods.append((second, limit))
        return periods


def _matches(old, profile_id, evse, purpose, stack):
    if profile_id is not None:
        return old.id == profile_id
    return (evse in (None, old.evse)) and (purpose is None or PURPOSES.get(purpose) == old.purpose) and (stack in (None, old.stack))
