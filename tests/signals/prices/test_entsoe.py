"""ENTSO-E day-ahead documents (A44): left-out positions, sequences, resolutions, days of 23 and 25 hours, acknowledgements, hostile XML.

The form follows the platform's published schema and answers seen in the field (curve type A03 since October 2024, quarter hours since October
2025); positions and expected moments are counted by hand.
"""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signals.prices import entsoe
from signals.prices.slots import PriceError, Slots

NS = "urn:iec62325.351:tc57wg16:451-3:publicationdocument:7:3"
MIDNIGHT = datetime(2026, 11, 19, 23, tzinfo=UTC).timestamp()


def points(values: dict[int, object]) -> str:
    return "".join(f"<Point><position>{position}</position><price.amount>{value}</price.amount></Point>" for position, value in values.items())


def period(values: dict[int, object], start: str = "2026-11-19T23:00Z", end: str = "2026-11-20T23:00Z", step: str = "PT60M") -> str:
    interval = (
        f"<timeInterval><start>{start}</start><end>{end}</end></timeInterval>" if end else f"<timeInterval><start>{start}</start></timeInterval>"
    )
    return f"<Period>{interval}<resolution>{step}</resolution>{points(values)}</Period>"


def series(*periods: str, sequence: int | None = None, agreement: str = "A01", currency: str = "EUR", unit: str = "MWH") -> str:
    rank = (
        ""
        if sequence is None
        else f"<classificationSequence_AttributeInstanceComponent.position>{sequence}</classificationSequence_AttributeInstanceComponent.position>"
    )
    return (
        f"<TimeSeries><mRID>1</mRID><auction.type>A01</auction.type><businessType>A62</businessType><contract_MarketAgreement.type>{agreement}"
        f"</contract_MarketAgreement.type><currency_Unit.name>{currency}</currency_Unit.name><price_Measure_Unit.name>{unit}</price_Measure_Unit.name>"
        f"{rank}<curveType>A03</curveType>{''.join(periods)}</TimeSeries>"
    )


def document(*all_series: str) -> bytes:
    head = f'<?xml version="1.0" encoding="UTF-8"?><Publication_MarketDocument xmlns="{NS}">'
    told = "<mRID>1</mRID><type>A44</type><createdDateTime>2026-11-19T12:00:00Z</createdDateTime>"
    return f"{head}{told}{''.join(all_series)}</Publication_MarketDocument>".encode()


def acknowledged(code: int, text: str) -> bytes:
    ns = "urn:iec62325.351:tc57wg16:451-1:acknowledgementdocument:8:1"
    reason = f"<mRID>a</mRID><Reason><code>{code}</code><text>{text}</text></Reason>"
    return f'<Acknowledgement_MarketDocument xmlns="{ns}">{reason}</Acknowledgement_MarketDocument>'.encode()


