"""The VEN of OpenADR 3 against a server written from the specification, over real sockets."""

from __future__ import annotations

import json
import ssl
from pathlib import Path
from typing import Any

import pytest

from controller.config import Config
from controller.io.tasks import end, spawn
from controller.orders import TellSource
from controller.sim.vtn3 import Client, Fault, Vtn3
from signals.openadr_plain import time_text
from tests.support.certificates import ECDSA_CERT, ECDSA_KEY
from tests.support.openadr3_world import SITE, World, entry, until, world


def limit_event(program: str, start_s: float, kw: float, duration: str = "PT30M", **more: Any) -> dict[str, Any]:
    """A capacity limit as the user guide has it (8.10.1)."""
    return {
        "programID": program,
        "eventName": "dimmed",
        "intervalPeriod": {"start": time_text(start_s), "duration": duration},
        "payloadDescriptors": [{"objectType": "EVENT_PAYLOAD_DESCRIPTOR", "payloadType": "IMPORT_CAPACITY_LIMIT", "units": "KW"}],
        "intervals": [{"id": 0, "payloads": [{"type": "IMPORT_CAPACITY_LIMIT", "values": [kw]}]}],
    } | more


@pytest.mark.parametrize("generation", ["3.0", "3.1"])
async def test_a_limit_is_announced_changed_and_called_off(generation: str) -> None:
    async with world(generation) as there:
        await until(there.told)
        assert there.events() == ()
        program = (await there.business("POST", "/programs", {"programName": "doe"}))["id"]
        start_s = round(there.now()) + 600
        made = await there.business("POST", "/events", limit_event(program, start_s, 11.0))
        (event,) = await until(there.events)
        assert (event.consumption_w, event.start_wall_s, event.duration_s) == (11_000.0, start_s, 1800.0)
        await there.business("PUT", f"/events/{made['id']}", limit_event(program, start_s, 4.2))
        await until(lambda: there.events() and there.events()[0].consumption_w == 4200.0)
        await there.business("DELETE", f"/events/{made['id']}")
        await until(lambda: there.events() == ())
        assert there.health() == [(True, "")]


@pytest.mark.parametrize("generation", ["3.0", "3.1"])
async def test_ven_and_resource_are_registered_once_and_again_when_the_server_lost_them(generation: str) -> None:
    async with world(generation, site={"site": {"id": "yard-7"}}) as there:
        await until(there.told)
        (ven,) = there.vtn.objects["vens"].values()
        (resource,) = there.vtn.objects["resources"].values()
        assert (ven["venName"], resource["resourceName"], resource["venID"]) == ("ven-1", "yard-7", ven["id"])
        there.vtn.objects["vens"].clear()
        there.vtn.objects["resources"].clear()
        there.vtn.faults.append(Fault("/programs", 503, 1))  # an outage: afterwards everything is looked up anew
        await until(lambda: there.vtn.objects["resources"])
        assert len(there.vtn.objects["vens"]) == 1


async def test_a_poll_that_fails_on_its_second_page_calls_nothing_off() -> None:
    async with world() as there:
        program = (await there.business("POST", "/programs", {"programName": "doe"}))["id"]
        start_s = round(there.now()) + 600
        for number in range(60):  # two pages
            await there.business("POST", "/events", limit_event(program, start_s + 1800 * number, 5.0))
        await until(lambda: len(there.events()) == 60)
        told = len(there.told())
        there.vtn.faults.append(Fault("/events", 500, 1, skip=1))
        await until(lambda: (False, "GET /events is answered with 500") in there.health())
        assert len(there.told()) == told
        await until(lambda: len(there.told()) > told)
        assert len(there.events()) == 60
        assert there.health()[-1] == (True, "")


