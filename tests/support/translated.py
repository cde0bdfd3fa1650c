"""One station and one CSMS of different versions with a whole engine between them, in virtual time; both ends answer by themselves.

Every frame that reaches an end is judged by the schemas of that end's version (``tests.conformance.peers.bodies``, which shares nothing with
the controller). ``faults`` is what was wrong with any of them; ``warnings`` is what the controller complained of.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import jsonschema

from controller.engine import Engine
from controller.io.schemas import shapes
from controller.orders import Severity, Tell
from controller.site.stations.charger import ChargerModel
from tests.conformance.peers import bodies
from tests.support.playbook import BOOT, BOOT_16, Playbook, config

Payload = dict[str, Any]
Answer = Callable[[Payload], "Payload | None"]
FLAT = "ocpp1.6"
EVSES = 3
PATIENCE_S = 60


class Translated(Playbook):
    """See the module. at_csms, at_station: action -> the answer to a request (None: no answer), where it is not the friendly default."""

    def __init__(self, station: str, csms: str, **more: Any) -> None:
        super().__init__(config(evses=EVSES, **more), version=station, translates=True)
        self.links = Engine(self.config, "test", {"generic": ChargerModel("generic")}, shapes())  # type: ignore[assignment]
        self.csms_version = csms
        self.at_csms: dict[str, Answer] = {}
        self.at_station: dict[str, Answer] = {}
        self.to_csms: list[tuple[str, Payload]] = []
        self.to_station: list[tuple[str, Payload]] = []
        self.answers_to: dict[str, list[list[Any]]] = {}
        self.refuses = ""
        """An error code both ends answer everything with, once connected."""
        self.faults: list[str] = []
        self.warnings: list[str] = []
        self._come()

    def _come(self) -> None:
        """Connected, booted, and every status told."""
        self.admit()
        self.close("no version", no_common_version=True)
        for _ in range(3):
            (dial,) = self.dials()
            if self.csms_version in dial.offered:
                break
            self.close("no version", no_common_version=True)
        self.open(self.csms_version)
        self._settle_down()
        boot = self.station_says("BootNotification", BOOT_16 if self.version == FLAT else BOOT)
        assert boot is not None
        assert boot[2]["status"] == "Accepted", boot

    # -- frames ---------------------------------------------------------------------------------------------

    def _settle_down(self) -> None:
        """Both ends read and answer until nothing is under way."""
        for _ in range(500):
            outcomes = list(self.outcomes)
            self.warnings += [o.text for o in outcomes if isinstance(o, Tell) and o.severity is not Severity.INFO]
            ups, downs = list(self.sent_up), list(self.sent_down)
            self.outcomes = []
            if not ups and not downs:
                return
            later: list[Any] = []
            for text in ups:
                later += self._read(json.loads(text), up=True)
            for text in downs:
                later += self._read(json.loads(text), up=False)
            self.outcomes = later
        raise AssertionError("it does not come to rest")

    def _read(self, frame: list[Any], up: bool) -> list[Any]:
        version = self.csms_version if up else self.version
        if frame[0] in (3, 4):
            self.answers_to.setdefault(frame[1], []).append(frame)
            return []
        action, payload = frame[2], frame[3]
        self._judge(version, bodies.request_name(version, action), payload)
        (self.to_csms if up else self.to_station).append((action, payload))
        if frame[0] != 2:
            return []
        if self.refuses:
            error = (4, frame[1], self.refuses, "I will not", {})
            return self.csms(*error) if up else self.station(*error)
        own = (self.at_csms if up else self.at_station).get(action)
        answer = own(payload) if own is not None else friendly(version, action)
        if answer is None:
            return []
        return self.csms(3, frame[1], answer) if up else self.station(3, frame[1], answer)

    def _judge(self, version: str, name: str, payload: Payload) -> None:
        try:
            bodies.check(version, name, payload)
        except jsonschema.ValidationError as wrong:
            self.faults.append(f"{version} {name}: {wrong.message}")
        except FileNotFoundError:
            self.faults.append(f"{version} has no {name}")

    # -- talking ------------------------------------------------------------------------------------------------

    def station_says(self, action: str, payload: Payload, patience_s: int = PATIENCE_S) -> list[Any] | None:
        """A CALL of the station; the answer frame, None if there was none in time."""
        return self._says(True, action, payload, patience_s)

    def csms_says(self, action: str, payload: Payload, patience_s: int = PATIENCE_S) -> list[Any] | None:
        """A CALL of the CSMS."""
        return self._says(False, action, payload, patience_s)

    def _says(self, up: bool, action: str, payload: Payload, patience_s: int) -> list[Any] | None:
        self.to_csms, self.to_station, message_id = [], [], f"m-{len(self.answers_to)}-{self.mono_s}"
        feed = self.station if up else self.csms
        feed(2, message_id, action, payload)
        self._settle_down()
        for _ in range(patience_s):
            if message_id in self.answers_to:
                break
            self.seconds(1)
        found = self.answers_to.pop(message_id, [])
        self.answers_to[f"{message_id} answered"] = []
        if not found:
            return None
        assert len(found) == 1, f"{action} was answered {len(found)} times"
        (answer,) = found
        if answer[0] == 3:
            version = self.version if up else self.csms_version
            self._judge(version, f"{action}Response", answer[2])
        return answer

    def seconds(self, count: int) -> None:
        """Time passes; both ends go on answering."""
        for _ in range(count):
            self.wait(1)
            self._settle_down()

    def heard_by_csms(self, action: str) -> list[Payload]:
        """Payloads of an action the CSMS got since the last CALL began."""
        return [payload for name, payload in self.to_csms if name == action]

    def heard_by_station(self, action: str) -> list[Payload]:
        """Payloads of an action the station got since the last CALL began."""
        return [payload for name, payload in self.to_station if name == action]


def friendly(version: str, action: str) -> Payload:
    """The answer of a peer that agrees."""
    made = bodies.response(version, action, bodies.Meaning(bodies.LEAN, transaction=1 if version == FLAT else "tx"))
    return {**made, "interval": 300} if action == "BootNotification" else made