class TestDocuments:
    def test_a_day_of_hours(self) -> None:
        found = entsoe.decode(document(series(period({hour + 1: 10.0 * hour - 20 for hour in range(24)}))), "EUR")
        assert (len(found), found[0].start_wall_s, found[-1].end_wall_s) == (24, MIDNIGHT, MIDNIGHT + 86_400)
        assert [slot.value for slot in found[:4]] == pytest.approx([-0.02, -0.01, 0.0, 0.01])

    @pytest.mark.parametrize(
        ("step", "seconds", "count"), [("PT15M", 900, 96), ("PT30M", 1800, 48), ("PT60M", 3600, 24), ("PT1H", 3600, 24), ("P1D", 86_400, 1)]
    )
    def test_resolutions(self, step: str, seconds: int, count: int) -> None:
        found = entsoe.decode(document(series(period(dict.fromkeys(range(1, count + 1), 50), step=step))))
        assert len(found) == count
        assert {slot.end_wall_s - slot.start_wall_s for slot in found} == {seconds}

    def test_positions_left_out_repeat_the_last_value_to_the_end_of_the_period(self) -> None:
        """Positions 1, 3 and 6 of 24: 2 repeats 1; 4 and 5 repeat 3; 7 to 24 repeat 6."""
        found = entsoe.decode(document(series(period({1: 10, 3: 30, 6: 60}))))
        assert [round(slot.value * 1000) for slot in found] == [10, 10, 30, 30, 30] + [60] * 19

    def test_a_first_position_that_is_left_out_is_unknown(self) -> None:
        found = entsoe.decode(document(series(period({3: 30}))))
        assert (found[0].start_wall_s, len(found)) == (MIDNIGHT + 7200, 22)

    @pytest.mark.parametrize(
        ("start", "end", "hours"),
        [
            ("2026-03-28T23:00Z", "2026-03-29T22:00Z", 23),
            ("2026-10-24T22:00Z", "2026-10-25T23:00Z", 25),
            ("2026-05-01T22:00Z", "2026-05-02T22:00Z", 24),
        ],
    )
    def test_days_of_23_and_25_hours(self, start: str, end: str, hours: int) -> None:
        found = entsoe.decode(document(series(period({quarter + 1: quarter for quarter in range(hours * 4)}, start, end, "PT15M"))))
        assert (len(found), found[-1].end_wall_s - found[0].start_wall_s) == (hours * 4, hours * 3600)
        assert found[-1].value == pytest.approx((hours * 4 - 1) / 1000)

    def test_several_days_in_one_series_and_in_several(self) -> None:
        next_day = period({1: 70}, "2026-11-20T23:00Z", "2026-11-21T23:00Z")
        for told in (document(series(period({1: 50}), next_day)), document(series(next_day), series(period({1: 50})))):
            found = entsoe.decode(told)
            assert [round(slot.value * 1000) for slot in found] == [50] * 24 + [70] * 24

    def test_the_lowest_sequence_holds_and_others_fill_in(self) -> None:
        """Sequence 2 is another auction: where the coupled market tells the price, it is the price, however fine the other is."""
        exaa = series(period({1: 99}, "2026-11-19T23:00Z", "2026-11-21T23:00Z", "PT15M"), sequence=2)
        found = entsoe.decode(document(exaa, series(period({1: 50}), sequence=1)))
        assert {round(slot.value * 1000) for slot in found if slot.start_wall_s < MIDNIGHT + 86_400} == {50}
        assert {round(slot.value * 1000) for slot in found if slot.start_wall_s >= MIDNIGHT + 86_400} == {99}

    def test_hours_and_quarter_hours_without_a_sequence(self) -> None:
        """Belgium, October 2024: both were published; the finer one is the price."""
        found = entsoe.decode(
            document(
                series(period({1: 40, 2: 44}, end="2026-11-20T01:00Z")), series(period({1: 40, 5: 44, 6: 45}, end="2026-11-20T01:00Z", step="PT15M"))
            )
        )
        assert [round(slot.value * 1000) for slot in found] == [40, 40, 40, 40, 44, 45, 45, 45]

    def test_intraday_auctions_are_left_out(self) -> None:
        assert entsoe.decode(document(series(period({1: 12}), agreement="A07"))) == ()

    def test_an_unsorted_period_and_a_repeated_position(self) -> None:
        found = entsoe.decode(document(series(period({3: 30, 1: 10, 2: 20}, end="2026-11-20T02:00Z"))))
        assert [round(slot.value * 1000) for slot in found] == [10, 20, 30]

    def test_a_period_without_an_end_ends_with_its_last_position(self) -> None:
        assert len(entsoe.decode(document(series(period({1: 10, 3: 30}, end=""))))) == 3

    @pytest.mark.parametrize("ns", ["urn:iec62325.351:tc57wg16:451-3:publicationdocument:7:0", "urn:somebody:else:9:9"])
    def test_the_version_of_the_namespace_does_not_matter(self, ns: str) -> None:
        assert len(entsoe.decode(document(series(period({1: 1}))).replace(NS.encode(), ns.encode()))) == 24


