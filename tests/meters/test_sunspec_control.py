"""Commands: which registers are written, in which order, and what is read back. Expected words are worked out by hand in the comments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from meters.reading import ReadingError
from meters.sunspec import Reader, discover
from meters.sunspec_control import (
    Command,
    ControlError,
    Write,
    commanded,
    confirmed,
    control_reads,
    limit_production,
    read_battery,
    read_inverter,
    release_battery,
    release_inverter,
    set_battery,
)
from meters.sunspec_models import Picture
from tests.support.sunspec_images import SMA_120, SMA_123, SMA_DAY_101, SMA_NIGHT_101, listed, model_words, played

COMMON = model_words(1)
AT = 40070
"""Where the first model behind model 1 begins."""


def picture_of(*models: Sequence[int | None]) -> Picture:
    words = listed(COMMON, *models)
    found = played(discover(), words)
    return played(Reader(found, control_reads(found)).poll(), words)


def test_of_several_devices_in_one_list_the_one_that_is_meant_is_commanded() -> None:
    """Two inverters behind one gateway, and a meter of its own between them, which nobody commands."""
    first, second = (model_words(103, {"W": watts, "W_SF": 0, "St": 4}) for watts in (1000, 2000))
    control, meter = model_words(123, CONTROLS), model_words(203)
    found = played(discover(), listed(COMMON, first, control, COMMON, meter, COMMON, second, control))
    assert [model.model_id for model in commanded(found)] == [1, 103, 123]
    assert [model.model_id for model in commanded(found, 2)] == [1, 103, 123]
    assert commanded(found)[1].address < commanded(found, 2)[1].address
    with pytest.raises(ReadingError, match=r"number 3 of the devices .* the list has 2"):
        commanded(found, 3)


def test_one_device_may_be_spread_over_its_list() -> None:
    found = played(discover(), listed(COMMON, model_words(103), model_words(123, CONTROLS), COMMON, model_words(802)))
    assert commanded(found) == found


def after(picture: Picture, command: Command) -> Picture:
    """The device did as it was told."""
    words = dict(picture.words)
    for write in command.writes:
        words.update(enumerate(write.words, write.address))
    return Picture(picture.models, words)


CONTROLS = {"WMaxLimPct": 100, "WMaxLimPct_SF": 0, "WMaxLim_Ena": 0, "WMaxLimPct_WinTms": 0, "WMaxLimPct_RvrtTms": 0, "WMaxLimPct_RmpTms": 0}


def inverter(controls: Mapping[str, int] = CONTROLS, watts: int = 6000) -> Picture:
    """121 at 40070 (32 registers), 123 at 40102, 103 behind it. 100 percent are 10 kW."""
    settings = model_words(121, {"WMax": 1000, "WMax_SF": 1})
    return picture_of(settings, model_words(123, controls), model_words(103, {"W": watts, "W_SF": 0, "St": 4}))


def test_a_limit_is_one_write_with_its_life_and_switch() -> None:
    """3333 W of 10 kW are 33.33 percent; at scale 0 cut to 33: WMaxLimPct, WinTms, RvrtTms, RmpTms, Ena at offsets 5..9."""
    picture = inverter()
    command = limit_production(picture, 3333.0, 60.0)
    assert command.writes == (Write(40102 + 5, (33, 0, 60, 0, 1)),)
    assert (command.power_w, command.ends_itself, command.way) == (3300.0, True, 123)
    assert not confirmed(picture, command)
    done = after(picture, command)
    assert confirmed(done, command)
    assert read_inverter(done).limit_w == 3300.0


@pytest.mark.parametrize(("shown", "taken"), [(3333, True), (3300, True), (3400, True), (3233, True), (3232, False), (10_000, False)])
def test_a_device_that_keeps_whole_percents_has_taken_what_it_rounds(shown: int, taken: bool) -> None:
    """33.33 percent at scale -2 are 3333; one percent either way is its rounding, more is another command."""
    picture = inverter({**CONTROLS, "WMaxLimPct_SF": -2})
    command = limit_production(picture, 3333.0, 60.0)
    done = after(picture, command)
    assert confirmed(replace(done, words={**done.words, 40102 + 5: shown}), command) is taken


def test_a_finer_scale_is_used() -> None:
    command = limit_production(inverter(CONTROLS | {"WMaxLimPct_SF": -2, "WMaxLimPct": 10000}), 3333.3, 12.2)
    assert command.writes[0].words == (3333, 0, 13, 0, 1)


@pytest.mark.parametrize(("watts", "percent"), [(-5.0, 0), (0.0, 0), (99_999.0, 100), (10_000.0, 100), (2900.0, 29)])
def test_limits_are_kept_within_what_can_be_said(watts: float, percent: int) -> None:
    assert limit_production(inverter(), watts, 60.0).writes[0].words[0] == percent


def test_points_the_device_lacks_are_not_written_and_the_switch_comes_last() -> None:
    """A real SMA: no timers (0xFFFF); 368 x 10 W are 100 percent, scale -2. 1000 W are 27.17 percent. 120 has 28 registers, 123 follows."""
    picture = picture_of(SMA_120, SMA_123, SMA_DAY_101)
    command = limit_production(picture, 1000.0, 60.0)
    at = AT + 28
    assert command.writes == (Write(at + 5, (2717,)), Write(at + 9, (1,)))
    assert (command.ends_itself, command.power_w) == (False, pytest.approx(999.856))


def test_piecemeal_writes_every_point_alone_and_the_switch_last() -> None:
    command = limit_production(inverter(), 5000.0, 60.0, piecemeal=True)
    assert command.writes == tuple(Write(40107 + step, (word,)) for step, word in ((0, 50), (1, 0), (3, 0), (2, 60), (4, 1)))


def test_release_of_an_inverter() -> None:
    picture = inverter(CONTROLS | {"WMaxLim_Ena": 1, "WMaxLimPct": 10}, watts=1000)
    assert read_inverter(picture).steering
    command = release_inverter(picture)
    assert command.writes == (Write(40107, (100, 0, 0, 0, 0)),)
    done = after(picture, command)
    assert confirmed(done, command)
    assert not read_inverter(done).enabled


def test_enabled_with_nothing_while_producing_is_not_curtailed() -> None:
    """S2: the registers say 0 percent is in force; the power says it is not."""
    state = read_inverter(picture_of(SMA_120, SMA_123, SMA_DAY_101))
    assert (state.enabled, state.limit_w, state.steering, state.power_w, state.rating_w) == (True, 0.0, False, -1080.0, 3680.0)
    night = read_inverter(picture_of(SMA_120, SMA_123, SMA_NIGHT_101))
    assert (night.enabled, night.steering, night.power_w) == (True, False, None)


def test_a_limit_that_is_obeyed_is_steering() -> None:
    assert read_inverter(inverter(CONTROLS | {"WMaxLim_Ena": 1, "WMaxLimPct": 30}, watts=3100)).steering
    assert not read_inverter(inverter(CONTROLS | {"WMaxLim_Ena": 1, "WMaxLimPct": 30}, watts=4000)).steering


def test_a_switch_that_is_on_with_100_percent_holds_nothing() -> None:
    state = read_inverter(inverter(CONTROLS | {"WMaxLim_Ena": 1}, watts=3100))
    assert (state.enabled, state.limit_w, state.steering) == (True, 10_000.0, False)


def test_without_a_rating_or_a_model_nothing_is_commanded() -> None:
    with pytest.raises(ControlError, match="rated power"):
        limit_production(picture_of(model_words(123, CONTROLS)), 1000.0, 60.0)
    with pytest.raises(ControlError, match="no limit of its production"):
        limit_production(picture_of(model_words(103, {"W": 1, "W_SF": 0})), 1000.0, 60.0)
    with pytest.raises(ControlError, match="no limit of its production"):
        limit_production(inverter({"WMaxLimPct": 1000, "WMaxLim_Ena": 0}), 1000.0, 60.0)  # no scale factor, and no whole percents


def test_a_limit_without_a_scale_is_in_whole_percents() -> None:
    """3333 W of 10 kW: 33 at the most. Were it finer than the device says, the limit would be lower, never higher."""
    picture = inverter({name: word for name, word in CONTROLS.items() if name != "WMaxLimPct_SF"})
    command = limit_production(picture, 3333.0, 60.0)
    assert command.writes == (Write(40102 + 5, (33, 0, 60, 0, 1)),)
    done = after(picture, command)
    assert confirmed(done, command)
    assert read_inverter(done).limit_w == 3300.0
    assert limit_production(done, 4000.0, 60.0).writes[0].words[0] == 40
    assert release_inverter(done).writes == (Write(40102 + 5, (100, 0, 0, 0, 0)),)


def test_a_limit_of_model_704_without_a_scale_ends_with_all_of_it() -> None:
    picture = der({name: word for name, word in AC.items() if name != "WMaxLimPct_SF"} | {"WMaxLimPct": 100, "WMaxLimPctRvrt": 100})
    assert limit_production(picture, 4567.0, 90.0).writes == (Write(40122 + 14, (1, 45, 100, 0, 0, 90)),)


@pytest.mark.parametrize("scale", [20, -11, None])
def test_a_scale_that_cannot_be_or_was_not_read_is_no_scale(scale: int | None) -> None:
    """WMaxLimPct_SF has offset 23 in model 123."""
    picture = inverter()
    words = {at: word for at, word in picture.words.items() if at != 40102 + 23} | ({} if scale is None else {40102 + 23: scale % 0x10000})
    with pytest.raises(ControlError, match="no limit of its production"):
        limit_production(replace(picture, words=words), 1000.0, 60.0)


def test_a_battery_without_a_scale_is_not_commanded() -> None:
    """Charging and discharging rates: nobody can know what 50 means, and a battery that does less than it is told helps no fuse."""
    with pytest.raises(ControlError, match="scale factor of OutWRte"):
        set_battery(battery({name: word for name, word in (STORAGE | TIMERS).items() if name != "InOutWRte_SF"}), 100.0, 60.0)


# -- model 704 --------------------------------------------------------------------------------

AC = {"WMaxLimPctEna": 0, "WMaxLimPct": 1000, "WMaxLimPctRvrt": 1000, "WMaxLimPctEnaRvrt": 0, "WMaxLimPctRvrtTms": 0, "WMaxLimPct_SF": -1}
SET = {"WSetEna": 0, "WSetMod": 1, "WSet": 0, "WSetRvrt": 0, "WSet_SF": 1, "WSetEnaRvrt": 0, "WSetRvrtTms": 0}
CAPACITY = {"W_SF": 0, "WMax": 10_000, "WMaxRtg": 12_000, "WChaRteMaxRtg": 5000, "WDisChaRteMaxRtg": 4000}


def der(controls: Mapping[str, int] = AC | SET, *more: Sequence[int | None]) -> Picture:
    """702 at 40070 (52 registers), 704 at 40122."""
    return picture_of(model_words(702, CAPACITY), model_words(704, controls), model_words(713, {"SoC": 50, "Pct_SF": 0}), *more)


def test_a_limit_by_model_704() -> None:
    """Offsets 14..19: enable, 45.6 %, reversion 100 %, reversion disabled, 32-bit time 90 s."""
    command = limit_production(der(), 4567.0, 90.0)
    assert command.writes == (Write(40122 + 14, (1, 456, 1000, 0, 0, 90)),)
    assert (command.power_w, command.ends_itself) == (pytest.approx(4560.0), True)
    assert release_inverter(der()).writes == (Write(40136, (0, 1000, 1000, 0, 0, 0)),)


def test_a_setpoint_by_model_704() -> None:
    """Charging with 3000 W is an injection of -3000 W: -300 at scale 1, 32 bits. Timers (30..32) before value and switch (22..27)."""
    picture = der()
    command = set_battery(picture, 3000.0, 60.0)
    assert command.writes == (Write(40122 + 30, (0, 0, 60)), Write(40122 + 22, (1, 1, 0xFFFF, 0xFED4, 0, 0)))
    state = read_battery(after(picture, command))
    assert (state.steering, state.command_w, state.charge_max_w, state.discharge_max_w) == (True, 3000.0, 5000.0, 4000.0)


def test_a_setpoint_leaves_room_for_pv_of_the_same_inverter() -> None:
    """2000 W of PV and 1000 W of discharging are 3000 W at the AC side."""
    ports = model_words(714, {"DCW_SF": 0, "NPrt": 2}, [{"PrtTyp": 0, "DCW": 2000}, {"PrtTyp": 1, "DCW": 0}], "Prt")
    picture = der(AC | SET, ports)
    command = set_battery(picture, -1000.0, 60.0)
    assert command.writes[-1].words[2:4] == (0, 300)
    assert command.power_w == -1000.0
    assert read_battery(after(picture, command)).command_w == -1000.0


def test_a_setpoint_in_percent_where_watts_are_not_offered() -> None:
    """-2500 W of 10 kW: -25 %, scale 0."""
    percent = {"WSetEna": 0, "WSetMod": 0, "WSetPct": 0, "WSetPct_SF": 0, "WSetPctRvrt": 0, "WSetEnaRvrt": 0, "WSetRvrtTms": 0}
    picture = der(AC | percent)
    command = set_battery(picture, 2500.0, 60.0)
    assert command.expected[40122 + 28] == 0x10000 - 25
    state = read_battery(after(picture, command))
    assert (state.steering, state.command_w) == (True, 2500.0)
    released = after(picture, release_battery(picture))
    assert not read_battery(released).steering


def test_a_pv_inverter_with_704_is_no_battery() -> None:
    picture = picture_of(model_words(702, {"W_SF": 0, "WMax": 10_000}), model_words(704, AC | SET))
    with pytest.raises(ControlError, match="no battery setpoint"):
        set_battery(picture, 1000.0, 60.0)
    assert read_battery(picture).way == 0


def test_limit_and_setpoint_of_one_device_do_not_touch_each_other() -> None:
    """704: WMaxLimPctEna..RvrtTms are at offsets 14..19, WSetEna..WSetRvrtTms at 22..32. Both may be in force; each is given free alone."""
    picture = der()
    limited = after(picture, limit_production(picture, 4000.0, 60.0))
    both = after(limited, set_battery(limited, -1000.0, 60.0))
    assert (read_inverter(both).enabled, read_inverter(both).limit_w) == (True, pytest.approx(4000.0))
    assert (read_battery(both).steering, read_battery(both).command_w) == (True, -1000.0)
    only_set = after(both, release_inverter(both))
    assert (read_inverter(only_set).enabled, read_battery(only_set).command_w) == (False, -1000.0)
    only_limit = after(both, release_battery(both))
    assert (read_inverter(only_limit).limit_w, read_battery(only_limit).steering) == (pytest.approx(4000.0), False)


def test_what_counts_down_is_not_somebody_elses_command() -> None:
    """WMaxLimPctRvrtRem (20) and WSetRvrtRem (33) are 32 bits that run; a device may count its RvrtTms (31) down as well."""
    picture = der(AC | SET | {"WMaxLimPctRvrtRem": 0, "WSetRvrtRem": 0})
    command = set_battery(picture, 2000.0, 60.0)
    for left_s in (60, 41, 1):
        words = {**after(picture, command).words, 40122 + 33: 0, 40122 + 34: left_s, 40122 + 31: 0, 40122 + 32: left_s}
        shown = replace(picture, words=words)
        assert confirmed(shown, command)
        assert read_battery(shown).remaining_s == left_s


# -- model 124 --------------------------------------------------------------------------------

STORAGE = {"WChaMax": 500, "WChaMax_SF": 1, "StorCtl_Mod": 0, "OutWRte": 100, "InWRte": 100, "InOutWRte_SF": 0, "ChaState": 40, "ChaState_SF": 0}
TIMERS = {"InOutWRte_WinTms": 0, "InOutWRte_RvrtTms": 0, "InOutWRte_RmpTms": 0, "ChaGriSet": 0}


def battery(storage: Mapping[str, int] = STORAGE | TIMERS, *more: Sequence[int | None]) -> Picture:
    """124 at 40070, 5 kW."""
    return picture_of(model_words(124, storage), *more)


def test_charging_by_model_124() -> None:
    """2500 W of 5 kW: 50 %. The range from -OutWRte to InWRte is 2500..2500 W. First rates, times and grid (12..17), then both bits (5)."""
    picture = battery()
    command = set_battery(picture, 2500.0, 60.0)
    assert command.writes == (Write(AT + 12, (0x10000 - 50, 50, 0, 60, 0, 1)), Write(AT + 5, (3,)))
    assert (command.power_w, command.ends_itself) == (2500.0, True)
    state = read_battery(after(picture, command))
    assert (state.steering, state.command_w, state.low_w, state.high_w, state.grid_charging) == (True, 2500.0, 2500.0, 2500.0, True)
    assert (state.soc_percent, state.charge_max_w, state.discharge_max_w) == (40.0, 5000.0, 5000.0)


def test_discharging_and_holding_by_model_124() -> None:
    assert set_battery(battery(), -1000.0, 60.0).writes[0].words == (20, 0x10000 - 20, 0, 60, 0)
    assert set_battery(battery(), 0.0, 60.0).writes[0].words[:2] == (0, 0)


def test_charging_from_pv_only_says_so() -> None:
    """ChaGriSet has offset 17. Devices keep it for good, so it is written only to change it."""
    free = battery(STORAGE | TIMERS | {"ChaGriSet": 1})
    assert set_battery(free, 1000.0, 60.0, grid_charging=False).writes[0].words[-2:] == (0, 0)
    assert len(set_battery(free, 1000.0, 60.0, grid_charging=False).writes[0].words) == 6
    assert len(set_battery(free, 1000.0, 60.0).writes[0].words) == 5
    assert len(set_battery(battery(), 1000.0, 60.0, grid_charging=False).writes[0].words) == 5


def test_what_the_battery_cannot_is_cut() -> None:
    bank = model_words(802, {"WChaRteMax": 2000, "WDisChaRteMax": 1000, "WChaDisChaMax_SF": 0, "LocRemCtl": 0})
    assert set_battery(battery(STORAGE | TIMERS, bank), 9000.0, 60.0).power_w == 2000.0
    assert set_battery(battery(STORAGE | TIMERS, bank), -9000.0, 60.0).power_w == -1000.0


def test_a_battery_in_local_control_is_not_commanded() -> None:
    picture = battery(STORAGE | TIMERS, model_words(802, {"LocRemCtl": 1}))
    assert read_battery(picture).local
    with pytest.raises(ControlError, match="local control"):
        set_battery(picture, 100.0, 60.0)


def test_the_heartbeat_of_a_battery_rises() -> None:
    """802 begins at 40096; CtrlHb has offset 19."""
    picture = battery(STORAGE | TIMERS, model_words(802, {"LocRemCtl": 0, "CtrlHb": 41}))
    assert set_battery(picture, 100.0, 60.0).writes[-1] == Write(40096 + 19, (42,), optional=True)


def test_release_of_a_battery_ends_the_command_first() -> None:
    picture = battery(STORAGE | TIMERS | {"StorCtl_Mod": 3, "OutWRte": -50, "InWRte": 50, "ChaGriSet": 1})
    command = release_battery(picture, grid_charging=False)
    assert command.writes[0] == Write(AT + 5, (0,))
    assert [write.optional for write in command.writes] == [False, True, True]
    done = after(picture, command)
    assert confirmed(done, command)
    assert not read_battery(done).steering
    assert read_battery(done).grid_charging is False


def test_limits_of_another_master_are_seen() -> None:
    """Only no discharging (bit 1, 0 %): it is steered, without a setpoint. Both bits with 100 % hold nothing."""
    held = read_battery(battery(STORAGE | TIMERS | {"StorCtl_Mod": 2, "OutWRte": 0}))
    assert (held.steering, held.command_w, held.low_w, held.high_w) == (True, None, 0.0, None)
    assert not read_battery(battery(STORAGE | TIMERS | {"StorCtl_Mod": 3})).steering


def test_a_storage_model_without_storage_takes_no_commands() -> None:
    with pytest.raises(ControlError, match="no battery setpoint"):
        set_battery(battery({"StorCtl_Mod": 0}), 100.0, 60.0)


@pytest.mark.parametrize(
    ("out_rate", "in_rate", "low_w", "high_w"), [(20, -20, -1000.0, -1000.0), (-50, 50, 2500.0, 2500.0), (100, -20, -5000.0, -1000.0)]
)
def test_a_negative_rate_turns_the_range_round(out_rate: int, in_rate: int, low_w: float, high_w: float) -> None:
    """5 kW; from -OutWRte to InWRte: at least 20 % of discharging is InWRte -20, at least 50 % of charging OutWRte -50."""
    state = read_battery(battery(STORAGE | TIMERS | {"StorCtl_Mod": 3, "OutWRte": out_rate, "InWRte": in_rate}))
    assert (state.steering, state.low_w, state.high_w) == (True, low_w, high_w)
    assert state.command_w == (high_w if low_w == high_w else None)


@pytest.mark.parametrize("watts", [2000.0, -2000.0, 0.0])
@pytest.mark.parametrize("piecemeal", [False, True])
def test_the_switch_of_a_battery_is_written_last_and_alone_counts(watts: float, piecemeal: bool) -> None:
    """124: StorCtl_Mod (5) is before the rates (12, 13), so it is a write of its own; a command that broke off before it holds nothing new."""
    picture = battery()
    command = set_battery(picture, watts, 60.0, piecemeal=piecemeal)
    assert command.writes[-1] == Write(AT + 5, (3,))
    half = after(picture, replace(command, writes=command.writes[:-1]))
    assert not confirmed(half, command)
    assert not read_battery(half).steering
    der_command = set_battery(der(), watts, 60.0, piecemeal=piecemeal)
    assert der_command.writes[-1].address == 40122 + 22  # WSetEna


def test_while_the_grid_is_not_asked_its_setting_is_left_alone() -> None:
    """ChaGriSet (17) is written neither for a discharge nor for a rest, whatever it says."""
    for watts in (-1000.0, 0.0):
        assert all(AT + 17 not in range(write.address, write.address + len(write.words)) for write in set_battery(battery(), watts, 60.0).writes)


def test_timers_of_model_124_that_run_down_in_the_readback_are_no_other_command() -> None:
    """InOutWRte_WinTms, RvrtTms and RmpTms are at 14..16."""
    picture = battery()
    command = set_battery(picture, -1000.0, 60.0)
    for left_s in (60, 17, 1):
        shown = replace(picture, words={**after(picture, command).words, AT + 15: left_s})
        assert confirmed(shown, command)
        assert read_battery(shown).command_w == -1000.0
