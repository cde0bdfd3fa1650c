"""HTTP meters against real servers on the loopback address: devices of two makers, passwords, silence, rubbish, slow and endless answers."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from controller.config import Config
from controller.facts import MeterFailed, MeterRead, Stamp
from controller.io.field.http_meters import HttpMetersShell, ways
from meters.reading import Quality, Reading
from tests.support.facts import FactLog

EM0 = {"id": 0, "total_act_power": 690.0} | {
    f"{letter}_{name}": value for letter in "abc" for name, value in (("current", 1.0), ("voltage", 230.0), ("act_power", 230.0), ("freq", 50.0))
}
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class LoopClock:
    """The event loop's own time."""

    def stamp(self) -> Stamp:
        now = asyncio.get_running_loop().time()
        return Stamp(now, 1_780_000_000.0 + now)


class Device:
    """An HTTP server: a handler for everything, and what it was asked."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self.asked: list[str] = []
        self.at_once = self.most_at_once = 0
        self.url = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request.path_qs)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            return await self._handler(request)
        finally:
            self.at_once -= 1


@asynccontextmanager
async def device(handler: Handler) -> AsyncIterator[Device]:
    one = Device(handler)
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", one.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    one.url = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"  # type: ignore[union-attr]
    try:
        yield one
    finally:
        await runner.cleanup()


def config(url: str, **source: Any) -> Config:
    data = {"type": "http", "url": url, "poll_s": 0.1, **source}
    return Config.model_validate(
        {
            "site": {"id": "test"},
            "grid": {"fuse_a": 63, "worst_other_load_a": 10, "meter": "hall"},
            "meters": [{"id": "hall", "role": "grid", "source": data}],
        }
    )


@asynccontextmanager
async def polling(url: str, **source: Any) -> AsyncIterator[FactLog]:
    facts = FactLog()
    shell = HttpMetersShell(config(url, **source), LoopClock(), facts.submit)
    await shell.start()
    try:
        yield facts
    finally:
        await shell.stop()


def served(routes: dict[str, Any]) -> Handler:
    async def handler(request: web.Request) -> web.StreamResponse:
        if request.path_qs not in routes:
            return web.json_response({"code": 404, "message": "No handler"}, status=404)
        return web.json_response(routes[request.path_qs])

    return handler


async def first(facts: FactLog) -> Reading:
    return (await facts.next(MeterRead)).reading


@pytest.mark.parametrize(
    ("routes", "way"),
    [
        ({"/rpc/Shelly.GetStatus": {"em:0": EM0, "emdata:0": {"total_act": 5.0}, "sys": {}}}, "/rpc/Shelly.GetStatus"),
        ({"/rpc/EM.GetStatus?id=0": EM0}, "/rpc/EM.GetStatus?id=0"),
        ({"/status": {"emeters": [{"power": 230.0, "current": 1.0, "voltage": 230.0, "is_valid": True}] * 3, "total_power": 690.0}}, "/status"),
    ],
)
async def test_a_shelly_of_any_generation_is_found_by_its_bare_address(routes: dict[str, Any], way: str) -> None:
    async with device(served(routes)) as shelly, polling(shelly.url, format="shelly") as facts:
        reading = await first(facts)
        await facts.next(MeterRead, 3)
    assert (reading.current_a, reading.power_w, reading.quality) == ((1, 1, 1), 690, Quality.GOOD)
    assert shelly.asked[-2:] == [way, way], "what works is asked from then on"


async def test_a_tasmota_is_asked_with_its_password_in_the_query() -> None:
    document = {"StatusSNS": {"ENERGY": {"Total": 1.5, "Power": [230, 230, 230], "Voltage": 230, "Current": [1, 1, 1]}}}
    asked = "/cm?cmnd=Status%2010&user=admin&password=a%26b"
    async with device(served({asked: document})) as tasmota, polling(tasmota.url + "/", format="tasmota", password="a&b") as facts:
        reading = await first(facts)
    assert (reading.current_a, reading.energy_import_wh) == ((1, 1, 1), 1500)


async def test_fields_by_path_from_an_address_that_is_used_as_it_is() -> None:
    fields = {f"i_l{n}": {"path": f"amps[{n - 1}]"} for n in (1, 2, 3)} | {"p": {"path": "kw", "scale": 1000}}
    routes = {"/api?x=1": {"amps": [3, 4, 5], "kw": 2.76}}
    async with device(served(routes)) as any_meter, polling(any_meter.url + "/api?x=1", fields=fields) as facts:
        reading = await first(facts)
    assert (reading.current_a, reading.power_w) == ((3, 4, 5), 2760)


def digest_door(user: str, password: str, realm: str = "shellypro3em-x") -> Handler:
    """RFC 7616 with SHA-256 and qop=auth, as the maker's pages describe it; the response is worked out here by hand."""

    def sha(text: str) -> str:
        return hashlib.sha256(text.encode()).hexdigest()

    async def handler(request: web.Request) -> web.StreamResponse:
        header = request.headers.get("Authorization", "")
        told = dict(re.findall(r'(\w+)="?([^",]+)"?', header.removeprefix("Digest ")))
        ha1, ha2 = sha(f"{user}:{realm}:{password}"), sha(f"GET:{told.get('uri', '')}")
        expected = sha(f"{ha1}:n1:{told.get('nc')}:{told.get('cnonce')}:auth:{ha2}")
        if header.startswith("Digest ") and told.get("response") == expected and told.get("uri") == request.path_qs:
            return web.json_response({"em:0": EM0})
        challenge = f'Digest qop="auth", realm="{realm}", nonce="n1", algorithm=SHA-256'
        return web.Response(status=401, headers={"WWW-Authenticate": challenge})

    return handler


