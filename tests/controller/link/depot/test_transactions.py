"""Transaction ids that are unique for ever under one identity (E01.FR.08, trap 26)."""

from __future__ import annotations

import json
from itertools import count

from hypothesis import given
from hypothesis import strategies as st

from controller.link.depot.transactions import KEPT, Place, Transactions
from controller.ocpp.hub import Memory

UUID = "0f8fad5b-d9cb-469f-a165-70867728950e"


def fresh() -> Transactions:
    numbers = count(1)
    return Transactions(Memory(), lambda: f"fresh-{next(numbers):030d}")


def test_a_random_id_is_kept_and_a_counter_is_not() -> None:
    known = fresh()
    assert known.heard("CP1", UUID, "t0", 1) == UUID
    assert known.heard("CP1", "17", "t0", 1).startswith("fresh")
    assert known.of_depot("CP1", "17").startswith("fresh")
    assert known.of_depot("CP2", "17") == "17"


def test_the_same_start_again_is_the_same_transaction_and_another_start_is_another() -> None:
    known = fresh()
    first = known.heard("CP1", UUID, "t0", 1)
    assert known.heard("CP1", UUID, "t0", 1) == first
    assert known.heard("CP1", UUID, "", 0) == first
    second = known.heard("CP1", UUID, "t9", 1)
    assert second != first
    assert known.heard("CP1", UUID, "", 0) == second


def test_one_that_was_met_in_its_middle_may_still_tell_its_start_until_it_has_ended() -> None:
    known = fresh()
    assert known.heard("CP1", UUID, "", 0) == UUID
    assert known.heard("CP1", UUID, "t0", 1) == UUID
    assert known.place(UUID) == Place("CP1", UUID, 1)
    other = UUID.replace("0f", "1f")
    known.heard("CP1", other, "", 1)
    known.ended(other)
    assert known.heard("CP1", other, "t5", 1) != other


def test_messages_are_translated_wherever_the_id_stands() -> None:
    known = fresh()
    depot_id = known.heard("CP1", "17", "t0", 1)
    up = known.up("CP1", {"chargingProfile": [{"transactionId": "17", "id": 17}], "transactionId": "17"})
    assert up == {"chargingProfile": [{"transactionId": depot_id, "id": 17}], "transactionId": depot_id}
    assert known.down(up) == {"chargingProfile": [{"transactionId": "17", "id": 17}], "transactionId": "17"}
    assert known.down({"transactionId": UUID}) == {"transactionId": UUID}


def test_the_oldest_ended_ones_are_forgotten_and_running_ones_never() -> None:
    known = fresh()
    known.heard("CP1", "running", "t0", 1)
    for number in range(KEPT + 10):
        known.ended(known.heard("CP2", str(number), "t0", 1))
    by_name = dict(sorted(json.loads(json.dumps(dict(known._memory.starting("")))).items()))  # as a journal gives them back
    known = Transactions(Memory(by_name), lambda: "")
    known.trim()
    assert len(known.running()) == 1
    assert known.of_depot("CP2", "0") == "0"
    assert known.of_depot("CP2", "10") != "10"


@given(st.lists(st.tuples(st.sampled_from(["A", "B", "C"]), st.sampled_from(["1", "2", UUID]), st.integers(0, 3), st.booleans()), max_size=60))
def test_two_transactions_never_share_an_id_also_over_restarts(told: list[tuple[str, str, int, bool]]) -> None:
    """(station, own id, start time) names a transaction; whatever order they are told in, no two get one id, and each keeps its own."""
    numbers = count(1)
    memory = Memory()
    known = Transactions(memory, lambda: f"fresh-{next(numbers):030d}")
    current: dict[tuple[str, str], tuple[int, str]] = {}
    used: dict[str, tuple[str, str, int]] = {}
    for station, own, start, restarted in told:
        depot_id = known.heard(station, own, f"t{start}", 1)
        if (station, own) in current and current[(station, own)][0] == start:
            assert depot_id == current[(station, own)][1]
        else:
            assert depot_id not in used
        used[depot_id] = (station, own, start)
        current[(station, own)] = (start, depot_id)
        if restarted:
            kept = json.loads(json.dumps(dict(memory.starting(""))))
            memory = Memory(kept)
            known = Transactions(memory, lambda: f"fresh-{next(numbers):030d}")
    for (station, own), (_, depot_id) in current.items():
        assert known.of_depot(station, own) == depot_id
        assert known.place(depot_id) == Place(station, own, 1)
