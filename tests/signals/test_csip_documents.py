"""What we send is judged by envoy-schema's models and by the order of the standard's schema (checked by the simulated utility)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from controller.sim.ieee2030_5_utility import RefusedError, checked
from signals import csip_documents as documents
from signals.csip_documents import KINDS
from signals.csip_modes import Ratings
from signals.csip_readings import Average, Collected

LFDI = "3E4F45AB31EDFE5B67E343E5E4562E31984E23E5"
AUS = "https://csipaus.org/ns/v1.3"
RATINGS = Ratings(generation_w=125_000.0, charge_w=40_000.0, discharge_w=50_000.0)
"""More than 16 bits of watts: 125 kW is 12500 * 10^1."""


def test_an_end_device() -> None:
    model = checked("EndDevice", documents.end_device(LFDI, 167261211391, RATINGS.category, 1_700_000_000.9))
    assert (model.lFDI, model.sFDI, model.changedTime) == (LFDI, 167261211391, 1_700_000_000)
    # energy manager 2^14, EVSE 2^17, mixed DER 2^18, PV 2^21, PV and storage 2^23, other storage 2^25
    assert int(model.deviceCategory, 16) == 0x4000 + 0x20000 + 0x40000 + 0x200000 + 0x800000 + 0x2000000


def test_a_response() -> None:
    model = checked("DERControlResponse", documents.response(LFDI, "0ABC", 2, 1_700_000_000))
    assert (model.endDeviceLFDI, model.subject, model.status, model.createdDateTime) == (LFDI, "0ABC", 2, 1_700_000_000)


def test_the_plate() -> None:
    model = checked("DERCapability", documents.capability(RATINGS, AUS))
    # charge 2^0, discharge 2^1, connect 2^2, energize 2^3, fixed W 2^7, maximum 2^20, target 2^22
    assert int(model.modesSupported, 16) == 1 + 2 + 4 + 8 + 128 + 2**20 + 2**22
    assert (model.rtgMaxW.value, model.rtgMaxW.multiplier) == (12_500, 1)
    assert (model.rtgMaxChargeRateW.value, model.rtgMaxChargeRateW.multiplier) == (4_000, 1)
    assert model.type_ == 83
    assert int(model.doeModesSupported, 16) == 0b1111  # export, import, generation, load (CSIP-AUS annex B)
    loads = checked("DERCapability", documents.capability(replace(RATINGS, controllable=True), AUS))
    assert int(loads.doeModesSupported, 16) == 0b1101, "aimed at the loads only, the import is not held"


@pytest.mark.parametrize(("ratings", "kind"), [(Ratings(20_000.0), 4), (Ratings(5_000.0, 5_000.0, 5_000.0), 80), (Ratings(0.0), 82), (RATINGS, 83)])
def test_kinds_of_der(ratings: Ratings, kind: int) -> None:
    assert checked("DERCapability", documents.capability(ratings, AUS)).type_ == kind


def test_without_the_extension_nothing_of_it_is_sent() -> None:
    assert b"doeModes" not in documents.capability(RATINGS, None)
    assert b"csipaus" not in documents.settings(RATINGS, 0.0, None)


def test_settings() -> None:
    model = checked("DERSettings", documents.settings(RATINGS, 1_700_000_000.0, AUS))
    assert (model.setMaxW.value, model.setMaxW.multiplier, model.setGradW, model.updatedTime) == (12_500, 1, 0, 1_700_000_000)


@pytest.mark.parametrize(("battery_w", "storing"), [(3000.0, 0), (-3000.0, 1), (0.0, 2), (None, None)])
def test_status(battery_w: float | None, storing: int | None) -> None:
    model = checked("DERStatus", documents.status(5.0, True, True, battery_w, 55.555))
    assert (None if model.storageModeStatus is None else model.storageModeStatus.value) == storing
    assert model.stateOfChargeStatus.value == 5555
    assert model.inverterStatus.value == 5  # forced power reduction
    assert model.genConnectStatus.value == "07"


def test_disconnected() -> None:
    model = checked("DERStatus", documents.status(5.0, False, False, None, None))
    assert (model.genConnectStatus.value, model.inverterStatus.value, model.stateOfChargeStatus) == ("00", 4, None)


def test_availability() -> None:
    # 125 kW less the battery's 50 leaves a plant of 75; 30 flow, 45 could
    model = checked("DERAvailability", documents.availability(5.0, RATINGS, 30_000.0))
    assert (model.statWAvail.value, model.statWAvail.multiplier) == (4500, 1)
    assert checked("DERAvailability", documents.availability(5.0, RATINGS, None)).statWAvail is None


def test_a_mirror_and_its_readings() -> None:
    mirror = checked("MirrorUsagePoint", documents.usage_point(LFDI, "grid connection", 300.0))
    assert (mirror.deviceLFDI, mirror.roleFlags, mirror.postRate) == (LFDI, "03", 300)
    types = {one.description: one.readingType for one in mirror.mirrorMeterReadings}
    assert (types["power"].uom, types["power"].kind, types["power"].dataQualifier, types["power"].flowDirection) == (38, 37, 2, 1)
    assert (types["voltage"].uom, types["voltage"].powerOfTenMultiplier) == (29, -1)
    assert (types["energy import"].uom, types["energy import"].flowDirection) == (72, 1)
    assert types["energy export"].flowDirection == 19
    reading = checked("MirrorMeterReading", documents.meter_reading(LFDI, "grid connection", KINDS[1], Average(230.26, 1000.0, 60.0)))
    assert (reading.reading.value, reading.reading.timePeriod.start, reading.reading.timePeriod.duration) == (2303, 1000, 60)
    assert reading.mRID in {one.mRID for one in mirror.mirrorMeterReadings}


def test_the_judge_judges() -> None:
    good = documents.response(LFDI, "0ABC", 2, 5)
    for wrong in (
        good.replace(b"<status>2</status>", b""),  # then the order is right; put behind, it is not
        good.replace(b"urn:ieee:std:2030.5:ns", b"urn:other"),
        good.replace(b"status>", b"state>"),
        good.replace(b">0ABC<", b">evening<"),
        b"junk",
    ):
        if wrong.startswith(b"<?xml") and b"<status>" not in wrong and b"state" not in wrong and b"urn:ieee" in wrong:
            wrong = wrong.replace(b"</subject>", b"</subject><status>2</status>")
        with pytest.raises(RefusedError):
            checked("DERControlResponse", wrong)


def test_means_and_registers() -> None:
    collected = Collected()
    for at_s, power_w in ((100.0, 1000.0), (160.0, 3000.0), (170.0, None), (180.0, float("nan"))):
        collected.add("power", power_w, at_s)
        collected.add("energy import", 5000.0 + at_s, at_s)
    found = collected.take()
    assert found["power"] == Average(2000.0, 100.0, 60.0)
    assert found["energy import"] == Average(5180.0, 180.0, 0.0)
    assert collected.take() == {}
