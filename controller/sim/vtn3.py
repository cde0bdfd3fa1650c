"""A server of OpenADR 3 (VTN), written from the specification: for tests, for the demo, and for anybody who wants to see a limit arrive.

    python -m controller.sim.vtn3 --port 9103 --generation 3.1

Speaks 3.0.1 and 3.1 (paths, roles, targets, object privacy, notifications over webhooks and MQTT), OAuth 2 client credentials, subscriptions
with callbacks, pages, ETags and problem objects. Takes nothing that the schemas do not allow. Keeps everything in memory: a restart forgets it.

Clients: ``bl`` (business side, secret ``bl-secret``) and ``ven`` (secret ``ven-secret``), others by ``clients``. What a test needs beside the
specification is under ``/control``: faults for the next requests, the life of tokens, what came in.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import ssl
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import aiohttp
from aiohttp import web
from pydantic import ValidationError

from controller.io.clock import Clock, fresh_seed
from controller.io.tasks import end, spawn
from controller.sim.vtn3_models import SHAPES
from controller.sim.vtn3_mqtt import Announcer, Offered, places, topics_of

MOST_A_PAGE = 50
OBJECT_OF = {"programs": "PROGRAM", "events": "EVENT", "reports": "REPORT", "subscriptions": "SUBSCRIPTION", "vens": "VEN", "resources": "RESOURCE"}
NAME_OF = {"programs": "programName", "vens": "venName", "resources": "resourceName"}
VERBS = {"CREATE": "POST", "UPDATE": "PUT", "DELETE": "DELETE"}
TOKEN_LIFE_S = 3600

Body = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Client:
    """Who may log in. business: the energy provider's side."""

    secret: str
    business: bool = False


@dataclass(slots=True)
class Fault:
    """What the next requests get in place of an answer. match: part of the path. status 0: the connection is cut. method "": any.
    after: what was asked for is done all the same."""

    match: str
    status: int
    left: int
    headers: dict[str, str] = field(default_factory=dict)
    body: str | None = None
    skip: int = 0
    method: str = ""
    after: bool = False