async def test_a_password_goes_as_digest_where_the_device_asks_for_it(tmp_path: Path) -> None:
    (tmp_path / "pw").write_text("secret\n", encoding="utf-8")
    door = digest_door("admin", "secret")
    async with device(door) as shelly, polling(shelly.url, format="shelly", password_file=str(tmp_path / "pw")) as facts:
        assert (await first(facts)).quality is Quality.GOOD


async def test_a_password_goes_as_basic_only_where_the_device_asks_for_it() -> None:
    seen: list[str] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        seen.append(request.headers.get("Authorization", ""))
        if seen[-1] == "Basic bWU6c2VjcmV0":  # me:secret
            return web.json_response({"p": 5})
        return web.Response(status=401, headers={"WWW-Authenticate": 'Basic realm="x"'})

    login = {"username": "me", "password": "secret"}
    async with device(handler) as meter, polling(meter.url + "/v", fields={"p": {"path": "p"}}, **login) as facts:
        assert (await first(facts)).power_w == 5
    assert seen[0] == "", "nothing is sent unasked"


async def test_a_wrong_password_is_told_without_the_password_and_not_tried_every_second() -> None:
    async with device(digest_door("admin", "secret")) as shelly, polling(shelly.url, format="shelly", password="wrong") as facts:
        reason = (await facts.next(MeterFailed)).reason
        asked = len(shelly.asked)
        await asyncio.sleep(0.3)  # three polls
    assert "refuses us (401); check user name and password" in reason
    assert "wrong" not in reason
    assert len(shelly.asked) == asked <= 2, "once, and once more with the digest"


async def test_a_bearer_token() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        good = request.headers.get("Authorization") == "Bearer t0ken"
        return web.json_response({"p": 5}) if good else web.Response(status=403)

    async with device(handler) as meter, polling(meter.url, fields={"p": {"path": "p"}}, token="t0ken") as facts:
        assert (await first(facts)).power_w == 5


def raw(status: int = 200, body: bytes = b"", headers: dict[str, str] | None = None) -> Handler:
    async def handler(_request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, body=body, headers=headers)

    return handler


@pytest.mark.parametrize(
    ("handler", "why"),
    [
        (raw(500), "answers with status 500"),
        (raw(302, headers={"Location": "/elsewhere"}), "answers with status 302"),
        (raw(200, b"<html>login</html>"), "the payload is not JSON"),
        (raw(200, b""), "the payload is empty"),
        (raw(200, b'{"p": 1, "p": 2}'), "p is given twice"),
        (raw(200, b'{"p": NaN}'), "NaN is not a number"),
        (raw(200, b'{"p": 1e999}'), "p is not finite"),
        (raw(200, b'{"p": "12,5"}'), "no number"),
        (raw(200, b'{"p": ' + b"9" * 400 + b"}"), "larger than any number"),
        (raw(200, b"[" * 20_000), "the payload is not JSON"),
        (raw(200, b"x" * 70_000), "more than 65536 bytes"),
        (raw(200, b'{"q": 1}'), "none of p is in the document"),
        (raw(200, b"\xff\xfe"), "not UTF-8"),
    ],
)
async def test_b37_rubbish_is_told_and_nothing_else_happens(handler: Handler, why: str) -> None:
    async with device(handler) as meter, polling(meter.url + "/v", fields={"p": {"path": "p"}}) as facts:
        assert why in (await facts.next(MeterFailed)).reason
    assert facts.of(MeterRead) == []


