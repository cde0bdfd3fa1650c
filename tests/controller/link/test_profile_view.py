"""The CSMS's profiles of one station: replaced, refused, cleared, wished, remembered."""

import json
from dataclasses import replace
from typing import Any

import pytest

from controller.facts import LimitStep
from controller.link.profile_view import MAX_EXTERNAL, Circumstances, ProfileView, Wish
from controller.ocpp.dialect import ProfileCriteria
from controller.ocpp.schedule import Kind, Period, Profile, ProfileError, Purpose, Schedule

NOW = 1_790_000_000.0


def profile(
    profile_id: int, limit_a: float = 10.0, stack: int = 0, purpose: Purpose = Purpose.TX_DEFAULT, transaction_id: str | None = None
) -> Profile:
    kind = Kind.ABSOLUTE if purpose is Purpose.STATION_MAX else Kind.RELATIVE
    start_wall_s = NOW if kind is Kind.ABSOLUTE else None
    schedule = Schedule(1, "A", (Period(0, limit_a),), None, start_wall_s)
    return Profile(profile_id, stack, purpose, kind, (schedule,), transaction_id)


def tx(profile_id: int, transaction_id: str, limit_a: float = 10.0, stack: int = 0) -> Profile:
    return profile(profile_id, limit_a, stack, Purpose.TX, transaction_id)


def view(*placed: tuple[int, Profile]) -> ProfileView:
    result = ProfileView("CP1", (1, 2))
    for evse_id, one in placed:
        result.set(evse_id, one, {1: "t-1", 2: "t-2"}, NOW)
    return result


def refused(store: ProfileView, evse_id: int, one: Profile) -> str:
    before = store.dump()
    with pytest.raises(ProfileError) as caught:
        store.set(evse_id, one, {1: "t-1", 2: "t-2"}, NOW)
    assert store.dump() == before
    return caught.value.reason_code


def wish(store: ProfileView, evse_id: int, **around: Any) -> Wish:
    return store.wish(evse_id, NOW, 86_400, Circumstances(NOW, 230.0, **around))


def limit_a(store: ProfileView, evse_id: int, **around: Any) -> tuple[float | None, str]:
    wished = wish(store, evse_id, **around)
    return wished.steps[0].limit_a, wished.reason


# -- setting ------------------------------------------------------------------------------------------


def test_the_same_id_replaces_wherever_it_was() -> None:  # K01.FR.05
    store = view((1, profile(17, 10)))
    store.set(2, profile(17, 20, stack=5), {}, NOW)
    assert [(evse_id, one.stack_level) for evse_id, one in store.select(ProfileCriteria())] == [(2, 5)]
    assert limit_a(store, 1) == (None, "no upstream profile")


def test_another_id_at_the_same_place_is_a_duplicate() -> None:  # K01.FR.06
    assert refused(view((1, profile(17))), 1, profile(18)) == "DuplicateProfile"
    assert len(view((1, profile(17)), (1, profile(18, stack=1)), (2, profile(19)))) == 3


def test_places_that_never_meet_in_time_are_no_duplicates() -> None:
    morning = replace(profile(17), valid_to_wall_s=NOW + 100)
    noon = replace(profile(18), valid_from_wall_s=NOW + 100)
    assert len(view((1, morning), (1, noon))) == 2
    assert refused(view((1, morning)), 1, replace(noon, valid_from_wall_s=NOW + 99)) == "DuplicateProfile"


def test_a_default_for_all_and_one_for_an_evse_need_different_stacks() -> None:  # K01.FR.52/53
    assert refused(view((0, profile(17))), 1, profile(18)) == "DuplicateProfile"
    assert refused(view((2, profile(17))), 0, profile(18)) == "DuplicateProfile"
    assert len(view((0, profile(17)), (1, profile(18, stack=1)))) == 2


def test_a_stack_level_is_used_once_per_transaction() -> None:  # K01.FR.39
    assert refused(view((1, tx(17, "t-1"))), 1, tx(18, "t-1")) == "DuplicateProfile"
    assert len(view((1, tx(17, "t-1")), (2, tx(18, "t-2")))) == 2


@pytest.mark.parametrize(("evse_id", "transaction_id"), [(1, "t-2"), (2, "t-1"), (0, "t-1"), (1, None), (1, "")])
def test_a_tx_profile_needs_the_transaction_that_runs_there(evse_id: int, transaction_id: str | None) -> None:  # K01.FR.33
    assert refused(view(), evse_id, profile(17, purpose=Purpose.TX, transaction_id=transaction_id)) == "TxNotFound"


