"""aWATTar, Energy-Charts, Nord Pool, Tibber: answers as their owners publish them, and every way they can be wrong.

The samples follow the formats their owners publish (aWATTar's and Energy-Charts' API pages, Nord Pool's data portal, Tibber's developer pages),
numbers by hand.
"""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signals.prices import awattar, energy_charts, nordpool, tibber
from signals.prices.slots import PriceError, Slots

MIDNIGHT = datetime(2026, 11, 19, 23, tzinfo=UTC).timestamp()  # 20 November in Berlin
HOUR, QUARTER = 3600.0, 900.0


def raw(value: Any) -> bytes:
    return json.dumps(value).encode()


def rows(slots: Slots) -> list[tuple[float, float, float]]:
    """Begin, end and value, without the last bits of arithmetic."""
    return [(slot.start_wall_s, slot.end_wall_s, round(slot.value, 9)) for slot in slots]


# -- aWATTar ----------------------------------------------------------------------------------------


def awattar_row(index: int, price: Any, step: float = HOUR, **more: Any) -> dict[str, Any]:
    begin = int((MIDNIGHT + index * step) * 1000)
    return {"start_timestamp": begin, "end_timestamp": begin + int(step * 1000), "marketprice": price, "unit": "Eur/MWh", **more}


class TestAwattar:
    def test_an_answer(self) -> None:
        body = raw({"object": "list", "data": [awattar_row(0, 92.11), awattar_row(1, -5.0)], "url": "/de/v1/marketdata"})
        assert rows(awattar.decode(body, "EUR")) == [(MIDNIGHT, MIDNIGHT + HOUR, 0.09211), (MIDNIGHT + HOUR, MIDNIGHT + 2 * HOUR, -0.005)]

    def test_unordered_repeated_and_quarter_hourly(self) -> None:
        told = [awattar_row(2, 30.0, QUARTER), awattar_row(0, 10.0, QUARTER), awattar_row(1, 99.0, QUARTER), awattar_row(1, 20.0, QUARTER)]
        assert [slot.value for slot in awattar.decode(raw({"data": told}))] == pytest.approx([0.01, 0.02, 0.03])

    def test_before_the_market_has_closed(self) -> None:
        assert awattar.decode(raw({"object": "list", "data": []})) == ()

    @pytest.mark.parametrize(
        "data",
        [
            None,
            {},
            "rows",
            [7],
            [awattar_row(0, None)],
            [awattar_row(0, "much")],
            [awattar_row(0, 1.0, unit="Eur/GJ")],
            [awattar_row(0, 1.0, start_timestamp=None)],
            [awattar_row(0, 1.0, end_timestamp=0)],
            [awattar_row(0, 1e9)],
        ],
    )
    def test_what_is_refused(self, data: Any) -> None:
        with pytest.raises(PriceError):
            awattar.decode(raw({"data": data}))

    def test_another_currency(self) -> None:
        with pytest.raises(PriceError, match="tariff in CHF"):
            awattar.decode(raw({"data": [awattar_row(0, 1.0)]}), "CHF")


# -- Energy-Charts ------------------------------------------------------------------------------------


class TestEnergyCharts:
    def test_an_answer_with_a_null(self) -> None:
        starts = [MIDNIGHT + index * QUARTER for index in range(4)]
        body = raw({"license_info": "CC BY 4.0", "unix_seconds": starts, "price": [80.5, None, -1.25, 0.0], "unit": "EUR / MWh", "deprecated": False})
        found = energy_charts.decode(body, "EUR")
        assert [(slot.start_wall_s - MIDNIGHT, round(slot.value, 9)) for slot in found] == [(0.0, 0.0805), (1800.0, -0.00125), (2700.0, 0.0)]
        assert all(slot.end_wall_s - slot.start_wall_s == QUARTER for slot in found)

    def test_the_day_hours_became_quarter_hours(self) -> None:
        """1 October 2025 in Berlin: hours before midnight, quarter hours after it."""
        change = datetime(2025, 9, 30, 22, tzinfo=UTC).timestamp()
        starts = [change - 2 * HOUR, change - HOUR, change, change + QUARTER]
        found = energy_charts.decode(raw({"unix_seconds": starts, "price": [10, 20, 30, 40]}))
        assert [slot.end_wall_s - slot.start_wall_s for slot in found] == [HOUR, HOUR, QUARTER, QUARTER]

    def test_an_hour_that_is_missing_is_a_gap(self) -> None:
        found = energy_charts.decode(raw({"unix_seconds": [MIDNIGHT, MIDNIGHT + 5 * HOUR], "price": [10, 20]}))
        assert found[0].end_wall_s == MIDNIGHT + HOUR

    def test_a_night_of_25_hours_has_100_quarter_hours(self) -> None:
        begin = datetime(2026, 10, 24, 22, tzinfo=UTC).timestamp()
        found = energy_charts.decode(raw({"unix_seconds": [begin + QUARTER * index for index in range(100)], "price": list(range(100))}))
        assert (len(found), found[-1].end_wall_s) == (100, datetime(2026, 10, 25, 23, tzinfo=UTC).timestamp())

    def test_nothing_yet(self) -> None:
        assert energy_charts.decode(raw({"unix_seconds": [], "price": []})) == ()

    @pytest.mark.parametrize(
        "answer",
        [
            {"unix_seconds": [MIDNIGHT], "price": []},
            {"price": [1.0]},
            {"unix_seconds": ["soon"], "price": [1.0]},
            {"unix_seconds": [MIDNIGHT], "price": ["x"]},
            [],
        ],
    )
    def test_what_is_refused(self, answer: Any) -> None:
        with pytest.raises(PriceError):
            energy_charts.decode(raw(answer))

    def test_it_is_always_in_euros(self) -> None:
        with pytest.raises(PriceError, match="EUR"):
            energy_charts.decode(raw({"unix_seconds": [MIDNIGHT], "price": [1.0]}), "PLN")