@pytest.mark.parametrize("most", [1, 7, 20])
async def test_a_server_with_shorter_pages_than_we_ask_for_is_read_to_its_end(most: int) -> None:
    """``limit`` is what a page may have at most; a server may give fewer (openapi: maximum number of records to return)."""
    vtn = Vtn3()
    vtn.most_a_page = most
    async with world(vtn=vtn) as there:
        program = (await there.business("POST", "/programs", {"programName": "doe"}))["id"]
        start_s = round(there.now()) + 600
        for number in range(21):
            await there.business("POST", "/events", limit_event(program, start_s + 1800 * number, 5.0))
        await until(lambda: len(there.events()) == 21)


async def test_a_redirect_is_followed_on_the_same_server_only() -> None:
    """Servers behind a front redirect /events to /events/ (307, 308); our token goes nowhere else."""
    async with world() as there:
        program = (await there.business("POST", "/programs", {"programName": "doe"}))["id"]
        await there.business("POST", "/events", limit_event(program, there.now() + 60, 7.0))
        await until(there.events)
        for status, place in ((308, f"{there.vtn.base_path}/programs?skip=0"), (301, there.vtn.url + "/programs"), (307, "programs")):
            before = len(there.told())
            there.vtn.faults.append(Fault("/programs", status, 1, headers={"Location": place}))
            await until(lambda seen=before: len(there.told()) > seen + 2)
        assert {healthy for healthy, _ in there.health()} == {True}
        there.vtn.faults.append(Fault("/programs", 307, 1, headers={"Location": "http://127.0.0.2:9/programs"}))
        await until(lambda: any("307" in detail for _, detail in there.health()))


async def test_a_server_that_says_no_content_for_an_empty_list_and_words_for_what_was_made() -> None:
    """204 in place of []; 201 with a text in place of the object: done is done."""
    vtn = Vtn3()
    words = {"status": 201, "left": 1000, "method": "POST", "after": True, "body": "Created"}
    vtn.faults += [Fault("/programs", 204, 3), Fault("/events", 204, 3), *(Fault(f"/{name}", **words) for name in ("vens", "resources", "reports"))]
    async with world(vtn=vtn) as there:
        await there.next_poll()
        assert {healthy for healthy, _ in there.health()} == {True}
        program = (await there.business("POST", "/programs", {"programName": "doe"}))["id"]
        asked = [{"payloadType": "READING", "units": "KW"}]
        await there.business("POST", "/events", limit_event(program, there.now(), 5.0, duration="PT1S", reportDescriptors=asked))
        there.ven.answered(reading(there.now()))
        await until(lambda: vtn.objects["reports"])
        await there.next_poll(2)
        assert {name: len(vtn.objects[name]) for name in ("vens", "resources", "reports")} == {"vens": 1, "resources": 1, "reports": 1}
        assert there.notes() == ""


async def test_an_event_that_slips_between_two_pages_is_asked_for_by_name() -> None:
    """An event is deleted while we read: the pages move up and one entry is on none of them."""
    async with world() as there:
        program = (await there.business("POST", "/programs", {"programName": "doe"}))["id"]
        start_s = round(there.now()) + 600
        for number in range(60):
            await there.business("POST", "/events", limit_event(program, start_s + 1800 * number, 5.0))
        await until(lambda: len(there.events()) == 60)
        events, slipped = there.vtn.objects["events"], "event-60"
        hidden = events.pop(slipped)
        asked: list[str] = []
        plain = there.vtn._one  # the server shows it by name only, as in the moment of a race

        def one(request: Any, name: str) -> Any:
            asked.append(request.path)
            return hidden if request.path.endswith(slipped) else plain(request, name)

        there.vtn._one = one  # type: ignore[method-assign]
        await there.next_poll()
        assert any(path.endswith(slipped) for path in asked)
        assert len(there.events()) == 60


