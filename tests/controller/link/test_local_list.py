"""Who may charge while the CSMS cannot say: list, cache, site's own drivers; transcripts in 1.6 and 2.0.1."""

from typing import Any

import pytest

from controller.config import Config
from tests.support.playbook import BOOT, BOOT_16, TOKEN, Playbook, config

LATER = "2099-01-01T00:00:00Z"
BEFORE = "2020-01-01T00:00:00Z"


def site(upstream: bool = True, authorization: dict[str, Any] | None = None, **of_upstream: Any) -> Config:
    known = config(upstream=upstream, **of_upstream) if upstream else config(upstream=False)
    return Config.model_validate(known.model_dump(mode="json") | {"authorization": authorization or {}})


def online(play: Playbook) -> Playbook:
    """Connected, booted, the CSMS there."""
    play.connect()
    play.station(2, "boot", "BootNotification", BOOT_16 if play.version == "ocpp1.6" else BOOT)
    play.csms(3, "boot", {"currentTime": "2026-11-21T16:00:00Z", "interval": 60, "status": "Accepted"})
    play.wait(70)
    return play


def exchange(play: Playbook, action: str, payload: dict[str, Any], result: dict[str, Any]) -> None:
    play.csms(2, f"c-{action}", action, payload)
    play.station(3, f"c-{action}", result)


def authorize(play: Playbook, token: str = "AABBCC", number: int = 1) -> dict[str, Any]:
    old = play.version == "ocpp1.6"
    payload: dict[str, Any] = {"idTag": token} if old else {"idToken": {"idToken": token, "type": "ISO14443"}}
    play.station(2, f"a{number}", "Authorize", payload)
    frame = play.down()
    info: dict[str, Any] = frame[2]["idTagInfo" if old else "idTokenInfo"]
    return info


def send_list(play: Playbook, version: int, kind: str, *entries: tuple[str, str | None], result: str = "Accepted") -> None:
    if play.version == "ocpp1.6":
        rows = [{"idTag": token} | ({"idTagInfo": {"status": status}} if status else {}) for token, status in entries]
        exchange(play, "SendLocalList", {"listVersion": version, "updateType": kind, "localAuthorizationList": rows}, {"status": result})
    else:
        many = [
            {"idToken": {"idToken": token, "type": "ISO14443"}} | ({"idTokenInfo": {"status": status}} if status else {}) for token, status in entries
        ]
        exchange(play, "SendLocalList", {"versionNumber": version, "updateType": kind, "localAuthorizationList": many}, {"status": result})


@pytest.fixture(params=["ocpp1.6", "ocpp2.0.1", "ocpp2.1"])
def play(request: pytest.FixtureRequest) -> Playbook:
    return online(Playbook(version=request.param))


def test_a_listed_driver_may_charge_while_the_csms_is_away(play: Playbook) -> None:
    send_list(play, 1, "Full", ("AABBCC", "Accepted"), ("DDEEFF", "Blocked"))
    play.close()
    assert authorize(play, "aabbcc")["status"] == "Accepted"
    assert authorize(play, "DDEEFF", 2)["status"] == "Blocked"
    assert authorize(play, "112233", 3)["status"] in ("Invalid", "Unknown")


def test_a_differential_update_adds_and_takes_off(play: Playbook) -> None:
    send_list(play, 1, "Full", ("AABBCC", "Accepted"), ("DDEEFF", "Accepted"))
    send_list(play, 2, "Differential", ("AABBCC", None), ("112233", "Accepted"))
    play.close()
    assert authorize(play, "AABBCC")["status"] in ("Invalid", "Unknown")
    assert authorize(play, "DDEEFF", 2)["status"] == "Accepted"
    assert authorize(play, "112233", 3)["status"] == "Accepted"


def test_a_full_update_replaces_all_and_an_update_the_station_refuses_changes_nothing(play: Playbook) -> None:
    send_list(play, 1, "Full", ("AABBCC", "Accepted"))
    send_list(play, 2, "Full", ("DDEEFF", "Accepted"), result="Failed")
    play.close()
    assert authorize(play, "AABBCC")["status"] == "Accepted"
    assert authorize(play, "DDEEFF", 2)["status"] in ("Invalid", "Unknown")


def test_the_list_survives_a_restart(play: Playbook) -> None:
    send_list(play, 1, "Full", ("AABBCC", "Accepted"))
    other = play.restarted()
    other.connect(csms=False)
    assert authorize(other)["status"] == "Accepted"


@pytest.mark.parametrize(("version", "kept"), [(1, True), (7, False), (0, False)])
def test_a_station_that_tells_another_list_version_makes_our_copy_void(play: Playbook, version: int, kept: bool) -> None:
    send_list(play, 1, "Full", ("AABBCC", "Accepted"))
    old = play.version == "ocpp1.6"
    exchange(play, "GetLocalListVersion", {}, {"listVersion" if old else "versionNumber": version})
    play.close()
    assert (authorize(play)["status"] == "Accepted") is kept