# -- Nord Pool -----------------------------------------------------------------------------------------


def nordpool_entry(index: int, prices: dict[str, Any]) -> dict[str, Any]:
    begin, end = (datetime.fromtimestamp(MIDNIGHT + (index + step) * QUARTER, UTC).isoformat().replace("+00:00", "Z") for step in (0, 1))
    return {"deliveryStart": begin, "deliveryEnd": end, "entryPerArea": prices}


def nordpool_answer(entries: Any, **more: Any) -> bytes:
    day = {"deliveryDateCET": "2026-11-20", "version": 2, "updatedAt": "2026-11-19T11:55:00.1Z", "market": "DayAhead", "currency": "EUR"}
    return raw({**day, "areaStates": [{"state": "Final", "areas": ["SE3", "NL"]}], "multiAreaEntries": entries, "blockPriceAggregates": [], **more})


class TestNordPool:
    def test_an_answer_of_several_areas(self) -> None:
        body = nordpool_answer([nordpool_entry(0, {"SE3": 61.69, "NL": 88.0}), nordpool_entry(1, {"SE3": -0.5, "NL": 90.0})])
        expected = [(MIDNIGHT, MIDNIGHT + QUARTER, 0.06169), (MIDNIGHT + QUARTER, MIDNIGHT + 2 * QUARTER, -0.0005)]
        assert rows(nordpool.decode(body, "SE3", "EUR")) == expected

    @pytest.mark.parametrize("body", [b"", b"  \n", nordpool_answer([])])
    def test_tomorrow_is_not_there_yet(self, body: bytes) -> None:
        assert nordpool.decode(body, "SE3") == ()

    def test_a_quarter_hour_without_a_price_is_a_gap(self) -> None:
        body = nordpool_answer([nordpool_entry(0, {"SE3": 1.0}), nordpool_entry(1, {"SE3": None}), nordpool_entry(2, {"SE3": 3.0})])
        assert [slot.start_wall_s - MIDNIGHT for slot in nordpool.decode(body, "SE3")] == [0.0, 1800.0]

    def test_an_area_that_is_not_there_names_those_that_are(self) -> None:
        with pytest.raises(PriceError, match="NL, SE3"):
            nordpool.decode(nordpool_answer([nordpool_entry(0, {"SE3": 1.0, "NL": 2.0})]), "SE9")

    @pytest.mark.parametrize(
        "body",
        [
            b"<html>maintenance</html>",
            nordpool_answer({}),
            nordpool_answer([7]),
            nordpool_answer([{"deliveryStart": "x", "deliveryEnd": "y", "entryPerArea": {"SE3": 1.0}}]),
            nordpool_answer([nordpool_entry(0, {"SE3": "1"}), {"entryPerArea": []}]),
            nordpool_answer([nordpool_entry(0, {"SE3": 1.0})], currency="SEK"),
            b'{"multiAreaEntries": [{"deliveryStart": "2026-11-20T00:00:00Z", "deliveryEnd": "2026-11-20T01:00:00Z", "entryPerArea": {"SE3": NaN}}]}',
        ],
    )
    def test_what_is_refused(self, body: bytes) -> None:
        with pytest.raises(PriceError):
            nordpool.decode(body, "SE3", "EUR")


# -- Tibber ----------------------------------------------------------------------------------------------


def tibber_price(clock: str, total: Any, day: str = "20", offset: str = "+01:00") -> dict[str, Any]:
    return {"total": total, "startsAt": f"2026-11-{day}T{clock}:00.000{offset}", "currency": "EUR"}


def tibber_answer(info: Any, home: str = "home-1", **contract: Any) -> bytes:
    return raw(
        {
            "data": {
                "viewer": {
                    "homes": [{"id": "empty", "currentSubscription": None}, {"id": home, "currentSubscription": {"priceInfo": info, **contract}}]
                }
            }
        }
    )