def test_unknown_evses_and_misplaced_maxima() -> None:
    assert refused(view(), 3, profile(17)) == "UnknownEvse"
    assert refused(view(), -1, profile(17)) == "UnknownEvse"
    assert refused(view(), 1, profile(17, purpose=Purpose.STATION_MAX)) == "InvalidProfile"
    assert refused(view(), 0, profile(17, purpose=Purpose.EXTERNAL)) == "InvalidProfile"


def test_a_full_store_refuses_but_expired_profiles_make_room() -> None:
    store = ProfileView("CP1", (1,), max_profiles=2)
    store.set(1, replace(profile(1), valid_to_wall_s=NOW + 10), {}, NOW)
    store.set(1, profile(2, stack=1), {}, NOW)
    assert refused(store, 1, profile(3, stack=2)) == "OutOfStorage"
    store.set(1, profile(2, limit_a=7, stack=1), {}, NOW)  # replacing needs no room
    store.set(1, profile(3, stack=2), {}, NOW + 10)
    assert [one.profile_id for _, one in store.select(ProfileCriteria())] == [2, 3]


# -- selecting, clearing --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("criteria", "ids"),
    [
        (ProfileCriteria(), [2, 3, 1, 4]),
        (ProfileCriteria((1, 4, 99)), [1, 4]),
        (ProfileCriteria(evse_id=0), [2, 3]),
        (ProfileCriteria(purpose="tx_default"), [3, 1]),
        (ProfileCriteria(stack_level=1), [3]),
        (ProfileCriteria((1, 3), evse_id=1, purpose="tx_default"), [1]),
        (ProfileCriteria(evse_id=-1), []),
    ],
)
def test_criteria_all_have_to_hold(criteria: ProfileCriteria, ids: list[int]) -> None:
    store = view((1, profile(1)), (0, profile(2, purpose=Purpose.STATION_MAX)), (0, profile(3, stack=1)), (2, tx(4, "t-2")))
    assert [one.profile_id for _, one in store.select(criteria)] == ids
    assert store.clear(criteria) == len(ids)
    assert store.select(criteria) == []
    assert len(store) == 4 - len(ids)
    assert store.clear(criteria) == 0


def test_tx_profiles_die_with_their_transaction_and_no_others() -> None:
    store = view((1, tx(1, "t-1")), (2, tx(2, "t-2")), (1, profile(3)))
    store.end_transaction(1, "t-2")
    assert len(store) == 3
    store.end_transaction(1, "t-1")
    assert [one.profile_id for _, one in store.select(ProfileCriteria())] == [3, 2]


# -- wishing --------------------------------------------------------------------------------------------


def test_without_profiles_nothing_is_wished() -> None:
    assert wish(view(), 1) == Wish((LimitStep(NOW, None),), "no upstream profile", None)


def test_the_wish_names_the_profile_that_limits_now() -> None:
    store = view((0, profile(1, 12, purpose=Purpose.STATION_MAX)), (0, profile(2, 16)), (1, tx(3, "t-1", 20)))
    assert limit_a(store, 1) == (12, "upstream profile 1")
    store.clear(ProfileCriteria((1,)))
    assert limit_a(store, 1) == (20, "upstream profile 3")
    assert limit_a(store, 2) == (16, "upstream profile 2")


def test_only_the_maximum_binds_the_sum() -> None:
    store = view((0, profile(1, 40, purpose=Purpose.STATION_MAX)), (0, profile(2, 6)), (1, profile(3, 5, stack=1)))
    assert limit_a(store, 0) == (40, "upstream profile 1")
    assert limit_a(store, 2) == (6, "upstream profile 2")


def test_a_default_for_all_at_a_higher_stack_overrules_that_of_one_evse() -> None:
    assert limit_a(view((0, profile(1, 16, stack=2)), (1, profile(2, 6, stack=1))), 1) == (16, "upstream profile 1")


def test_a_tx_profile_of_the_csms_may_lift_its_own_layer() -> None:
    """Trap 14: the view says so honestly; the site's own limits are not its business."""
    assert limit_a(view((1, profile(1, 6)), (1, tx(2, "t-1", 32, stack=9))), 1) == (32, "upstream profile 2")


def test_the_worst_store_that_is_allowed_still_answers() -> None:
    store = ProfileView("CP1", (1,))
    for number in range(80):
        periods = tuple(Period(float(i * 7 + number % 7), 6.0 + (i * 31 + number) % 26) for i in range(100))
        schedule = Schedule(1, "A", (Period(0, 8.0), *periods[1:]))
        store.set(1, replace(profile(number, stack=number), schedules=(schedule,), valid_to_wall_s=NOW + 1 + number), {}, NOW)
    wished = wish(store, 1)
    assert wished.reason == "upstream profile 79"
    assert wished.steps[-1] == LimitStep(NOW + 80, None)


# -- remembering -------------------------------------------------------------------------------------------


