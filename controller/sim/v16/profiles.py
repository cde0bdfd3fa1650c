"""Charging profiles in a 1.6 station: read into the shape of ``sim.profiles``, kept by the rules of 1.6.

What differs (16 3.13, 5.16): a new profile silently replaces the one with its id and the one at its place and
level; a default of the connector hides that of the station; a TxProfile may leave the transaction out and
means the running one; a schedule without a start begins with the session.
"""

from __future__ import annotations

from typing import Any

from controller.sim.profiles import STATION_MAX, TX_DEFAULT, ProfileStore, Session
from controller.sim.stored import Offer
from controller.sim.wire import Payload

PURPOSES = {"ChargePointMaxProfile": STATION_MAX}


def purpose_of(word: Any) -> Any:
    """A 1.6 word for a purpose in the words of the store."""
    return PURPOSES.get(word, word)


def body_of(raw: Payload) -> Payload:
    """csChargingProfiles as the store takes it. Raises KeyError, TypeError for what is none."""
    kept = {key: value for key, value in raw.items() if key not in ("chargingProfileId", "transactionId")}
    body = {
        **kept,
        "id": raw["chargingProfileId"],
        "chargingProfilePurpose": purpose_of(raw["chargingProfilePurpose"]),
        "chargingSchedule": [{"id": 1, **raw["chargingSchedule"]}],
    }
    return body if raw.get("transactionId") is None else {**body, "transactionId": str(raw["transactionId"])}


class ProfileStore16(ProfileStore):
    """The store with the rules of 1.6."""

    needs_start = ("Recurring",)

    def put(self, evse_id: int, body: Payload, session: Session | None, wall_s: float = 0.0) -> str:
        """Install a profile; what it replaces goes silently (16 5.16.3)."""
        reason = super().put(evse_id, body, session, wall_s)
        if not reason:
            place = {"evseId": evse_id, "chargingProfilePurpose": body["chargingProfilePurpose"], "stackLevel": body["stackLevel"]}
            for item in self.select(None, place):
                if item.id != int(body["id"]):
                    self.clear(item.id, {})
        return reason

    def _default(self, evse_id: int, wall_s: float, started_wall_s: float) -> Offer | None:
        own = self._leading(TX_DEFAULT, (evse_id,), wall_s, started_wall_s)
        return own if own is not None else self._leading(TX_DEFAULT, (0,), wall_s, started_wall_s)

    def _fits(self, body: Payload, session: Session | None) -> bool:
        return session is not None and body.get("transactionId") in (None, session.transaction_id)

    def _duplicate(self, evse_id: int, body: Payload) -> str:
        return ""