async def test_a_broken_version_of_an_event_leaves_the_last_readable_one_in_force() -> None:
    async with world() as there:
        program = (await there.business("POST", "/programs", {"programName": "doe"}))["id"]
        made = await there.business("POST", "/events", limit_event(program, there.now() + 60, 7.0))
        await until(there.events)
        there.vtn.objects["events"][made["id"]]["intervals"] = [{"id": "x", "payloads": 7}]
        await until(lambda: "its last readable version holds on" in there.notes())
        assert [event.consumption_w for event in there.events()] == [7000.0]


async def test_a_limit_in_a_form_nobody_can_read_holds_at_the_failsafe_of_section_14a() -> None:
    """One EVSE: 4.2 kW. The event was readable first, 3 kW: that stays, as it is the lower one."""
    stations = {"stations": [{"id": "CP1", "evses": [{"id": 1, "max_current_a": 32, "fallback_a": 6}]}]}
    async with world(site=stations, failsafe_w="section_14a") as there:
        program = (await there.business("POST", "/programs", {"programName": "doe"}))["id"]
        odd = limit_event(program, there.now() - 60, 0.0) | {
            "intervals": [{"id": 0, "payloads": [{"type": "IMPORT_CAPACITY_LIMIT", "values": ["x"]}]}]
        }
        made = await there.business("POST", "/events", odd)
        await until(there.events)
        assert [event.consumption_w for event in there.events()] == [4200.0]
        await there.business("PUT", f"/events/{made['id']}", limit_event(program, there.now() - 60, 3.0))
        await until(lambda: [event.consumption_w for event in there.events()] == [3000.0])
        await there.business("PUT", f"/events/{made['id']}", odd)
        await until(lambda: {event.consumption_w for event in there.events()} == {3000.0, 4200.0})
        await there.next_poll()
        assert {event.consumption_w for event in there.events()} == {3000.0, 4200.0}, "and it does so at every poll"


async def test_prices_of_an_event_that_was_called_off_are_withdrawn() -> None:
    async with world() as there:
        hour_s = there.now() // 3600 * 3600
        program = (await there.business("POST", "/programs", {"programName": "market"}))["id"]
        price = {"intervals": [{"id": 0, "payloads": [{"type": "PRICE", "values": [9.99]}]}], "payloadDescriptors": None}
        made = await there.business("POST", "/events", limit_event(program, hour_s, 0.0, duration="PT2H") | price)
        await until(lambda: there.series().get("buy") and there.series()["buy"].slots)
        assert there.series()["buy"].whole
        await there.business("DELETE", f"/events/{made['id']}")
        await until(lambda: there.series()["buy"].slots == ())


async def test_a_start_withdraws_what_the_site_may_remember() -> None:
    """The event was called off while we were down."""
    async with world() as there:
        await until(lambda: set(there.series()) == {"buy", "sell", "co2"})
        assert all(series.whole and series.slots == () for series in there.series().values())
        told = len(there.facts)
        await there.next_poll()
        assert not [fact for fact in there.facts[told:] if fact in there.series().values()], "once is enough"


async def test_a_server_with_another_time_is_told() -> None:
    async with world() as there:
        there.vtn.faults.append(Fault("/events", 200, 1000, {"Date": "Mon, 01 Jan 2024 00:00:00 GMT"}, body="[]"))
        await until(lambda: "behind ours; its events hold by ours" in there.notes())


async def test_a_name_that_another_client_has_is_told_with_what_to_do() -> None:
    server = Vtn3(clients={"bl": Client("bl-secret", business=True), "ven": Client("ven-secret"), "other": Client("other-secret")})
    server.objects["vens"]["ven-9"] = {"id": "ven-9", "objectType": "VEN", "venName": "ven-1", "clientID": "other"}
    async with world(vtn=server) as there:
        await until(there.told)
        assert "the name is taken: give it to our client there, or set another ven_name" in there.notes()
        assert there.health() == [(True, "")]


