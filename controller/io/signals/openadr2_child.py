"""The process an OpenADR 2.0b VEN lives in: ``python -m controller.io.signals.openadr2_child``.

openleadr signs, checks and parses XML, and runs reports with a scheduler of its own. It does so here and not in the controller: it takes
seconds to import, blocks while it parses, and what goes wrong in it stays in it. One JSON object per line: the first one in is the
configuration, later ones are readings and answers; out come events, health and what people should know. The end of the input ends the process.

We keep the conversation in our own hands (register, ask for all events once in a while, poll in between) and use openleadr for messages,
signatures and reports. An oadrDistributeEvent is read by ``signals.openadr2``, as openleadr gives up on parts of the schema it writes itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import re
import resource
import ssl
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp

MEMORY_BYTES = 1 << 30
MOST_BYTES = 4 * 2**20
TIMEOUT_S = 15.0
NOT_REGISTERED = frozenset({452, 463})
SIGNED_TYPES = frozenset({"oadrDistributeEvent"})


class Away(Exception):  # noqa: N818  it says where the server is
    """The server does not answer, or not as one. The text is for people."""


def say(kind: str, **what: Any) -> None:
    """One line for the controller."""
    sys.stdout.write(json.dumps({"kind": kind} | what) + "\n")
    sys.stdout.flush()


class Child:
    """One VEN."""

    def __init__(self, settings: dict[str, Any]) -> None:
        from openleadr import OpenADRClient

        self.settings = settings
        self.poll_s = float(settings["poll_s"])
        self.wished_s: float | None = None
        self.polled = False
        self.reading: dict[str, Any] = {}
        self.opts: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        child = self

        class Client(OpenADRClient):  # type: ignore[misc]
            """openleadr's client with our way of asking."""

            async def _perform_request(self, service: str, message: str) -> Any:
                return await child.ask(service, message)

            async def update_report(self, report_request_id: str) -> None:
                await child.sample(report_request_id)

        self.client: Any = Client(
            settings["ven_name"],
            settings["url"],
            cert=settings["cert_file"],
            key=settings["key_file"],
            ca_file=settings["ca_file"],
            vtn_fingerprint=settings["vtn_fingerprint"],
            show_fingerprint=False,
            ven_id=settings.get("ven_id"),
        )
        logging.getLogger("openleadr").setLevel(logging.CRITICAL)
        self.session: aiohttp.ClientSession | None = None
        self.worker: asyncio.Task[None] | None = None

    # -- the life of a VEN ----------------------------------------------------------------------------

    async def run(self) -> None:
        """Register and poll for ever, again after each trouble."""
        self.client.loop = asyncio.get_running_loop()
        self.client.scheduler.start()
        failures = 0
        while True:
            try:
                await self._register()
                await self._live()
            except Away as away:
                say("health", healthy=False, detail=str(away))
            except MemoryError:
                raise  # nobody knows what is left of us: we end and are begun anew
            except Exception as error:  # whatever a strange message does to openleadr
                logging.exception("the VEN stumbled")
                say("health", healthy=False, detail=f"{type(error).__name__}: {error}"[:300])
            self.opts = asyncio.Queue()  # the controller asks for them anew
            failures = 1 if self.polled else failures + 1
            self.polled = False
            await asyncio.sleep(min(60.0, max(self.poll_s, 1.0) * 2.0 ** min(6, failures - 1)))

    async def _register(self) -> None:
        await self.client.query_registration()
        self.client.registration_id = None
        await self.client.create_party_registration(ven_id=self.client.ven_id, xml_signature=bool(self.settings["cert_file"]))
        if not self.client.registration_id:
            self.client.ven_id = None  # it may have been another server's
            raise Away("the server does not register us; give it our VEN name and our certificate's fingerprint")
        self.poll_s = float(self.settings["poll_s"]) if self.wished_s is None else self.wished_s
        await self._offer_reports()
        say("registered", ven_id=self.client.ven_id, poll_s=self.poll_s)

    async def _offer_reports(self) -> None:
        """Reports are offered anew with each registration; what an earlier one asked for is forgotten."""
        client = self.client
        client.scheduler.remove_all_jobs()
        client.reports, client.report_callbacks, client.report_requests, client.incomplete_reports = [], {}, [], {}
        if self.worker is not None:
            self.worker.cancel()
            self.worker = None
        if not self.settings["reports"]:
            return
        fast, slow = timedelta(seconds=1), timedelta(hours=1)
        for name, measurement in (("power", "REAL_POWER"), ("energy", "REAL_ENERGY"), ("voltage", "VOLTAGE")):
            from openleadr.objects import SamplingRate

            rate = SamplingRate(min_period=fast, max_period=slow, on_change=False)
            self.client.add_report(
                None,
                resource_id=self.settings["resource_id"],
                measurement=measurement,
                sampling_rate=rate,
                report_specifier_id=f"usage-{self.settings['resource_id']}",
                r_id=name,
                report_name="TELEMETRY_USAGE",
                report_duration=timedelta(hours=1),
                report_dtstart=datetime.now(UTC),  # noqa: TID251  openleadr knows no other clock
            )
        await self._apart(client.register_reports(client.reports), "reports are not taken")
        self.worker = asyncio.get_running_loop().create_task(client._report_queue_worker())

    async def sample(self, report_request_id: str) -> None:
        """A sample for a report, and the report when its time has come. openleadr's own way waits for ever once a single value was missing."""
        from openleadr.objects import Report, ReportInterval, ReportPayload

        request = next((each for each in self.client.report_requests if each["report_request_id"] == report_request_id), None)
        offered = next((each for each in self.client.reports if request and each.report_specifier_id == request["report_specifier_id"]), None)
        if request is None or offered is None:
            return
        at = datetime.fromtimestamp(self.reading.get("wall_s") or 0.0, UTC)
        samples = request.setdefault("samples", [])
        known = [(name, self.reading.get(name)) for name in request["r_ids"]]
        samples += [ReportInterval(dtstart=at, report_payload=ReportPayload(r_id=name, value=value)) for name, value in known if value is not None]
        step_s = request["granularity"].total_seconds() if request["granularity"] else 0.0
        back_s = request["report_back_duration"].total_seconds() if request["report_back_duration"] else 0.0
        request["rounds"] = request.get("rounds", 0) + 1
        if not samples or (step_s > 0 and request["rounds"] * step_s < back_s):
            return
        name = offered.report_name.replace("METADATA_", "")
        report = Report(report_request_id=report_request_id, report_specifier_id=offered.report_specifier_id, report_name=name, intervals=samples)
        report.dtstart = min(each.dtstart for each in samples)
        request["samples"], request["rounds"] = [], 0
        await self.client.pending_reports.put(report)

    async def _live(self) -> None:
        """Poll at most as often as the server wants (oadrRequestedOadrPollFreq); ask for all events each ``sync_s``: what it has forgotten is
        called off then, and it is seen to live; answer at once."""
        loop = asyncio.get_running_loop()
        sync_s = poll_s = loop.time()
        while True:
            if loop.time() >= sync_s:
                await self._sync()
                sync_s = loop.time() + self.settings["sync_s"]
                say("health", healthy=True, detail="")
            if loop.time() >= poll_s:
                kind, payload = await self.client.poll()
                poll_s = loop.time() + self.poll_s
                await self._heard(kind, payload)
                self.polled = True
                say("health", healthy=True, detail="")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, min(poll_s, sync_s) - loop.time())):
                    await self._opt(await self.opts.get())

    async def _sync(self) -> None:
        """Ask for everything: no events at all is an answer, too."""
        kind, payload = await self.client.request_event()
        if kind == "oadrDistributeEvent":
            say("events", xml=payload["xml"], whole=True)
        elif kind == "oadrResponse" and _code(payload) == 200:
            say("events", xml=None, whole=True)
        else:
            raise Away(f"the server answers a request for events with {kind or 'nothing we can read'} ({_code(payload)})")

    async def _heard(self, kind: str | None, payload: Any) -> None:
        client = self.client
        if kind == "oadrResponse":
            if _code(payload) in NOT_REGISTERED:
                raise Away("the server does not know us any more; registering again")
        elif kind == "oadrDistributeEvent":
            say("events", xml=payload["xml"], whole=False)
            await self._sync()
        elif kind == "oadrRequestReregistration":
            await client.send_response(service="EiRegisterParty")
            raise Away("the server asks us to register again")
        elif kind == "oadrCreateReport":
            await self._apart(client.create_report(payload), "a report cannot be made")
        elif kind == "oadrCancelReport":
            await self._apart(client.cancel_report(payload), "a report cannot be ended")
        elif kind == "oadrUpdateReport":
            await client.send_response(service="EiReport")
        elif kind == "oadrRegisterReport":
            body = {"report_requests": [], "ven_id": client.ven_id, "response": _ok(payload.get("request_id"))}
            await self.ask("EiReport", client._create_message("oadrRegisteredReport", **body))
        elif kind == "oadrCancelPartyRegistration":
            body = {"response": _ok(payload.get("request_id")), "ven_id": client.ven_id, "registration_id": client.registration_id}
            await self.ask("EiRegisterParty", client._create_message("oadrCanceledPartyRegistration", **body))
            raise Away("the server has ended our registration; trying again")
        else:
            raise Away(f"the server answers a poll with {kind or 'nothing we can read'}")

    async def _apart(self, work: Any, what: str) -> None:
        """Reports must not stop events."""
        try:
            await work
        except (Away, MemoryError):
            raise
        except Exception as error:
            logging.exception("openleadr stumbled over a report")
            say("note", text=f"{what}: {type(error).__name__}: {error}"[:300])

    async def _opt(self, line: dict[str, Any]) -> None:
        """oadrCreatedEvent: what we do about events."""
        request_id = line.get("request_id") or ""
        responses = [
            each | {"request_id": request_id, "response_description": "OK" if each["response_code"] == 200 else "ERROR"} for each in line["responses"]
        ]
        response = {"response_code": 200, "response_description": "OK", "request_id": request_id}
        message = self.client._create_message("oadrCreatedEvent", response=response, event_responses=responses, ven_id=self.client.ven_id)
        kind, payload = await self.ask("EiEvent", message)
        if kind == "oadrResponse" and _code(payload) != 200:
            say("note", text=f"the server does not take our answer to an event ({_code(payload)})")
        say("opted", responses=[(each["event_id"], each["modification_number"], each["opt_type"]) for each in responses])

    # -- messages -------------------------------------------------------------------------------------

    async def ask(self, service: str, message: str) -> tuple[str | None, Any]:
        """Send a message; (kind, payload) of the answer. Raises Away."""
        url = f"{self.settings['url']}/{service}"
        try:
            async with self._opened().post(url, data=message, allow_redirects=False) as reply:
                body = bytearray()
                async for piece in reply.content.iter_chunked(65_536):
                    body += piece
                    if len(body) > MOST_BYTES:
                        raise Away(f"{service} answers with more than {MOST_BYTES // 2**20} MB")
                status = reply.status
        except TimeoutError:
            raise Away(f"{service} does not answer within {TIMEOUT_S:g} s") from None
        except (aiohttp.ClientError, OSError) as error:
            raise Away(f"{service}: {type(error).__name__} ({str(error)[:120]})") from None
        if status != 200:
            raise Away(f"{service} answers with HTTP {status}")
        return self._understood(service, bytes(body))

    def _understood(self, service: str, body: bytes) -> tuple[str | None, Any]:
        from openleadr.messaging import parse_message, validate_xml_schema, validate_xml_signature

        if not body.strip():
            return "oadrResponse", {"response": {"response_code": 200}}
        if b"<!DOCTYPE" in body or b"<!ENTITY" in body:
            raise Away(f"{service} answers with a document type of its own, which is not read")
        try:
            tree = validate_xml_schema(body)
            if self.settings["vtn_fingerprint"]:
                validate_xml_signature(tree, cert_fingerprint=self.settings["vtn_fingerprint"])
        except MemoryError:
            raise
        except Exception as error:  # lxml, signxml and openleadr each have their own
            raise Away(f"{service} answers with a message that fails its check: {type(error).__name__}: {error}"[:300]) from None
        if b"oadrDistributeEvent" in body:
            code = re.search(rb"responseCode[^>]*>\s*(\d+)", body)
            if code is not None and not code[1].startswith(b"2"):  # an error in this form has no events, which calls none off
                raise Away(f"{service} answers with the code {code[1].decode()[:9]} in place of events")
            return "oadrDistributeEvent", {"xml": body.decode("utf-8", "replace")}
        try:
            kind, payload = parse_message(body)
        except MemoryError:
            raise
        except Exception as error:
            raise Away(f"{service} answers with a message openleadr cannot read: {type(error).__name__}"[:300]) from None
        if kind == "oadrCreatedPartyRegistration":
            self.wished_s = _seconds(payload.get("requested_oadr_poll_freq"))
        return kind, payload

    def _opened(self) -> aiohttp.ClientSession:
        if self.session is None or self.session.closed:
            timeout = aiohttp.ClientTimeout(total=TIMEOUT_S, sock_connect=8)
            connector = aiohttp.TCPConnector(ssl=_tls(self.settings))
            self.session = aiohttp.ClientSession(connector=connector, timeout=timeout, headers={"content-type": "application/xml"})
        return self.session


