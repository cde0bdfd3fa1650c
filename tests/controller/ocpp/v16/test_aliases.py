"""idTag <-> idToken (OCPP-NOTES 12.4, trap 28)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.ocpp.hub import Memory, Wording
from controller.ocpp.v16.aliases import KEPT, Aliases, alias

CONTRACT = {"idToken": "DE-ABC-C1234567-89-of-a-very-long-contract", "type": "eMAID"}
WORDING = Wording(token_type="Central", anonymous_tag="guest")


def aliases(memory: Memory | None = None, wording: Wording | None = None) -> Aliases:
    """With an empty memory."""
    return Aliases(memory or Memory(), wording or Wording())


@pytest.mark.parametrize(
    ("tag", "kind"),
    [
        ("04A1B2C3", "ISO14443"),  # 4 bytes
        ("04a1b2c3d4e5f6", "ISO14443"),  # 7 bytes
        ("04A1B2C3D4E5F6071829", "ISO14443"),  # 10 bytes
        ("04A1B2C3D4", "Local"),  # 5 bytes: no card has them
        ("VISITOR-7", "Local"),
    ],
)
def test_the_type_of_a_card_is_known_by_its_looks(tag: str, kind: str) -> None:
    assert aliases().token(tag) == {"idToken": tag, "type": kind}


def test_the_site_chooses_what_else_there_is() -> None:
    known = aliases(wording=WORDING)
    assert known.token("VISITOR-7")["type"] == "Central"
    assert known.tag({"idToken": "", "type": "NoAuthorization"}) == "guest"
    assert known.token("GUEST") == {"idToken": "", "type": "NoAuthorization"}
    assert aliases().token("VISITOR-7", remote=True)["type"] == "Central"


def test_a_long_token_gets_the_same_tag_for_ever() -> None:
    memory = Memory()
    tag = aliases(memory).tag(CONTRACT)
    assert len(tag) == 20
    assert tag == aliases().tag({**CONTRACT, "idToken": CONTRACT["idToken"].upper()}) == alias(CONTRACT["idToken"])
    kept = Memory(memory.changes())
    assert aliases(kept).token(tag.lower()) == CONTRACT


def test_a_remembered_tag_is_the_same_driver_in_an_info() -> None:
    known = aliases()
    info = {"status": "Accepted", "cacheExpiryDateTime": "2026-12-01T00:00:00Z", "groupIdToken": CONTRACT}
    made = known.tag_info(info)
    assert made == {"status": "Accepted", "expiryDate": "2026-12-01T00:00:00.000Z", "parentIdTag": alias(CONTRACT["idToken"])}
    assert known.token_info(made) == {**info, "cacheExpiryDateTime": "2026-12-01T00:00:00.000Z"}


@pytest.mark.parametrize(
    ("status", "said"),
    [
        *((word, word) for word in ("Accepted", "Blocked", "Expired", "Invalid", "ConcurrentTx")),
        ("NoCredit", "Blocked"),
        *((word, "Invalid") for word in ("Unknown", "NotAllowedTypeEVSE", "NotAtThisLocation", "NotAtThisTime", "SomethingNew")),
    ],
)
def test_status_words(status: str, said: str) -> None:
    assert aliases().tag_info({"status": status}) == {"status": said}


def test_a_driver_is_invalid_where_his_token_is_not_for() -> None:
    info = {"status": "Accepted", "evseId": [2]}
    assert [aliases().tag_info(info, evse)["status"] for evse in (0, 1, 2)] == ["Accepted", "Invalid", "Accepted"]


@pytest.mark.parametrize("info", [None, "Accepted", 7, [], {}, {"status": None}])
def test_what_nobody_says_is_no_permission(info: Any) -> None:
    assert aliases().tag_info(info)["status"] == "Invalid"
    assert aliases().token_info(info)["status"] == "Invalid"


@given(st.text(min_size=1, max_size=60), st.sampled_from(("Central", "eMAID", "ISO14443", "ISO15693", "KeyCode", "Local", "MacAddress")))
def test_every_token_comes_back(text: str, kind: str) -> None:
    memory = Memory()
    tag = aliases(memory).tag({"idToken": text, "type": kind})
    assert 0 < len(tag) <= 20
    assert aliases(Memory(memory.changes())).token(tag) == {"idToken": text, "type": kind}


@given(st.text(min_size=1, max_size=20).filter(lambda text: text.upper() != "ANONYMOUS"))
def test_every_tag_comes_back_and_costs_no_memory(tag: str) -> None:
    memory = Memory()
    known = aliases(memory)
    assert known.tag(known.token(tag)) == tag
    assert not memory.changed


def test_the_oldest_are_forgotten() -> None:
    memory = Memory()
    known = aliases(memory)
    for number in range(KEPT + 2):
        known.tag({"idToken": f"driver {number:030d}", "type": "eMAID"})
    assert len(list(memory.starting("tag:"))) == KEPT
    assert known.token(alias(f"driver {1:030d}"))["type"] == "Local"
    assert known.token(alias(f"driver {2:030d}"))["type"] == "eMAID"