def test_a_driver_known_at_one_kind_of_station_is_known_at_the_other() -> None:
    first = online(Playbook(version="ocpp1.6"))
    first.station(2, "a0", "Authorize", {"idTag": "AABBCC"})
    first.csms(3, "a0", {"idTagInfo": {"status": "Accepted"}})
    other = Playbook(version="ocpp2.0.1")
    other.memories = dict(first.memories)
    other = other.restarted()
    other.connect(csms=False)
    assert authorize(other)["status"] == "Accepted"


def test_a_cleared_cache_is_cleared_here_too(play: Playbook) -> None:
    old = play.version == "ocpp1.6"
    play.station(2, "a0", "Authorize", {"idTag": "AABBCC"} if old else {"idToken": TOKEN})
    play.csms(3, "a0", {"idTagInfo" if old else "idTokenInfo": {"status": "Accepted"}})
    exchange(play, "ClearCache", {}, {"status": "Accepted"})
    play.close()
    assert authorize(play)["status"] in ("Invalid", "Unknown")
    other = play.restarted()
    other.connect(csms=False)
    assert authorize(other)["status"] in ("Invalid", "Unknown")


# -- the site's own word --------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["ocpp1.6", "ocpp2.0.1", "ocpp2.1"])
def test_without_a_csms_the_site_s_list_decides(version: str) -> None:
    tokens = [{"id_token": "AABBCC"}, {"id_token": "OLD", "expires": BEFORE}, {"id_token": "new", "expires": LATER}]
    play = Playbook(site(upstream=False, authorization={"tokens": tokens}), version=version)
    play.connect(csms=None)
    assert authorize(play, "aaBBcc")["status"] == "Accepted"
    assert authorize(play, "OLD", 2)["status"] == "Expired"
    assert authorize(play, "NEW", 3)["status"] == "Accepted"
    assert authorize(play, "112233", 4)["status"] in ("Invalid", "Unknown")


@pytest.mark.parametrize(("unknown", "tokens", "accepted"), [(None, [], True), ("refuse", [], False), ("accept", [{"id_token": "X"}], True)])
def test_without_a_csms_unknown_drivers_hear_what_the_site_file_says(unknown: str | None, tokens: list[Any], accepted: bool) -> None:
    play = Playbook(site(upstream=False, authorization={"unknown": unknown, "tokens": tokens}))
    play.connect(csms=None)
    assert (authorize(play)["status"] == "Accepted") is accepted


def test_a_list_in_a_file_that_cannot_be_read_lets_nobody_in() -> None:
    play = Playbook(site(upstream=False, authorization={"tokens_file": "gone.csv"}))
    play.connect(csms=None)
    assert authorize(play)["status"] == "Unknown"


def test_the_priority_of_the_site_s_list_is_told() -> None:
    play = Playbook(site(upstream=False, authorization={"tokens": [{"id_token": "AABBCC", "priority": 5}]}))
    play.connect(csms=None)
    assert authorize(play) == {"status": "Accepted", "chargingPriority": 5}


def test_unknown_drivers_may_be_accepted_while_the_csms_is_away_but_not_blocked_ones() -> None:
    play = online(Playbook(site(offline_unknown="accept")))
    play.station(2, "a0", "Authorize", {"idToken": TOKEN})
    play.csms(3, "a0", {"idTokenInfo": {"status": "Blocked"}})
    play.close()
    assert authorize(play)["status"] == "Blocked"
    assert authorize(play, "112233", 2)["status"] == "Accepted"
    play.mono_s += 40 * 86_400.0
    assert authorize(play, "AABBCC", 3)["status"] in ("Blocked", "Unknown")


def test_the_station_s_list_goes_before_the_cache() -> None:
    play = online(Playbook())
    play.station(2, "a0", "Authorize", {"idToken": TOKEN})
    play.csms(3, "a0", {"idTokenInfo": {"status": "Accepted"}})
    send_list(play, 1, "Full", ("AABBCC", "Blocked"))
    play.close()
    assert authorize(play)["status"] == "Blocked"


def test_a_listed_driver_past_the_expiry_of_the_entry_is_expired() -> None:
    play = online(Playbook())
    entry = {"idToken": TOKEN, "idTokenInfo": {"status": "Accepted", "cacheExpiryDateTime": BEFORE}}
    exchange(play, "SendLocalList", {"versionNumber": 1, "updateType": "Full", "localAuthorizationList": [entry]}, {"status": "Accepted"})
    play.close()
    assert authorize(play)["status"] == "Expired"
