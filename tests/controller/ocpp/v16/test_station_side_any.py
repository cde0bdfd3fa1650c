"""Any schema-valid message of a 1.6 station, any schema-valid command of the hub, any schema-valid answer: only valid messages leave, and
everybody gets a valid answer or an error. ``Talking`` judges each message on its way."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controller.link.policy import CSMS, STATION
from controller.ocpp.hub import Failed, Said
from controller.ocpp.v16.station_side import StationSide16
from tests.support.examples import examples
from tests.support.generated import as_sent, payloads
from tests.support.shapes import SHAPES
from tests.support.talking import HUB_VERSION, Talking

EXAMPLES = settings(deadline=None, database=None, suppress_health_check=list(HealthCheck), max_examples=examples(10))
SEND_ONLY = {"NotifyPeriodicEventStream"}


def any_answer(data: st.DataObject, version: str, action: str, _request: Any) -> Any:
    """What a peer may answer: whatever its schema allows, sometimes an error."""
    if data.draw(st.integers(0, 9)) == 9:
        return Failed(data.draw(st.sampled_from(("NotImplemented", "NotSupported", "InternalError", "GenericError"))))
    return as_sent(data.draw(payloads(version, action, True)))


def talking(data: st.DataObject) -> Talking:
    """A station and a CSMS that answer anything."""
    wire = {action: partial(any_answer, data, "ocpp1.6", action) for action in CSMS["ocpp1.6"]}
    hub = {action: partial(any_answer, data, HUB_VERSION, action) for action in STATION[HUB_VERSION] if action not in SEND_ONLY}
    made = Talking(StationSide16, wire=wire, hub=hub)
    made.opened()
    return made


@pytest.mark.parametrize("action", sorted(STATION["ocpp1.6"]))
def test_any_message_of_the_station(action: str) -> None:
    @EXAMPLES
    @given(st.data())
    def law(data: st.DataObject) -> None:
        peer = talking(data)
        reply = peer.said(action, as_sent(data.draw(payloads("ocpp1.6", action, False))))
        assert isinstance(reply, Said | Failed)
        peer.seconds(12)

    law()


@pytest.mark.parametrize("action", sorted(CSMS[HUB_VERSION]))
def test_any_command_of_the_hub(action: str) -> None:
    @EXAMPLES
    @given(st.data())
    def law(data: st.DataObject) -> None:
        peer = talking(data)
        reply = peer.asked(action, as_sent(data.draw(payloads(HUB_VERSION, action, False))))
        if isinstance(reply, Failed):
            assert reply.code not in ("InternalError", "FormatViolation") or reply.description == ""
        peer.seconds(2)

    law()


def test_any_conversation() -> None:
    @settings(EXAMPLES, max_examples=examples(25))
    @given(st.data())
    def law(data: st.DataObject) -> None:
        peer = talking(data)
        for _ in range(8):
            action = data.draw(st.sampled_from(("StartTransaction", "MeterValues", "StatusNotification", "StopTransaction")))
            payload = as_sent(data.draw(payloads("ocpp1.6", action, False)))
            payload |= {"transactionId": data.draw(st.sampled_from((-1, 0, 1001, 1002)))} if action in ("MeterValues", "StopTransaction") else {}
            if SHAPES.check("ocpp1.6", action, False, payload) == "":
                peer.said(action, payload)
            peer.seconds(1)

    law()
