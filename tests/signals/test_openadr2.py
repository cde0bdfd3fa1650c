"""OpenADR 2.0b events, as XML by the profile specification's schema: what they say and what they mean for a site."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signals.openadr2 import MOST_BYTES, Event, Meaning, meaning, read_events
from signals.openadr_plain import Base, Refused
from tests.support.examples import examples

BASE = Base(69_000.0, None, 690.0, (50_000.0, 30_000.0, 0.0), failsafe_w=4200.0)
T0 = 1_795_287_600.0
"""2026-11-21T19:00:00Z"""
NAMES = frozenset({"ven", "ven-id"})

HEAD = """<?xml version="1.0"?><oadrPayload xmlns="http://openadr.org/oadr-2.0b/2012/07"><oadrSignedObject>
<oadrDistributeEvent xmlns:ei="http://docs.oasis-open.org/ns/energyinterop/201110"
 xmlns:xcal="urn:ietf:params:xml:ns:icalendar-2.0" xmlns:strm="urn:ietf:params:xml:ns:icalendar-2.0:stream"
 xmlns:pyld="http://docs.oasis-open.org/ns/energyinterop/201110/payloads" xmlns:power="http://docs.oasis-open.org/ns/emix/2011/06/power"
 xmlns:scale="http://docs.oasis-open.org/ns/emix/2011/06/siscale">
<ei:eiResponse><ei:responseCode>{code}</ei:responseCode><pyld:requestID/></ei:eiResponse><pyld:requestID>r1</pyld:requestID><ei:vtnID>vtn</ei:vtnID>"""
TAIL = "</oadrDistributeEvent></oadrSignedObject></oadrPayload>"
KW = "<power:powerReal><power:itemDescription>RealPower</power:itemDescription><power:itemUnits>W</power:itemUnits><scale:siScaleCode>k</scale:siScaleCode></power:powerReal>"  # noqa: E501
EUR = "<currencyPerKWh><itemDescription>currencyPerKWh</itemDescription><itemUnits>EUR</itemUnits><scale:siScaleCode>none</scale:siScaleCode></currencyPerKWh>"  # noqa: E501


def signal(name: str, kind: str, *values: float | str, measure: str = "", length: str = "PT10M") -> str:
    spans = "".join(
        f"<ei:interval><xcal:duration><xcal:duration>{length}</xcal:duration></xcal:duration><xcal:uid><xcal:text>{place}</xcal:text></xcal:uid>"
        f"<ei:signalPayload><ei:payloadFloat><ei:value>{value}</ei:value></ei:payloadFloat></ei:signalPayload></ei:interval>"
        for place, value in enumerate(values)
    )
    return (
        f"<ei:eiEventSignal><strm:intervals>{spans}</strm:intervals><ei:signalName>{name}</ei:signalName><ei:signalType>{kind}</ei:signalType>"
        f"<ei:signalID>s</ei:signalID>{measure}</ei:eiEventSignal>"
    )


def event(
    *signals: str,
    status: str = "far",
    test: str = "false",
    priority: str = "0",
    length: str = "PT20M",
    extra: str = "",
    target: str = "ven",
    need: str = "always",
) -> str:
    return f"""<oadrEvent><ei:eiEvent><ei:eventDescriptor><ei:eventID>e1</ei:eventID><ei:modificationNumber>3</ei:modificationNumber>
