"""The depot's own certificate towards its CSMS, signed by that CSMS (A02, A03, A05; security profile 3).

    near its end, none yet, or triggered --> a new key and request (shell) --> SignCertificate --Accepted--> CertificateSigned
        --checked and on disk (shell)--> Accepted --> a new connection shows it; the one before stays until the CSMS has let us in

An unanswered request, or one whose certificate the CSMS then refuses, is made anew after a minute, then after twice as long, five
times, then daily. A certificate that does not fit is Rejected and told as a security event (A02.FR.07). While the CSMS is away nothing is
asked: a renewal that falls into an outage is made up for when it is back. Only with ``upstreams[].certificate.renewal: csms``; otherwise
the operator cares for the files.
"""

from __future__ import annotations

from typing import Any, Final

from controller.facts import Fact, OwnCertificateInstalled, OwnCertificateSeen, SigningRequestMade
from controller.link.depot.asking import refused
from controller.link.depot.office import Office, Quiet
from controller.ocpp.hub import Ask, Conversation, Emit, Message, Post, Rest, Said
from controller.ocpp.times import timestamp
from controller.orders import InstallOwnCertificate, MakeSigningRequest, Severity, Tell

STATION: Final = "ChargingStationCertificate"
TRIGGER: Final = "SignChargingStationCertificate"
DAY_S: Final = 86_400.0
FIRST_WAIT_S: Final = 60.0
REPEATS: Final = 5
LAST_PART: Final = 1 / 3
"""Of its life, in which a certificate that lives shortly is renewed: with days only, one of a week would be renewed for ever."""
"""CertSigningWaitMinimum and CertSigningRepeatTimes of A02.FR.17."""
SHELL_S: Final = 20
"""How long the disk may take."""
LETTERS: Final = 250


class OwnCertificate(Quiet):
    """The part."""

    def __init__(self, office: Office) -> None:
        self._office = office
        self._entry = office.upstream.certificate if office.upstream.certificate and office.upstream.certificate.renewal == "csms" else None
        self._seen: OwnCertificateSeen | None = None
        self._verdicts: dict[int, SigningRequestMade | OwnCertificateInstalled] = {}
        self._busy = False
        self._due_mono_s = float("-inf")
        self._tries = 0
        self._switch_wall_s: float | None = None
        if self._entry is not None:
            office.says[TRIGGER] = self._ask
            office.own_signed = self._signed

    @property
    def _name(self) -> str:
        """The CN we ask for (A00.FR.405: the serial number where the depot has one)."""
        assert self._entry is not None
        return self._entry.common_name or self._office.policy.serial_number or self._office.identity

    def told(self, fact: Fact) -> list[Conversation]:
        """What the shell has done."""
        if getattr(fact, "upstream_id", None) != self._office.upstream.id or self._entry is None:
            return []
        match fact:
            case OwnCertificateSeen():
                self._seen = fact
                self._office.shows_certificate = fact.ends_wall_s > 0
                if not fact.fresh and not self._near_end():
                    self._tries = 0
            case SigningRequestMade() | OwnCertificateInstalled():
                self._verdicts[fact.number] = fact
        return []

    def tick(self) -> list[Conversation]:
        """Ask in time; show the new one as soon as it is valid."""
        at = self._office.now()
        if self._switch_wall_s is not None and at.wall_s >= self._switch_wall_s:
            self._switch_wall_s = None
            self._office.redial = "to show the new certificate"
        if self._entry is None or not self._office.accepted or self._busy or at.mono_s < self._due_mono_s or not self._near_end():
            return []
        return [self._ask()]

    def _near_end(self) -> bool:
        at, seen = self._office.now(), self._seen
        if self._entry is None or seen is None or seen.fresh or self._switch_wall_s is not None:
            return False
        if seen.ends_wall_s == 0.0:
            return True
        return at.wall_trusted and seen.ends_wall_s - at.wall_s <= min(self._entry.renew_days * DAY_S, seen.lasts_s * LAST_PART)

    # -- asking ------------------------------------------------------------------------------------------

    def _ask(self) -> Conversation:
        if self._busy:
            return Said({})
        self._busy = True
        try:
            yield from self._request()
        finally:
            self._busy = False
        return Said({})

    def _request(self) -> Conversation:
        assert self._entry is not None
        office, job = self._office, self._office.number()
        self._wait_longer()
        yield Emit(MakeSigningRequest(office.upstream.id, office.identity, job, self._name, self._entry.organization or ""))
        made = yield from self._verdict(job)
        csr = getattr(made, "csr", "")
        if not csr:
            why = getattr(made, "reason", "") or "the disk does not answer"
            yield Emit(Tell(Severity.WARNING, office.identity, f"no request for a certificate could be made ({why}) - tried again"))
            return Said({})
        reply = yield Ask("SignCertificate", {"csr": csr, "certificateType": STATION, "requestId": job})
        status = reply.payload.get("status") if isinstance(reply, Said) else "no answer"
        if status != "Accepted":
            text = f"the CSMS does not sign our certificate ({status}) - asked again; the one we have stays in use"
            yield Emit(Tell(Severity.WARNING, office.identity, text))
        return Said({})

    def _wait_longer(self) -> None:
        wait_s = FIRST_WAIT_S * 2.0**self._tries if self._tries <= REPEATS else DAY_S
        self._tries += 1
        self._due_mono_s = self._office.now().mono_s + wait_s

    def _verdict(self, job: int) -> Any:
        """What the shell says to a job; None = nothing in time."""
        for _ in range(SHELL_S):
            if job in self._verdicts:
                break
            yield Rest(1.0)
        return self._verdicts.pop(job, None)

    # -- signed --------------------------------------------------------------------------------------------

    def _signed(self, message: Message) -> Conversation:
        """CertificateSigned for the depot's own key."""
        office, job = self._office, self._office.number()
        yield Emit(InstallOwnCertificate(office.upstream.id, office.identity, job, str(message.payload.get("certificateChain")), self._name))
        found = yield from self._verdict(job)
        if not isinstance(found, OwnCertificateInstalled):
            return refused("Rejected", "InternalError", "the disk does not answer in time")
        if not found.ok:
            office.afterwards.append(self._invalid(found.reason))
            return refused("Rejected", "InvalidCertificate", found.reason[:LETTERS])
        # The tries count until it is proven: a CSMS that signs what it then refuses is not asked every other minute.
        self._switch_wall_s, self._due_mono_s = found.starts_wall_s, max(self._due_mono_s, office.now().mono_s + FIRST_WAIT_S)
        yield Emit(Tell(Severity.INFO, office.identity, "the CSMS has signed our new certificate - the next connection shows it"))
        return Said({"status": "Accepted"})

    def _invalid(self, reason: str) -> Conversation:
        text = f"the CSMS sent a certificate that cannot be used: {reason} - the one before stays in use"
        yield Emit(Tell(Severity.WARNING, self._office.identity, text))
        event = {"type": "InvalidChargingStationCertificate", "timestamp": timestamp(self._office.now().wall_s), "techInfo": reason[:LETTERS]}
        yield Post("SecurityEventNotification", event)
        return Said({})
