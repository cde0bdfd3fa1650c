"""The device model of the depot face, one part: variables, reports and monitors over own and chargers' components.

It only joins them: ``own_model`` makes what is the depot's own, ``inventory`` holds what the chargers say, ``addresses`` maps
between both, ``variables``, ``reports`` and ``monitors`` answer the CSMS (OCPP-NOTES 11; B05-B08, N01-N08).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from controller.link.depot.inventory import Inventories
from controller.link.depot.monitors import Monitors
from controller.link.depot.office import Card, FromCsms, FromStation, Office, Quiet
from controller.link.depot.own_model import OwnModel
from controller.link.depot.reports import Reports
from controller.link.depot.variables import Variables
from controller.ocpp.hub import Conversation

REFUSED: Final[dict[str, str]] = {
    "SetVariables": "fuses, limits, identity and password are set in site.yaml: ReadOnly; a charger that is not connected: Rejected",
    "SetVariableMonitoring": "variables of the depot that are no numbers, and those of 1.6 chargers: UnsupportedMonitorType; no event streams",
}


class DeviceModel(Quiet):
    """The part; see the modules it joins."""

    def __init__(self, office: Office) -> None:
        self.inventories = Inventories(office)
        office.file_protocols = lambda station_id: self.inventories.value(station_id, "OCPPCommCtrlr", "FileTransferProtocols") or ""
        self.own = OwnModel(office, self.inventories)
        self.variables = Variables(office, self.inventories, self.own)
        self.reports = Reports(office, self.inventories, self.own)
        self.monitors = Monitors(office, self.inventories, self.own)

    def of_csms(self) -> Mapping[str, FromCsms]:
        """Device model and monitoring."""
        return {
            "GetVariables": self.variables.get,
            "SetVariables": self.variables.set,
            "GetBaseReport": self.reports.base,
            "GetReport": self.reports.custom,
            "SetVariableMonitoring": self.monitors.set,
            "ClearVariableMonitoring": self.monitors.clear,
            "GetMonitoringReport": self.monitors.report,
            "SetMonitoringBase": self.monitors.set_base,
            "SetMonitoringLevel": self.monitors.set_level,
        }

    def of_station(self) -> Mapping[str, FromStation]:
        """What chargers report of themselves."""
        return {
            "NotifyReport": self.inventories.reported,
            "NotifyEvent": self.monitors.event,
            "NotifyMonitoringReport": self.monitors.reported,
        }

    def station_changed(self, card: Card) -> list[Conversation]:
        """A charger that is new or has booted is asked for its device model."""
        self.inventories.changed(card)
        return []

    def tick(self) -> list[Conversation]:
        """Background work: inventories, settings for all, reports, monitors; each at its own pace."""
        return [*self.inventories.tick(), *self.variables.tick(), *self.monitors.tick()]
