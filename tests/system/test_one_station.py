"""A day of a mixed depot as one large station, in virtual time: outages, kills, restarted chargers (issue of the depot face; traps 8-10, 26).

Twelve chargers and six hours here; ``make test-one-station`` does it with a hundred and a day.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.one_station import V21, V201, one_day

SESSIONS = 30


@pytest.mark.parametrize("version", [V21, V201])
def test_every_session_arrives_once_with_its_energy_under_one_evse_number(tmp_path: Path, version: str) -> None:
    outcome = one_day(tmp_path, stations=12, hours=6, version=version)
    assert outcome.wrong == []
    assert outcome.sessions > SESSIONS
    assert outcome.repeats == 0
    assert outcome.reported > 12 * 2