class TestRefusals:
    @pytest.mark.parametrize(
        "body", [b"", b" \n", acknowledged(999, "No matching data found for Data item Day-ahead Prices [12.1.D] (10YNL----------L)")]
    )
    def test_no_data_is_no_error(self, body: bytes) -> None:
        assert entsoe.decode(body) == ()

    def test_another_acknowledgement_tells_why(self) -> None:
        with pytest.raises(PriceError, match="exceeds allowed limit"):
            entsoe.decode(acknowledged(999, "The amount of requested data exceeds allowed limit."))

    @pytest.mark.parametrize(
        "body",
        [
            b"not xml at all",
            b"<html><body>Service Unavailable</body></html>",
            b"<Publication_MarketDocument>",
            document(series(period({1: "n/a"}))),
            document(series(period({1: "NaN"}))),
            document(series(period({1: "1e999"}))),
            document(series(period({0: 5}))),
            document(series(period({25: 5}))),
            document(series(period({1: 5}, step="PT7X"))),
            document(series(period({1: 5}, step="PT0M"))),
            document(series(period({1: 5}, step="P1Y"))),
            document(series(period({1: 5}, start="yesterday"))),
            document(series(period({1: 5}, end="2026-11-19T22:00Z"))),
            document(series("<Period><resolution>PT60M</resolution></Period>")),
            document(series(period({1: 5}), unit="MW")),
            document(series(period({1: 5}), currency="PLN")),
            document(series(period({1: 200_000_000}))),
            document(series(period({1: 5}, "2001-01-01T00:00Z", "2090-01-01T00:00Z", "PT15M"))),
            document(series(period({99_999_999: 5}, end="", step="PT15M"))),
        ],
    )
    def test_what_is_refused(self, body: bytes) -> None:
        with pytest.raises(PriceError):
            entsoe.decode(body, "EUR")

    def test_a_billion_laughs_are_not_laughed(self) -> None:
        levels = "".join(f'<!ENTITY l{level} "{f"&l{level - 1};" * 10}">' for level in range(1, 10))
        bomb = f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY l0 "ha">{levels}]><Publication_MarketDocument>&l9;</Publication_MarketDocument>'
        for body in (bomb.encode(), bomb.encode("utf-16")):
            with pytest.raises(PriceError, match="document type or entities"):
                entsoe.decode(body)

    def test_an_external_entity_opens_no_file(self) -> None:
        body = (
            b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]><Publication_MarketDocument>&f;</Publication_MarketDocument>'
        )
        with pytest.raises(PriceError, match="document type"):
            entsoe.decode(body)

    def test_xml_that_is_too_deep(self) -> None:
        with pytest.raises(PriceError, match="too deep"):
            entsoe.decode(b"<a>" * 5000 + b"</a>" * 5000)


def refusal(decode: Callable[[bytes], Slots], body: bytes) -> str:
    """Why bytes are refused, "" if they are not; any other error is a defect."""
    try:
        decode(body)
    except PriceError as error:
        return str(error) or "?" * 1000
    return ""


class TestLaws:
    @given(st.binary(max_size=300))
    def test_bytes_end_in_slots_or_one_error(self, body: bytes) -> None:
        assert len(refusal(entsoe.decode, body)) < 600

    @given(
        st.dictionaries(st.integers(1, 100), st.decimals(-500, 4000, places=2, allow_nan=False), min_size=1),
        st.sampled_from(["PT15M", "PT30M", "PT60M"]),
    )
    def test_every_position_of_the_period_has_the_last_told_value(self, told: dict[int, object], step: str) -> None:
        seconds = {"PT15M": 900, "PT30M": 1800, "PT60M": 3600}[step]
        end = datetime.fromtimestamp(MIDNIGHT + 100 * seconds, UTC)
        found = entsoe.decode(document(series(period(told, end=f"{end:%Y-%m-%dT%H:%MZ}", step=step))))
        assert len(found) == 101 - min(told)
        for slot in found:
            position = round((slot.start_wall_s - MIDNIGHT) / seconds) + 1
            assert slot.value == pytest.approx(float(str(told[max(known for known in told if known <= position)])) / 1000)
