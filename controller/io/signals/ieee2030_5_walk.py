"""Finding our way through an IEEE 2030.5 server: from DeviceCapability to ourselves, to our programs and their controls.

CSIP 5.2 and 6: our EndDevice is the one with our LFDI (or SFDI); its function set assignments say which programs are ours. Where
the server does not know us we ask to be registered, and wait where it does that by hand. Nothing is told half: a walk that fails raises.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from yarl import URL

from controller.config_signals import Ieee20305Signal
from controller.facts import Stamp
from controller.io.signals.ieee2030_5_http import Got, Http, PageDecoder, ServerError
from signals import csip_documents as documents
from signals import csip_resources as resources
from signals.csip_identity import same_lfdi, spoken
from signals.csip_modes import Ratings
from signals.csip_resources import EndDevice, Item, Page
from signals.csip_schedule import ProgramState, merged
from signals.csip_xml import XmlError, aus_namespace

MOST_PROGRAMS: Final = 60
MOST_CONTROLS: Final = 4000
"""Of all programs together."""
ASK_AGAIN_S: Final = 3600.0
"""Between two requests to be registered: some servers do that by hand, for days, and a POST each minute would fill their list [s]."""


@dataclass(frozen=True, slots=True)
class Ourselves:
    """What we show to the server."""

    lfdi: str
    sfdi: int
    ratings: Ratings

    def words(self) -> str:
        """For people who register us."""
        return f"SFDI {spoken(self.sfdi)}, LFDI {self.lfdi}"


@dataclass(frozen=True, slots=True)
class Places:
    """Where on the server our things are. *_poll_s: how often it wants to be asked, None = it does not say. aus: CSIP-AUS namespace it speaks.
    log: of our LogEventList. subscriptions: of our SubscriptionList."""

    device: EndDevice
    programs: tuple[URL, ...]
    time: URL | None
    mirrors: URL | None
    ders: URL | None
    poll_s: float | None
    aus: str | None
    log: URL | None = None
    subscriptions: URL | None = None


class UnregisteredError(Exception):
    """The server does not serve us. The text says what a person can do; wait_s: when we look again, None = as usual."""

    def __init__(self, text: str, wait_s: float | None = None) -> None:
        super().__init__(text)
        self.wait_s = wait_s


class Walk:
    """Reads what the standard describes. Raises ServerError, XmlError, UnregisteredError."""

    def __init__(self, entry: Ieee20305Signal, http: Http, ourselves: Ourselves) -> None:
        self._entry, self._http, self._we = entry, http, ourselves
        self._refusal = ""
        self._asked_mono_s = float("-inf")
        self._seen: dict[str, None] = {}
        self._assignments: tuple[str, ...] = ()
        self.subscribable: tuple[str, ...] = ()
        """What the server would notify us about, of all that was read last."""

    async def places(self, at: Stamp) -> Places:
        """From the root to all that concerns us."""
        root = await self._http.get(self._http.root)
        found = resources.capability(root.body)
        if found.end_devices is None:
            raise UnregisteredError(f"the server shows no end devices to our certificate ({self._we.words()}); have the utility register it")
        got, device, poll_s = await self._ourselves(root, found.end_devices, at)
        if not device.enabled:
            raise UnregisteredError(f"the server has switched our end device off ({self._we.words()}); ask the utility", poll_s)
        polls = [found.poll_s, poll_s, await self._check_pin(got, device)]
        programs, time = await self._assigned(root, got, found, device)
        if not programs:
            raise UnregisteredError("the server knows us but has assigned no DER program to us yet; ask the utility", found.poll_s)
        mirrors = self._http.at(root.url, found.mirrors) if found.mirrors else None
        ders = self._http.at(got.url, device.ders) if device.ders else None
        slow = [poll for poll in polls if poll is not None]
        aus = next((space for body in (root.body, got.body) if (space := aus_namespace(body)) is not None), None)
        own = [self._http.at(got.url, href) if href else None for href in (device.log, device.subscriptions)]
        return Places(device, programs, time, mirrors, ders, min(slow, default=None), aus, *own)

    # -- ourselves -----------------------------------------------------------------------------------------

    async def _ourselves(self, root: Got, href: str, at: Stamp) -> tuple[Got, EndDevice, float | None]:
        """(document our EndDevice stands in, itself, how often the list may be asked)."""
        url = self._http.at(root.url, href)
        listed = await self._http.pages(url, resources.end_devices)
        device = self._ours(listed.items)
        if device is None:
            return *await self._register(url, at, listed.poll_s), listed.poll_s
        self._asked_mono_s = float("-inf")
        if device.href is None:
            return Got(url, b""), device, listed.poll_s
        got = await self._http.get(self._http.at(url, device.href))
        return got, resources.end_device(got.body), listed.poll_s

    def _ours(self, devices: tuple[EndDevice, ...]) -> EndDevice | None:
        by_long = (device for device in devices if same_lfdi(device.lfdi, self._we.lfdi))
        by_short = (device for device in devices if device.lfdi is None and device.sfdi == self._we.sfdi)
        return next(by_long, None) or next(by_short, None)

    async def _register(self, url: URL, at: Stamp, poll_s: float | None) -> tuple[Got, EndDevice]:
        """In band: POST our EndDevice. Refused = the utility does it by hand, with our LFDI or SFDI; then we look, and ask again in an hour."""
        if at.mono_s - self._asked_mono_s < ASK_AGAIN_S:
            raise UnregisteredError(self._refusal, poll_s)
        try:
            body = documents.end_device(self._we.lfdi, self._we.sfdi, self._we.ratings.category, at.wall_s)
            done = await self._http.send("POST", url, body)
        except ServerError as error:
            if error.status in (400, 401, 403, 404, 405, 409, 501):
                why = f"the server does not know us and registers nobody by itself (HTTP {error.status})"
                raise self._waiting(f"{why}; have the utility register {self._we.words()}", at, poll_s) from None
            raise
        if done.location is None:
            raise self._waiting(f"we asked the server to register us ({self._we.words()}); it has not said yet where we are", at, poll_s)
        got = await self._http.get(done.location)
        return got, resources.end_device(got.body)

    def _waiting(self, text: str, at: Stamp, poll_s: float | None) -> UnregisteredError:
        self._refusal, self._asked_mono_s = text, at.mono_s
        return UnregisteredError(text, poll_s)

    async def _check_pin(self, got: Got, device: EndDevice) -> float | None:
        """The server must know the PIN of the site file: only the one that was told it may command us."""
        if self._entry.pin is None:
            return None
        if device.registration is None:
            raise UnregisteredError(
                "the server has no registration for us, so the PIN of the site file cannot be compared; ask the utility, or remove pin"
            )
        found = resources.registration((await self._http.get(self._http.at(got.url, device.registration))).body)
        if found.pin != self._entry.pin:
            raise UnregisteredError("the server's registration PIN is not the one of the site file: it is not the server we were registered with")
        return found.poll_s

    async def _assigned(self, root: Got, got: Got, found: resources.Capability, device: EndDevice) -> tuple[tuple[URL, ...], URL | None]:
        """(lists of our programs, time). Without assignments those of DeviceCapability count."""
        programs = [self._http.at(root.url, found.programs)] if found.programs else []
        time = self._http.at(root.url, found.time) if found.time else None
        if device.assignments is None:
            return tuple(programs), time
        url = self._http.at(got.url, device.assignments)
        listed = await self._http.pages(url, resources.assignments)
        self._assignments = (url.raw_path_qs,) if listed.subscribable else ()
        if listed.bad:
            raise XmlError(f"our function set assignments cannot be read: {listed.bad[0][1]}")
        assigned = [self._http.at(url, one.programs) for one in listed.items if one.programs is not None]
        times = [self._http.at(url, one.time) for one in listed.items if one.time is not None]
        return tuple(dict.fromkeys(assigned)), next(iter(times), time)

    # -- programs ---------------------------------------------------------------------------------------------

    async def programs(self, places: Places) -> tuple[tuple[ProgramState, ...], float | None]:
        """(every program with its default and its controls, how often the server wants that to be read)."""
        states: dict[URL | str, ProgramState] = {}
        polls: list[float] = []
        self._seen = dict.fromkeys(self._assignments)
        for url in places.programs:
            listed = await self._pages(url, resources.programs)
            polls += [listed.poll_s] if listed.poll_s is not None else []
            if listed.bad:
                raise XmlError(f"a program cannot be read: {listed.bad[0][1]}")
            for program in listed.items:
                if program.mrid not in states:
                    states[program.mrid] = await self._program(url, program)
                if len(states) > MOST_PROGRAMS or sum(len(state.controls) for state in states.values()) > MOST_CONTROLS:
                    raise XmlError(f"the server has more than {MOST_PROGRAMS} programs or {MOST_CONTROLS} controls for us")
        self.subscribable = tuple(self._seen)
        return tuple(states.values()), min(polls, default=None)

    async def _pages(self, url: URL, decode: PageDecoder[Item]) -> Page[Item]:
        page = await self._http.pages(url, decode)
        if page.subscribable:
            self._seen[url.raw_path_qs] = None
        return page

    async def _program(self, base: URL, program: resources.Program) -> ProgramState:
        default = await self._default(base, program)
        bad: list[tuple[resources.BadItem, str]] = []
        listed: tuple[resources.Control, ...] = ()
        active: tuple[resources.Control, ...] = ()
        if program.controls is not None:
            page = await self._pages(self._http.at(base, program.controls), resources.controls)
            listed, bad = page.items, [*page.bad]
        if program.active is not None:
            active, more = await self._active(base, program)
            bad += more
        seen = merged(listed, active)
        good = {control.mrid for control in seen}
        return ProgramState(program, default, seen, tuple(dict.fromkeys(one for one in bad if one[0].mrid not in good)))

    async def _active(self, base: URL, program: resources.Program) -> tuple[tuple[resources.Control, ...], tuple[tuple[resources.BadItem, str], ...]]:
        """The active ones again: some servers list them only here. Not there = none, if the whole list is."""
        assert program.active is not None
        try:
            page = await self._pages(self._http.at(base, program.active), resources.controls)
        except ServerError as error:
            if error.gone and program.controls is not None:
                return (), ()
            raise
        return page.items, page.bad

    async def _default(self, base: URL, program: resources.Program) -> resources.Default | None:
        """A link that leads to nothing means: no default (servers give the link before there is one)."""
        if program.default is None:
            return None
        url = self._http.at(base, program.default)
        try:
            found = resources.default((await self._http.get(url)).body)
        except ServerError as error:
            if error.gone:
                return None
            raise
        if found.subscribable:
            self._seen[url.raw_path_qs] = None
        return found
