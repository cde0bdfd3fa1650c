"""The depot's own certificate, asked of its CSMS and signed by it (A02, A03, A05), in virtual time. The test plays the disk and its keys."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from controller.config import Config
from controller.facts import OwnCertificateInstalled, OwnCertificateSeen, SigningRequestMade, UpstreamClosed
from controller.orders import CloseUpstream, InstallOwnCertificate, MakeSigningRequest
from tests.support.depot_book import DEPOT, DepotBook, site

DAY_S = 86_400.0
SIGNED = {"certificateChain": "CHAIN", "certificateType": "ChargingStationCertificate"}


def managed(renewal: str = "csms", **more: Any) -> Config:
    config = site(("CP1",)).model_dump(mode="json", exclude_defaults=True)
    entry = {"cert_file": "/x.pem", "key_file": "/x.key", "renewal": renewal, **more}
    config["upstreams"][0] |= {"url": "wss://127.0.0.1:1/ocpp", "certificate": entry}
    return Config.model_validate(config)


class Book(DepotBook):
    """made, installed: what the shell was told to do. csr: what it makes, "" = it cannot. verdict: what it says to a chain."""

    def __init__(self, config: Config | None = None, version: str = "ocpp2.1") -> None:
        super().__init__(config or managed(), version)
        self.made: list[MakeSigningRequest] = []
        self.installed: list[InstallOwnCertificate] = []
        self.csr = "CSR"
        self.verdict: Callable[[InstallOwnCertificate], tuple[bool, str, float]] = lambda order: (True, "", 0.0)
        self.csms_says["SignCertificate"] = {"status": "Accepted"}

    def shell(self) -> None:
        """The shell does what it was told since."""
        orders, self.outcomes = self.outcomes, []
        for order in orders:
            match order:
                case MakeSigningRequest():
                    self.made.append(order)
                    reason = "" if self.csr else "no space left on device"
                    self.feed(SigningRequestMade(self.at, order.upstream_id, order.identity, order.number, self.csr, reason))
                case InstallOwnCertificate():
                    self.installed.append(order)
                    self.feed(OwnCertificateInstalled(self.at, order.upstream_id, order.identity, order.number, *self.verdict(order)))

    def later(self, seconds: int = 3) -> None:
        for _ in range(seconds):
            self.shell()
            self.wait(1)
        self.shell()

    def sees(self, days_left: float | None, fresh: bool = False) -> None:
        ends = 0.0 if days_left is None else self.at.wall_s + days_left * DAY_S
        self.feed(OwnCertificateSeen(self.at, "csms", DEPOT, ends, fresh))


def book(version: str = "ocpp2.1", **more: Any) -> Book:
    there = Book(managed(**more), version)
    there.open()
    there.wait(2)
    there.up.clear()
    there.outcomes.clear()
    return there


@pytest.mark.parametrize("version", ["ocpp2.1", "ocpp2.0.1", "ocpp1.6"])
def test_a02_near_its_end_a_certificate_is_renewed_and_the_next_connection_shows_it(version: str) -> None:
    there = book(version, organization="Depot AG")
    there.sees(31)
    there.later()
    assert not there.made
    there.sees(29)
    there.later()
    (order,) = there.made
    assert (order.upstream_id, order.identity, order.common_name, order.organization) == ("csms", DEPOT, DEPOT, "Depot AG")
    (request,) = there.heard("SignCertificate")
    assert request["csr"] == "CSR"
    assert request.get("certificateType", "ChargingStationCertificate") == "ChargingStationCertificate"
    assert ("requestId" in request) == (version == "ocpp2.1")

    generation = there.generation
    payload = {"certificateChain": "CHAIN"} if version == "ocpp1.6" else SIGNED
    there.csms("CertificateSigned", payload)
    there.later()
    assert list(there.answers.values())[-1]["status"] == "Accepted"
    assert there.installed[0].chain == "CHAIN"
    assert not there.is_open, "the connection is made anew"
    there.later(5)
    assert there.generation != generation


def test_the_connection_is_made_anew_only_when_the_certificate_is_valid() -> None:
    there = book()
    there.sees(5)
    there.later()
    there.verdict = lambda order: (True, "", there.at.wall_s + 100)
    there.csms("CertificateSigned", SIGNED)
    there.later(60)
    assert there.is_open
    assert len(there.made) == 1, "it is there and only has to become valid"
    there.later(60)
    assert not there.is_open


def test_a02_fr_07_a_certificate_that_does_not_fit_is_rejected_and_told() -> None:
    there = book()
    there.sees(5)
    there.later()
    there.verdict = lambda order: (False, "the certificate names SOMEBODY", 0.0)
    there.csms("CertificateSigned", SIGNED)
    there.later()
    answer = list(there.answers.values())[-1]
    assert answer["status"] == "Rejected"
    assert "SOMEBODY" in answer["statusInfo"]["additionalInfo"]
    (event,) = there.heard("SecurityEventNotification")
    assert (event["type"], "SOMEBODY" in event["techInfo"]) == ("InvalidChargingStationCertificate", True)
    assert there.is_open, "the one before stays in use"


def test_a02_fr_17_a_request_that_nobody_answers_is_repeated_after_a_minute_and_then_twice_as_long() -> None:
    there = book()
    there.sees(5)
    asked = []
    for second in range(8000):
        known = len(there.made)
        there.later(1)
        if len(there.made) > known:
            asked.append(second)
    gaps = [later - earlier for earlier, later in pairwise(asked)]
    for gap, expected in zip(gaps, (60, 120, 240, 480, 960, 1920), strict=True):
        assert abs(gap - expected) <= 2
    assert len(there.made) == 7, "then once a day"


def test_a_renewal_that_falls_into_an_outage_is_made_up_for() -> None:
    there = book()
    assert there.generation is not None
    there.is_open = False
    there.feed(UpstreamClosed(there.at, DEPOT, there.generation, "gone"))
    there.sees(1)
    there.wait(600)
    there.shell()
    assert not there.made
    there.open()
    there.later()
    assert len(there.heard("SignCertificate")) == 1


def test_a03_triggered_by_the_csms_and_without_any_certificate_yet() -> None:
    there = book()
    assert there.csms("TriggerMessage", {"requestedMessage": "SignChargingStationCertificate"}) == {"status": "Accepted"}
    there.later()
    assert len(there.heard("SignCertificate")) == 1
    first = book()
    first.sees(None)
    first.later()
    assert len(first.heard("SignCertificate")) == 1, "A05: from profile 2 to 3"


def test_a_csms_that_refuses_to_sign_is_asked_again_and_a_disk_that_is_full_is_told() -> None:
    there = book()
    there.csms_says["SignCertificate"] = {"status": "Rejected"}
    there.sees(5)
    there.later(70)
    assert len(there.heard("SignCertificate")) == 2
    assert any("does not sign our certificate (Rejected)" in text for text in there.told)
    full = book()
    full.csr = ""
    full.sees(5)
    full.later()
    assert not full.heard("SignCertificate")
    assert any("no space left" in text for text in full.told)


def test_a_disk_that_hangs_does_not_keep_the_csms_waiting_for_ever() -> None:
    there = book()
    there.csms("CertificateSigned", SIGNED)
    there.wait(25)
    assert list(there.answers.values())[-1]["status"] == "Rejected"


def test_files_of_the_operator_are_the_operators() -> None:
    there = book(renewal="operator")
    there.sees(1)
    there.later()
    assert not there.made
    assert there.csms("TriggerMessage", {"requestedMessage": "SignChargingStationCertificate"})["status"] == "NotImplemented"
    assert there.csms("CertificateSigned", SIGNED)["status"] == "Rejected"


def test_the_depot_shows_its_security_profile() -> None:
    def profile(there: Book) -> Any:
        wanted = {"component": {"name": "SecurityCtrlr"}, "variable": {"name": "SecurityProfile"}}
        return there.csms("GetVariables", {"getVariableData": [wanted]})["getVariableResult"][0]["attributeValue"]

    there = book()
    assert profile(there) == "0", "neither password nor certificate yet"
    there.sees(100)
    there.wait(2)
    assert profile(there) == "3"
    assert profile(book(renewal="operator")) == "3"


def test_no_transaction_message_in_flight_is_torn_by_the_new_connection() -> None:
    there = book()
    there.sees(5)
    there.later()
    there.csms("CertificateSigned", SIGNED)
    there.mute = True
    there.boot("CP1")
    there.shell()
    there.wait(2)
    there.shell()
    there.wait(3)
    closes = [order for order in there.outcomes if isinstance(order, CloseUpstream) and order.station_id == DEPOT]
    assert not closes
    there.wait(30)
    assert not there.is_open, "half a minute is long enough"


@pytest.mark.parametrize("version", ["ocpp2.1", "ocpp2.0.1", "ocpp1.6"])
def test_trap_5_the_serial_number_in_the_boot_is_the_common_name_we_ask_for(version: str) -> None:
    """B01.FR.11: a CSMS of profile 3 compares the two."""
    data = managed().model_dump(mode="json", exclude_defaults=True)
    data["upstreams"][0]["depot"]["serial_number"] = "SN-7"
    there = Book(Config.model_validate(data), version)
    there.open()
    there.wait(2)
    (boot,) = there.heard("BootNotification")
    there.sees(5)
    there.later()
    told = boot["chargePointSerialNumber"] if version == "ocpp1.6" else boot["chargingStation"]["serialNumber"]
    assert (told, there.made[0].common_name) == ("SN-7", "SN-7")


def test_a_certificate_of_a_week_is_renewed_in_its_last_third_and_not_for_ever() -> None:
    there = book()
    there.feed(OwnCertificateSeen(there.at, "csms", DEPOT, there.at.wall_s + 7 * DAY_S, False, 7 * DAY_S))
    there.later(200)
    assert not there.made
    there.feed(OwnCertificateSeen(there.at, "csms", DEPOT, there.at.wall_s + 2 * DAY_S, False, 7 * DAY_S))
    there.later()
    assert len(there.made) == 1


def test_a_csms_that_signs_what_it_then_refuses_is_asked_less_and_less_often() -> None:
    there = book()
    there.sees(5)
    asked = []
    for second in range(2000):
        known = len(there.made)
        there.later(1)
        if len(there.made) > known:
            asked.append(second)
            there.csms("CertificateSigned", SIGNED)
            there.later(2)
            there.open()
            there.sees(5)  # refused three times: the one before is shown again
    gaps = [later - earlier for earlier, later in pairwise(asked)]
    assert gaps == sorted(gaps)
    assert len(asked) <= 6, gaps
