"""A transcript (``Playbook``) in the words of its version: what every version can say, said the same way by a test.

``begin``, ``read`` and ``finish`` are the messages of one session, ``take`` the CSMS's yes to any CALL. Times are those
of the transcript's clock, so that they count as live.
"""

from __future__ import annotations

import json
from typing import Any, Final

from controller.facts import EvseKey
from controller.ocpp.times import timestamp
from controller.orders import Inject
from tests.support.playbook import BOOT, BOOT_16, TOKEN, Playbook, event, start_16, stop_16, values_16

V16, V201, V21 = "ocpp1.6", "ocpp2.0.1", "ocpp2.1"
VERSIONS: Final = (V16, V201, V21)
SCHEMAS: Final = {V16: "v16", V201: "v201", V21: "v21"}
"""As ``tests.support.schemas`` calls them."""
EVSE: Final = EvseKey("CP1", 1)
ACCEPTED: Final = {"status": "Accepted", "interval": 300, "currentTime": "2026-11-21T16:00:00Z"}
ALLOWED_16: Final = {"idTagInfo": {"status": "Accepted"}}
ALLOWED_2: Final = {"idTokenInfo": {"status": "Accepted"}}


class Talk(Playbook):
    """See the module. ``transaction``: as the station calls the one that runs; in 1.6 it stands in the answer to the start."""

    transaction: Any = "tx-1"
    given = 17
    sequence = 0

    @property
    def is_16(self) -> bool:
        """Whether this is 1.6, where the CSMS names the transaction."""
        return self.version == V16

    @property
    def now(self) -> str:
        """The transcript's time as the station writes it."""
        return timestamp(self.at.wall_s)

    def restarted(self) -> Talk:
        """As ``Playbook.restarted``."""
        other = super().restarted()
        other.__class__ = Talk
        assert isinstance(other, Talk)
        other.transaction, other.given, other.sequence = self.transaction, self.given, self.sequence
        return other

    # -- one life ------------------------------------------------------------------------------------

    def boot(self, message_id: str = "boot") -> None:
        """BootNotification."""
        self.station(2, message_id, "BootNotification", BOOT_16 if self.is_16 else BOOT)

    def booted(self) -> Talk:
        """Connected and accepted by its CSMS."""
        self.connect()
        self.boot()
        self.csms(3, "boot", ACCEPTED)
        return self

    def known(self) -> Talk:
        """As ``booted``; the CSMS has said yes to the driver, and to its local list and cache."""
        self.booted()
        driver = {"idTag": "AABBCC"} if self.is_16 else {"idToken": TOKEN}
        self.station(2, "driver", "Authorize", driver)
        self.csms(3, "driver", self.allowed)
        return self

    def charging(self) -> Talk:
        """As ``known``, with a session at EVSE 1 that the CSMS knows."""
        self.known()
        self.begin()
        self.take()
        return self

    @property
    def allowed(self) -> dict[str, Any]:
        """The CSMS's yes to a driver."""
        return dict(ALLOWED_16 if self.is_16 else ALLOWED_2)

    # -- messages of a session -----------------------------------------------------------------------

    def begin(self, message_id: str = "begin", **more: Any) -> None:
        """The start of a session at EVSE 1; more: fields of the message."""
        self.sequence = 0
        if self.is_16:
            self.station(2, message_id, "StartTransaction", {**start_16(time=self.now), **more})
        else:
            payload = event("Started", 0, self.transaction, idToken=TOKEN, timestamp=self.now)
            self.station(2, message_id, "TransactionEvent", {**payload, **more})
        self._named()

    def read(self, message_id: str, energy_wh: int = 500, **more: Any) -> None:
        """A reading by the clock during the session."""
        self.sequence += 1
        if self.is_16:
            payload = values_16(self.transaction, str(energy_wh))
            payload["meterValue"][0]["timestamp"] = self.now
            self.station(2, message_id, "MeterValues", {**payload, **more})
            return
        sample = {"value": energy_wh, "context": "Sample.Periodic", "measurand": "Energy.Active.Import.Register"}
        values = [{"timestamp": self.now, "sampledValue": [sample]}]
        payload = event("Updated", self.sequence, self.transaction, meterValue=values, timestamp=self.now)
        self.station(2, message_id, "TransactionEvent", {**payload, **more})

    def finish(self, message_id: str = "finish", **more: Any) -> None:
        """The end of the session."""
        self.sequence += 1
        if self.is_16:
            self.station(2, message_id, "StopTransaction", {**stop_16(self.transaction, time=self.now), **more})
        else:
            payload = event("Ended", self.sequence, self.transaction, timestamp=self.now)
            self.station(2, message_id, "TransactionEvent", {**payload, **more})

    def take(self, answer: dict[str, Any] | None = None) -> list[Any]:
        """The CSMS says yes to the CALL that went up in the last step; returns that CALL."""
        (call,) = [frame for frame in map(json.loads, self.sent_up) if frame[0] == 2]
        self.csms(3, call[1], answer if answer is not None else self.yes(call))
        self._named()
        return list(call)

    def yes(self, call: list[Any]) -> dict[str, Any]:
        """A friendly answer to a CALL that went up."""
        _, _, action, payload = call
        if action == "BootNotification":
            return dict(ACCEPTED)
        if action == "StartTransaction":
            return {**ALLOWED_16, "transactionId": self.given}
        if action == "Authorize" or "idToken" in payload:
            return self.allowed
        return {"currentTime": self.now} if action == "Heartbeat" else {}

    def _named(self) -> None:
        """In 1.6 the station calls a transaction as the answer to its start says."""
        for frame in map(json.loads, self.sent_down):
            if self.is_16 and frame[0] == 3 and "transactionId" in frame[2]:
                self.transaction = frame[2]["transactionId"]

    # -- our part ------------------------------------------------------------------------------------

    def inject(self, limit_a: float = 10.0, number: int = 1, urgent: bool = False) -> list[Any]:
        """A setpoint of the site; returns the CALL to the station, [] if it waits."""
        self.carry(Inject(EVSE, number, limit_a, 3, 120.0, "plan", urgent))
        return self.down() if self.sent_down else []

    def profile_of(self, call: list[Any]) -> dict[str, Any]:
        """The charging profile in a SetChargingProfile CALL, its schedule under "schedule" in any version."""
        profile = dict(call[3]["csChargingProfiles" if self.is_16 else "chargingProfile"])
        schedule = profile.pop("chargingSchedule")
        return {**profile, "schedule": schedule if self.is_16 else schedule[0]}

    # -- the CSMS's part -----------------------------------------------------------------------------

    def set_profile(self, profile_id: int, limit: float, stack: int = 0, purpose: str = "TxDefaultProfile", **more: Any) -> dict[str, Any]:
        """Payload of a SetChargingProfile of the CSMS for EVSE 1 in A."""
        schedule: dict[str, Any] = {"chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": limit}]}
        profile: dict[str, Any] = {"stackLevel": stack, "chargingProfilePurpose": purpose, "chargingProfileKind": "Relative", **more}
        if self.is_16:
            return {"connectorId": 1, "csChargingProfiles": {"chargingProfileId": profile_id, "chargingSchedule": schedule, **profile}}
        return {"evseId": 1, "chargingProfile": {"id": profile_id, "chargingSchedule": [{"id": 1, **schedule}], **profile}}

    def leave(self) -> Talk:
        """The CSMS is gone."""
        self.close()
        return self

    def comes_back(self) -> None:
        """The CSMS is back as soon as it is dialled."""
        for _ in range(400):
            link = self.links.sessions["CP1"].up.link
            if link is not None and link.state.value == "dialling":
                self.open()
                return
            self.wait(1)
        raise AssertionError("nobody dialled")

    def drain(self, answer: Any = None) -> list[list[Any]]:
        """Say yes to everything that goes up, or what ``answer(call)`` says, until nothing more comes; returns the CALLs."""
        seen: list[list[Any]] = []
        idle = 0
        while idle < 3:
            calls = [frame for frame in map(json.loads, self.sent_up) if frame[0] == 2]
            if not calls:
                idle += 1
                self.wait(1)
                continue
            idle = 0
            (call,) = calls
            seen.append(call)
            self.csms(3, call[1], self.yes(call) if answer is None else answer(call))
        return seen