def test_the_store_survives_a_restart_as_json() -> None:
    store = view((0, profile(1, 12, purpose=Purpose.STATION_MAX)), (1, tx(3, "t-1", 20)))
    again = ProfileView("CP1", (1, 2))
    assert again.load(json.loads(json.dumps(store.dump()))) == 0
    assert again.select(ProfileCriteria()) == store.select(ProfileCriteria())
    assert limit_a(again, 1) == limit_a(store, 1)


def test_damaged_entries_are_left_out_and_counted_and_the_others_stay() -> None:
    good = view((1, profile(1)), (2, profile(2))).dump()
    store = ProfileView("CP1", (1,))  # EVSE 2 is gone from the configuration
    assert store.load([None, {"evse_id": "1"}, {"evse_id": 1, "profile": {}}, *good]) == 4
    assert [one.profile_id for _, one in store.select(ProfileCriteria())] == [1]
    assert store.load("nonsense") == 1
    assert len(store) == 0


# -- the rules of 1.6 ------------------------------------------------------------------------------------


def test_in_1_6_purpose_and_stack_level_replace_silently_per_connector() -> None:  # 16 5.16.3
    store = ProfileView("CP1", (1, 2))
    for evse_id, one in ((1, profile(17, 10)), (2, profile(18, 12)), (1, profile(19, 20, stack=1)), (1, profile(20, 7))):
        store.set(evse_id, one, {}, NOW, replaces=True)
    assert [(evse_id, one.profile_id) for evse_id, one in store.select(ProfileCriteria())] == [(1, 19), (1, 20), (2, 18)]


def test_in_1_6_a_connector_s_default_stands_in_for_the_station_s_of_its_level() -> None:  # 16 3.13.1
    store = ProfileView("CP1", (1, 2))
    store.set(0, profile(17, 10), {}, NOW, replaces=True)
    store.set(1, profile(18, 25), {}, NOW, replaces=True)
    assert limit_a(store, 1) == (25.0, "upstream profile 18")
    assert limit_a(store, 2) == (10.0, "upstream profile 17")
    store.clear(ProfileCriteria(profile_ids=(18,)))
    assert limit_a(store, 1) == (10.0, "upstream profile 17")


def test_in_1_6_a_tx_profile_without_transaction_means_the_running_one() -> None:
    store = ProfileView("CP1", (1, 2))
    store.set(1, replace(tx(17, ""), transaction_id=None), {1: "44"}, NOW, replaces=True)
    assert store.select(ProfileCriteria())[0][1].transaction_id == "44"
    with pytest.raises(ProfileError):
        store.set(2, replace(tx(18, ""), transaction_id=None), {1: "44"}, NOW, replaces=True)
    with pytest.raises(ProfileError):
        store.set(1, tx(18, "45"), {1: "44"}, NOW, replaces=True)
    store.end_transaction(1, "44")
    assert len(store) == 0


def test_in_2_x_it_names_its_transaction() -> None:  # K01.FR.33
    assert refused(view(), 1, replace(tx(17, ""), transaction_id=None)) == "TxNotFound"


# -- what 2.1 adds --------------------------------------------------------------------------------------------


def test_a_priority_profile_counts_only_while_its_transaction_has_priority() -> None:  # SC.01, K21
    store = view((1, tx(1, "t-1", 10)), (0, profile(2, 32, purpose=Purpose.PRIORITY)), (0, profile(3, 20, purpose=Purpose.STATION_MAX)))
    assert limit_a(store, 1) == (10, "upstream profile 1")
    assert limit_a(store, 1, priority_active=True) == (20, "upstream profile 3")  # priority lifts to 32, the station's maximum holds 20
    assert limit_a(store, 0, priority_active=True) == (20, "upstream profile 3")
    assert (store.has_priority(1), store.has_priority(2)) == (True, True)


def test_a_priority_profile_of_one_evse_is_of_no_other() -> None:  # K21.FR.01
    store = view((2, profile(2, 32, purpose=Purpose.PRIORITY)))
    assert (store.has_priority(1), store.has_priority(2)) == (False, True)


def test_local_generation_adds_to_its_own_place() -> None:  # K27: 20 A of the maximum and 8 A of the roof
    store = view((0, profile(1, 20, purpose=Purpose.STATION_MAX)), (0, profile(2, 8, purpose=Purpose.LOCAL_GENERATION)))
    assert limit_a(store, 0) == (28, "upstream profile 1")
    assert limit_a(store, 1)[0] is None  # the sum bounds it; the maximum alone would hold it lower than that
    own = view((1, profile(3, 10)), (1, profile(4, 5, purpose=Purpose.LOCAL_GENERATION)))
    assert (limit_a(own, 1)[0], limit_a(own, 2)[0]) == (15, None)


