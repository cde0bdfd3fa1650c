"""How an OpenADR 3 VEN makes itself known: which generation the server is, the ven and its resource, the subscriptions.

None of it is needed to obey events: a server that forbids it is told about once and read from all the same. What a server has lost (it was
restarted, somebody deleted us) is made again at the next look.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from controller.config_signals import OpenAdr3Signal
from controller.io.signals.openadr3_http import Vtn, VtnError
from signals.openadr3_objects import PLAIN_TARGET, read_targets
from signals.openadr_plain import Refused

LOOK_AGAIN_S = 600.0
MOST_PROGRAMS = 20


class Enrolment:
    """generation: "3.0" or "3.1", "" = not known yet. granted: targets the server gave to our ven (3.1). notes: what was refused us."""

    def __init__(self, entry: OpenAdr3Signal, resource_name: str, callback_token: str) -> None:
        self._entry, self._resource_name, self._callback_token = entry, resource_name, callback_token
        self.generation: str = "" if entry.version == "auto" else entry.version
        self.granted: tuple[str, ...] = ()
        self.notes: dict[str, str] = {}
        self._ven_id: str | None = None
        self._looked_mono_s: float | None = None
        self._subscribed: dict[str, str] = {}
        self._subscribed_mono_s: float | None = None

    @property
    def ven_id(self) -> str | None:
        """Our ven's id there, None = not registered."""
        return self._ven_id

    def forget(self) -> None:
        """The server has been away: what it knows of us is looked up anew."""
        self._looked_mono_s = self._subscribed_mono_s = None

    # -- the ven ------------------------------------------------------------------------------------

    async def look(self, vtn: Vtn, mono_s: float) -> None:
        """Find or make our ven and resource. Raises VtnError when the server is away."""
        if not self.generation:
            self.generation = await _generation(vtn)
        if self._looked_mono_s is not None and mono_s - self._looked_mono_s < LOOK_AGAIN_S:
            return
        self._looked_mono_s = mono_s
        try:
            ven = await self._ven(vtn)
            self._ven_id = str(ven["id"])
            if "clientID" in ven and self._entry.version == "auto":
                self.generation = "3.1"
            self.granted = _plain_targets(ven)
            await self._resource(vtn)
            self.notes.pop("ven", None)
        except VtnError as error:
            if not _refusal(error):
                self._looked_mono_s = None
                raise
            taken = "; the name is taken: give it to our client there, or set another ven_name" if error.status == 409 else ""
            self.notes["ven"] = f"the server does not let us register as {self._entry.ven_name!r}: {error}{taken}"

    async def _ven(self, vtn: Vtn) -> dict[str, Any]:
        name = self._entry.ven_name
        if (found := await _named(vtn, "/vens", "venName", name)) is not None:
            return found
        body = {"venName": name} | ({"objectType": "VEN_VEN_REQUEST"} if self.generation == "3.1" else {})
        return await _made(vtn, "/vens", "venName", name, body)

    async def _resource(self, vtn: Vtn) -> None:
        name = self._resource_name
        body: dict[str, Any] = {"resourceName": name}
        path, params = f"/vens/{self._ven_id}/resources", tuple[tuple[str, str], ...]()
        if self.generation == "3.1":
            path, params = "/resources", (("venID", str(self._ven_id)),)
            body |= {"objectType": "VEN_RESOURCE_REQUEST", "venID": self._ven_id}
        found = await _named(vtn, path, "resourceName", name, params)
        if found is None:
            found = await _made(vtn, path, "resourceName", name, body, params)
        self.granted = tuple(dict.fromkeys((*self.granted, *_plain_targets(found))))

    # -- subscriptions ------------------------------------------------------------------------------

    async def subscribe(self, vtn: Vtn, program_ids: Iterable[str], mono_s: float) -> None:
        """See to it that the server calls us when events change. Raises VtnError when it is away."""
        if self._entry.callback_url is None:
            return
        if self._subscribed_mono_s is not None and mono_s - self._subscribed_mono_s < LOOK_AGAIN_S:
            return
        wanted = [*program_ids][:MOST_PROGRAMS] if self.generation == "3.0" or self._entry.programs else [""]
        if not wanted:
            return
        self._subscribed_mono_s = mono_s
        try:
            known = await self._known(vtn)
            for program_id in wanted:
                await self._subscription(vtn, program_id, known.get(program_id, []))
            self.notes.pop("subscription", None)
        except VtnError as error:
            if not _refusal(error):
                self._subscribed_mono_s = None
                raise
            self.notes["subscription"] = f"the server does not call us when events change, so we only poll: {error}"

    async def _known(self, vtn: Vtn) -> dict[str, list[str]]:
        """Our subscriptions there: program ("" = all) -> ids, those that call us where we are first."""
        listed, _ = await vtn.pages("/subscriptions", (("clientName", self._entry.ven_name),))
        ours = [each for each in listed if isinstance(each, dict) and each.get("clientName") == self._entry.ven_name and each.get("id")]
        found: dict[str, list[str]] = {}
        for each in sorted(ours, key=lambda one: not self._here(one)):
            found.setdefault(str(each.get("programID") or ""), []).append(str(each["id"]))
        return found

    def _here(self, subscription: dict[str, Any]) -> bool:
        operations = subscription.get("objectOperations")
        return any(
            isinstance(each, dict) and each.get("callbackUrl") == self._entry.callback_url
            for each in (operations if isinstance(operations, list) else ())
        )

    async def _subscription(self, vtn: Vtn, program_id: str, ids: list[str]) -> None:
        """One for a program. What an answer that was lost, or an earlier address of ours, has left behind is taken over or deleted."""
        known, spare = (ids[0], ids[1:]) if ids else (None, [])
        for each in spare:
            await vtn.send("DELETE", f"/subscriptions/{each}")
        operation = {
            "objects": ["EVENT", "PROGRAM"],
            "operations": ["CREATE", "UPDATE", "DELETE"],
            "callbackUrl": self._entry.callback_url,
            "bearerToken": self._callback_token,
        }
        body: dict[str, Any] = {"clientName": self._entry.ven_name, "objectOperations": [operation]}
        body |= {"programID": program_id} if program_id else {}
        if self.generation == "3.1" and (targets := [*self._entry.targets] or [*self.granted]):
            body["targets"] = targets
        if known is not None and self._subscribed.get(program_id) == known:
            return
        try:
            made = await self._put(vtn, known, body)
        except VtnError as error:
            if error.status != 400 or self.generation != "3.0":
                raise
            operation["operations"] = ["POST", "PUT", "DELETE"]  # 3.0.0 and some servers of 3.0.1 have the verbs of HTTP here
            made = await self._put(vtn, known, body)
        self._subscribed[program_id] = known or (str(made.get("id")) if isinstance(made, dict) else "")

    async def _put(self, vtn: Vtn, known: str | None, body: dict[str, Any]) -> Any:
        if known is None:
            return await vtn.send("POST", "/subscriptions", body)
        return await vtn.send("PUT", f"/subscriptions/{known}", body)

    async def unsubscribe(self, vtn: Vtn) -> None:
        """Best effort: a program that ends needs no calls."""
        for subscription_id in self._subscribed.values():
            if subscription_id:
                await vtn.send("DELETE", f"/subscriptions/{subscription_id}")
        self._subscribed.clear()


