"""The CSMS's profiles at a station in overlay mode: they pass, and only the station's maximum is ours.

Byte for byte, as long as they cannot meet ours: a profile under one of our ids is refused, the CSMS's
own maximum stays here and is a wish (the station has one maximum, and it is the fuse's), so does what
it says is generated, which would come on top of ours (SC.01), and a Clear that would take ours along is
spelt out purpose by purpose. A maximum that cannot be read here is refused: a station that understood it
might let it stand above ours. What the station has accepted is booked in ``profiles``, so that the site
knows what the CSMS wants.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from controller.facts import Fact, Stamp
from controller.link.downlink import Downlink
from controller.link.profile_view import OWN_PROFILE_IDS
from controller.link.profiles import Profiles, SendUp, Transactions
from controller.ocpp import rpc
from controller.ocpp.dialect import Dialect, Payload, ProfileCriteria
from controller.ocpp.schedule import Kind, Profile, ProfileError, Purpose
from controller.orders import Order, SendUpstream

Outcome = Order | Fact

CHANGES: Final = frozenset({"SetChargingProfile", "ClearChargingProfile", "UpdateDynamicSchedule", "UsePriorityCharging"})
"""CALLs whose acceptance by the station is booked."""
KEPT_HERE: Final = (Purpose.STATION_MAX, Purpose.LOCAL_GENERATION)
KEPT_WORDS: Final = frozenset({"chargepointmaxprofile", "chargingstationmaxprofile", "localgeneration"})
"""The same in the words of all versions, in small letters."""
NOWHERE: Final = -1
"""EVSE of criteria that select nothing: a Clear that names nothing, or what nobody knows; a lenient station would clear all."""
_UNREAD: Final = Profile(0, 0, Purpose.EXTERNAL, Kind.ABSOLUTE, ())


class Overlay:
    """One station's. Books into ``profiles``."""

    __slots__ = ("_down", "_profiles", "_station_id")

    def __init__(self, station_id: str, profiles: Profiles, down: Downlink) -> None:
        self._station_id = station_id
        self._profiles = profiles
        self._down = down

    # -- on the way down -------------------------------------------------------------------------------

    def stays(self, at: Stamp, generation: int, call: rpc.Call, transactions: Transactions, send_up: SendUp) -> list[Outcome] | None:
        """Outcomes for a CALL that does not pass as it is; None for one that passes."""
        if call.action == "SetChargingProfile":
            return self._set(at, generation, call, transactions)
        if call.action == "ClearChargingProfile":
            return self._clear(at, generation, call)
        if call.action == "UpdateDynamicSchedule":
            return self._update(at, generation, call)
        return self._get(at, generation, call, send_up) if call.action == "GetChargingProfiles" else None

    def collides(self, payload: Payload) -> Payload | None:
        """The refusal of a remote start whose profile has one of our ids, or is no TxProfile (K05); None if it may pass."""
        error = self._collision(self._read(payload, in_start=True))
        if _is_kept(payload):
            error = ProfileError("InvalidProfile", "a remote start carries only a TxProfile (K05)")
        return self._dialect().rejected_profile(error) if error is not None else None

    def _set(self, at: Stamp, generation: int, call: rpc.Call, transactions: Transactions) -> list[Outcome] | None:
        error = self._collision(self._read(call.payload))
        if error is not None:
            return [self._answer(generation, call, self._dialect().rejected_profile(error))]
        if not _is_kept(call.payload):
            return None  # what cannot be read here the station may understand: our maximum holds it all the same
        return self._profiles.csms_call(at, generation, call, transactions, lambda *_: [])

    def _update(self, at: Stamp, generation: int, call: rpc.Call) -> list[Outcome] | None:
        """New values for a Dynamic profile: for one that stays here, here; never for one of ours."""
        profile_id = call.payload.get("chargingProfileId")
        found = self._profiles.view.find(profile_id) if isinstance(profile_id, int) else None
        kept = found is not None and found[1].purpose in KEPT_HERE
        return self._profiles.update(at, generation, call) if kept or profile_id in OWN_PROFILE_IDS else None

    @staticmethod
    def _collision(found: tuple[int, Profile] | None) -> ProfileError | None:
        if found is None or found[1].profile_id not in OWN_PROFILE_IDS:
            return None
        span = f"{OWN_PROFILE_IDS.start} to {OWN_PROFILE_IDS.stop - 1}"
        return ProfileError("DuplicateProfile", f"profile ids {span} are the local controller's; use another id")

    def _clear(self, at: Stamp, generation: int, call: rpc.Call) -> list[Outcome] | None:
        criteria = self._dialect().read_criteria(call.action, call.payload)
        kept = [profile for _, profile in self._profiles.view.select(criteria) if profile.purpose in KEPT_HERE]
        ours = any(profile_id in OWN_PROFILE_IDS for profile_id in criteria.profile_ids)
        by_id = bool(criteria.profile_ids)
        reaches_ours = not by_id and criteria.purpose is None and criteria.evse_id in (None, 0)
        if ours or criteria.evse_id == NOWHERE:
            return [self._answer(generation, call, {"status": "Unknown"})]
        if (kept and by_id) or criteria.purpose in KEPT_HERE:
            return self._profiles.csms_call(at, generation, call, {}, lambda *_: [])
        return self._spelt_out(at, generation, call, criteria) if reaches_ours else None

    def _get(self, at: Stamp, generation: int, call: rpc.Call, send_up: SendUp) -> list[Outcome] | None:
        """Where a maximum kept here is asked for as well, its report precedes those of the station."""
        dialect = self._dialect()
        criteria = dialect.read_criteria(call.action, call.payload)
        kept = [placed for placed in self._profiles.view.select(criteria) if placed[1].purpose in KEPT_HERE]
        if not kept:
            return None

        def done(now: Stamp, frame: rpc.Result | rpc.Error | None) -> list[Outcome]:
            more = isinstance(frame, rpc.Result) and frame.payload.get("status") == "Accepted"
            outcomes: list[Outcome] = [self._answer(generation, call, {"status": "Accepted"})]
            for report in dialect.report_profiles(call.payload, kept):
                outcomes += send_up(now, "ReportChargingProfiles", {**report, "tbc": True} if more else report)
            return outcomes

        return self._down.ask(at, call.action, call.payload, done)

    def _spelt_out(self, at: Stamp, generation: int, call: rpc.Call, criteria: ProfileCriteria) -> list[Outcome]:
        """Clear all purposes but the maximum at the station, that one here; answered when the station has answered them all."""
        calls = self._dialect().clear_others(criteria)
        found: list[bool] = []

        def done(now: Stamp, frame: rpc.Result | rpc.Error | None) -> list[Outcome]:
            found.append(isinstance(frame, rpc.Result) and frame.payload.get("status") == "Accepted")
            return self._cleared(generation, call, criteria, any(found)) if len(found) == len(calls) else []

        return [outcome for action, payload in calls for outcome in self._down.ask(at, action, payload, done)]

    def _cleared(self, generation: int, call: rpc.Call, criteria: ProfileCriteria, any_found: bool) -> list[Outcome]:
        before = self._profiles.view.dump()
        if self._profiles.view.clear(criteria) or any_found:
            return self._profiles.store(generation, call, before)
        return [self._answer(generation, call, {"status": "Unknown"})]

    # -- when the station has answered ----------------------------------------------------------------------

    def answered(self, at: Stamp, call: rpc.Call, payload: Payload | None, transactions: Transactions) -> list[Outcome]:
        """The station's answer to a CALL that has passed: what it accepted is the truth here too."""
        if call.action not in CHANGES or payload is None or payload.get("status") != "Accepted":
            return []
        return self._profiles.booked(at, transactions) if self._book(at, call, transactions) else []

    def _book(self, at: Stamp, call: rpc.Call, transactions: Transactions) -> bool:
        """Whether anything changed."""
        view, dialect = self._profiles.view, self._dialect()
        if call.action == "ClearChargingProfile":
            return view.clear(dialect.read_criteria(call.action, call.payload)) > 0
        word = dialect.priority_word(call.action, call.payload)
        if word is not None:
            return self._profiles.truth.give_priority(word)
        try:
            if call.action == "UpdateDynamicSchedule":
                self._profiles.renew(at, *dialect.read_update(call.payload), judged=False)
            else:
                evse_id, profile = dialect.read_set_profile(call.payload)
                view.put(evse_id, self._profiles.installed(at, evse_id, profile, transactions), dialect.profiles_replace)
        except ProfileError:
            return False  # only the station understands it
        return True

    # -- small things -----------------------------------------------------------------------------------------

    def _read(self, payload: Payload, in_start: bool = False) -> tuple[int, Profile] | None:
        try:
            return self._dialect().read_set_profile(payload, in_start)
        except ProfileError:
            return self._only_its_id(payload)

    @staticmethod
    def _only_its_id(payload: Payload) -> tuple[int, Profile] | None:
        """A profile that cannot be read may still have one of our ids."""
        raw: Any = payload.get("chargingProfile", payload.get("csChargingProfiles"))
        found = raw.get("id", raw.get("chargingProfileId")) if isinstance(raw, dict) else None
        if not isinstance(found, int | float) or found not in OWN_PROFILE_IDS:
            return None
        return 0, replace(_UNREAD, profile_id=int(found))

    def _answer(self, generation: int, call: rpc.Call, payload: Payload) -> Order:
        return SendUpstream(self._station_id, generation, rpc.result_text(call.message_id, payload))

    def _dialect(self) -> Dialect:
        assert self._down.dialect is not None
        return self._down.dialect


def _is_kept(payload: Payload) -> bool:
    """Whether a profile is of a purpose that never passes, whatever else can be read of it."""
    raw: Any = payload.get("chargingProfile", payload.get("csChargingProfiles"))
    word = raw.get("chargingProfilePurpose") if isinstance(raw, dict) else None
    return isinstance(word, str) and word.strip().lower() in KEPT_WORDS