async def test_what_a_server_may_fill_our_memory_with_is_bounded() -> None:
    """Lists of many pages, each of them large and with a tag of its own."""
    async with world() as there:
        await until(there.told)
        large = json.dumps([{"id": f"e{number}", "text": "x" * 150_000} for number in range(50)])
        for number in range(6):
            body = large.replace('"id": "e', f'"id": "e{number}-')
            there.vtn.faults.append(Fault("/events", 200, 1, {"ETag": f'"{number}"'}, body=body))
        await until(lambda: any("/events has more than 32 MB" in detail for _, detail in there.health()), 20)
        vtn = there.ven._vtn
        assert sum(page.size for page in vtn._cached.values()) <= 16 * 2**20
        there.vtn.faults.clear()
        await until(lambda: there.health()[-1] == (True, ""), 20)


async def test_prices_of_both_directions_and_co2_arrive_in_our_units() -> None:
    async with world() as there:
        hour_s = there.now() // 3600 * 3600
        descriptors = [
            {"payloadType": "PRICE", "units": "KWH", "currency": "EUR"},
            {"payloadType": "EXPORT_PRICE", "units": "KWH", "currency": "EUR"},
            {"payloadType": "GHG", "units": "GHG"},
        ]
        program = (await there.business("POST", "/programs", {"programName": "day-ahead", "payloadDescriptors": descriptors}))["id"]
        payloads = [
            {"type": "PRICE", "values": [0.17, -0.03]},
            {"type": "EXPORT_PRICE", "values": [0.05, 0.06]},
            {"type": "GHG", "values": [400.0, 250.0]},
        ]
        event = {
            "programID": program,
            "intervalPeriod": {"start": time_text(hour_s), "duration": "PT2H"},
            "intervals": [{"id": 0, "payloads": payloads}],
        }
        await there.business("POST", "/events", event)
        await until(lambda: len(there.series()) == 3)
        assert there.series()["buy"].slots == ((hour_s, hour_s + 3600, 0.17), (hour_s + 3600, hour_s + 7200, -0.03))
        assert there.series()["sell"].slots == ((hour_s, hour_s + 3600, 0.05), (hour_s + 3600, hour_s + 7200, 0.06))
        assert there.series()["co2"].slots == ((hour_s, hour_s + 3600, 0.4), (hour_s + 3600, hour_s + 7200, 0.25))
        assert there.events() == ()


async def test_what_cannot_be_obeyed_is_said() -> None:
    async with world() as there:
        program = (await there.business("POST", "/programs", {"programName": "doe"}))["id"]
        payloads = [{"type": "CHARGE_STATE_SETPOINT", "values": [0.8]}, {"type": "MY_OWN", "values": [1]}]
        event = limit_event(program, there.now(), 5.0, eventName="odd") | {"intervals": [{"id": 0, "payloads": payloads}]}
        await there.business("POST", "/events", event)
        await until(lambda: "odd" in there.notes())
        assert "event odd: CHARGE_STATE_SETPOINT is not obeyed" in there.notes()
        assert "event odd: MY_OWN is not obeyed: we do not know this payload type" in there.notes()


async def test_events_for_others_are_not_ours_and_granted_targets_are_asked_for() -> None:
    """3.1: an event with targets is shown to those only who were granted one of them and ask for it."""
    async with world() as there:
        await until(there.told)
        (ven,) = there.vtn.objects["vens"].values()
        program = (await there.business("POST", "/programs", {"programName": "doe"}))["id"]
        await there.business("POST", "/events", limit_event(program, there.now() + 60, 7.0, targets=["871234567890123456"]))
        await there.next_poll()
        assert there.events() == ()
        ven["targets"] = ["871234567890123456"]
        there.vtn.faults.append(Fault("/programs", 503, 1))
        await until(there.events)
        assert [event.consumption_w for event in there.events()] == [7000.0]