<ei:priority>{priority}</ei:priority><ei:createdDateTime>2026-11-21T18:00:00Z</ei:createdDateTime><ei:eventStatus>{status}</ei:eventStatus>
<ei:testEvent>{test}</ei:testEvent></ei:eventDescriptor>
<ei:eiActivePeriod><xcal:properties><xcal:dtstart><xcal:date-time>2026-11-21T19:00:00Z</xcal:date-time></xcal:dtstart>
<xcal:duration><xcal:duration>{length}</xcal:duration></xcal:duration>{extra}</xcal:properties><xcal:components/></ei:eiActivePeriod>
<ei:eiEventSignals>{"".join(signals)}</ei:eiEventSignals><ei:eiTarget><ei:venID>{target}</ei:venID></ei:eiTarget></ei:eiEvent>
<oadrResponseRequired>{need}</oadrResponseRequired></oadrEvent>"""


def read(*events: str, code: str = "200") -> tuple[Event, ...]:
    return read_events((HEAD.format(code=code) + "".join(events) + TAIL).encode(), NAMES)[1]


def said(*signals: str, **more: str) -> Meaning:
    (found,) = read(event(*signals, **more))
    return meaning(found, BASE, "EUR")


def limits(says: Meaning) -> list[tuple[float, float | None, float | None]]:
    return [(window.start_s - T0, window.length_s, window.consumption_w) for window in says.windows]


@pytest.mark.parametrize(
    ("xml", "watts"),
    [
        (signal("LOAD_CONTROL", "x-loadControlCapacity", 0.5), 34_500),
        (signal("LOAD_CONTROL", "x-loadControlCapacity", 0.0), 0),
        (signal("LOAD_CONTROL", "x-loadControlPercentOffset", -0.2), 55_200),
        (signal("LOAD_CONTROL", "x-loadControlLevelOffset", 2), 30_000),
        (signal("LOAD_CONTROL", "x-loadControlSetpoint", 11, measure=KW), 11_000),
        (signal("LOAD_DISPATCH", "setpoint", 11, measure=KW), 11_000),
        (signal("SIMPLE", "level", 1), 50_000),
        (signal("simple", "level", 3), 0),
    ],
)
def test_signals_that_are_obeyed(xml: str, watts: float) -> None:
    says = said(xml)
    assert limits(says) == [(0, 600, pytest.approx(watts))]
    assert (says.code, says.notes) == (200, [])


@pytest.mark.parametrize(
    ("xml", "words"),
    [
        (signal("LOAD_DISPATCH", "delta", 5, measure=KW), "relative to what is not told"),
        (signal("CHARGE_STATE", "setpoint", 5), "the battery's state of charge is planned"),
        (signal("ELECTRICITY_PRICE", "priceRelative", 0.1, measure=EUR), "relative to a price"),
        (signal("ELECTRICITY_PRICE", "price", 0.1, measure=EUR.replace("EUR", "USD")), "do not fit a tariff in EUR"),
        (signal("x-own", "level", 1), "we do not know this signal"),
    ],
)
def test_signals_that_are_not(xml: str, words: str) -> None:
    says = said(xml)
    assert words in says.notes[0]
    assert says.code == 460
    assert not says.prices


def test_what_cannot_be_read_of_a_limit_is_the_failsafe() -> None:
    assert limits(said(signal("LOAD_CONTROL", "x-loadControlCapacity", -1))) == [(0, 600, 4200)]
    assert limits(said(signal("LOAD_CONTROL", "x-loadControlSetpoint", 5))) == [(0, 600, 4200)]
    assert said(signal("LOAD_CONTROL", "x-loadControlSetpoint", 5)).unread
    assert not said(signal("SIMPLE", "level", 1)).unread


def test_intervals_follow_each_other_and_end_with_the_active_period() -> None:
    assert limits(said(signal("SIMPLE", "level", 1, 2), length="PT15M")) == [(0, 600, 50_000), (600, 300, 30_000)]


def test_no_length_is_no_end() -> None:
    assert limits(said(signal("SIMPLE", "level", 2, length="PT0S"), length="PT0S")) == [(0, None, 30_000)]
    assert limits(said(signal("SIMPLE", "level", 2, length="PT0S"), length="PT1H")) == [(0, 3600, 30_000)]


def test_a_random_start_only_delays() -> None:
    extra = "<xcal:tolerance><xcal:tolerate><xcal:startafter>PT5M</xcal:startafter></xcal:tolerate></xcal:tolerance>"
    ((start, _, _),) = limits(said(signal("SIMPLE", "level", 1), extra=extra))
    assert 0 < start < 300


@pytest.mark.parametrize(("text", "primacy"), [("0", 1_000_000), ("1", 1), ("7", 7)])
def test_priority_0_is_none(text: str, primacy: int) -> None:
    assert said(signal("SIMPLE", "level", 1), priority=text).windows[0].primacy == primacy


@pytest.mark.parametrize("more", [{"status": "cancelled"}, {"status": "completed"}, {"test": "true"}, {"test": "yes"}, {"target": "other"}])
def test_events_that_mean_nothing(more: dict[str, str]) -> None:
    says = said(signal("SIMPLE", "level", 3), **more)
    assert not says.windows
    assert says.code == 200


def test_prices() -> None:
    assert said(signal("ELECTRICITY_PRICE", "price", 0.25, -0.01, measure=EUR)).prices == [(T0, T0 + 600, 0.25), (T0 + 600, T0 + 1200, -0.01)]


def test_descriptor() -> None:
    (found,) = read(event(signal("SIMPLE", "level", 1), need="never"))
    assert (found.id, found.version, found.status, found.answer, found.ours, found.test) == ("e1", 3, "far", False, True, False)


def test_one_bad_event_takes_no_other_with_it() -> None:
    bad, good = read(event(signal("SIMPLE", "level", "much")).replace("e1", "bad"), event(signal("SIMPLE", "level", 1)))
    assert "a value is not a number" in bad.why
    assert meaning(bad, BASE, "EUR").code == 454
    assert limits(meaning(good, BASE, "EUR")) == [(0, 600, 50_000)]


@pytest.mark.parametrize("body", [b"", b"<a/>", b"\xff\xfe", b"<oadrDistributeEvent", b"x" * (MOST_BYTES + 1), b'<!DOCTYPE a [<!ENTITY b "c">]><a/>'])
def test_what_is_no_list_of_events(body: bytes) -> None:
    with pytest.raises(Refused):
        read_events(body, NAMES)


def test_an_error_is_no_empty_list() -> None:
    with pytest.raises(Refused, match="code 463"):
        read(code="463")


@settings(max_examples=examples(200), deadline=None)
@given(st.binary(max_size=60), st.integers(0, 3000))
def test_any_bytes_are_events_or_a_clear_refusal(noise: bytes, place: int) -> None:
    whole = (HEAD.format(code="200") + event(signal("LOAD_CONTROL", "x-loadControlCapacity", 0.5)) + TAIL).encode()
    body = whole[: place % len(whole)] + noise + whole[place % len(whole) :]
    try:
        _, found = read_events(body, NAMES)
    except Refused:
        return
    for each in found:
        for window in meaning(each, BASE, "EUR").windows:
            assert window.consumption_w is not None
            assert 0 <= window.consumption_w <= 69_000
            assert math.isfinite(window.start_s)


@settings(max_examples=examples(200), deadline=None)
@given(st.floats(-1e6, 1e6), st.sampled_from(["x-loadControlCapacity", "x-loadControlPercentOffset", "x-loadControlLevelOffset"]))
def test_a_limit_is_never_higher_than_stated(value: float, kind: str) -> None:
    for _, _, watts in limits(said(signal("LOAD_CONTROL", kind, value))):
        assert watts is not None
        assert watts <= 69_000
        if kind == "x-loadControlCapacity" and value >= 0:
            assert watts <= 69_000 * value + 1e-6
