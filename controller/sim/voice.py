"""What a simulated station needs of an OCPP version: the words for what happens to it.

The station itself (``station``) knows cars, EVSEs, sessions and one CALL in flight; a voice turns
that into messages of its version and understands the answers. A voice belongs to one station.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Protocol

from controller.facts import Stamp
from controller.sim.evse import Evse, Transaction
from controller.sim.profiles import ProfileStore
from controller.sim.wire import Payload

if TYPE_CHECKING:
    from controller.sim.station import SimStation, StationSpec

Key = tuple[str, str]
"""Name of a setting: component and variable; 1.6 has keys only, their component is ""."""

Settings = dict[Key, str]
"""Settings that can be changed from outside, all whole seconds."""

Handler = Callable[["SimStation", Stamp, Payload], Payload]
"""Obeys one CALL of the other side: its payload to the payload of the answer."""


class Moment(Enum):
    """Something worth telling in a session."""

    PLUGGED = auto()
    AUTHORISED = auto()
    STARTED_REMOTELY = auto()
    STATE_CHANGED = auto()
    RATE_CHANGED = auto()
    MODE_CHANGED = auto()
    SAMPLE_DUE = auto()
    ASKED_FOR = auto()


class Ending(Enum):
    """Why a session ended."""

    UNPLUGGED = auto()
    REMOTE = auto()
    REFUSED = auto()
    RESET = auto()
    HARD_RESET = auto()
    UNLOCKED = auto()
    POWER_LOST = auto()


@dataclass(slots=True)
class Outgoing:
    """A CALL waiting for its turn. durable: kept over a lost link. not_before: mono time of a retry."""

    action: str
    payload: Payload
    evse_id: int = 0
    durable: bool = False
    transaction: Transaction | None = None
    attempts: int = 0
    not_before_mono_s: float = 0.0


class Voice(Protocol):
    """One version.

    early: actions obeyed before the boot is accepted. tells_rate: a changed current is told at once. tells_mode: likewise a
    changed operation mode (K01.FR.110). tells_needs: there are words for what a car needs (ISO 15118).
    """

    version: str
    heartbeat: Key
    sample: Key
    tells_rate: bool
    tells_mode: bool
    tells_needs: bool
    early: tuple[str, ...]
    unreadable: str

    @property
    def commands(self) -> Mapping[str, Handler]:
        """What the station obeys, by action."""
        ...

    def settings(self, spec: StationSpec) -> Settings:
        """The settings it begins with."""
        ...

    def profiles(self, evse_ids: tuple[int, ...]) -> ProfileStore:
        """An empty store with the version's rules."""
        ...

    def boot(self, spec: StationSpec, reason: str) -> Payload:
        """BootNotification; reason: PowerUp or RemoteReset."""
        ...

    def welcomed(self, station: SimStation, at: Stamp) -> None:
        """The boot is accepted: say what follows it."""
        ...

    def status(self, evse: Evse) -> str:
        """The version's word for the connector's state."""
        ...

    def status_call(self, at: Stamp, evse: Evse) -> tuple[str, Payload]:
        """The CALL that tells the status."""
        ...

    def authorize(self, token: Payload) -> Payload:
        """Authorize; tokens are {"idToken", "type"} inside the station."""
        ...

    def happened(self, station: SimStation, at: Stamp, evse: Evse, moment: Moment) -> None:
        """Tell what happened in the running session."""
        ...

    def ended(self, station: SimStation, at: Stamp, evse: Evse, ending: Ending) -> None:
        """Tell that the running session ends now."""
        ...

    def meter_values(self, station: SimStation, at: Stamp, evse: Evse) -> None:
        """Tell the meter values somebody asked for."""
        ...

    def answered(self, station: SimStation, at: Stamp, call: Outgoing, payload: Payload) -> None:
        """The result of a CALL other than BootNotification."""
        ...

    def lost_link(self, payload: Payload) -> None:
        """A durable message could not be told in time."""
        ...

    def ready(self, call: Outgoing) -> None:
        """Its turn has come: the last fields are filled in."""
        ...

    def sends(self, station: SimStation, at: Stamp) -> list[str]:
        """Messages that want no answer and wait for nobody (2.1)."""
        ...
