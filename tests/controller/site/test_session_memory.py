"""What a restart must not forget."""

from __future__ import annotations

from dataclasses import replace

from controller.facts import NeedStated
from controller.site import state
from controller.site.measuring import measured
from controller.site.session_memory import session_memory, session_recalled
from tests.support.one_evse import KEY, at, evse, told

V = 230.0


def test_a_restart_does_not_forget_a_promise_to_a_driver() -> None:
    car = state.need_stated(measured(evse(), told(energy_wh=1000.0), V, 32.0), NeedStated(at(), KEY, 10_000.0, 1_780_009_999.0, "api"))
    assert car.session is not None
    memory = session_memory(car.session)
    fresh = evse().session
    assert fresh is not None
    again = replace(evse(), session=session_recalled(fresh, memory, at(60)))
    again = measured(again, told(61.0, energy_wh=3000.0), V, 32.0)
    assert again.session is not None
    assert (again.session.charged_wh, again.session.need_wh, again.session.departure_wall_s) == (2000.0, 8000.0, 1_780_009_999.0)
    assert session_recalled(replace(fresh, transaction_id="other"), memory, at()).target_wh is None