async def test_places_tell_sites_of_one_ven_apart() -> None:
    """3.0, Grid Aware Charging: VEN_NAME is the operator of many sites, POWER_SERVICE_LOCATION is the site."""

    def targets(place: str) -> list[dict[str, Any]]:
        return [{"type": "POWER_SERVICE_LOCATION", "values": [place]}, {"type": "VEN_NAME", "values": ["ven-1"]}]

    async with world("3.0", targets=["871234567890123456"]) as there:
        program = (await there.business("POST", "/programs", {"programName": "gac"}))["id"]
        await there.business("POST", "/events", limit_event(program, there.now(), 50.0, targets=targets("879999999999999999")))
        await there.business("POST", "/events", limit_event(program, there.now(), 20.0, targets=targets("871234567890123456")))
        await until(there.events)
        assert [event.consumption_w for event in there.events()] == [20_000.0]


async def test_only_the_programs_of_the_site_file_count() -> None:
    async with world(programs=["doe"]) as there:
        other = (await there.business("POST", "/programs", {"programName": "other"}))["id"]
        await there.business("POST", "/events", limit_event(other, there.now(), 1.0))
        await until(lambda: "shows us no program named 'doe'" in there.notes())
        ours = (await there.business("POST", "/programs", {"programName": "doe"}))["id"]
        await there.business("POST", "/events", limit_event(ours, there.now(), 9.0))
        await until(there.events)
        assert [event.consumption_w for event in there.events()] == [9000.0]


# -- tokens, errors ---------------------------------------------------------------------------------


@pytest.mark.parametrize("generation", ["3.0", "3.1"])
async def test_a_token_is_renewed_before_its_end_and_when_the_server_has_forgotten_it(generation: str) -> None:
    server = Vtn3(generation)
    server.token_life_s = 1
    async with world(vtn=server) as there:
        await until(lambda: len(there.asked("POST", "/auth/token")) >= 2)
        server._tokens.clear()
        await there.next_poll(2)
        assert {healthy for healthy, _ in there.health()} == {True}


async def test_a_server_that_takes_the_secret_in_the_header_only() -> None:
    server = Vtn3()
    server.basic_only = True
    async with world(vtn=server) as there:
        await until(there.told)


async def test_a_wrong_secret_is_said_without_the_secret() -> None:
    async with world(oauth={"client_id": "ven", "client_secret": "typo-in-it"}) as there:
        await until(there.health)
        ((healthy, detail),) = there.health()
        assert not healthy
        assert "invalid_client" in detail
        assert "typo-in-it" not in detail


async def test_a_token_endpoint_without_tls_gets_no_secret() -> None:
    """The server is asked over https and names http: nothing is sent there."""
    from controller.io.signals.openadr3_http import Vtn, VtnError, _Reply

    async with world() as there:
        vtn = Vtn(there.config.signals[0].model_copy(update={"url": "https://vtn.example"}), there.clock)  # type: ignore[arg-type]

        async def reply(*args: Any) -> _Reply:
            return _Reply(200, {}, b'{"tokenURL": "http://vtn.example/token"}')

        vtn._request = reply  # type: ignore[assignment]
        with pytest.raises(VtnError, match="without TLS"):
            await vtn.get("/events")
        await vtn.close()


async def test_retry_after_is_kept_to() -> None:
    async with world() as there:
        await until(there.told)
        asked = len(there.vtn.log)
        begin_s = there.clock.stamp().mono_s  # the 429 comes after this, however busy the machine is
        there.vtn.faults.append(Fault("/programs", 429, 1, {"Retry-After": "1"}))
        await until(lambda: any(each["status"] == 429 for each in there.vtn.log))
        told = len(there.told())
        await until(lambda: len(there.told()) > told)
        assert there.told()[told].at.mono_s - begin_s >= 1.0
        assert asked < len(there.vtn.log)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("<html>sorry</html>", "not JSON"),
        ("[NaN]", "not JSON"),
        ('{"events": []}', "no list"),
        ("[" * 100_000, "not JSON"),
    ],
)
async def test_rubbish_is_an_error_and_calls_nothing_off(body: str, words: str) -> None:
    async with world() as there:
        program = (await there.business("POST", "/programs", {"programName": "doe"}))["id"]
        await there.business("POST", "/events", limit_event(program, there.now(), 5.0))
        await until(there.events)
        there.vtn.faults.append(Fault("/events", 200, 2, body=body))
        await until(lambda: any(words in detail for _, detail in there.health()))
        assert all(told.events for told in there.told()[-1:])


