"""Who may connect: identities (B30), credentials (B31), subprotocols (B32), failed attempts (F66)."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.config import Config, StationConfig
from controller.link.admission import (
    Admit,
    AdmitWithoutVersion,
    FailureBucket,
    Prove,
    Refuse,
    common_versions,
    decide,
    printable,
    read_target,
    split_offer,
)
from controller.link.secrets import QUICK_COST, salted_hash

SPOKEN = ("ocpp2.0.1",)
HEX_KEY = "00ff7a1e" * 5
EVSES = [{"id": 1, "max_current_a": 32}]
CONFIG = Config.model_validate(
    {
        "site": {"id": "test"},
        "grid": {"fuse_a": 63, "worst_other_load_a": 20},
        "stations": [
            {"id": "OPEN", "evses": EVSES},
            {"id": "CP 1", "password": "open:sesame:0123456", "evses": EVSES},
            {"id": "HEX", "password": HEX_KEY, "evses": EVSES},
            {"id": "Säule", "password": "pässword-0123456", "evses": EVSES},
            {"id": "LOST", "password_file": "/nowhere", "evses": EVSES},
        ],
    }
)


def basic(user: str | bytes, password: str | bytes) -> str:
    pair = [part if isinstance(part, bytes) else part.encode() for part in (user, password)]
    return "Basic " + base64.b64encode(b":".join(pair)).decode()


GOOD = basic("CP 1", "open:sesame:0123456")


def verdict(identity: str, *authorization: str, offered: tuple[str, ...] = SPOKEN) -> int | str:
    """HTTP status of a refusal, "closed" without a common version, else the version."""
    match decide(identity, authorization, offered, CONFIG, SPOKEN):
        case Refuse(http_status=status):
            return status
        case AdmitWithoutVersion():
            return "closed"
        case Admit(offered=(first, *_)):
            return first
        case found:
            raise AssertionError(found)


@pytest.mark.parametrize(
    ("target", "identity"),
    [
        ("/ocpp/CP1", "CP1"),
        ("/ocpp/CP1/", "CP1"),
        ("/ocpp//CP1", "CP1"),
        ("/ocpp/CP1?x=1&y=%20", "CP1"),
        ("/ocpp/CP%201", "CP 1"),
        ("/ocpp/S%C3%A4ule", "Säule"),
        ("/ocpp/%2e%2e", ".."),
        ("/ocpp/a%2Fb", "a/b"),
        ("/ocpp/%2541", "%41"),
        ("/ocpp/%00", "\0"),
        ("http://site:9000/ocpp/CP1", "CP1"),
    ],
)
def test_b30_the_identity_is_the_last_segment_decoded_once(target: str, identity: str) -> None:
    found = read_target(target, "/ocpp")
    assert found is not None
    assert found.identity == identity


@pytest.mark.parametrize(
    "target",
    ["", "/", "/ocpp", "/ocpp/", "/ocpp//", "/ocppx/CP1", "/other/CP1", "/ocpp/a/b", "/ocpp/../etc", "/ocpp/%ff", "*", "/ocpp/" + "x" * 3000],
)
def test_b30_other_targets_name_nobody(target: str) -> None:
    assert read_target(target, "/ocpp") is None


def test_the_raw_tail_is_kept_for_the_csms() -> None:
    found = read_target("/ocpp//CP%201/?token=a%2Fb", "/ocpp/")
    assert found is not None
    assert found.url_tail == "//CP%201/?token=a%2Fb"


@pytest.mark.parametrize("identity", ["..", "\0", "cp 1", "CP 1 ", "CP 1:open", "x" * 49, "", "open", "CP%201"])
def test_b30_only_an_exact_identity_is_known(identity: str) -> None:
    assert verdict(identity, GOOD) == 404


@pytest.mark.parametrize(
    "authorization",
    [
        (),
        ("",),
        ("Basic",),
        ("Basic !!!not base64!!!",),
        ("Bearer abc",),
        (basic("CP 2", "open:sesame:0123456"),),
        (basic("CP 1", "open:sesame:012345"),),
        (basic("CP 1", "open:sesame:01234567"),),
        (basic("CP 1:open", "sesame"),),
        (basic("CP 1", ""),),
        (basic("", "open:sesame:0123456"),),
        ("Basic " + base64.b64encode(b"CP 1").decode(),),
        (GOOD, GOOD),
        (GOOD, basic("CP 1", "wrong")),
        ("Basic " + "A" * 65_536,),
    ],
)
def test_b31_anything_but_the_right_credentials_is_401(authorization: tuple[str, ...]) -> None:
    assert verdict("CP 1", *authorization) == 401


def test_b31_a_password_may_hold_colons() -> None:
    assert verdict("CP 1", GOOD) == "ocpp2.0.1"
    assert verdict("CP 1", GOOD.replace("Basic", "basic")) == "ocpp2.0.1"


def test_a_hex_key_may_come_as_text_or_as_its_bytes() -> None:
    assert verdict("HEX", basic("HEX", HEX_KEY)) == "ocpp2.0.1"
    assert verdict("HEX", basic("HEX", bytes.fromhex(HEX_KEY))) == "ocpp2.0.1"
    assert verdict("HEX", basic("HEX", HEX_KEY.upper())) == "ocpp2.0.1"
    assert verdict("HEX", basic("HEX", bytes.fromhex(HEX_KEY)[:-1])) == 401


def test_a_user_name_in_latin_1_is_the_same_user() -> None:
    assert verdict("Säule", basic("Säule", "pässword-0123456")) == "ocpp2.0.1"
    assert verdict("Säule", basic("Säule".encode("latin-1"), "pässword-0123456")) == "ocpp2.0.1"


def test_a_station_without_a_password_may_send_any_header() -> None:
    assert verdict("OPEN") == "ocpp2.0.1"
    assert verdict("OPEN", "Basic nonsense", GOOD) == "ocpp2.0.1"


def test_f83_an_unreadable_password_file_lets_nobody_in() -> None:
    assert verdict("LOST", basic("LOST", "")) == 503


@pytest.mark.parametrize(
    ("offered", "expected"),
    [
        ((), "closed"),
        (("ocpp1.5",), "closed"),
        (("OCPP2.0.1",), "closed"),
        (("ocpp1.6", "ocpp2.0.1"), "ocpp2.0.1"),
        (("ocpp2.0.1", "ocpp2.0.1"), "ocpp2.0.1"),
        (tuple(f"ocpp9.{n}" for n in range(100)), "closed"),
        (("x" * 5000,), "closed"),
    ],
)
def test_b32_subprotocols(offered: tuple[str, ...], expected: str) -> None:
    assert verdict("OPEN", offered=offered) == expected


def test_the_stations_preference_rules() -> None:
    assert common_versions(("ocpp2.1", "ocpp1.6", "ocpp2.0.1", "ocpp1.6"), ("ocpp2.0.1", "ocpp1.6")) == ("ocpp1.6", "ocpp2.0.1")


def test_offers_come_in_one_header_or_in_several() -> None:
    assert split_offer(["ocpp2.1, ocpp2.0.1", ",ocpp1.6,"]) == ("ocpp2.1", "ocpp2.0.1", "ocpp1.6")


def test_credentials_are_asked_for_before_versions_are_told() -> None:
    assert verdict("CP 1", offered=()) == 401


STORED = salted_hash("open:sesame:0123456", b"salt" * 4, QUICK_COST)


def hashed(password_hash: str) -> Config:
    station = StationConfig.model_validate({"id": "CP 1", "password_hash": password_hash, "evses": EVSES})
    return CONFIG.model_copy(update={"stations": (station,)})


def test_a_salted_hash_leaves_the_decision_to_a_slow_check() -> None:
    found = decide("CP 1", [GOOD], SPOKEN, hashed(STORED), SPOKEN)
    assert isinstance(found, Prove)
    assert (found.password, found.hashes, found.then) == (b"open:sesame:0123456", (STORED,), Admit(SPOKEN))
    assert found.wrong.http_status == 401
    assert "sesame" not in repr(found)


@pytest.mark.parametrize("authorization", [(), (GOOD, GOOD), (basic("CP 2", "open:sesame:0123456"),), ("Basic !",)])
def test_b31_without_a_password_for_the_identity_nothing_is_checked_slowly(authorization: tuple[str, ...]) -> None:
    found = decide("CP 1", authorization, SPOKEN, hashed(STORED), SPOKEN)
    assert isinstance(found, Refuse)
    assert found.http_status == 401


@pytest.mark.parametrize("stored", ["open:sesame:0123456", STORED[:-2], STORED.replace("scrypt", "md5"), "scrypt$1$8$1$" + "A" * 22 + "$" + "A" * 43])
def test_f83_a_hash_that_cannot_be_read_lets_nobody_in_and_is_not_told(stored: str) -> None:
    found = decide("CP 1", [GOOD], SPOKEN, hashed(stored), SPOKEN)
    assert isinstance(found, Refuse)
    assert found.http_status == 503
    assert "password_hash of station CP 1" in found.reason
    assert "sesame" not in found.reason
    assert stored not in found.reason


def test_f27_hashes_of_a_changed_password_take_the_place_of_the_configured_one() -> None:
    found = decide("CP 1", [GOOD], SPOKEN, CONFIG, SPOKEN, hashes=("old", "new"))
    assert isinstance(found, Prove)
    assert found.hashes == ("old", "new")
    assert verdict("CP 1", GOOD) == "ocpp2.0.1", "without them it is as configured"


def test_a05_a_password_that_a_change_has_brought_is_one_for_the_lowest_profile_too() -> None:
    bare = Config.model_validate({"stations": [{"id": "CP 1", "security_profile": 1, "evses": EVSES}], "site": {"id": "x"}, "grid": CONFIG.grid})
    refused = decide("CP 1", [GOOD], SPOKEN, bare, SPOKEN)
    assert isinstance(refused, Refuse)
    assert "no password in the site file" in refused.reason
    assert isinstance(decide("CP 1", [GOOD], SPOKEN, bare, SPOKEN, hashes=("new",)), Prove)


HEADERS = st.text() | st.binary().map(lambda raw: "Basic " + base64.b64encode(raw).decode())


@given(st.text(), st.lists(HEADERS, max_size=3), st.lists(st.text(), max_size=5))
def test_decide_never_raises_and_never_tells_a_password(identity: str, authorization: list[str], offered: list[str]) -> None:
    for station in ("CP 1", identity):
        decision = decide(station, authorization, offered, CONFIG, SPOKEN)
        assert isinstance(decision, Refuse | AdmitWithoutVersion | Admit)
        assert "sesame" not in getattr(decision, "reason", "")


@given(st.text())
def test_any_target_is_read_or_refused(target: str) -> None:
    found = read_target(target, "/ocpp")
    assert found is None or found.identity


def test_foreign_text_is_made_printable() -> None:
    assert printable("a\r\nb\x1b[31m") == "a\\r\\nb\\x1b[31m"
    assert len(printable("x" * 500)) < 60


def test_f66_five_failures_shut_a_key_out_for_a_minute() -> None:
    bucket, key = FailureBucket(), ("CP 1", "10.0.0.9")
    assert [bucket.failed(key, float(second)) for second in range(4)] == [1, 2, 3, 4]
    assert bucket.retry_after_s(key, 4.0) == 0.0
    assert bucket.failed(key, 5.0) == 5
    assert bucket.retry_after_s(key, 6.0) == pytest.approx(59.0)
    assert bucket.retry_after_s(("CP 1", "10.0.0.8"), 6.0) == 0.0
    assert bucket.retry_after_s(("CP 2", "10.0.0.9"), 6.0) == 0.0
    assert bucket.retry_after_s(key, 65.0) == 0.0
    assert bucket.failed(key, 66.0) == 1


def test_f66_failures_older_than_a_minute_do_not_count() -> None:
    bucket, key = FailureBucket(), ("CP 1", "10.0.0.9")
    for second in range(0, 600, 20):
        assert bucket.failed(key, float(second)) <= 3
        assert bucket.retry_after_s(key, float(second)) == 0.0


def test_f66_made_up_identities_cost_no_memory() -> None:
    bucket = FailureBucket(limit=1)
    for number in range(3 * FailureBucket.MAX_KEYS):
        bucket.failed((f"made-up-{number}", "10.0.0.9"), 0.0)
    assert bucket.retry_after_s(("made-up-0", "10.0.0.9"), 1.0) == 0.0
    assert bucket.retry_after_s((f"made-up-{3 * FailureBucket.MAX_KEYS - 1}", "10.0.0.9"), 1.0) > 0
