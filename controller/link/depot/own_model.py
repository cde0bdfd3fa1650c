"""The depot's own components: what Yardmaster says of itself, of the connection it guards and of its EVSEs.

Values are made when they are asked for, from the configuration, the cards and what the site measures. Three kinds can be
written: settings of the depot itself (``Own.write`` "own", kept on disk), settings that mean all chargers ("fan": kept and given
to every charger that knows them, to those that come later too), and none of the rest: fuses and limits are set in site.yaml,
not from far away.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from controller import __version__
from controller.config import ROOT_CIRCUIT, CircuitConfig, GridConfig
from controller.facts import EvseKey
from controller.link.depot.addresses import Name, component_of
from controller.link.depot.inventory import Inventories
from controller.link.depot.office import Card, Office
from controller.link.depot.own_words import BYTES, DERIVED, FANNED, FOR_ALL, ITEMS, STATES, UNITED, Own, Setting, flag_of, text_of
from controller.link.depot.registration import BEAT_KEY, LONGEST_S, SHORTEST_BEAT_S
from controller.ocpp.times import timestamp

Payload = dict[str, Any]


class OwnModel:
    """Makes the depot's own variables."""

    def __init__(self, office: Office, inventories: Inventories) -> None:
        self._office = office
        self._inventories = inventories
        self._sums: dict[tuple[str, str, str], list[str]] = {}
        self._summed = -1
        self._tier: tuple[tuple[int, float, int, int], dict[Name, Own]] = ((-1, 0.0, 0, 0), {})
        self.writes = 0  # rises with every value that was written
        self._circuits: tuple[GridConfig | CircuitConfig, ...] = (office.config.grid, *office.config.circuits)

    def all(self) -> Iterator[Own]:
        """All of them, station tier first, then EVSE by EVSE."""
        yield from self.station_tier()
        for number, evse in self._office.numbering.all():
            yield from self.evse_tier(number, evse)

    def station_tier(self) -> Iterator[Own]:
        """Everything that is on no EVSE."""
        for circuit in self._circuits:
            yield from self._circuit(circuit)
        yield from self._station()
        yield from self._controller()
        yield from self._communication()
        yield from self._limits_of_messages()
        yield from self._smart()
        for setting in FANNED:
            yield self._setting(setting)
        yield from self._derived()

    def of_evse(self, number: int) -> Iterator[Own]:
        """Those of one EVSE and its connectors; none for a number never given."""
        evse = self._office.numbering.at(number)
        if evse is not None:
            yield from self.evse_tier(number, evse)

    def tier(self, evse_id: int) -> dict[Name, Own]:
        """Those of the station (0) or of an EVSE by name, made once per second and after each write."""
        key = (evse_id, self._office.now().mono_s, self._inventories.version, self.writes)
        if self._tier[0] != key:
            self._tier = (key, {own.name: own for own in (self.of_evse(evse_id) if evse_id else self.station_tier())})
        return self._tier[1]

    def find(self, name: Name) -> Own | None:
        """A variable by its name in the depot's words."""
        return self.tier(name.evse_id).get(name)

    # -- the connection ------------------------------------------------------------------------------------

    def instance_of(self, circuit_id: str) -> str:
        """How a circuit is called as instance: by its id; ":id" where a charger has that id, as its own components stand under it."""
        return f":{circuit_id}"[:50] if circuit_id in self._office.cards else circuit_id

    def _circuit(self, circuit: GridConfig | CircuitConfig) -> Iterator[Own]:
        circuit_id = circuit.id if isinstance(circuit, CircuitConfig) else ROOT_CIRCUIT
        config, phases = self._office.config, self._office.config.grid.phases
        panel = component_of("DistributionPanel", self.instance_of(circuit_id))
        yield Own(panel, {"name": "InstanceName"}, circuit_id, constant=True)
        for phase in range(1, phases + 1):
            yield Own(panel, {"name": "Fuse", "instance": str(phase)}, text_of(circuit.fuse_a), "decimal", "A")
        fed = [station.id for station in config.stations if station.circuit == circuit_id]
        below = [self.instance_of(child.id) for child in config.circuits if child.parent == circuit_id]
        for word, names in (("ChargingStation", fed), ("DistributionPanel", below)):
            for index, name in enumerate(names, start=1):
                yield Own(panel, {"name": word, "instance": str(index)}, name)
        yield from self._feed(circuit_id, circuit)

    def _feed(self, circuit_id: str, circuit: GridConfig | CircuitConfig) -> Iterator[Own]:
        grid = self._office.config.grid
        feed = component_of("ElectricalFeed", self.instance_of(circuit_id))
        watts = circuit.fuse_a * grid.voltage_v * grid.phases
        yield Own(feed, {"name": "PowerType"}, "AC", constant=True)
        yield Own(feed, {"name": "SupplyPhases"}, str(grid.phases), "integer")
        yield Own(feed, {"name": "FuseRating"}, text_of(circuit.fuse_a), "decimal", "A")
        if circuit_id != ROOT_CIRCUIT:
            yield Own(feed, {"name": "Parent"}, getattr(circuit, "parent", ROOT_CIRCUIT))
            return
        site = self._office.site
        yield Own(feed, {"name": "ACVoltage"}, text_of(site.voltage_v if site else None), "decimal", "V", monitored=True)
        yield Own(feed, {"name": "Power"}, text_of(site.power_w if site else None), "decimal", "W", high=watts, monitored=True)
        for index in range(grid.phases):
            amps = site.phase_current_a[index] if site else None
            yield Own(feed, {"name": "ACCurrent", "instance": f"L{index + 1}"}, text_of(amps), "decimal", "A", high=circuit.fuse_a, monitored=True)
        yield Own(feed, {"name": "Energy", "instance": "Import"}, text_of(site.import_wh if site else None), "decimal", "Wh", monitored=True)
        yield Own(feed, {"name": "Energy", "instance": "Export"}, text_of(site.export_wh if site else None), "decimal", "Wh", monitored=True)

    # -- the station and the controller -----------------------------------------------------------------------

    def _station(self) -> Iterator[Own]:
        office, station = self._office, component_of("ChargingStation")
        grid, policy = office.config.grid, office.policy
        yield Own(station, {"name": "AvailabilityState"}, self.availability(), "OptionList", values=",".join(STATES), monitored=True)
        yield Own(station, {"name": "Available"}, "true", "boolean")
        yield Own(station, {"name": "Model"}, policy.model, constant=True)
        yield Own(station, {"name": "VendorName"}, policy.vendor_name, constant=True)
        if policy.serial_number:
            yield Own(station, {"name": "SerialNumber"}, policy.serial_number, constant=True)
        yield Own(station, {"name": "FirmwareVersion"}, __version__)
        yield Own(station, {"name": "SupplyPhases"}, str(grid.phases), "integer")
        power_w = office.site.chargers_w if office.site else None
        yield Own(station, {"name": "Power"}, text_of(power_w), "decimal", "W", high=grid.fuse_a * grid.voltage_v * grid.phases, monitored=True)
        yield Own(station, {"name": "AllowNewSessionsPendingFirmwareUpdate"}, "true", "boolean")

    def _controller(self) -> Iterator[Own]:
        office, box = self._office, component_of("LocalController")
        alarms = office.site.alarms if office.site else ()
        yield Own(box, {"name": "Enabled"}, "true", "boolean")
        yield Own(box, {"name": "Active"}, "true", "boolean")
        yield Own(box, {"name": "Problem"}, flag_of(bool(alarms)), "boolean", monitored=True)
        yield Own(box, {"name": "Identity"}, office.identity)
        yield Own(box, {"name": "Manufacturer"}, office.policy.vendor_name)
        yield Own(box, {"name": "Model"}, office.policy.model)
        if office.policy.serial_number:
            yield Own(box, {"name": "SerialNumber"}, office.policy.serial_number)
        for index, station_id in enumerate(office.cards, start=1):
            yield Own(box, {"name": "ChargingStation", "instance": str(index)}, station_id)
        yield Own(box, {"name": "Count", "instance": "ChargersOnline"}, str(len(office.linked())), "integer", monitored=True)
        limit_a, source = (office.site.limit_a, office.site.limit_source) if office.site else (None, "")
        yield Own(box, {"name": "SiteLimit"}, text_of(limit_a), "decimal", "A", high=office.config.grid.fuse_a, monitored=True)
        yield Own(box, {"name": "SiteLimitSource"}, source)
        clock = component_of("ClockCtrlr")
        yield Own(clock, {"name": "DateTime"}, timestamp(office.now().wall_s), "dateTime")
        yield Own(clock, {"name": "TimeSource"}, "NTP", "SequenceList", values="NTP")

    def _communication(self) -> Iterator[Own]:
        office, up = self._office, self._office.upstream
        link = component_of("OCPPCommCtrlr")
        beat = text_of(office.memory.get(BEAT_KEY, 0.0))
        yield Own(link, {"name": "HeartbeatInterval"}, beat, "integer", "s", "own", low=SHORTEST_BEAT_S, high=LONGEST_S, keep=BEAT_KEY)
        yield Own(link, {"name": "FileTransferProtocols"}, "HTTP,HTTPS,FTP", "MemberList", values="HTTP,HTTPS,FTP")
        yield Own(link, {"name": "MessageTimeout", "instance": "Default"}, text_of(up.call_timeout_s), "integer", "s")
        yield Own(link, {"name": "MessageAttempts", "instance": "TransactionEvent"}, str(up.message_attempts), "integer")
        yield Own(link, {"name": "MessageAttemptInterval", "instance": "TransactionEvent"}, text_of(up.message_retry_s), "integer", "s")
        yield Own(link, {"name": "NetworkConfigurationPriority"}, "1", "SequenceList")
        yield Own(link, {"name": "NetworkProfileConnectionAttempts"}, "1", "integer")
        yield Own(link, {"name": "ActiveNetworkProfile"}, "1", "integer")
        yield Own(link, {"name": "OfflineThreshold"}, "0", "integer", "s")
        yield Own(link, {"name": "QueueAllMessages"}, "false", "boolean")
        yield Own(link, {"name": "ResetRetries"}, "0", "integer")
        yield Own(link, {"name": "RetryBackOffWaitMinimum"}, text_of(up.reconnect_min_s), "integer", "s")
        yield Own(link, {"name": "WebSocketPingInterval"}, text_of(office.config.listen.ping_s), "integer", "s")
        secure, secret = up.url.startswith("wss"), up.password is not None or up.password_file is not None
        lock = component_of("SecurityCtrlr")
        entry = self._office.upstream.certificate
        shows = secure and entry is not None and (entry.renewal == "operator" or self._office.shows_certificate)
        yield Own(lock, {"name": "SecurityProfile"}, "3" if shows else "2" if secure and secret else "1" if secret else "0", "integer")
        yield Own(lock, {"name": "Identity"}, office.identity)
        yield Own(lock, {"name": "OrganizationName"}, office.config.site.name or office.config.site.id)
        yield Own(lock, {"name": "BasicAuthPassword"}, None, write="secret")

    def _limits_of_messages(self) -> Iterator[Own]:
        for word in ("GetVariables", "SetVariables", "GetReport", "SetVariableMonitoring", "ClearVariableMonitoring"):
            owner = component_of("MonitoringCtrlr" if "Monitoring" in word else "DeviceDataCtrlr")
            yield Own(owner, {"name": "ItemsPerMessage", "instance": word}, str(ITEMS[word]), "integer")
            yield Own(owner, {"name": "BytesPerMessage", "instance": word}, str(BYTES), "integer")
        data, watch = component_of("DeviceDataCtrlr"), component_of("MonitoringCtrlr")
        yield Own(data, {"name": "ConfigurationValueSize"}, "1000", "integer")
        yield Own(data, {"name": "ReportingValueSize"}, "2500", "integer")
        yield Own(watch, {"name": "Available"}, "true", "boolean")
        yield Own(watch, {"name": "Enabled"}, "true", "boolean")
        yield Own(watch, {"name": "ActiveMonitoringBase"}, str(self._office.memory.get("monitors:base", "All")), "OptionList")
        yield Own(watch, {"name": "ActiveMonitoringLevel"}, str(self._office.memory.get("monitors:level", 9)), "integer")

    def _smart(self) -> Iterator[Own]:
        smart, up = component_of("SmartChargingCtrlr"), self._office.upstream
        yield Own(smart, {"name": "Enabled"}, "true", "boolean")
        yield Own(smart, {"name": "Available"}, "true", "boolean")
        yield Own(smart, {"name": "RateUnit"}, "A,W", "MemberList", values="A,W")
        yield Own(smart, {"name": "ProfileStackLevel"}, self._least("SmartChargingCtrlr", "ProfileStackLevel", "", "8"), "integer")
        yield Own(smart, {"name": "PeriodsPerSchedule"}, self._least("SmartChargingCtrlr", "PeriodsPerSchedule", "", "24"), "integer")
        entries = self._sum("SmartChargingCtrlr", "Entries", "ChargingProfiles")
        yield Own(smart, {"name": "Entries", "instance": "ChargingProfiles"}, entries, "integer")
        yield Own(smart, {"name": "LimitChangeSignificance"}, text_of(up.limit_significance_percent), "decimal", "Percent")
        yield Own(smart, {"name": "ExternalControlSignalsEnabled"}, "true", "boolean")
        yield Own(smart, {"name": "NotifyChargingLimitWithSchedules"}, flag_of(up.notify_schedules), "boolean")
        lists = component_of("LocalAuthListCtrlr")
        yield Own(lists, {"name": "Available"}, flag_of(self._office.policy.local_list != "refuse"), "boolean")
        for word, default in (("Entries", "0"), ("ItemsPerMessage", "100"), ("BytesPerMessage", str(BYTES))):
            yield Own(lists, {"name": word}, self._least("LocalAuthListCtrlr", word, "", default), "integer")
        v2x = any(evse.v2g is not None for station in self._office.config.stations for evse in station.evses)
        for word in ("Available", "Enabled"):
            yield Own(component_of("V2XChargingCtrlr"), {"name": word}, flag_of(v2x), "boolean")

    def _setting(self, setting: Setting) -> Own:
        variable = {"name": setting.variable, **({"instance": setting.instance} if setting.instance else {})}
        shown = self._commonest(setting) or setting.default
        own = Own(component_of(setting.component), variable, shown, setting.data_type, setting.unit, "fan", setting.low, setting.high, setting.values)
        return self._kept(own)

    def _kept(self, own: Own) -> Own:
        value = self._office.memory.get(FOR_ALL, {}).get(own.key)
        return own if value is None else replace(own, value=str(value))

    def _shown(self) -> list[tuple[tuple[str, str], str]]:
        """What other parts have entered."""
        return [(key, value) for key, show in self._office.shows.items() if (value := show())]

    def _derived(self) -> Iterator[Own]:
        for component, variable, instance in DERIVED:
            if (component, variable) in self._office.shows:
                continue
            said = [value.casefold() == "true" for value in self._said(component, variable, instance)]
            word = {"name": variable, **({"instance": instance} if instance else {})}
            if said:
                yield Own(component_of(component), word, flag_of(any(said)), "boolean")
        for (component, variable), value in self._shown():
            yield Own(component_of(component), {"name": variable}, value, "boolean" if value in ("true", "false") else "string")
        for component, variable in UNITED:
            if (component, variable) in self._office.shows:
                continue
            lists = [value.split(",") for value in self._said(component, variable, "")]
            if lists:
                modes = ",".join(dict.fromkeys(word.strip() for words in lists for word in words if word.strip()))
                yield Own(component_of(component), {"name": variable}, modes, "MemberList")

    # -- EVSEs ------------------------------------------------------------------------------------------------------

    def evse_tier(self, number: int, evse: EvseKey) -> Iterator[Own]:
        """One EVSE and its connectors."""
        card = self._office.cards.get(evse.station_id)
        config = next((one for one in card.config.evses if one.id == evse.evse_id), None) if card is not None and card.config is not None else None
        place = component_of("EVSE", "", number)
        connectors = self.connectors(card, evse.evse_id)
        states = [self.connector_state(card, evse.evse_id, connector) for connector in connectors]
        yield Own(place, {"name": "AvailabilityState"}, min(states, key=STATES.index), "OptionList", values=",".join(STATES), monitored=True)
        yield Own(place, {"name": "Available"}, flag_of(config is not None and card is not None and card.online), "boolean")
        yield Own(place, {"name": "Problem"}, flag_of("Faulted" in states), "boolean")
        yield Own(place, {"name": "AllowReset"}, "true", "boolean")
        yield Own(place, {"name": "ChargingStation"}, evse.station_id)
        phases, amps = (len(config.phases), config.max_current_a) if config is not None else (3, 0.0)
        yield Own(place, {"name": "SupplyPhases"}, str(phases), "integer")
        yield Own(place, {"name": "Power"}, None, "decimal", "W", high=phases * amps * self._office.config.grid.voltage_v)
        for connector, state in zip(connectors, states, strict=True):
            plug = component_of("Connector", "", number, connector)
            yield Own(plug, {"name": "AvailabilityState"}, state, "OptionList", values=",".join(STATES), monitored=True)
            yield Own(plug, {"name": "Available"}, flag_of(card is not None and card.online and config is not None), "boolean")
            yield Own(plug, {"name": "SupplyPhases"}, str(phases), "integer")

    def connectors(self, card: Card | None, evse_id: int) -> list[int]:
        """Connector numbers of a charger's EVSE: those it has told of; 1 if it has told of none."""
        if card is None:
            return [1]
        told = {connector for evse, connector in card.states if evse == evse_id and connector > 0}
        listed = self._inventories.index(card.station_id).connectors.get(evse_id, set())
        return sorted(told | listed) or [1]

    def connector_state(self, card: Card | None, evse_id: int, connector: int) -> str:
        """Unavailable while nobody knows better."""
        if card is None or not card.configured or not card.online:
            return "Unavailable"
        state = card.states.get((evse_id, connector), "Unavailable")
        return state if state in STATES else "Unavailable"

    def availability(self) -> str:
        """Of the whole depot: it is available as long as one of its chargers is there."""
        return "Available" if not self._office.cards or any(card.online for card in self._office.cards.values()) else "Unavailable"

    # -- what the chargers say, summed up ---------------------------------------------------------------------------

    def _said(self, component: str, variable: str, instance: str) -> list[str]:
        """Every charger's Actual value of a variable; summed up once for what is known."""
        if self._summed != self._inventories.version:
            self._summed = self._inventories.version
            self._sums.clear()
        key = (component, variable, instance)
        if key not in self._sums:
            self._sums[key] = self._ask_all(component, variable, instance)
        return self._sums[key]

    def _ask_all(self, component: str, variable: str, instance: str) -> list[str]:
        wanted = (component.casefold(), variable.casefold(), instance.casefold())
        found = []
        for station_id in filter(self._inventories.at_hand, self._office.cards):
            entries = self._inventories.of(station_id)
            for name in self._inventories.index(station_id).by_key.get(wanted, ()):
                value = entries.actual(name)
                if name.connector_id == 0 and value is not None:
                    found.append(value)
        return found

    def _numbers(self, component: str, variable: str, instance: str) -> list[int]:
        return [int(value) for value in self._said(component, variable, instance) if value.isdecimal()]

    def _least(self, component: str, variable: str, instance: str, default: str) -> str:
        found = self._numbers(component, variable, instance)
        return str(min(found)) if found else default

    def _sum(self, component: str, variable: str, instance: str) -> str:
        return str(sum(self._numbers(component, variable, instance)))

    def _commonest(self, setting: Setting) -> str:
        counted = Counter(self._said(setting.component, setting.variable, setting.instance))
        return counted.most_common(1)[0][0] if counted else ""