async def test_a_connection_that_is_cut_is_an_outage() -> None:
    async with world() as there:
        await until(there.told)
        there.vtn.faults.append(Fault("/events", 0, 3))  # the HTTP client itself tries once more
        await until(lambda: there.health()[-1][0] is False)
        await until(lambda: there.health()[-1][0])


async def test_a_server_that_lets_nobody_register_is_read_all_the_same() -> None:
    server = Vtn3(clients={"bl": Client("bl-secret", business=True), "ven": Client("ven-secret")})
    server.faults.append(Fault("/vens", 403, 1000, body='{"title": "Forbidden", "status": 403}'))
    async with world(vtn=server) as there:
        program = (await there.business("POST", "/programs", {"programName": "doe"}))["id"]
        await there.business("POST", "/events", limit_event(program, there.now(), 5.0))
        await until(there.events)
        assert "does not let us register as 'ven-1'" in there.notes()
        assert there.health()[0] == (True, "")


async def test_a_server_that_hides_its_programs_still_has_events() -> None:
    async with world() as there:
        program = (await there.business("POST", "/programs", {"programName": "doe"}))["id"]
        await there.business("POST", "/events", limit_event(program, there.now(), 5.0))
        there.vtn.faults.append(Fault("/programs", 403, 1000))
        await until(lambda: there.events() and "does not show its programs" in there.notes())
        assert there.events()[0].consumption_w == 5000.0


async def test_an_unchanged_list_is_not_sent_again() -> None:
    async with world() as there:
        await until(lambda: [each for each in there.asked("GET", "/events") if each["status"] == 304])
        assert there.health() == [(True, "")]


# -- reports, subscriptions ---------------------------------------------------------------------------


def reading(at_s: float) -> TellSource:
    return TellSource("dso", at_s, 6000.0, at_s / 10, 0.0, 231.0, 3000.0, None, None, 50.0, None, None, "unlimited")


@pytest.mark.parametrize("generation", ["3.0", "3.1"])
async def test_a_report_is_sent_once_whatever_happens_on_the_way(generation: str) -> None:
    """The server fails twice, then has it already (409): that is the end of it."""
    async with world(generation) as there:
        program = (await there.business("POST", "/programs", {"programName": "doe"}))["id"]
        asked = [{"payloadType": "READING", "units": "KW"}]
        await there.business("POST", "/events", limit_event(program, there.now(), 5.0, duration="PT1S", reportDescriptors=asked))
        there.vtn.faults.append(Fault("/reports", 500, 2))
        there.ven.answered(reading(there.now()))
        await until(lambda: "reports or subscriptions do not get through" in there.notes())
        (report,) = await until(lambda: list(there.vtn.objects["reports"].values()))
        (interval,) = report["resources"][0]["intervals"]
        assert interval["payloads"][0] == {"type": "READING", "values": [6.0]}
        assert ("programID" in report) == (generation == "3.0")
        await there.next_poll(2)
        assert len(there.vtn.objects["reports"]) == 1
        assert {healthy for healthy, _ in there.health()} == {True}


