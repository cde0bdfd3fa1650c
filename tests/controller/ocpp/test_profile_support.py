"""What an EVSE has announced, and profiles that want different phases."""

import pytest

from controller.ocpp.profile_support import check_modes, check_phase_to_use
from controller.ocpp.schedule import Kind, Mode, Period, PerPhase, Profile, ProfileError, Purpose, Schedule


def profile(purpose: Purpose, *periods: Period) -> Profile:
    return Profile(1, 0, purpose, Kind.RELATIVE, (Schedule(1, "A", periods),))


def test_modes_have_to_be_announced() -> None:  # K01.FR.115
    wanted = profile(Purpose.TX, Period(0, 16), Period(60, None, mode=Mode.CENTRAL_SETPOINT, setpoint=PerPhase(1)))
    check_modes(wanted, {"CentralSetpoint", "CentralFrequency"})
    check_modes(profile(Purpose.TX, Period(0, 16)), ())
    with pytest.raises(ProfileError, match="CentralSetpoint") as caught:
        check_modes(wanted, {"CentralFrequency"})
    assert caught.value.reason_code == "InvalidOperationMode"


@pytest.mark.parametrize(
    ("purpose", "phase", "accepted"),
    [
        (Purpose.STATION_MAX, 1, False),
        (Purpose.STATION_MAX, 3, True),
        (Purpose.STATION_MAX, None, True),
        (Purpose.TX_DEFAULT, 1, True),  # never in force together with a TxProfile
        (Purpose.TX, 1, True),
    ],
)
def test_profiles_that_meet_agree_on_the_phase(purpose: Purpose, phase: int | None, accepted: bool) -> None:  # K01.FR.141
    new = profile(Purpose.TX, Period(0, 16, 1, 3))
    other = profile(purpose, Period(0, 16), Period(60, 16, 1, phase))
    if accepted:
        check_phase_to_use(new, [other])
    else:
        with pytest.raises(ProfileError, match="PhaseConflict"):
            check_phase_to_use(new, [other])


def test_a_profile_without_a_phase_meets_no_conflict() -> None:
    check_phase_to_use(profile(Purpose.TX, Period(0, 16)), [profile(Purpose.STATION_MAX, Period(0, 16, 1, 2))])