class Vtn3:
    """One server. wall_s: the time it stamps objects with."""

    def __init__(
        self,
        generation: str = "3.1",
        clients: Mapping[str, Client] | None = None,
        wall_s: Callable[[], float] | None = None,
        base_path: str | None = None,
    ) -> None:
        self.generation = generation
        self.clients = dict(clients or {"bl": Client("bl-secret", business=True), "ven": Client("ven-secret")})
        self.base_path = base_path if base_path is not None else f"/openadr3/{'3.0.1' if generation == '3.0' else '3.1.0'}"
        self.token_life_s = TOKEN_LIFE_S
        self.fresh_token: Callable[[], str] = fresh_seed
        self.basic_only = False
        self.most_a_page = MOST_A_PAGE
        self.report_names_are_unique = False
        self.mqtt: Offered | None = None
        self.announcer: Announcer | None = None
        self.objects: dict[str, dict[str, Body]] = {name: {} for name in OBJECT_OF}
        self.log: deque[Body] = deque(maxlen=2000)
        self.faults: list[Fault] = []
        self.port = 0
        clock = Clock()
        self._wall_s = wall_s or (lambda: clock.stamp().wall_s)
        self._tokens: dict[str, tuple[str, float]] = {}
        self._number = 0
        self._tls = False
        self._runner: web.AppRunner | None = None
        self._callbacks: set[asyncio.Task[Any]] = set()

    @property
    def url(self) -> str:
        """Address for a VEN."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}{self.base_path}"

    async def start(self, port: int = 0, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> None:
        """Listen."""
        self._tls = tls is not None
        self._runner = web.AppRunner(self.app(), access_log=None, shutdown_timeout=0.2)
        await self._runner.setup()
        await web.TCPSite(self._runner, host, port, ssl_context=tls).start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Let go of the port."""
        await end(self._callbacks)
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    def app(self) -> web.Application:
        """All routes."""
        app = web.Application(middlewares=[self._middle], client_max_size=4 * 2**20)
        base, nested = self.base_path, self.generation == "3.0"
        app.router.add_post(f"{base}/auth/token", self._token)
        if not nested:
            app.router.add_get(f"{base}/auth/server", self._auth_server)
            app.router.add_get(f"{base}/notifiers", self._notifiers)
            app.router.add_get(f"{base}/notifiers/mqtt/topics/{{path:.+}}", self._topics)
        for name in OBJECT_OF:
            path = f"{base}/vens/{{ven}}/resources" if nested and name == "resources" else f"{base}/{name}"
            app.router.add_get(path, self._bound(name, self._list))
            app.router.add_post(path, self._bound(name, self._create))
            app.router.add_get(f"{path}/{{id}}", self._bound(name, self._read))
            app.router.add_put(f"{path}/{{id}}", self._bound(name, self._update))
            app.router.add_delete(f"{path}/{{id}}", self._bound(name, self._delete))
        app.router.add_get("/control", self._shown)
        app.router.add_post("/control", self._controlled)
        return app

    def _bound(self, name: str, handler: Callable[[web.Request, str], Any]) -> Callable[[web.Request], Any]:
        async def handle(request: web.Request) -> web.StreamResponse:
            answer: web.StreamResponse = await handler(request, name)
            return answer

        return handle

    # -- every request --------------------------------------------------------------------------------

    @web.middleware
    async def _middle(self, request: web.Request, handler: Callable[[web.Request], Any]) -> web.StreamResponse:
        if request.path == "/control":
            control: web.StreamResponse = await handler(request)
            return control
        body = await request.text()
        if (fault := self._fault(request)) is not None:
            if fault.after:
                await handler(request)
            self._logged(request, body, fault.status)
            if fault.status == 0 and request.transport is not None:
                request.transport.abort()
            return web.Response(status=fault.status or 503, headers=fault.headers, text=fault.body or "", content_type="application/json")
        try:
            answer: web.StreamResponse = await handler(request)
        except Problem as problem:
            answer = problem.response()
        except web.HTTPException as error:
            answer = Problem(error.status, error.reason).response()
        self._logged(request, body, answer.status)
        return answer

    def _fault(self, request: web.Request) -> Fault | None:
        for fault in self.faults:
            if fault.match in request.path and fault.method in ("", request.method) and fault.left > 0:
                if fault.skip > 0:
                    fault.skip -= 1
                    return None
                fault.left -= 1
                return fault
        return None

    def _logged(self, request: web.Request, body: str, status: int) -> None:
        sent = "<form>" if request.path.endswith("/auth/token") else body
        self.log.append({"method": request.method, "path": request.path, "query": request.query_string, "body": sent, "status": status})

    def _who(self, request: web.Request) -> tuple[str, bool]:
        """(client id, whether it is the business side). Raises Problem."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        known = self._tokens.get(token) if scheme == "Bearer" else None
        if known is None or known[1] <= self._wall_s():
            raise Problem(401 if self.generation == "3.1" else 403, "the token is missing, wrong or expired")
        return known[0], self.clients[known[0]].business

    # -- tokens ---------------------------------------------------------------------------------------

    async def _token(self, request: web.Request) -> web.Response:
        form = await request.post()
        if form.get("grant_type") != "client_credentials":
            return web.json_response({"error": "unsupported_grant_type"}, status=400)
        name, secret = form.get("client_id"), form.get("client_secret")
        if self.basic_only or secret is None:  # RFC 6749 2.3.1: in the header, or in the body
            name = next((known for known, one in self.clients.items() if _basic(known, one.secret) == request.headers.get("Authorization")), None)
            secret = self.clients[name].secret if name is not None else None
        client = self.clients.get(str(name))
        if client is None or client.secret != secret:
            return web.json_response({"error": "invalid_client", "error_description": "unknown client or wrong secret"}, status=401)
        token = self.fresh_token()
        self._tokens[token] = (str(name), self._wall_s() + self.token_life_s)
        return web.json_response({"access_token": token, "token_type": "Bearer", "expires_in": self.token_life_s})

    async def _auth_server(self, request: web.Request) -> web.Response:
        return web.json_response({"tokenURL": f"{request.scheme}://{request.host}{self.base_path}/auth/token"})

    async def _notifiers(self, request: web.Request) -> web.Response:
        self._who(request)
        return web.json_response({"WEBHOOK": True} | ({"MQTT": self.mqtt.body()} if self.mqtt is not None else {}))

    async def _topics(self, request: web.Request) -> web.Response:
        """A VEN may know the topics of programs, of a program's events and of its own ven; others are the business side's."""
        client, business = self._who(request)
        parts = request.match_info["path"].split("/")
        if self.mqtt is None or parts[0] not in OBJECT_OF or len(parts) > 3:
            raise Problem(404, "there are no such topics")
        if parts[0] == "vens" and len(parts) > 1:
            if not business and self.objects["vens"].get(parts[1], {}).get("clientID") != client:
                raise Problem(403, "this ven is another client's")
            place = f"{parts[2]}/vens/{parts[1]}" if len(parts) == 3 else f"vens/{parts[1]}"
        elif not business and parts[0] != "programs":
            raise Problem(403, "topics of all objects are for the energy provider")
        else:
            place = f"{parts[2]}/programs/{parts[1]}" if len(parts) == 3 else "/".join(parts)
        return web.json_response(topics_of(place, self.mqtt.wildcard, made=len(parts) != 2))

    # -- objects --------------------------------------------------------------------------------------

    async def _list(self, request: web.Request, name: str) -> web.Response:
        client, business = self._who(request)
        skip, limit = _count(request, "skip", 0, 10**9), min(self.most_a_page, _count(request, "limit", MOST_A_PAGE, MOST_A_PAGE))
        found = [each for each in self.objects[name].values() if self._fits(request, name, each) and self._visible(request, each, client, business)]
        body = json.dumps(found[skip : skip + limit])
        tag = f'"{hashlib.sha256(body.encode()).hexdigest()[:16]}"'
        if request.headers.get("If-None-Match") == tag:
            return web.Response(status=304, headers={"ETag": tag})
        return web.Response(text=body, content_type="application/json", headers={"ETag": tag})

    def _fits(self, request: web.Request, name: str, each: Body) -> bool:
        """Every filter of the query must match."""
        query = request.query
        for key in ("programID", "eventID", "clientName", "venName", "resourceName", "venID"):
            if key in query and key in each and each[key] != query[key]:
                return False
        if "ven" in request.match_info and each.get("venID") != request.match_info["ven"]:
            return False
        if self.generation == "3.1" and name in ("vens", "resources"):
            return set(query.getall("targets", [])) <= set(each.get("targets") or [])
        return True

    def _visible(self, request: web.Request, each: Body, client: str, business: bool) -> bool:
        """Object privacy: what a VEN made is its own; what has targets is for VENs they were granted to, if they ask for them (3.1)."""
        if business or self.generation == "3.0":
            return True
        if "clientID" in each or each.get("objectType") == "RESOURCE":
            return each.get("clientID", self._client_of(each)) == client
        targets = set(each.get("targets") or [])
        if not targets:
            return not request.query.getall("targets", [])
        asked = set(request.query.getall("targets", [])) & self._granted(client)
        return bool(asked & targets)

    def _client_of(self, resource: Body) -> str | None:
        return self.objects["vens"].get(str(resource.get("venID")), {}).get("clientID")

    def _granted(self, client: str) -> set[str]:
        vens = [ven for ven in self.objects["vens"].values() if ven.get("clientID") == client]
        owned = {ven["id"] for ven in vens}
        holders = [*vens, *(each for each in self.objects["resources"].values() if each.get("venID") in owned)]
        return {target for each in holders for target in each.get("targets") or []}

    async def _create(self, request: web.Request, name: str) -> web.Response:
        client, business = self._who(request)
        body = await self._checked(request, name, business)
        key = NAME_OF.get(name)
        if key and any(each[key] == body[key] and each.get("venID") == body.get("venID") for each in self.objects[name].values()):
            raise Problem(409, f"a {name[:-1]} of this name exists")
        if name == "reports" and self.report_names_are_unique and any(one["reportName"] == body["reportName"] for one in self.objects[name].values()):
            raise Problem(409, "a report of this name exists")
        self._related(name, body)
        self._number += 1
        now = _text(self._wall_s())
        made = {"id": f"{name[:-1]}-{self._number}", "createdDateTime": now, "modificationDateTime": now} | body
        made["objectType"] = OBJECT_OF[name]
        if self.generation == "3.1" and name in ("vens", "resources", "subscriptions", "reports"):
            made["clientID"] = (self._client_of(body) or client) if name == "resources" else body.get("clientID", client)
        self.objects[name][made["id"]] = made
        self._notify(name, "CREATE", made)
        return web.json_response(made, status=201)

    async def _checked(self, request: web.Request, name: str, business: bool) -> Body:
        shape = SHAPES.get((self.generation, name, business))
        if shape is None:
            raise Problem(403, f"this client may not write {name}")
        try:
            body = json.loads(await request.text())
            shape.model_validate(body)
        except (ValueError, ValidationError) as error:
            raise Problem(400, f"{name}: {str(error)[:600]}") from None
        if name == "resources" and "ven" in request.match_info:
            body["venID"] = request.match_info["ven"]
        return dict(body)

    def _related(self, name: str, body: Body) -> None:
        """Objects that are named must exist."""
        for key, of in (("programID", "programs"), ("eventID", "events"), ("venID", "vens")):
            if body.get(key) is not None and body[key] not in self.objects[of]:
                raise Problem(404, f"there is no {of[:-1]} {body[key]}")

    def _one(self, request: web.Request, name: str) -> Body:
        client, business = self._who(request)
        found = self.objects[name].get(request.match_info["id"])
        private = found is not None and "clientID" in found and found["clientID"] != client and not business
        if found is None or private:
            raise Problem(404, f"there is no such {name[:-1]}")
        return found

    async def _read(self, request: web.Request, name: str) -> web.Response:
        return web.json_response(self._one(request, name))

    async def _update(self, request: web.Request, name: str) -> web.Response:
        found = self._one(request, name)
        body = await self._checked(request, name, self._who(request)[1])
        kept = {key: found[key] for key in ("id", "createdDateTime", "clientID") if key in found}
        made = body | kept | {"modificationDateTime": _text(self._wall_s()), "objectType": OBJECT_OF[name]}
        self.objects[name][found["id"]] = made
        self._notify(name, "UPDATE", made)
        return web.json_response(made)

    async def _delete(self, request: web.Request, name: str) -> web.Response:
        found = self._one(request, name)
        if (self.generation, name, self._who(request)[1]) not in SHAPES:
            raise Problem(403, f"this client may not delete {name}")
        del self.objects[name][found["id"]]
        self._notify(name, "DELETE", found)
        return web.json_response(found)

    # -- callbacks ------------------------------------------------------------------------------------

    def _notify(self, name: str, operation: str, made: Body) -> None:
        """Call everybody who wants to know. 3.0 tells HTTP verbs, 3.1 operations."""
        kind = OBJECT_OF[name]
        said = VERBS[operation] if self.generation == "3.0" else operation
        note = {"objectType": kind, "operation": said, "object": made}
        if self.announcer is not None and name in ("programs", "events"):
            for place in places(name, made, self.objects["vens"].values()):
                self.announcer.say(place, operation, note)
        for subscription in self.objects["subscriptions"].values():
            program = made["id"] if name == "programs" else made.get("programID")
            if subscription.get("programID") not in (None, program):
                continue
            for each in subscription["objectOperations"]:
                if kind in each["objects"] and operation in each["operations"]:
                    task = spawn(self._call(each["callbackUrl"], each.get("bearerToken"), note), "callback")
                    self._callbacks.add(task)
                    task.add_done_callback(self._callbacks.discard)

    async def _call(self, url: str, token: str | None, note: Body) -> None:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session,
                session.post(url, json=note, headers=headers) as reply,
            ):
                self.log.append({"method": "CALL", "path": url, "status": reply.status, "body": "", "query": ""})
        except (aiohttp.ClientError, TimeoutError) as error:
            self.log.append({"method": "CALL", "path": url, "status": 0, "body": type(error).__name__, "query": ""})

    # -- for tests ------------------------------------------------------------------------------------

    async def _shown(self, request: web.Request) -> web.Response:
        return web.json_response({"objects": {name: list(each.values()) for name, each in self.objects.items()}, "log": list(self.log)})

    async def _controlled(self, request: web.Request) -> web.Response:
        body = await request.json()
        if "token_life_s" in body:
            self.token_life_s = int(body["token_life_s"])
        if body.get("forget_tokens"):
            self._tokens.clear()
        for fault in body.get("faults", []):
            self.faults.append(Fault(**fault))
        if body.get("no_faults"):
            self.faults.clear()
        if body.get("forget_log"):
            self.log.clear()
        return web.json_response({})


class Problem(Exception):  # noqa: N818  the specification's own word
    """A refusal, as a problem object."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status, self.detail = status, detail

    def response(self) -> web.Response:
        """The answer."""
        title = {400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 409: "Conflict"}.get(self.status, "Error")
        body = json.dumps({"title": title, "status": self.status, "detail": self.detail})
        return web.Response(status=self.status, text=body, content_type="application/problem+json")


def _count(request: web.Request, key: str, default: int, most: int) -> int:
    text = request.query.get(key, str(default))
    if not text.isdigit() or int(text) > most:
        raise Problem(400, f"{key} is not a number from 0 to {most}")
    return int(text)


def _basic(name: str, secret: str) -> str:
    return aiohttp.encode_basic_auth(name, secret)


def _text(wall_s: float) -> str:
    return datetime.fromtimestamp(wall_s, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


async def serve(port: int, generation: str) -> None:
    """Run until cancelled; the first line out tells the address."""
    vtn = Vtn3(generation)
    await vtn.start(port)
    print(vtn.url, flush=True)
    try:
        await asyncio.Event().wait()
    finally:
        await vtn.stop()


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="A server of OpenADR 3 for tests and demonstrations; it listens on this machine only.")
    parser.add_argument("--port", type=int, default=9103)
    parser.add_argument("--generation", choices=("3.0", "3.1"), default="3.1")
    arguments = parser.parse_args()
    asyncio.run(serve(arguments.port, arguments.generation))


if __name__ == "__main__":
    main()