@pytest.mark.parametrize(("generation", "status"), [("3.0", 500), ("3.1", 0), ("3.1", 503)])
async def test_a_report_whose_answer_was_lost_is_not_sent_again(generation: str, status: int) -> None:
    """The server has stored it and cannot say so. Its list of our reports can (GET /reports by client and event)."""
    async with world(generation) as there:
        program = (await there.business("POST", "/programs", {"programName": "doe"}))["id"]
        asked = [{"payloadType": "READING", "units": "KW"}]
        await there.business("POST", "/events", limit_event(program, there.now(), 5.0, duration="PT1S", reportDescriptors=asked))
        there.vtn.faults.append(Fault("/reports", status, 1, method="POST", after=True))
        there.ven.answered(reading(there.now()))
        await until(lambda: there.vtn.objects["reports"])
        told = len(there.told())
        await until(lambda: len(there.told()) > told + 2 and "do not get through" not in there.notes())
        assert len(there.asked("POST", "/reports")) == 1


async def test_a_start_repeats_no_report_of_the_moment() -> None:
    """Killed right behind the POST: the next run finds by the name that this one was sent, and goes on with the next."""
    async with world() as there:
        program = (await there.business("POST", "/programs", {"programName": "doe"}))["id"]
        asked = [{"payloadType": "READING", "units": "KW", "frequency": 0}]
        await there.business("POST", "/events", limit_event(program, there.now(), 5.0, duration="PT3S", reportDescriptors=asked))
        there.ven.answered(reading(there.now() - 60))
        await until(lambda: there.vtn.objects["reports"])
        second = World(there.vtn, there.config)
        second.ven.answered(reading(there.now() - 60))
        task = spawn(second.ven.run(), "second run")
        try:
            await until(lambda: [each for each in there.asked("GET", "/reports") if "eventID=" in each["query"]][1:])
            await second.next_poll(2)
            assert len(there.vtn.objects["reports"]) == 1
        finally:
            await end([task])
            await second.ven.close()


async def test_two_reports_of_one_event_are_not_taken_for_one_by_a_server_that_wants_names_of_their_own() -> None:
    """409 of a server whose report names are unique: each kind of report has its own name, also of an event that was made anew."""
    vtn = Vtn3()
    vtn.report_names_are_unique = True
    async with world(vtn=vtn) as there:
        program = (await there.business("POST", "/programs", {"programName": "doe"}))["id"]
        asked = [{"payloadType": "READING", "units": "KW"}, {"payloadType": "READING", "units": "KW", "aggregate": True}]
        for count in (2, 4):
            made = await there.business("POST", "/events", limit_event(program, there.now(), 5.0, duration="PT1S", reportDescriptors=asked))
            there.ven.answered(reading(there.now()))
            await until(lambda wanted=count: len(vtn.objects["reports"]) == wanted)
            await there.business("DELETE", f"/events/{made['id']}")
        assert len({report["reportName"] for report in vtn.objects["reports"].values()}) == 4


async def test_objects_whose_making_was_not_confirmed_are_found_again_and_not_made_twice() -> None:
    vtn = Vtn3()
    vtn.faults += [Fault(f"/{name}", 500, 1, method="POST", after=True) for name in ("vens", "resources", "subscriptions")]
    async with world(vtn=vtn, callback_url="http://127.0.0.1:1/x") as there:
        await until(lambda: vtn.objects["subscriptions"] and there.health() and there.health()[-1] == (True, ""))
        await there.next_poll(2)
        assert {name: len(vtn.objects[name]) for name in ("vens", "resources", "subscriptions")} == {"vens": 1, "resources": 1, "subscriptions": 1}


async def test_a_subscription_that_calls_an_address_we_had_once_is_taken_over_and_a_second_one_deleted() -> None:
    async with world() as there:
        await until(there.told)
        operation = {"objects": ["EVENT"], "operations": ["CREATE"], "callbackUrl": "http://127.0.0.1:1/old"}
        for _ in range(2):
            await there.ven._vtn.send("POST", "/subscriptions", {"clientName": "ven-1", "objectOperations": [operation]})
        second = World(there.vtn, Config.model_validate(SITE | {"signals": [entry(there.vtn.url, callback_url="http://127.0.0.1:1/new")]}))
        task = spawn(second.ven.run(), "second run")
        try:
            await until(lambda: len(there.vtn.objects["subscriptions"]) == 1)
            (kept,) = there.vtn.objects["subscriptions"].values()
            await until(
                lambda: (
                    [each["callbackUrl"] for each in there.vtn.objects["subscriptions"][kept["id"]]["objectOperations"]] == ["http://127.0.0.1:1/new"]
                )
            )
        finally:
            await end([task])
            await second.ven.close()