async def test_f50_a_slow_device_is_cut_off_and_polls_never_overlap() -> None:
    async def handler(_request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(5)
        return web.json_response({"p": 1})

    async with device(handler) as meter, polling(meter.url + "/v", fields={"p": {"path": "p"}}, timeout_s=0.2) as facts:
        reason = (await facts.next(MeterFailed, 2)).reason
    assert "did not answer within 0.2 s" in reason
    assert meter.most_at_once == 1


async def test_an_answer_that_drips_for_ever_is_cut_off() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        while True:
            await answer.write(b" ")
            await asyncio.sleep(0.01)

    async with device(handler) as meter, polling(meter.url + "/v", fields={"p": {"path": "p"}}, timeout_s=0.3) as facts:
        assert "did not answer within" in (await facts.next(MeterFailed)).reason


async def test_f40_a_device_that_is_away_is_asked_again_until_it_is_back(free_port: int) -> None:
    async with polling(f"http://127.0.0.1:{free_port}/v", fields={"p": {"path": "p"}}) as facts:
        assert "cannot be asked" in (await facts.next(MeterFailed)).reason
        app = web.Application()
        app.router.add_get("/v", raw(200, b"7.5"))
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", free_port).start()
        assert (await first(facts)).power_w == 7.5
        await runner.cleanup()


async def test_f42_a_value_beyond_belief_is_bad_and_not_an_error() -> None:
    fields = {f"i_l{n}": {"path": "a"} for n in (1, 2, 3)}
    async with device(served({"/v": {"a": 32767}})) as meter, polling(meter.url + "/v", fields=fields) as facts:
        reading = await first(facts)
    assert (reading.quality, "more than ten fuses" in reading.reason) == (Quality.BAD, True)


async def test_f83_a_password_file_that_is_missing_is_told() -> None:
    async with device(raw(200, b"5")) as meter, polling(meter.url, format="tasmota", password_file="/nowhere/pw") as facts:
        assert "/nowhere/pw" in (await facts.next(MeterFailed)).reason


def test_an_address_with_a_path_is_used_as_it_is() -> None:
    source = config("http://shelly/rpc/EM.GetStatus?id=0", format="shelly").meters[0].source
    assert ways(source) == ("http://shelly/rpc/EM.GetStatus?id=0",)  # type: ignore[arg-type]


async def test_stop_is_quick_while_a_device_hangs_and_may_be_called_twice() -> None:
    waiting = asyncio.Event()

    async def handler(_request: web.Request) -> web.StreamResponse:
        waiting.set()
        await asyncio.sleep(30)
        return web.Response()

    async with device(handler) as meter:
        shell = HttpMetersShell(config(meter.url, format="shelly"), LoopClock(), FactLog().submit)
        await shell.start()
        await waiting.wait()
        async with asyncio.timeout(10):  # the device hangs for 30 s
            await shell.stop()
            await shell.stop()


async def test_f41_a_gateway_that_answers_for_ever_with_an_old_value_is_told_as_old() -> None:
    seen = iter(range(10_000))

    async def handler(_request: web.Request) -> web.StreamResponse:
        return web.json_response({"amps": 5, "read": min(3, next(seen))})

    fields = {f"i_l{number}": {"path": "amps"} for number in (1, 2, 3)}
    async with device(handler) as gateway, polling(gateway.url + "/values", fields=fields, measured_at="read") as facts:
        await facts.until(lambda: any(fact.age_s > 0.25 for fact in facts.of(MeterRead)))
    assert "has not moved yet" in facts.of(MeterFailed)[0].reason
    assert [fact.age_s for fact in facts.of(MeterRead)[:3]] == [0.0, 0.0, 0.0], "as long as it reads the meter"
    ages_s = [fact.age_s for fact in facts.of(MeterRead)[3:]]
    assert ages_s == sorted(ages_s)


@pytest.mark.parametrize(
    ("source", "words"),
    [({"format": "shelly", "measured_at": "time"}, "format json only"), ({"fields": {"p": {"path": "p"}}, "measured_at": "a..b"}, "cannot be read")],
)
def test_a_measured_at_that_cannot_be_is_refused(source: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        config("http://x/a", **source)
