"""Feeds against a web server in its own process that answers well, badly, slowly or not at all; files that change; MQTT payloads."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from controller.config import Config
from controller.facts import Fact, SeriesKind, SeriesTold, SourceChanged
from controller.io.clock import VirtualClock
from controller.io.feeds.shell import FeedsShell
from tests.support.feed_server import Feeds

NOW = datetime(2026, 11, 20, 9, 30, tzinfo=UTC).timestamp()
ROWS = [{"start": NOW - 1800, "end": NOW + 1800, "value": 0.21}, {"start": NOW + 1800, "end": NOW + 5400, "value": -0.02}]
GOOD = json.dumps(ROWS)
SECRET = "sesame-0123456789"


def site(tariff: dict[str, Any] | None = None, forecast: dict[str, Any] | None = None) -> Config:
    base = {"site": {"id": "depot", "timezone": "Europe/Berlin"}, "grid": {"fuse_a": 63, "worst_other_load_a": 10}}
    return Config.model_validate({**base, "tariff": tariff or {}, "forecast": forecast or {}})


def market(feed: dict[str, Any]) -> Config:
    return site({"market": {"feed": feed}})


class Desk:
    """A running shell, what it told, and the waits it asked for; ``go_on`` ends the present wait."""

    def __init__(self, config: Config, deadline_s: float = 30.0) -> None:
        self.facts: list[Fact] = []
        self.waits: list[float] = []
        self.clock = VirtualClock(NOW)
        self._changed = asyncio.Event()
        self._gate: asyncio.Queue[None] = asyncio.Queue()
        self.shell = FeedsShell(config, self.clock, self._submit, self._sleep, deadline_s)

    def _submit(self, fact: Fact) -> None:
        self.facts.append(fact)
        self._changed.set()

    async def _sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self._changed.set()
        await self._gate.get()
        self.clock.advance(seconds)

    async def looked(self, times: int) -> None:
        """Wait until so many looks are over."""
        async with asyncio.timeout(60):
            while len(self.waits) < times:
                self._changed.clear()
                await self._changed.wait()

    async def go_on(self) -> None:
        """The next look, done."""
        looks = len(self.waits)
        self._gate.put_nowait(None)
        await self.looked(looks + 1)

    def told(self) -> list[SeriesTold]:
        return [fact for fact in self.facts if isinstance(fact, SeriesTold)]

    def health(self) -> list[tuple[bool, str]]:
        return [(fact.healthy, fact.detail) for fact in self.facts if isinstance(fact, SourceChanged)]


Open = Callable[..., Any]


@pytest.fixture
async def desk() -> AsyncIterator[Open]:
    opened: list[Desk] = []

    async def _open(config: Config, looks: int = 1, deadline_s: float = 30.0) -> Desk:
        one = Desk(config, deadline_s)
        opened.append(one)
        await one.shell.start()
        await one.looked(looks)
        return one

    yield _open
    for one in opened:
        await one.shell.stop()
        await one.shell.stop()


class TestAnswers:
    async def test_a_series_and_its_source(self, desk: Open) -> None:
        with Feeds({"/p": [{"body": GOOD}]}) as feeds:
            one = await desk(market({"type": "http", "url": f"{feeds.url}/p", "end": "end"}))
        (told,) = one.told()
        assert (told.kind, told.source) == (SeriesKind.BUY, "feed market")
        assert told.slots == tuple((row["start"], row["end"], row["value"]) for row in ROWS)
        assert one.health() == [(True, "answers")]

    async def test_what_has_not_changed_is_not_sent_again(self, desk: Open) -> None:
        with Feeds({"/p": [{"body": GOOD, "headers": {"ETag": '"1"', "Last-Modified": "Fri, 20 Nov 2026 09:00:00 GMT"}}]}) as feeds:
            one = await desk(market({"type": "http", "url": f"{feeds.url}/p", "end": "end"}))
            await one.go_on()
            await one.go_on()
            seen = feeds.seen()
        assert len(one.told()) == 1
        assert [request["headers"].get("if-none-match") for request in seen] == [None, '"1"', '"1"']
        assert seen[1]["headers"]["if-modified-since"] == "Fri, 20 Nov 2026 09:00:00 GMT"
        assert one.health() == [(True, "answers")]

    async def test_an_answer_that_cannot_be_read_is_asked_for_again_whole(self, desk: Open) -> None:
        bad = {"body": "[", "headers": {"ETag": '"1"'}}
        with Feeds({"/p": [bad, {"body": GOOD}]}) as feeds:
            one = await desk(market({"type": "http", "url": f"{feeds.url}/p", "end": "end"}))
            await one.go_on()
            assert "if-none-match" not in feeds.seen()[1]["headers"]
        assert [healthy for healthy, _ in one.health()] == [False, True]

    async def test_redirects_are_followed_without_our_credentials_elsewhere(self, desk: Open) -> None:
        with Feeds({"/there": [{"body": GOOD}]}) as other, Feeds({"/p": [{"status": 302, "headers": {"Location": f"{other.url}/there"}}]}) as feeds:
            one = await desk(market({"type": "http", "url": f"{feeds.url}/p", "end": "end", "token": SECRET}))
            assert feeds.seen()[0]["headers"]["authorization"] == f"Bearer {SECRET}"
            assert "authorization" not in other.seen()[0]["headers"]
        assert len(one.told()) == 1

    async def test_a_relative_redirect_keeps_them(self, desk: Open) -> None:
        with Feeds({"/p": [{"status": 301, "headers": {"Location": "/q"}}], "/q": [{"body": GOOD}]}) as feeds:
            await desk(market({"type": "http", "url": f"{feeds.url}/p", "end": "end", "username": "us", "password": SECRET}))
            assert [request["headers"]["authorization"][:6] for request in feeds.seen()] == ["Basic ", "Basic "]


class TestTroubles:
    @pytest.mark.parametrize(
        ("answer", "why"),
        [
            ({"body": "<html>down</html>"}, "no JSON"),
            ({"body": ""}, "empty"),
            ({"body": GOOD, "how": "partial"}, "broke off"),
            ({"how": "hang up"}, "broke off"),
            ({"how": "endless"}, "more than 4194304 bytes"),
            ({"how": "bomb"}, "more than 4194304 bytes"),
            ({"status": 500}, "out of order"),
            ({"status": 403}, "check token"),
            ({"status": 418}, "HTTP 418"),
            ({"status": 302, "headers": {"Location": "/p"}}, "redirects more than"),
            ({"status": 302, "headers": {"Location": "file:///etc/passwd"}}, "not safe"),
            ({"status": 302}, "redirects more than"),
            ({"body": GOOD, "headers": {"Content-Encoding": "gzip"}}, "broke off"),
            ({"body": '[{"start": 1, "end": 2, "value": 2}]'}, "2000 and 2100"),
            ({"body": json.dumps([{**ROWS[0], "value": 210.0}])}, "another unit"),
        ],
    )
    async def test_each_is_told_in_words_and_costs_nothing_that_was_known(self, desk: Open, answer: dict[str, Any], why: str) -> None:
        with Feeds({"/p": [{"body": GOOD}, answer]}) as feeds:
            one = await desk(market({"type": "http", "url": f"{feeds.url}/p?key={SECRET}", "end": "end", "token": SECRET}))
            await one.go_on()
        assert len(one.told()) == 1
        (_, (healthy, detail)) = one.health()
        assert not healthy
        assert why in detail
        assert "what it told before stays" in detail
        assert SECRET not in detail

    async def test_a_server_that_never_answers_is_given_up(self, desk: Open) -> None:
        with Feeds({"/p": [{"how": "silent"}]}) as feeds:
            one = await desk(market({"type": "http", "url": f"{feeds.url}/p"}), deadline_s=0.2)
        assert "no whole answer within 0.2 s" in one.health()[0][1]

    async def test_nobody_there(self, desk: Open) -> None:
        with Feeds({}) as feeds:
            url = feeds.url
        one = await desk(market({"type": "http", "url": url}))
        assert "cannot connect to 127.0.0.1" in one.health()[0][1]

    async def test_failures_are_told_once_and_asked_ever_more_seldom(self, desk: Open) -> None:
        with Feeds({"/p": [{"status": 500}]}) as feeds:
            one = await desk(market({"type": "http", "url": f"{feeds.url}/p"}))
            for _ in range(4):
                await one.go_on()
        assert len(one.health()) == 1
        assert all(20 * 2**index <= wait <= 24 * 2**index for index, wait in enumerate(one.waits))

    @pytest.mark.parametrize(
        ("told", "least"), [("600", 600), ("Fri, 20 Nov 2026 09:45:00 GMT", 900), ("soon", 20), ("-5", 20), ("99999999999999", 6 * 3600)]
    )
    async def test_who_asks_us_to_wait_is_obeyed(self, desk: Open, told: str, least: float) -> None:
        with Feeds({"/p": [{"status": 429, "headers": {"Retry-After": told}}]}) as feeds:
            one = await desk(market({"type": "http", "url": f"{feeds.url}/p"}))
        assert least <= one.waits[0] <= 1.2 * least
        assert "too often" in one.health()[0][1]

    async def test_a_missing_token_is_told_and_nothing_is_asked(self, desk: Open, tmp_path: Path) -> None:
        with Feeds({"/p": [{"body": GOOD}]}) as feeds:
            one = await desk(market({"type": "http", "url": f"{feeds.url}/p", "token_file": str(tmp_path / "none")}))
            assert feeds.seen() == []
        assert "token_file" in one.health()[0][1]

    async def test_a_ca_file_that_is_none(self, desk: Open, tmp_path: Path) -> None:
        (tmp_path / "ca.pem").write_text("no certificate")
        one = await desk(market({"type": "http", "url": "https://127.0.0.1:1/", "ca_file": str(tmp_path / "ca.pem")}))
        assert "ca_file" in one.health()[0][1]


class TestFormats:
    async def test_nord_pool_asks_for_today_and_tomorrow(self, desk: Open) -> None:
        entry = {"deliveryStart": "2026-11-20T09:00:00Z", "deliveryEnd": "2026-11-20T10:00:00Z", "entryPerArea": {"NL": 55.5}}
        answers = [{"body": json.dumps({"currency": "EUR", "multiAreaEntries": [entry]})}, {"status": 204}]
        with Feeds({"/api": answers}) as feeds:
            one = await desk(market({"type": "nordpool", "url": f"{feeds.url}/api", "area": "NL"}))
            targets = [request["target"] for request in feeds.seen()]
        assert [target.split("date=")[1][:10] for target in targets] == ["2026-11-20", "2026-11-21"]
        assert all("deliveryArea=NL" in target and "currency=EUR" in target and "market=DayAhead" in target for target in targets)
        assert [round(value, 6) for _, _, value in one.told()[0].slots] == [0.0555]
        assert one.health() == [(True, "answers")]

    async def test_today_holds_while_tomorrow_fails(self, desk: Open) -> None:
        entry = {"deliveryStart": "2026-11-20T09:00:00Z", "deliveryEnd": "2026-11-20T10:00:00Z", "entryPerArea": {"NL": 55.5}}
        with Feeds({"/api": [{"body": json.dumps({"multiAreaEntries": [entry]})}, {"status": 503}]}) as feeds:
            one = await desk(market({"type": "nordpool", "url": f"{feeds.url}/api", "area": "NL"}))
        assert len(one.told()) == 1
        assert [healthy for healthy, _ in one.health()] == [False]

    async def test_entsoe_asks_with_its_token_in_utc_and_reads_refusals(self, desk: Open) -> None:
        refusal = (
            "<Acknowledgement_MarketDocument><Reason><code>999</code><text>Delivery date is wrong</text></Reason></Acknowledgement_MarketDocument>"
        )
        with Feeds({"/api": [{"status": 400, "body": refusal}]}) as feeds:
            one = await desk(market({"type": "entsoe", "url": f"{feeds.url}/api", "domain": "10Y1001A1001A82H", "token": SECRET}))
            target = feeds.seen()[0]["target"]
        for part in (
            "documentType=A44",
            "in_Domain=10Y1001A1001A82H",
            "out_Domain=10Y1001A1001A82H",
            "periodStart=202611192300",
            "periodEnd=202611212300",
            SECRET,
        ):
            assert part in target
        assert "Delivery date is wrong" in one.health()[0][1]

    async def test_tibber_is_asked_by_post(self, desk: Open) -> None:
        info = {"today": [{"total": 0.31, "startsAt": "2026-11-20T10:00:00+01:00"}], "tomorrow": None}
        body = json.dumps({"data": {"viewer": {"homes": [{"id": "h", "currentSubscription": {"priceInfo": info}}]}}})
        with Feeds({"/gql": [{"body": body}]}) as feeds:
            one = await desk(market({"type": "tibber", "url": f"{feeds.url}/gql", "token": SECRET}))
            (request,) = feeds.seen()
        assert (request["method"], request["headers"]["authorization"]) == ("POST", f"Bearer {SECRET}")
        assert "priceInfo" in json.loads(request["body"])["query"]
        assert one.told()[0].slots == ((NOW - 1800, NOW + 1800, 0.31),)

    async def test_awattar_and_energy_charts(self, desk: Open) -> None:
        row = {"start_timestamp": int(NOW * 1000), "end_timestamp": int((NOW + 3600) * 1000), "marketprice": 80, "unit": "Eur/MWh"}
        with Feeds({"/a": [{"body": json.dumps({"object": "list", "data": [row]})}], "/price": [{"status": 404}]}) as feeds:
            config = site(
                {
                    "market": {"feed": {"type": "awattar", "url": f"{feeds.url}/a"}},
                    "sell_market": {"feed": {"type": "energy_charts", "url": f"{feeds.url}/price"}},
                }
            )
            one = await desk(config, 2)
            targets = sorted(request["target"] for request in feeds.seen())
        begin = datetime(2026, 11, 19, 23, tzinfo=UTC).timestamp() * 1000
        assert targets == [f"/a?start={begin:.0f}&end={begin + 2 * 86_400_000:.0f}", "/price?bzn=DE-LU&start=2026-11-20&end=2026-11-21"]
        assert {fact.kind: len(fact.slots) for fact in one.told()} == {SeriesKind.BUY: 1, SeriesKind.SELL: 0}
        assert [healthy for healthy, _ in one.health()] == [True, True]


class TestFiles:
    async def test_a_file_is_read_again_when_it_has_changed(self, desk: Open, tmp_path: Path) -> None:
        path = tmp_path / "prices.csv"
        path.write_text("start,value\n2026-11-20T09:00:00Z,0.2\n")
        one = await desk(market({"type": "file", "path": str(path)}))
        await one.go_on()
        assert len(one.told()) == 1
        path.write_text("start,value\n2026-11-20T09:00:00Z,0.25\n")
        os.utime(path, (1, 1))
        await one.go_on()
        assert [fact.slots[0][2] for fact in one.told()] == [0.2, 0.25]

    async def test_a_file_and_an_answer_that_never_change_are_told_again_once_a_day(self, desk: Open, tmp_path: Path) -> None:
        """The site keeps what is near of a long series: a file of a year must not run dry after some weeks."""
        path = tmp_path / "prices.csv"
        path.write_text("start,value\n2026-11-20T09:00:00Z,0.2\n")
        one = await desk(market({"type": "file", "path": str(path), "every_s": 43_200}))
        for _ in range(4):
            await one.go_on()
        assert 2 <= len(one.told()) <= 3
        with Feeds({"/p": [{"body": GOOD, "headers": {"ETag": '"1"'}}]}) as feeds:
            two = await desk(market({"type": "http", "url": f"{feeds.url}/p", "end": "end", "every_s": 43_200}))
            for _ in range(4):
                await two.go_on()
        assert 2 <= len(two.told()) <= 3

    async def test_a_pipe_is_not_waited_for(self, desk: Open, tmp_path: Path) -> None:
        """Opening one would hold a thread for ever, and the stop with it."""
        os.mkfifo(tmp_path / "prices.csv")
        one = await desk(market({"type": "file", "path": str(tmp_path / "prices.csv")}))
        assert "no plain file" in one.health()[0][1]

    async def test_a_kept_answer_in_another_currency_is_refused(self, desk: Open, tmp_path: Path) -> None:
        path = tmp_path / "prices.json"
        path.write_text(json.dumps({"unix_seconds": [NOW], "price": [42.0], "unit": "SEK / MWh"}))
        one = await desk(market({"type": "file", "path": str(path)}))
        assert "the tariff in EUR" in one.health()[0][1]
        assert one.told() == []

    async def test_a_file_that_is_not_there_or_half_written(self, desk: Open, tmp_path: Path) -> None:
        path = tmp_path / "pv.csv"
        one = await desk(site(forecast={"pv_feed": {"type": "file", "path": str(path)}}))
        assert "cannot read" in one.health()[0][1]
        path.write_text("start,value\n2026-11-20T09:00:00Z,\n2026-11-20T10:00:0")
        await one.go_on()
        path.write_text("start,value\n2026-11-20T09:00:00Z,1500\n")
        await one.go_on()
        assert one.told()[0].kind is SeriesKind.PV
        assert [healthy for healthy, _ in one.health()] == [False, True]

    async def test_powers_below_zero_are_refused_and_prices_are_not(self, desk: Open, tmp_path: Path) -> None:
        path = tmp_path / "below.csv"
        path.write_text("start,value\n2026-11-20T09:00:00Z,-5\n")
        feed = {"type": "file", "path": str(path)}
        one = await desk(site({"market": {"feed": feed}}, {"load_feed": feed}), 2)
        assert [fact.kind for fact in one.told()] == [SeriesKind.BUY]
        assert any("only prices may be below 0" in detail for healthy, detail in one.health() if not healthy)


class Board:
    """The broker as the shell sees it."""

    def __init__(self) -> None:
        self.takers: dict[str, Callable[[str, bytes, bool], None]] = {}

    def listen(self, topic: str, take: Callable[[str, bytes, bool], None]) -> None:
        self.takers[topic] = take

    def say(self, topic: str, payload: str, retain: bool = False) -> None:
        """A feed says nothing."""


class TestMqtt:
    async def test_payloads_good_and_bad(self) -> None:
        one, board = Desk(site(forecast={"pv_feed": {"type": "mqtt", "topic": "sun", "scale": 1000}})), Board()
        one.shell.topics = board
        await one.shell.start()
        board.takers["sun"]("sun", json.dumps({"slots": [{"start": "2026-11-20T09:00:00Z", "value": 1.5}]}).encode(), True)
        board.takers["sun"]("sun", b"rubbish", False)
        board.takers["sun"]("sun", b'{"slots": [{"start": 1%b, "value": 1}]}' % (b"0" * 400), False)
        board.takers["sun"]("sun", b"", True)
        await one.shell.stop()
        assert [fact.slots for fact in one.told()] == [((NOW - 1800, NOW + 1800, 1500.0),)]
        assert [healthy for healthy, _ in one.health()] == [True, False]

    async def test_without_a_broker(self) -> None:
        one = Desk(site(forecast={"pv_feed": {"type": "mqtt", "topic": "sun"}}))
        await one.shell.start()
        await one.shell.stop()
        assert one.health() == [(False, "the site has no MQTT broker; give mqtt")]


async def test_without_a_clock_nothing_is_asked() -> None:
    with Feeds({"/p": [{"body": GOOD}]}) as feeds:
        one = Desk(market({"type": "http", "url": f"{feeds.url}/p", "end": "end"}))
        one.clock.set_wall(0.0)
        await one.shell.start()
        await one.looked(1)
        assert feeds.seen() == []
        one.clock.set_wall(NOW)
        await one.go_on()
        await one.shell.stop()
    assert len(one.told()) == 1