async def test_a_report_that_the_server_will_never_take_is_given_up_and_told() -> None:
    async with world() as there:
        program = (await there.business("POST", "/programs", {"programName": "doe"}))["id"]
        asked = [{"payloadType": "READING", "units": "KW"}, {"payloadType": "BASELINE"}]
        await there.business("POST", "/events", limit_event(program, there.now(), 5.0, duration="PT1S", reportDescriptors=asked))
        there.vtn.faults.append(Fault("/reports", 400, 100, body='{"title": "Bad Request", "status": 400, "detail": "no room"}'))
        there.ven.answered(reading(there.now()))
        await until(lambda: "the server does not take its report" in there.notes())
        assert "a report of BASELINE is not sent" in there.notes()
        sent = len(there.asked("POST", "/reports"))
        await there.next_poll(2)
        assert len(there.asked("POST", "/reports")) == sent == 1


@pytest.mark.parametrize("generation", ["3.0", "3.1"])
async def test_a_subscription_is_made_found_again_and_given_back(generation: str) -> None:
    callback = "http://127.0.0.1:9/api/v1/openadr3/dso"
    server = Vtn3(generation)
    async with world(vtn=server, callback_url=callback) as there:
        await there.business("POST", "/programs", {"programName": "doe"})
        (subscription,) = await until(lambda: list(server.objects["subscriptions"].values()))
        (operation,) = subscription["objectOperations"]
        assert operation["callbackUrl"] == callback
        assert operation["bearerToken"] == there.ven.callback_token
        assert ("programID" in subscription) == (generation == "3.0")
        server.objects["subscriptions"].clear()
        server.faults.append(Fault("/programs", 503, 1))
        await until(lambda: server.objects["subscriptions"])
    assert not server.objects["subscriptions"]


async def test_a_server_that_names_operations_by_the_verbs_of_http() -> None:
    async with world("3.0", callback_url="http://127.0.0.1:9/cb") as there:
        there.vtn.faults.append(Fault("/subscriptions", 400, 1, skip=1))  # the list is answered, the first POST is not taken
        await there.business("POST", "/programs", {"programName": "doe"})
        await until(lambda: len(there.asked("POST", "/subscriptions")) >= 2)
        assert '"POST", "PUT", "DELETE"' in there.asked("POST", "/subscriptions")[1]["body"]


@pytest.mark.parametrize(
    ("body", "status"),
    [(b'{"objectType": "EVENT", "operation": "POST", "object": {}}', 200), (b"{}", 400), (b"\xff", 400), (b"[" * 9999, 400)],
)
async def test_a_call_makes_us_look(body: bytes, status: int) -> None:
    async with world() as there:
        assert (await there.ven.notified(body))[0] == status


async def test_a_certificate_nobody_vouches_for_is_an_outage_and_its_own_ca_makes_it_well(tmp_path: Path) -> None:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    cert.write_text(ECDSA_CERT)
    key.write_text(ECDSA_KEY)
    server = Vtn3()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    await server.start(tls=context)
    try:
        for ca_file, well in ((None, False), (str(cert), True)):
            there = World(server, Config.model_validate(SITE | {"signals": [entry(server.url, ca_file=ca_file)]}))
            task = spawn(there.ven.run(), "ven")
            await until(there.health)
            assert there.health()[0][0] is well
            assert well or "certificate is not trusted" in there.health()[0][1]
            await end([task])
            await there.ven.close()
    finally:
        await server.stop()
