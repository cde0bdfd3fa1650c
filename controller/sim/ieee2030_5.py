"""The doors of a simulated IEEE 2030.5 / CSIP utility server, over mutual TLS.

Strict where the standard is: TLS 1.2 with the client's certificate, ``application/sep+xml`` only, documents in the schema's order,
each client sees its own end device.
"""

from __future__ import annotations

import asyncio
import ssl
import warnings
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from envoy_schema.server.schema.sep2 import der, end_device, function_set_assignments, metering_mirror, pub_sub
from envoy_schema.server.schema.sep2 import response as responses
from envoy_schema.server.schema.sep2.base import BaseXmlModelWithNS
from envoy_schema.server.schema.sep2.device_capability import DeviceCapabilityResponse
from envoy_schema.server.schema.sep2.identification import Link, ListLink
from envoy_schema.server.schema.sep2.time import TimeResponse
from envoy_schema.server.schema.sep2.types import SubscribableType, TimeQualityType

from controller.io.tasks import end, spawn
from controller.sim.ieee2030_5_utility import Device, RefusedError, SimProgram, Utility, base
from signals.csip_identity import lfdi

SEP_XML = "application/sep+xml"
DER_PLACES = {"dercap": "DERCapability", "derg": "DERSettings", "ders": "DERStatus", "dera": "DERAvailability"}
CIPHERS = "ECDHE-ECDSA-AES128-CCM8:ECDHE-ECDSA-AES128-GCM-SHA256"


def tls(cert: Path, key: Path, ca: Path, ciphers: str = CIPHERS) -> ssl.SSLContext:
    """TLS 1.2 that wants the client's certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(ciphers)
    context.load_cert_chain(cert, key)
    context.load_verify_locations(cafile=str(ca))
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def caller_tls(cert: Path, key: Path, ca: Path) -> ssl.SSLContext:
    """What the utility calls its subscribers with: its own certificate, and theirs of the same CA without a host's name."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    context.load_cert_chain(cert, key)
    context.load_verify_locations(cafile=str(ca))
    return context


@dataclass(slots=True)
class Faults:
    """What goes wrong, by beginning of the path. answer: HTTP status, or a body in place of the right one. slow_s: before each answer.
    cut: so many times the work is done and the connection ends without an answer."""

    status: dict[str, int] = field(default_factory=dict)
    cut: dict[str, int] = field(default_factory=dict)
    body: dict[str, str] = field(default_factory=dict)
    location: dict[str, str] = field(default_factory=dict)
    slow_s: float = 0.0