def _tls(settings: dict[str, Any]) -> ssl.SSLContext | bool:
    if not settings["ca_file"] and not settings["cert_file"]:
        return True
    context = ssl.create_default_context(cafile=settings["ca_file"])
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if settings["cert_file"]:
        context.load_cert_chain(settings["cert_file"], settings["key_file"])
    return context


def _seconds(wished: Any) -> float | None:
    """How rarely the server wants to be polled; None = it does not say (openleadr takes 10 s then)."""
    seconds = wished.total_seconds() if isinstance(wished, timedelta) else 0.0
    return min(seconds, 86_400.0) if seconds >= 1.0 else None


def _ok(request_id: Any) -> dict[str, Any]:
    return {"response_code": 200, "response_description": "OK", "request_id": request_id or ""}


def _code(payload: Any) -> int:
    found = payload.get("response", {}).get("response_code", 200) if isinstance(payload, dict) else 200
    return int(found) if str(found).isdigit() else 0


async def listen(child: Child) -> None:
    """Lines from the controller until it is gone."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=1 << 20)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        body = json.loads(line)
        if body.get("kind") == "reading":
            child.reading = body
        elif body.get("kind") == "opt":
            child.opts.put_nowait(body)


async def live(settings: dict[str, Any]) -> None:
    """Until the controller is gone, or we are of no use any more."""
    child = Child(settings)
    loop = asyncio.get_running_loop()
    tasks = [loop.create_task(child.run()), loop.create_task(listen(child))]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        if child.session is not None:
            await child.session.close()


def bound_memory(most: int) -> None:
    """No more address space than that from now on [bytes]: what wants more gets a MemoryError. A lower bound that holds already stays."""
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    most = most if hard == resource.RLIM_INFINITY else min(most, hard)
    try:
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
    except (ValueError, OSError) as error:
        say("note", text=f"the VEN's process could not bound its memory ({error})")


def main() -> None:
    """Read the settings, keep memory within bounds, live."""
    bound_memory(MEMORY_BYTES)
    with contextlib.suppress(OSError, AttributeError):
        os.nice(10)
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    logging.getLogger("apscheduler").setLevel(logging.ERROR)
    try:
        asyncio.run(live(json.loads(sys.stdin.readline())))
    except MemoryError:
        sys.stderr.write(f"it wanted more than its {MEMORY_BYTES >> 20} MiB of memory\n")
        sys.stderr.flush()
        os._exit(12)  # the interpreter's own way out may want memory as well


if __name__ == "__main__":
    main()
