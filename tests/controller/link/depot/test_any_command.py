"""Whatever a CSMS asks of the depot and whatever its chargers answer, in words their schemas allow: an answer comes, valid, in time.

``depot_book`` judges every frame of ours by its schema and refuses an alarm about a defect.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.depot_book import DepotBook, Payload
from tests.support.desk import TOKEN, UUID_A, UUID_B, desk
from tests.support.examples import examples
from tests.support.generated import payloads
from tests.support.shapes import SHAPES

ACTIONS = (
    "CancelReservation",
    "CertificateSigned",
    "ChangeAvailability",
    "ChangeTransactionTariff",
    "ClearCache",
    "ClearChargingProfile",
    "ClearDisplayMessage",
    "ClearTariffs",
    "CostUpdated",
    "CustomerInformation",
    "DataTransfer",
    "DeleteCertificate",
    "GetChargingProfiles",
    "GetCompositeSchedule",
    "GetDisplayMessages",
    "GetInstalledCertificateIds",
    "GetLocalListVersion",
    "GetTariffs",
    "InstallCertificate",
    "NotifyWebPaymentStarted",
    "RequestBatterySwap",
    "RequestStartTransaction",
    "RequestStopTransaction",
    "ReserveNow",
    "Reset",
    "SendLocalList",
    "SetChargingProfile",
    "SetDefaultTariff",
    "SetDisplayMessage",
    "SetNetworkProfile",
    "TriggerMessage",
    "UnlockConnector",
    "UpdateDynamicSchedule",
    "UsePriorityCharging",
)
OF_16 = (
    "CancelReservation",
    "CertificateSigned",
    "ChangeAvailability",
    "ClearCache",
    "ClearChargingProfile",
    "DataTransfer",
    "DeleteCertificate",
    "ExtendedTriggerMessage",
    "GetCompositeSchedule",
    "GetInstalledCertificateIds",
    "GetLocalListVersion",
    "InstallCertificate",
    "RemoteStartTransaction",
    "RemoteStopTransaction",
    "ReserveNow",
    "Reset",
    "SendLocalList",
    "SetChargingProfile",
    "TriggerMessage",
    "UnlockConnector",
)
EVSES = (0, 1, 2, 3, 4, 9)


def sensible(value: Any, draw: st.DataObject) -> Any:
    """EVSEs, transactions and drivers that are there, mostly: else every message ends at the door."""
    if isinstance(value, list):
        return [sensible(item, draw) for item in value]
    if not isinstance(value, dict):
        return value
    found = {key: sensible(item, draw) for key, item in value.items() if key != "customData"}
    if "evseId" in found and isinstance(found["evseId"], int) and found["evseId"] >= 0:
        found["evseId"] = draw.draw(st.sampled_from(EVSES[1:] if "remoteStartId" in found else EVSES))
    if isinstance(found.get("evse"), dict):
        found["evse"]["id"] = draw.draw(st.sampled_from(EVSES))
    if isinstance(found.get("transactionId"), str):
        found["transactionId"] = draw.draw(st.sampled_from((UUID_A, UUID_B)))
    return found


def talkative(book: DepotBook, draw: st.DataObject) -> None:
    """Every charger answers anything that its version allows."""
    for name, wire in book.stations.items():
        for action in (*ACTIONS, *OF_16, "GetVariables", "ChangeConfiguration", "GetConfiguration"):
            if SHAPES.knows(wire.version, action):
                book.station_says[name][action] = lambda request, version=wire.version, action=action: drawn(draw, version, action)


def drawn(draw: st.DataObject, version: str, action: str) -> Payload:
    answer: Payload = draw.draw(payloads(version, action, True))
    return answer


@pytest.mark.parametrize("version", ["ocpp2.1", "ocpp2.0.1", "ocpp1.6"])
@settings(max_examples=examples(25), deadline=None, suppress_health_check=list(HealthCheck))
@given(draw=st.data())
def test_an_answer_comes(version: str, draw: st.DataObject) -> None:
    book = desk(version)
    book.event("CP20", "Started", UUID_A, 0, idToken=TOKEN)
    book.event("CP21", "Started", UUID_B, 0, idToken=TOKEN)
    talkative(book, draw)
    for _ in range(4):
        action = draw.draw(st.sampled_from([action for action in (OF_16 if version == "ocpp1.6" else ACTIONS) if SHAPES.knows(version, action)]))
        request = sensible(draw.draw(payloads(version, action, False)), draw)
        if SHAPES.check(version, action, False, request):
            continue
        book.csms(action, request)
        message_id = f"csms-{book._count}"
        if draw.draw(st.booleans()):
            book.hang_up("CP21")
            book.boot("CP21")
        book.wait(30)
        assert message_id in book.answers, (action, request)
        answer = book.answers[message_id]
        assert isinstance(answer, dict) or answer[0] not in ("InternalError",), (action, request, answer)