class TestTibber:
    def test_today_without_tomorrow(self) -> None:
        found = tibber.decode(tibber_answer({"today": [tibber_price("00:00", 0.3512), tibber_price("00:15", 0.3)], "tomorrow": []}), currency="EUR")
        assert rows(found) == [(MIDNIGHT, MIDNIGHT + QUARTER, 0.3512), (MIDNIGHT + QUARTER, MIDNIGHT + 2 * QUARTER, 0.3)]

    def test_today_and_tomorrow_join(self) -> None:
        told = {"today": [tibber_price("23:45", 0.1)], "tomorrow": [tibber_price("00:00", 0.2, "21"), tibber_price("00:15", 0.3, "21")]}
        found = tibber.decode(tibber_answer(told))
        assert [slot.value for slot in found] == [0.1, 0.2, 0.3]
        assert found[0].end_wall_s == found[1].start_wall_s

    @pytest.mark.parametrize(
        "told",
        [
            {"nodes": [tibber_price("00:00", 0.4), tibber_price("00:15", 0.5)]},
            {"edges": [{"node": tibber_price("00:00", 0.4)}, {"node": tibber_price("00:15", 0.5)}]},
        ],
    )
    def test_a_price_range(self, told: Any) -> None:
        assert [slot.value for slot in tibber.decode(tibber_answer(None, priceInfoRange=told))] == [0.4, 0.5]

    def test_the_home_that_is_asked_for(self) -> None:
        body = tibber_answer({"today": [tibber_price("00:00", 0.4)]}, "wanted")
        assert len(tibber.decode(body, "wanted")) == 1
        with pytest.raises(PriceError, match="no home 'other'"):
            tibber.decode(body, "other")
        with pytest.raises(PriceError, match="running contract"):
            tibber.decode(body, "empty")

    def test_an_error_comes_with_status_200_and_keeps_the_token_secret(self) -> None:
        with pytest.raises(PriceError, match="No valid access token"):
            tibber.decode(raw({"errors": [{"message": "No valid access token in request"}], "data": None}))

    @pytest.mark.parametrize(
        "body",
        [
            raw({"data": None}),
            raw({"data": {"viewer": {"homes": []}}}),
            raw({"data": {"viewer": {"homes": None}}}),
            tibber_answer({"today": [tibber_price("00:00", None)]}),
            tibber_answer({"today": [tibber_price("25:00", 0.2)]}),
            tibber_answer({"today": "later"}),
            tibber_answer({"today": [{**tibber_price("00:00", 0.2), "currency": "NOK"}]}),
        ],
    )
    def test_what_is_refused(self, body: bytes) -> None:
        with pytest.raises(PriceError):
            tibber.decode(body, currency="EUR")

    def test_the_question_asks_for_quarter_hours(self) -> None:
        query = json.loads(tibber.request_body())["query"]
        assert "QUARTER_HOURLY" in query
        assert query.count("{") == query.count("}")


def refusal(decode: Callable[[bytes], Slots], body: bytes) -> str:
    """Why bytes are refused, "" if they are not; any other error is a defect."""
    try:
        decode(body)
    except PriceError as error:
        return str(error) or "?" * 1000
    return ""


# -- laws ---------------------------------------------------------------------------------------------------

DECODERS: list[Callable[[bytes], Slots]] = [awattar.decode, energy_charts.decode, lambda body: nordpool.decode(body, "SE3"), tibber.decode]
KEYS = (
    *("data", "viewer", "homes", "id", "currentSubscription", "priceInfo", "today", "tomorrow", "nodes", "edges", "node", "total", "startsAt"),
    *("unix_seconds", "price", "unit", "multiAreaEntries", "entryPerArea", "SE3", "deliveryStart", "deliveryEnd", "currency"),
    *("start_timestamp", "end_timestamp", "marketprice", "errors"),
)
json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=8) | st.sampled_from(["2026-11-20T00:00:00Z", 1_795_132_800]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=25,
)


@pytest.mark.parametrize("decode", DECODERS)
class TestLaws:
    @given(body=st.binary(max_size=200))
    def test_bytes_end_in_slots_or_one_error(self, decode: Callable[[bytes], Slots], body: bytes) -> None:
        assert len(refusal(decode, body)) < 600

    @given(value=json_values)
    def test_json_ends_in_slots_or_one_error(self, decode: Callable[[bytes], Slots], value: Any) -> None:
        try:
            found = decode(json.dumps(value).encode())
        except PriceError:
            return
        assert all(sooner.end_wall_s <= later.start_wall_s for sooner, later in pairwise(found))

    def test_deep_json_is_refused(self, decode: Callable[[bytes], Slots]) -> None:
        with pytest.raises(PriceError):
            decode(b"[" * 200_000)