async def _generation(vtn: Vtn) -> str:
    """3.1 has /notifiers, 3.0 has not; most addresses end with the version anyway."""
    told = re.search(r"/v?(3\.[01])(?:\.\d+)?(?:/|$)", vtn.url)
    if told:
        return told[1]
    status = await vtn.status_of("/notifiers")
    if status >= 500 or status == 429:
        raise VtnError(f"GET /notifiers is answered with {status}", status)
    return "3.1" if status in (200, 304, 401, 403) else "3.0"


async def _named(vtn: Vtn, path: str, key: str, name: str, params: tuple[tuple[str, str], ...] = ()) -> dict[str, Any] | None:
    """The object with a name, also from servers that do not filter."""
    found, _ = await vtn.pages(path, ((key, name), *params))
    return next((each for each in found if isinstance(each, dict) and each.get(key) == name and each.get("id")), None)


async def _made(vtn: Vtn, path: str, key: str, name: str, body: dict[str, Any], params: tuple[tuple[str, str], ...] = ()) -> dict[str, Any]:
    """A new object. The server may have made it at an earlier try whose answer was lost: after a conflict it is looked for once more."""
    try:
        made = await vtn.send("POST", path, body)
    except VtnError as error:
        found = await _named(vtn, path, key, name, params) if error.status == 409 else None
        if found is None:
            raise
        return found
    if isinstance(made, dict) and made.get("id"):
        return made
    found = await _named(vtn, path, key, name, params)
    if found is None:
        raise VtnError(f"POST {path} is answered without an id", 400)
    return found


def _plain_targets(body: dict[str, Any]) -> tuple[str, ...]:
    try:
        return tuple(value for kind, values in read_targets(body.get("targets")) if kind == PLAIN_TARGET for value in values)
    except Refused:
        return ()


def _refusal(error: VtnError) -> bool:
    """Whether the server is there and does not want this."""
    return error.final or error.status in (401, 403)