@pytest.mark.parametrize("criteria", [ProfileCriteria((4,)), ProfileCriteria(purpose="local_generation"), ProfileCriteria()])
def test_local_generation_is_not_cleared(criteria: ProfileCriteria) -> None:  # K10
    store = view((1, profile(4, 5, purpose=Purpose.LOCAL_GENERATION)))
    assert store.clear(criteria) == 0
    assert len(store) == 1


def test_a_random_delay_is_drawn_once_for_a_transaction() -> None:  # K01.FR.92-97
    schedule = Schedule(1, "A", (Period(0, 6.0), Period(600, 16.0)), randomized_delay_s=300.0)
    store = view((1, replace(tx(1, "t-1"), schedules=(schedule,))))
    assert wish(store, 1).steps[1].start_wall_s == NOW + 600  # idle: none
    drawn = {wish(store, 1, delay_seed=f"CP1/t-{n}").steps[1].start_wall_s - NOW - 600 for n in range(20)}
    assert len(drawn) > 5
    assert all(0 <= delay_s <= 300 for delay_s in drawn)
    assert wish(store, 1, delay_seed="CP1/t-7") == wish(store, 1, delay_seed="CP1/t-7")


def test_a_profile_may_end_a_while_after_the_csms_is_away_and_for_good() -> None:  # K01.FR.101-103
    store = view(
        (1, replace(profile(1, 10, stack=1), max_offline_s=60.0)), (1, replace(profile(2, 20, stack=2), max_offline_s=60.0, ends_offline=True))
    )
    assert store.minds_absence()
    away = wish(store, 1, offline_since_wall_s=NOW - 30)
    assert [(step.start_wall_s - NOW, step.limit_a) for step in away.steps] == [(0, 20), (30, None)]
    assert store.drop_dead(NOW + 29, NOW - 30) == 0
    assert store.drop_dead(NOW + 30, NOW - 30) == 1  # only the one that never comes back
    assert limit_a(store, 1) == (10, "upstream profile 1")


def test_a_dynamic_profile_takes_its_values_where_it_is() -> None:  # K28
    dynamic = replace(profile(7, 10), kind=Kind.DYNAMIC, updated_wall_s=NOW, update_interval_s=30.0)
    store = view((1, dynamic))
    assert [one.profile_id for one in store.dynamic()] == [7]
    store.update(replace(dynamic, schedules=(Schedule(1, "A", (Period(0, 13.0),)),)))
    assert (store.find(7), limit_a(store, 1)[0]) == (store.select(ProfileCriteria())[0], 13.0)
    assert store.find(8) is None


# -- what limits beside OCPP (K11-K13) ---------------------------------------------------------------------------


def external(limit: float) -> Profile:
    return replace(profile(-1, limit), purpose=Purpose.EXTERNAL)


def test_limits_of_the_station_cap_the_wish_and_are_no_profiles_of_the_csms() -> None:
    store = view((1, profile(1, 16)))
    assert store.set_external(1, "EMS", external(10))
    assert store.set_external(0, "SO", external(12))
    assert limit_a(store, 1) == (10, "limit the station tells of")
    assert limit_a(store, 2) == (12, "limit the station tells of")
    assert store.select(ProfileCriteria()) == [(1, profile(1, 16))]
    assert store.clear(ProfileCriteria()) == 1
    assert limit_a(store, 1)[0] == 10
    again = ProfileView("CP1", (1, 2))
    again.load_external(json.loads(json.dumps(store.dump_external())))
    assert limit_a(again, 1) == limit_a(store, 1)
    assert store.set_external(0, "EMS", None)  # the station as a whole: whatever this source limited
    assert limit_a(store, 1)[0] == 12
    assert not store.set_external(0, "EMS", None)


def test_a_station_cannot_fill_the_store_with_limits_of_its_own() -> None:
    store = view()
    assert sum(store.set_external(1, f"source {n}", external(n)) for n in range(100)) == MAX_EXTERNAL
    store.load_external(["nonsense", [1, "EMS", {}], 7])


# -- what the station has judged itself (overlay mode) ------------------------------------------------------------


def test_what_a_station_accepted_is_booked_and_displaces_what_it_conflicts_with() -> None:
    store = view((1, profile(1, 16)))
    store.put(1, profile(2, 10))
    assert [one.profile_id for _, one in store.select(ProfileCriteria())] == [2]


def test_in_1_6_a_station_keeps_defaults_of_station_and_connector_side_by_side() -> None:
    store = ProfileView("CP1", (1, 2))
    store.put(0, profile(3, 12), replaces=True)
    store.put(2, profile(4, 8), replaces=True)
    store.put(2, profile(5, 7), replaces=True)
    assert [one.profile_id for _, one in store.select(ProfileCriteria())] == [3, 5]
