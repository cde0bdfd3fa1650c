"""Plain JSON, CSV and MQTT payloads: paths, keys, gaps, zones, and answers of the feeds kept as files."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signals.prices.plain import Keys, decode_csv, decode_file, decode_json, decode_payload
from signals.prices.slots import PriceError, Slot, Slots

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC).timestamp()
BERLIN = ZoneInfo("Europe/Berlin")


def raw(value: Any) -> bytes:
    return json.dumps(value).encode()


def rows(slots: Slots) -> list[tuple[float, float, float]]:
    """Begin, end and value, without the last bits of arithmetic."""
    return [(slot.start_wall_s, slot.end_wall_s, round(slot.value, 9)) for slot in slots]


class TestHttp:
    def test_a_list_in_a_document_with_its_own_keys(self) -> None:
        body = raw(
            {
                "result": {
                    "rates": [{"from": "2026-11-20T12:00:00Z", "price": {"total": 21.5}}, {"from": "2026-11-20T12:30:00Z", "price": {"total": -2}}]
                }
            }
        )
        found = decode_json(body, "result.rates", Keys("from", None, "price.total"), 0.01)
        assert rows(found) == [(NOON, NOON + 1800, 0.215), (NOON + 1800, NOON + 3600, -0.02)]

    def test_ends_leave_gaps(self) -> None:
        told = [{"start": NOON, "end": NOON + 900, "value": 1}, {"start": NOON + 3600, "end": NOON + 4500, "value": 2}]
        assert decode_json(raw(told), "", Keys(end="end")) == (Slot(NOON, NOON + 900, 1.0), Slot(NOON + 3600, NOON + 4500, 2.0))

    def test_a_null_is_a_gap(self) -> None:
        told = [{"start": NOON, "value": 1}, {"start": NOON + 900, "value": None}, {"start": NOON + 1800, "value": 2}]
        assert [slot.start_wall_s for slot in decode_json(raw(told))] == [NOON, NOON + 1800]

    def test_milliseconds(self) -> None:
        assert decode_json(raw([{"start": NOON * 1000, "value": "0.2"}]))[0].start_wall_s == NOON

    @pytest.mark.parametrize(
        ("body", "items", "hint"),
        [
            (raw({"a": []}), "b", "no 'b'"),
            (raw({"a": 5}), "a", "not a list"),
            (raw([5]), "", "neither an object nor a list"),
            (raw([{"start": NOON}]), "", "no 'value'"),
            (raw([{"start": NOON, "value": True}]), "", "not a number"),
            (b'[{"start": 1795132800, "value": NaN}]', "", "NaN"),
            (b'[{"start": 1795132800, "value": Infinity}]', "", "Infinity"),
            (raw([{"start": "2026-11-20 noon", "value": 1}]), "", "ISO 8601"),
            (b"", "", "no JSON"),
            (b"\xff\xfe", "", "no JSON"),
        ],
    )
    def test_what_is_wrong_is_named(self, body: bytes, items: str, hint: str) -> None:
        with pytest.raises(PriceError, match=hint):
            decode_json(body, items)


class TestMqtt:
    def test_the_documented_payload(self) -> None:
        slots = [{"start": "2026-11-20T12:00:00Z", "end": "2026-11-20T12:15:00Z", "value": 0.21}, {"start": "2026-11-20T13:00:00Z", "value": 0.3}]
        assert decode_payload(raw({"slots": slots})) == (Slot(NOON, NOON + 900, 0.21), Slot(NOON + 3600, NOON + 7200, 0.3))

    def test_rows_as_lists(self) -> None:
        assert decode_payload(raw([[NOON, NOON + 900, 5], [NOON + 900, 6]]), 1000.0) == (
            Slot(NOON, NOON + 900, 5000.0),
            Slot(NOON + 900, NOON + 1800, 6000.0),
        )

    @pytest.mark.parametrize("payload", [b"", b"0.21", b"{}", raw({"slots": {"a": 1}}), raw([[NOON]]), raw([[NOON, NOON, 1]])])
    def test_garbage(self, payload: bytes) -> None:
        with pytest.raises(PriceError):
            decode_payload(payload)


class TestCsv:
    @pytest.mark.parametrize(
        "text",
        [
            "start,value\n2026-11-20T12:00:00Z,0.2\n2026-11-20T12:15:00Z,-0.1\n",
            "\ufeffstart;end;value\r\n2026-11-20T12:00:00Z;2026-11-20T12:15:00Z;0,2\r\n2026-11-20T12:15:00Z;2026-11-20T12:30:00Z;-0,1\r\n",
            "2026-11-20T12:15:00Z,-0.1\n\n2026-11-20T12:00:00Z,0.2\n",
            "value\tstart\n0.2\t1795176000\n-0.1\t1795176900\n",
            "Start,Price (EUR/kWh)\n2026-11-20T12:00:00Z,0.2\n2026-11-20T12:15:00Z,-0.1\n",
        ],
    )
    def test_the_ways_to_write_it(self, text: str) -> None:
        assert decode_csv(text.encode()) == (Slot(NOON, NOON + 900, 0.2), Slot(NOON + 900, NOON + 1800, -0.1))

    def test_an_empty_cell_is_a_gap(self) -> None:
        found = decode_csv(b"start,value\n2026-11-20T12:00:00Z,0.2\n2026-11-20T12:15:00Z,\n2026-11-20T12:30:00Z,0.3\n")
        assert [slot.start_wall_s - NOON for slot in found] == [0.0, 1800.0]

    def test_local_times_over_the_night_of_25_hours(self) -> None:
        clocks = ["01:00", "02:00", "02:00", "03:00"]
        text = "start,value\n" + "".join(f"2026-10-25 {clock},{index}\n" for index, clock in enumerate(clocks))
        found = decode_csv(text.encode(), zone=BERLIN)
        assert [slot.start_wall_s - found[0].start_wall_s for slot in found] == [0.0, 3600.0, 7200.0, 10_800.0]

    @pytest.mark.parametrize(
        ("text", "hint"),
        [
            ("start,value\n2026-11-20T12:00:00Z,much\n", "line 2"),
            ("start,value\n2026-11-20T12:00:00Z,nan\n", "line 2"),
            ("start,value\n2026-11-20T12:00:00Z\n", "line 2 has 1 columns"),
            ("when,what\nx,y\n", "first row"),
            ("start,a,b\n2026-11-20T12:00:00Z,1,2\n", "no column value"),
            ("\n\n", "no rows"),
            ("start,value\n2026-03-29 02:30,1\n", "does not exist"),
        ],
    )
    def test_what_is_wrong_is_named(self, text: str, hint: str) -> None:
        with pytest.raises(PriceError, match=hint):
            decode_csv(text.encode(), zone=BERLIN)


class TestFiles:
    @pytest.mark.parametrize(
        "body",
        [
            b"start,value\n2026-11-20T12:00:00Z,0.05\n",
            raw([{"start": NOON, "end": NOON + 3600, "value": 0.05}]),
            raw({"prices": [{"start": NOON, "value": 0.05}]}),
            raw(
                {
                    "object": "list",
                    "data": [{"start_timestamp": NOON * 1000, "end_timestamp": (NOON + 3600) * 1000, "marketprice": 50, "unit": "Eur/MWh"}],
                }
            ),
            raw({"unix_seconds": [NOON], "price": [50], "unit": "EUR / MWh"}),
            raw({"multiAreaEntries": [{"deliveryStart": "2026-11-20T12:00:00Z", "deliveryEnd": "2026-11-20T13:00:00Z", "entryPerArea": {"NL": 50}}]}),
            raw(
                {
                    "data": {
                        "viewer": {
                            "homes": [
                                {"id": "1", "currentSubscription": {"priceInfo": {"today": [{"total": 0.05, "startsAt": "2026-11-20T12:00:00Z"}]}}}
                            ]
                        }
                    }
                }
            ),
            b"<Publication_MarketDocument><TimeSeries><Period><timeInterval><start>2026-11-20T12:00Z</start><end>2026-11-20T13:00Z</end></timeInterval>"
            b"<resolution>PT60M</resolution><Point><position>1</position><price.amount>50</price.amount></Point></Period></TimeSeries></Publication_MarketDocument>",
        ],
    )
    def test_whatever_stands_in_it(self, body: bytes) -> None:
        assert rows(decode_file(body)) == [(NOON, NOON + 3600, 0.05)]

    @pytest.mark.parametrize(
        "body", [b"", b"  ", b"{", b"{}", b"<x/>", b'{"multiAreaEntries": [{"entryPerArea": {"NL": 1, "BE": 2}}]}', b"\x00\x01\x02"]
    )
    def test_garbage(self, body: bytes) -> None:
        with pytest.raises(PriceError):
            decode_file(body)


def refusal(decode: Callable[[bytes], Slots], body: bytes) -> str:
    """Why bytes are refused, "" if they are not; any other error is a defect."""
    try:
        decode(body)
    except PriceError as error:
        return str(error) or "?" * 1000
    return ""


class TestLaws:
    @given(st.binary(max_size=120), st.sampled_from([decode_file, decode_csv, decode_payload, decode_json]))
    def test_bytes_end_in_slots_or_one_error(self, body: bytes, decode: Any) -> None:
        assert len(refusal(decode, body)) < 600

    @given(st.lists(st.tuples(st.integers(0, 500), st.floats(-2, 2)), min_size=1, max_size=40, unique_by=lambda row: row[0]))
    def test_csv_and_json_tell_the_same(self, told: list[tuple[int, float]]) -> None:
        csv_text = "start,value\n" + "".join(f"{NOON + 900 * index},{value!r}\n" for index, value in told)
        assert decode_csv(csv_text.encode()) == decode_json(raw([{"start": NOON + 900 * index, "value": value} for index, value in told]))


@pytest.mark.parametrize("prices", [7, True, None, [], "x"])
def test_a_kept_answer_of_nord_pool_without_prices_is_refused(prices: Any) -> None:
    entry = {"deliveryStart": "2026-11-20T00:00:00Z", "deliveryEnd": "2026-11-20T01:00:00Z", "entryPerArea": prices}
    with pytest.raises(PriceError):
        decode_file(json.dumps({"multiAreaEntries": [entry]}).encode())
