"""Certificates (A02-A04, M01-M06).

Roots: installed at every charger that can be asked, deleted there, and listed as one store. The root of a CSMS is not passed on: a charger's CSMS
is Yardmaster. Station certificates: what a charger uses towards Yardmaster is no business of the CSMS and is refused with that reason;
Yardmaster's own is ``own_certificate``'s, or managed by its operator. V2G certificates of chargers pass: each request goes up under an id of
the depot's, and the signed chain goes to the charger that asked; a CSMS without request ids (before 2.1) is offered the oldest asker first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from controller.link.depot.asking import OFFLINE, UNSUPPORTED, ask_everyone, ask_one, info, merged, named, nothing_to_ask, refused, told
from controller.link.depot.office import FromCsms, FromStation, Office, Quiet
from controller.ocpp.hub import Ask, Conversation, Keep, Message, Payload, Said, answered

STATION: Final = "ChargingStationCertificate"
CSMS_ROOT: Final = "CSMSRootCertificate"
KEY: Final = "cert:asked"
"""[[station id, its own requestId or None, the depot's requestId, certificateType], ...], oldest first."""
KEPT: Final = 50
DONE: Final = ("Accepted",)
REFUSED: Final[dict[str, str]] = {
    "InstallCertificate": "a charger's CSMS is the local controller; whom that trusts is set in its site file (upstreams.ca_file)",
    "CertificateSigned": "nobody at this site has asked for this certificate",
    "SignCertificate": "behind a local controller the charger's certificate is checked by the local controller, not by the CSMS",
}


class Certificates(Quiet):
    """InstallCertificate, DeleteCertificate, GetInstalledCertificateIds, CertificateSigned, SignCertificate."""

    def __init__(self, office: Office) -> None:
        self._office = office

    def of_csms(self) -> Mapping[str, FromCsms]:
        """Four commands."""
        return {
            "InstallCertificate": self._install,
            "DeleteCertificate": self._delete,
            "GetInstalledCertificateIds": self._list,
            "CertificateSigned": self._signed,
        }

    def of_station(self) -> Mapping[str, FromStation]:
        """SignCertificate."""
        return {"SignCertificate": self._sign}

    # -- roots -----------------------------------------------------------------------------------------

    def _install(self, message: Message) -> Conversation:
        if message.payload.get("certificateType") == CSMS_ROOT:
            return refused("Rejected", UNSUPPORTED, REFUSED[message.action])
        if nothing_to_ask(self._office):
            return refused("Rejected", OFFLINE, "no charger is online")
        heard = yield from ask_everyone(self._office, message.action, message.payload)
        yield from told(self._office, message.action, heard, DONE)
        return merged(heard, DONE, "Failed" if any(one.status == "Failed" and not one.unsupported for one in heard) else "Rejected")

    def _delete(self, message: Message) -> Conversation:
        heard = yield from ask_everyone(self._office, message.action, message.payload)
        if any(one.status == "Accepted" for one in heard):
            undone = [one for one in heard if one.status not in ("Accepted", "NotFound")]
            return Said({"status": "Accepted", **(info("PartlyDone", named(undone)) if undone else {})})
        failed = [one for one in heard if one.status == "Failed" and not one.unsupported]
        if failed:
            return refused("Failed", "Unspecified", named(failed))
        unheard = [one for one in heard if one.status != "NotFound" and not one.unsupported]
        return Said({"status": "NotFound", **(info(OFFLINE, named(unheard)) if unheard else {})})

    def _list(self, message: Message) -> Conversation:
        heard = yield from ask_everyone(self._office, message.action, message.payload)
        found: dict[str, Payload] = {}
        for one in heard:
            for chain in one.payload.get("certificateHashDataChain") or []:
                found.setdefault(_name(chain), chain)
        unheard = [one for one in heard if one.status not in ("Accepted", "NotFound") and not one.unsupported]
        more = info("PartlyDone", named(unheard)) if unheard else {}
        if not found:
            return Said({"status": "NotFound", **more})
        return Said({"status": "Accepted", "certificateHashDataChain": list(found.values()), **more})

    # -- signing ----------------------------------------------------------------------------------------

    def _sign(self, station_id: str, message: Message) -> Conversation:
        kind = message.payload.get("certificateType", STATION)
        if kind == STATION:
            return answered(refused("Rejected", UNSUPPORTED, REFUSED[message.action]))
        return self._sign_up(station_id, message, kind)

    def _sign_up(self, station_id: str, message: Message, kind: str) -> Conversation:
        number = self._office.number()
        own = message.payload.get("requestId")
        waiting = [one for one in self._waiting() if (one[0], one[3]) != (station_id, kind)]
        self._office.memory.put(KEY, [*waiting, [station_id, own, number, kind]][-KEPT:])
        yield Keep()
        reply = yield Ask(message.action, {**message.payload, "requestId": number})
        if not isinstance(reply, Said) or reply.payload.get("status") != "Accepted":
            self._done(number)
        return reply if reply is not None else Said({"status": "Rejected"})

    def _signed(self, message: Message) -> Conversation:
        kind, number = message.payload.get("certificateType", STATION), message.payload.get("requestId")
        if kind == STATION and self._office.own_signed is not None:
            return (yield from self._office.own_signed(message))
        asked = [one for one in self._waiting() if one[3] == kind and number in (None, one[2])]
        last = refused("Rejected", "NotFound", REFUSED[message.action])
        for station_id, own, our_number, _ in asked:
            card = self._office.cards.get(station_id)
            if card is None:
                continue
            rest = {key: value for key, value in message.payload.items() if key != "requestId"}
            heard = yield from ask_one(card, message.action, {**rest, **({"requestId": own} if own is not None else {})})
            if heard.status == "Accepted":
                self._done(our_number)
                yield Keep()
                return Said(heard.payload)
            last = refused("Rejected", "Unspecified", named([heard]))  # the key may be another charger's
        return last

    def _waiting(self) -> list[Any]:
        found: list[Any] = self._office.memory.get(KEY, [])
        return found

    def _done(self, number: int) -> None:
        self._office.memory.put(KEY, [one for one in self._waiting() if one[2] != number])


def _name(chain: Payload) -> str:
    """What makes two chargers' certificates the same one."""
    data = chain.get("certificateHashData") or {}
    return "|".join(str(data.get(key, "")).lower() for key in ("hashAlgorithm", "issuerNameHash", "issuerKeyHash", "serialNumber")) + str(
        chain.get("certificateType")
    )