class UtilityServer:
    """The server's own door."""

    def __init__(self, utility: Utility) -> None:
        self.utility = utility
        self.faults = Faults()
        self.asked: list[str] = []
        self.caller: ssl.SSLContext | None = None
        """With what it calls subscribers: its own certificate. None = it does not."""
        self.called: list[tuple[str, int]] = []
        self._calls: set[asyncio.Task[Any]] = set()
        self._runner: web.AppRunner | None = None

    async def start(self, port: int, context: ssl.SSLContext) -> None:
        """Listen on loopback."""
        app = web.Application(middlewares=[self._door])
        get, post, put = app.router.add_get, app.router.add_post, app.router.add_put
        get("/dcap", self._capability)
        get("/tm", self._time)
        get("/edev", self._devices)
        post("/edev", self._register)
        get("/edev/{n}", self._device)
        get("/edev/{n}/rg", self._registration)
        get("/edev/{n}/fsa", self._assignments)
        get("/edev/{n}/derp", self._programs)
        get("/edev/{n}/derp/{p}/dderc", self._default)
        get("/edev/{n}/derp/{p}/derc", self._controls)
        get("/edev/{n}/derp/{p}/actderc", self._controls)
        get("/edev/{n}/der", self._ders)
        for place in DER_PLACES:
            put(f"/edev/{{n}}/der/1/{place}", self._der)
        post("/edev/{n}/rsps/1/rsp", self._response)
        get("/edev/{n}/rsps/1/rsp", self._responses)
        get("/edev/{n}/sub", self._subscriptions)
        post("/edev/{n}/sub", self._subscribe)
        app.router.add_delete("/edev/{n}/sub/{s}", self._unsubscribe)
        post("/edev/{n}/lel", self._log_event)
        post("/mup", self._mirror)
        get("/mup/{m}", self._mirror_itself)
        post("/mup/{m}", self._reading)
        self._runner = web.AppRunner(app, shutdown_timeout=0.2)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", port, ssl_context=context).start()

    async def stop(self) -> None:
        """End."""
        await end(self._calls)
        if self._runner is not None:
            await self._runner.cleanup()

    @web.middleware
    async def _door(self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> web.StreamResponse:
        self.asked.append(f"{request.method} {request.path_qs}")
        await asyncio.sleep(self.faults.slow_s)
        for begin, status in self.faults.status.items():
            if f"{request.method} {request.path}".startswith(begin):
                return web.Response(status=status, headers={"Retry-After": "1"} if status in (429, 503) else None)
        for begin, place in self.faults.location.items():
            if request.path.startswith(begin):
                return web.Response(status=302, headers={"Location": place})
        for begin, body in self.faults.body.items():
            if request.path.startswith(begin):
                return web.Response(body=body.encode(), content_type=SEP_XML)
        if request.method in ("POST", "PUT") and request.content_type != SEP_XML:
            return web.Response(status=415, text=f"{request.content_type} is not {SEP_XML}")
        try:
            answer = await handler(request)
        except RefusedError as error:
            return web.Response(status=error.status, text=str(error))
        for begin, times in self.faults.cut.items():
            if times > 0 and f"{request.method} {request.path}".startswith(begin) and request.transport is not None:
                self.faults.cut[begin] -= 1
                request.transport.abort()
        return answer

    # -- who asks --------------------------------------------------------------------------------------------

    def _who(self, request: web.Request) -> str:
        assert request.transport is not None
        return lfdi(request.transport.get_extra_info("ssl_object").getpeercert(binary_form=True))

    def _known(self, request: web.Request) -> Device:
        """The device that asks, if the path is its own."""
        device = self.utility.devices.get(self._who(request))
        if device is None or request.match_info.get("n", str(device.number)) != str(device.number):
            raise RefusedError(403, "this end device is not yours")
        return device

    def _program(self, request: web.Request) -> SimProgram:
        program = self.utility.programs.get(int(request.match_info["p"]))
        if program is None:
            raise RefusedError(404, "there is no such program")
        return program

    # -- what is read -------------------------------------------------------------------------------------------

    async def _capability(self, request: web.Request) -> web.Response:
        count = int(self._who(request) in self.utility.devices)
        return _xml(
            DeviceCapabilityResponse(
                href="/dcap",
                pollRate=self.utility.poll_s,
                TimeLink=Link(href="/tm"),
                EndDeviceListLink=ListLink(href="/edev", all_=count),
                MirrorUsagePointListLink=ListLink(href="/mup", all_=len(self.utility.mirrors)),
            )
        )

    async def _time(self, _: web.Request) -> web.Response:
        now_s = self.utility.now_s()
        return _xml(
            TimeResponse(href="/tm", currentTime=now_s, dstEndTime=0, dstOffset=0, dstStartTime=0, quality=TimeQualityType.level_3_source, tzOffset=0)
        )

    async def _devices(self, request: web.Request) -> web.Response:
        device = self.utility.devices.get(self._who(request))
        others = [end_device.EndDeviceResponse(href="/edev/999", lFDI="AB" * 20, sFDI=456, changedTime=1)]
        ours = [self._as_document(device)] if device is not None else []
        page, counts = self._page(request, others + ours)
        return _xml(end_device.EndDeviceListResponse(href="/edev", pollRate=self.utility.poll_s, EndDevice=page, **counts))

    async def _device(self, request: web.Request) -> web.Response:
        return _xml(self._as_document(self._known(request)))

    def _as_document(self, device: Device) -> end_device.EndDeviceResponse:
        own = f"/edev/{device.number}"
        return end_device.EndDeviceResponse(
            href=own,
            DERListLink=ListLink(href=f"{own}/der", all_=1),
            lFDI=device.lfdi,
            sFDI=device.sfdi,
            changedTime=1,
            LogEventListLink=ListLink(href=f"{own}/lel", all_=0),
            enabled=device.enabled,
            FunctionSetAssignmentsListLink=ListLink(href=f"{own}/fsa", all_=1),
            SubscriptionListLink=ListLink(href=f"{own}/sub", all_=len(self.utility.subscriptions)) if self.utility.subscribable else None,
            postRate=self.utility.post_s,
            RegistrationLink=Link(href=f"{own}/rg"),
        )

    async def _registration(self, request: web.Request) -> web.Response:
        pin = self._known(request).pin
        return _xml(end_device.RegistrationResponse(pollRate=self.utility.poll_s, dateTimeRegistered=1, pIN=pin))

    async def _assignments(self, request: web.Request) -> web.Response:
        own = f"/edev/{self._known(request).number}"
        one = function_set_assignments.FunctionSetAssignmentsResponse(
            href=f"{own}/fsa/1", mRID="F5" * 16, DERProgramListLink=ListLink(href=f"{own}/derp"), TimeLink=Link(href="/tm")
        )
        page, counts = self._page(request, [one])
        more = self._subscribable() | counts
        return _xml(function_set_assignments.FunctionSetAssignmentsListResponse(FunctionSetAssignments=page, pollRate=self.utility.poll_s, **more))

    async def _programs(self, request: web.Request) -> web.Response:
        own = f"/edev/{self._known(request).number}/derp"
        programs = [
            der.DERProgramResponse(
                href=f"{own}/{one.number}",
                mRID=one.mrid,
                description=one.name,
                ActiveDERControlListLink=ListLink(href=f"{own}/{one.number}/actderc"),
                DefaultDERControlLink=Link(href=f"{own}/{one.number}/dderc"),
                DERControlListLink=ListLink(href=f"{own}/{one.number}/derc"),
                primacy=one.primacy,
            )
            for one in self.utility.programs.values()
        ]
        page, counts = self._page(request, programs)
        return _xml(der.DERProgramListResponse(href=own, DERProgram=page, pollRate=self.utility.poll_s, **self._subscribable(), **counts))

    async def _default(self, request: web.Request) -> web.Response:
        self._known(request)
        program = self._program(request)
        if program.default is None:
            raise RefusedError(404, "there is no default control")
        return _xml(der.DefaultDERControl(mRID="DD" + program.mrid[2:], version=1, DERControlBase_=base(program.default), **self._subscribable()))

    async def _controls(self, request: web.Request) -> web.Response:
        active = request.path.endswith("actderc")
        page, counts = self._page(request, self.utility.controls(self._known(request), self._program(request), active))
        return _xml(der.DERControlListResponse(href=request.path, DERControl=page, **self._subscribable(), **counts))

    async def _ders(self, request: web.Request) -> web.Response:
        own = f"/edev/{self._known(request).number}/der/1"
        links = {f"{name}Link": Link(href=f"{own}/{place}") for place, name in DER_PLACES.items()}
        page, counts = self._page(request, [der.DER(href=own, **links)])  # type: ignore[arg-type]
        return _xml(der.DERListResponse(DER_=page, pollRate=self.utility.poll_s, **counts))

    def _page(self, request: web.Request, items: list[Any]) -> tuple[list[Any], dict[str, Any]]:
        """s first item, l how many; at most ``page``. Without l one item, as the standard has it."""
        begin, most = int(request.query.get("s", "0")), min(int(request.query.get("l", "1")), self.utility.page)
        page = items[begin : begin + most]
        return page, {"all_": len(items), "results": len(page)}

    # -- what is sent ----------------------------------------------------------------------------------------------

    async def _register(self, request: web.Request) -> web.Response:
        who = self._who(request)
        if not self.utility.in_band:
            raise RefusedError(403, "devices are registered by hand")
        model = self.utility.take("EndDevice", who, request.path, await request.read())
        device = self.utility.register(who, model.sFDI, self.utility.new_pin)
        return web.Response(status=201, headers={"Location": f"/edev/{device.number}"})

    async def _der(self, request: web.Request) -> web.Response:
        self._known(request)
        self.utility.take(DER_PLACES[request.path.rpartition("/")[2]], self._who(request), request.path, await request.read())
        return web.Response(status=204)

    async def _response(self, request: web.Request) -> web.Response:
        self._known(request)
        self.utility.take("DERControlResponse", self._who(request), request.path, await request.read())
        return web.Response(status=201, headers={"Location": f"{request.path}/{len(self.utility.told)}"})

    async def _responses(self, request: web.Request) -> web.Response:
        self._known(request)
        who = self._who(request)
        told = [one for one in reversed(self.utility.told) if one.what == "DERControlResponse" and one.who == who]
        items = [responses.Response(**one.content) for one in told]
        page, counts = self._page(request, items)
        return _xml(responses.ResponseListResponse(href=request.path, Response_=page, **counts))

    async def _log_event(self, request: web.Request) -> web.Response:
        self._known(request)
        self.utility.take("LogEvent", self._who(request), request.path, await request.read())
        return web.Response(status=201, headers={"Location": f"{request.path}/{len(self.utility.told)}"})

    # -- subscriptions ---------------------------------------------------------------------------------------------

    def _subscribable(self) -> dict[str, Any]:
        return {"subscribable": SubscribableType.resource_supports_non_conditional_subscriptions} if self.utility.subscribable else {}

    async def _subscriptions(self, request: web.Request) -> web.Response:
        self._known(request)
        own = [
            one.model_copy(update={"href": f"{request.path}/{number}"})
            for number, (who, one) in self.utility.subscriptions.items()
            if who == self._who(request)
        ]
        page, counts = self._page(request, own)
        return _xml(pub_sub.SubscriptionListResponse(href=request.path, subscriptions=page, **counts))

    async def _subscribe(self, request: web.Request) -> web.Response:
        self._known(request)
        made = self.utility.take("Subscription", self._who(request), request.path, await request.read())
        if not str(made.notificationURI).startswith("https://"):
            raise RefusedError(400, "notifications go over TLS only")
        number = max(self.utility.subscriptions, default=0) + 1
        self.utility.subscriptions[number] = self._who(request), made
        return web.Response(status=201, headers={"Location": f"{request.path}/{number}"})

    async def _unsubscribe(self, request: web.Request) -> web.Response:
        self._known(request)
        if self.utility.subscriptions.pop(int(request.match_info["s"]), None) is None:
            raise RefusedError(404, "there is no such subscription")
        return web.Response(status=204)

    def changed(self, path: str, status: int = 0) -> None:
        """A resource that begins so has changed: tell those who subscribed to it. status: other than 0 ends the subscription."""
        if self.caller is None:
            return
        for number, (_, one) in list(self.utility.subscriptions.items()):
            if str(one.subscribedResource).startswith(path):
                task = spawn(self._notify(number, one, status), "notification")
                self._calls.add(task)
                task.add_done_callback(self._calls.discard)
                if status:
                    del self.utility.subscriptions[number]

    async def _notify(self, number: int, one: pub_sub.Subscription, status: int) -> None:
        place = f"https://127.0.0.1/edev/1/sub/{number}"
        note = pub_sub.Notification(subscribedResource=one.subscribedResource, status=pub_sub.NotificationStatus(status), subscriptionURI=place)
        body = _xml(note).body
        try:
            async with (
                aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=self.caller or False), timeout=aiohttp.ClientTimeout(total=5)) as session,
                session.post(str(one.notificationURI), data=body, headers={"Content-Type": SEP_XML}) as answer,
            ):
                self.called.append((str(one.subscribedResource), answer.status))
        except (aiohttp.ClientError, TimeoutError):
            self.called.append((str(one.subscribedResource), 0))

    async def _mirror(self, request: web.Request) -> web.Response:
        self._known(request)
        mirror = self.utility.take("MirrorUsagePoint", self._who(request), request.path, await request.read())
        number = self.utility.mirrors.get(mirror.mRID, (len(self.utility.mirrors) + 1, mirror))[0]
        self.utility.mirrors[mirror.mRID] = number, mirror
        return web.Response(status=201, headers={"Location": f"https://{request.host}/mup/{number}"})

    def _mirror_of(self, request: web.Request) -> metering_mirror.MirrorUsagePointRequest:
        found = [mirror for number, mirror in self.utility.mirrors.values() if str(number) == request.match_info["m"]]
        if not found or found[0].deviceLFDI.upper() != self._who(request):
            raise RefusedError(404, "there is no such mirror usage point of yours")
        return found[0]

    async def _mirror_itself(self, request: web.Request) -> web.Response:
        return _xml(self._mirror_of(request).model_copy(update={"postRate": self.utility.post_s}))

    async def _reading(self, request: web.Request) -> web.Response:
        mirror = self._mirror_of(request)
        reading = self.utility.take("MirrorMeterReading", self._who(request), request.path, await request.read())
        if reading.mRID not in {one.mRID for one in mirror.mirrorMeterReadings or ()}:
            raise RefusedError(400, "a reading without a type")
        return web.Response(status=201, headers={"Location": f"{request.path}/mr/1"})


def _xml(model: BaseXmlModelWithNS) -> web.Response:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a document that was read has plain numbers where the models have names for them
        body = model.to_xml(exclude_none=True, skip_empty=True)
    return web.Response(body=body if isinstance(body, bytes) else body.encode(), content_type=SEP_XML)
