"""A 1.6 station, shown to the hub: its CALLs become hub conversations, the hub's CALLs become its own (OCPP-NOTES 12).

The parts are cut by idea: transactions, status, notices, commands, resets, reservations, files, charging profiles, device model. They
share one ``StationState``. This file only finds the part.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from controller.ocpp.hub import Conversation, Failed, Message, Payload, Surroundings, answered
from controller.ocpp.v16.station_commands import Commands
from controller.ocpp.v16.station_files import Files
from controller.ocpp.v16.station_limits import Profiles
from controller.ocpp.v16.station_model import DeviceModel
from controller.ocpp.v16.station_notices import Notices
from controller.ocpp.v16.station_pnc import Pnc
from controller.ocpp.v16.station_refusals import REFUSED, refuse
from controller.ocpp.v16.station_reservations import Reservations
from controller.ocpp.v16.station_resets import Resets
from controller.ocpp.v16.station_starts import Starts
from controller.ocpp.v16.station_state import StationState
from controller.ocpp.v16.station_status import StatusReports
from controller.ocpp.v16.station_transactions import Transactions
from controller.ocpp.v16.words import error_down

__all__ = ["REFUSED", "StationSide16"]

UNKNOWN: Final = Failed("NotImplemented", "a 1.6 station cannot be asked this")


class StationSide16:
    """See the module, and ``controller.ocpp.hub.Side`` for what each function promises."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._state = state = StationState(surroundings)
        self._starts = Starts(state)
        self._profiles = Profiles(state)
        self._transactions = Transactions(state, self._starts, self._profiles.ended)
        self._resets = Resets(state)
        self._reservations = Reservations(state)
        pnc = Pnc(state)
        commands = Commands(state, self._transactions, self._starts, self._profiles, pnc)
        self._said = self._from_station(StatusReports(state, self._transactions, self._starts, self._resets), Notices(state, pnc))
        self._asked = self._from_hub(commands, Files(state, pnc), DeviceModel(state))

    def _from_station(self, status: StatusReports, notices: Notices) -> dict[str, Callable[[Payload], Conversation]]:
        return {
            "Authorize": status.authorize,
            "BootNotification": status.boot,
            "DataTransfer": notices.data,
            "DiagnosticsStatusNotification": notices.diagnostics,
            "FirmwareStatusNotification": notices.firmware,
            "Heartbeat": status.heartbeat,
            "LogStatusNotification": notices.log,
            "MeterValues": self._transactions.values,
            "SecurityEventNotification": notices.security,
            "SignCertificate": notices.sign,
            "SignedFirmwareStatusNotification": notices.firmware,
            "StartTransaction": self._transactions.start,
            "StatusNotification": status.status,
            "StopTransaction": self._transactions.stop,
        }

    def _from_hub(self, commands: Commands, files: Files, model: DeviceModel) -> dict[str, Callable[[Message], Conversation]]:
        return {
            "CancelReservation": self._reservations.cancel,
            "CertificateSigned": files.signed,
            "ChangeAvailability": commands.availability,
            "ClearCache": commands.clear_cache,
            "ClearChargingProfile": self._profiles.clear,
            "DataTransfer": commands.data,
            "DeleteCertificate": files.delete,
            "GetBaseReport": model.base_report,
            "GetChargingProfiles": self._profiles.report,
            "GetCompositeSchedule": self._profiles.composite,
            "GetInstalledCertificateIds": files.installed,
            "GetLocalListVersion": commands.list_version,
            "GetLog": files.log,
            "GetReport": model.report,
            "GetTransactionStatus": commands.status,
            "GetVariables": model.get,
            "InstallCertificate": files.install,
            "RequestStartTransaction": commands.start,
            "RequestStopTransaction": commands.stop,
            "ReserveNow": self._reservations.reserve,
            "Reset": self._resets.reset,
            "SendLocalList": commands.send_list,
            "SetChargingProfile": self._profiles.set,
            "SetVariables": model.set,
            "TriggerMessage": commands.trigger,
            "UnlockConnector": commands.unlock,
            "UpdateFirmware": files.update,
        }

    # -- messages ---------------------------------------------------------------------------------------------

    def said(self, message: Message) -> Conversation:
        """A CALL of the station, in 1.6."""
        found = self._said.get(message.action)
        if found is None:
            return answered(Failed("NotImplemented", f"{message.action} is no message of a 1.6 station"))
        if message.action == "StartTransaction":
            self._reservations.used(message.payload)
        if message.action == "StatusNotification":
            self._state.later += self._reservations.stage(message.payload.get("connectorId", 0), str(message.payload.get("status")))
        return _in_its_words(found(message.payload))

    def asked(self, message: Message) -> Conversation:
        """A CALL of the hub, in 2.1."""
        found = self._asked.get(message.action)
        if found is not None:
            return found(message)
        refusal = refuse(message)
        return answered(refusal if refusal is not None else UNKNOWN)

    # -- life ---------------------------------------------------------------------------------------------------

    def opened(self) -> list[Conversation]:
        """The station is connected, and its session has a CSMS to talk to."""
        at, state = self._state.around.now(), self._state
        state.opened_wall_s, state.opened_mono_s, state.is_open = at.wall_s, at.mono_s, True
        state.statuses.clear()
        self._resets.opened()
        return []

    def closed(self) -> list[Conversation]:
        """It is gone."""
        self._state.is_open = False
        self._resets.gone()
        return []

    def tick(self) -> list[Conversation]:
        """A second has passed."""
        later, self._state.later = self._state.later, []
        return [*later, *self._transactions.tick(), *self._resets.tick(), *self._reservations.tick()]


def _in_its_words(talk: Conversation) -> Conversation:
    """What the hub's CSMS answers with an error, in the spelling of 1.6; NO_ANSWER stays what it is."""
    reply = yield from talk
    return Failed(error_down(reply.code), reply.description) if isinstance(reply, Failed) else reply
