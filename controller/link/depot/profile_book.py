"""Where the CSMS's charging profiles of this depot are: their ids are one space for the whole depot (K01.FR.05), each station has its own.

Kept as "prof:<id>" -> {"station" ("" = the whole site), "evse" (its own number, 0 = all of it), "purpose", "stack", "tx" (as the
CSMS calls it, "" = none), "from", "to" (Unix time, None = open), "noted" (Unix time)}. The profiles themselves are kept by the
stations' sessions and by ``standing``.
"""

from __future__ import annotations

from typing import Any, Final

from controller.link.depot.office import Office
from controller.link.depot.running import running
from controller.ocpp.hub import Payload
from controller.ocpp.times import wall_time

KEY: Final = "prof:"
SITE: Final = ""
START_S: Final = 900.0
"""A profile of a remote start whose transaction did not come by then is nowhere."""


def find(office: Office, profile_id: object) -> Payload | None:
    """Where a profile is, None if the depot does not know it."""
    found = office.memory.get(f"{KEY}{profile_id}")
    return found if isinstance(found, dict) else None


def entries(office: Office) -> list[tuple[int, Payload]]:
    """(profile id, where it is) of all."""
    return [(int(key[len(KEY) :]), value) for key, value in office.memory.starting(KEY)]


def note(office: Office, station_id: str, evse_id: int, profile: Payload, transaction_id: str = "") -> None:
    """A profile has been taken there; the caller writes it."""
    entry = {
        "station": station_id,
        "evse": evse_id,
        "purpose": profile.get("chargingProfilePurpose", ""),
        "stack": profile.get("stackLevel", 0),
        "tx": transaction_id,
        "from": wall_time(profile.get("validFrom")),
        "to": wall_time(profile.get("validTo")),
        "noted": office.now().wall_s,
    }
    office.memory.put(f"{KEY}{profile['id']}", entry)


def forget(office: Office, profile_id: int) -> None:
    """It is nowhere any more; the caller writes it."""
    office.memory.put(f"{KEY}{profile_id}", None)


def drop_ended(office: Office) -> None:
    """TxProfiles of transactions that are over are nowhere (K01.FR.32)."""
    for profile_id, entry in entries(office):
        card = office.cards.get(entry["station"])
        if entry["purpose"] != "TxProfile" or card is None or not card.linked:
            continue
        started = entry["tx"] or entry["evse"] in card.transactions or office.now().wall_s - entry["noted"] < START_S
        if not started or (entry["tx"] and running(office, entry["tx"]) is None):
            forget(office, profile_id)


def duplicate(office: Office, station_id: str, evse_id: int, profile: Payload) -> int | None:
    """The id of another profile that this one may not stand beside (K01.FR.06/39/52/53); None if there is none.

    station_id SITE: it shall stand at all stations. For a CSMS of 1.6 the default of one connector stands in for that of all (16 3.13.1).
    """
    purpose, stack = profile.get("chargingProfilePurpose"), profile.get("stackLevel")
    across = purpose == "TxDefaultProfile" and office.csms_version != "ocpp1.6"
    now = office.now()
    for other_id, entry in entries(office):
        if entry["to"] is not None and now.wall_trusted and entry["to"] <= now.wall_s:
            continue
        if other_id == profile.get("id") or (entry["purpose"], entry["stack"]) != (purpose, stack):
            continue
        if _meets(entry, station_id, evse_id, across) and _overlap(entry, profile) and _same_transaction(entry, profile):
            return other_id
    return None


def _meets(entry: Payload, station_id: str, evse_id: int, across: bool) -> bool:
    """At the same place; across: a default for all EVSEs meets that of one (K01.FR.52/53)."""
    same = entry["station"] == station_id
    if not across:
        return same and bool(entry["evse"] == evse_id)
    return SITE in (entry["station"], station_id) or (same and (entry["evse"] == evse_id or 0 in (entry["evse"], evse_id)))


def _same_transaction(entry: Payload, profile: Payload) -> bool:
    return not profile.get("transactionId") or entry["tx"] in ("", profile["transactionId"])


def _overlap(entry: Payload, profile: Payload) -> bool:
    begins, ends = wall_time(profile.get("validFrom")), wall_time(profile.get("validTo"))
    return _before(begins, entry["to"]) and _before(entry["from"], ends)


def _before(begins: Any, ends: Any) -> bool:
    """validTo is exclusive (K01.FR.37)."""
    return begins is None or ends is None or begins < ends
