"""Two names for one transaction: fresh, mapped, forgotten, remembered."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.facts import Stamp
from controller.link.transaction_ids import ENDED_KEPT, EPOCH_WALL_S, FIRST_LOCAL, KEPT, LAST_LOCAL, NOBODY, TransactionIds

AT = Stamp(0.0, 1_790_000_000.0)


def idle(_: str) -> bool:
    return False


def reloaded(ids: TransactionIds) -> TransactionIds:
    other = TransactionIds()
    other.load(json.loads(json.dumps(ids.memory())))
    return other


def test_fresh_ids_are_new_and_fit_in_32_bits() -> None:
    ids = TransactionIds()
    made = [int(ids.fresh(AT)) for _ in range(1000)]
    assert made == sorted(set(made))
    assert FIRST_LOCAL <= made[0] <= made[-1] <= LAST_LOCAL == 2**31 - 1


def test_fresh_ids_stay_new_even_if_the_memory_is_lost() -> None:
    before, after = TransactionIds(), TransactionIds()
    made = {before.fresh(AT) for _ in range(5)}
    assert after.fresh(Stamp(0.0, AT.wall_s + 3600.0)) not in made


@given(st.lists(st.tuples(st.floats(-1e11, 1e11), st.booleans()), max_size=50))
def test_no_clock_makes_an_id_twice(clocks: list[tuple[float, bool]]) -> None:
    ids = TransactionIds()
    made = [ids.fresh(Stamp(0.0, wall_s, wall_trusted=trusted)) for wall_s, trusted in clocks]
    assert len(set(made)) == len(made)
    assert all(FIRST_LOCAL <= int(number) <= LAST_LOCAL for number in made)


def test_a_clock_that_is_not_trusted_is_not_asked() -> None:
    ids = TransactionIds()
    assert ids.fresh(Stamp(0.0, EPOCH_WALL_S + 1e9, wall_trusted=False)) == str(FIRST_LOCAL)


def test_both_directions() -> None:
    ids = TransactionIds()
    local = ids.fresh(AT)
    assert ids.to_csms(local) == NOBODY
    ids.settle(local, "17", "k")
    assert (ids.to_csms(local), ids.to_station("17")) == ("17", local)
    assert (ids.to_csms("18"), ids.to_station("18")) == ("18", "18")
    assert ids.to_station(local) == NOBODY, "a number of ours is not the CSMS's"
    assert ids.key_of(local) == "k"
    assert ids.starts() == [("k", local)]


def test_without_a_local_id_every_number_is_left_alone() -> None:
    ids = TransactionIds()
    for number in ("-1", "0", "5", str(FIRST_LOCAL + 7), "4f0c-uuid", ""):
        assert (ids.to_csms(number), ids.to_station(number)) == (number, number)


def test_ids_of_the_csms_in_our_range_are_seen() -> None:
    ids = TransactionIds()
    assert [ids.reserved(str(number)) for number in (FIRST_LOCAL, LAST_LOCAL)] == [True, True]
    assert [ids.reserved(text) for text in ("5", "-1", str(FIRST_LOCAL - 1), str(LAST_LOCAL + 1), "x", "")] == [False] * 6


def test_two_transactions_under_one_id_of_the_csms() -> None:
    ids = TransactionIds()
    first, second = ids.fresh(AT), ids.fresh(AT)
    ids.settle(first, "0", "a")
    ids.settle(second, "0", "b")
    assert (ids.to_csms(first), ids.to_csms(second), ids.to_station("0")) == ("0", "0", second)


def test_ended_ones_are_kept_for_a_while_and_busy_ones_for_ever() -> None:
    ids = TransactionIds()
    made = [ids.fresh(AT) for _ in range(200)]
    busy = made[0]
    for number, local in enumerate(made):
        ids.settle(local, str(number + 1), f"k{number}")
        assert ids.ended(local, lambda name: name == busy)
        assert not ids.ended(local, idle)
    assert len(ids) == ENDED_KEPT + 1
    assert ids.to_csms(busy) == "1"
    assert ids.to_csms(made[-1]) == "200"
    assert ids.to_csms(made[10]) == NOBODY
    assert ids.to_station("11") == "11"


def test_transactions_that_never_end_do_not_pile_up() -> None:
    ids = TransactionIds()
    for number in range(1000):
        ids.settle(ids.fresh(AT), str(number), "")
        ids.trim(idle)
    assert len(ids) == KEPT


def test_a_restart_changes_nothing() -> None:
    ids = TransactionIds()
    first, second = ids.fresh(AT), ids.fresh(AT)
    ids.settle(first, "17", "k")
    ids.ended(first, idle)
    again = reloaded(ids)
    assert (again.to_csms(first), again.to_station("17"), again.to_csms(second)) == ("17", first, NOBODY)
    assert again.starts() == []
    assert int(again.fresh(Stamp(0.0, 0.0))) > int(second)


@pytest.mark.parametrize("memory", [None, 5, {}, {"last": "x", "mapped": []}, {"last": 1, "mapped": [1]}, {"last": 1, "mapped": [["a"]]}])
def test_a_damaged_memory_is_an_error(memory: object) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        TransactionIds().load(memory)


def test_a_counter_out_of_range_is_not_believed() -> None:
    ids = TransactionIds()
    ids.load({"last": 7, "mapped": []})
    assert ids.to_csms("5") == "5"
