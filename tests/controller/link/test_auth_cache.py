"""Only what the CSMS said, only as long as it holds."""

from controller.link.auth_cache import MAX_AGE_S, AuthCache, token_key
from controller.ocpp.times import wall_time

TOKEN = {"idToken": "AABB01", "type": "ISO14443"}
YES = {"status": "Accepted"}


def test_unknown_tokens_stay_unknown() -> None:
    assert AuthCache(wall_time).lookup(TOKEN, 0.0) is None


def test_the_last_answer_holds_and_survives_a_restart() -> None:
    cache = AuthCache(wall_time)
    remember = cache.learn(TOKEN, YES, 1000.0)
    assert cache.lookup({"idToken": "aabb01", "type": "ISO14443"}, 2000.0) == YES
    fresh = AuthCache(wall_time)
    for (space, key), value in remember.items():
        assert space == "token"
        fresh.load(key, value)
    assert fresh.lookup(TOKEN, 2000.0) == YES
    cache.learn(TOKEN, {"status": "Blocked"}, 3000.0)
    assert cache.lookup(TOKEN, 3001.0) == {"status": "Blocked"}


def test_expiry_and_age_end_it() -> None:
    cache = AuthCache(wall_time)
    cache.learn(TOKEN, {"status": "Accepted", "cacheExpiryDateTime": "1970-01-01T00:10:00Z"}, 0.0)
    assert cache.lookup(TOKEN, 599.0) is not None
    assert cache.lookup(TOKEN, 600.0) is None
    cache.learn(TOKEN, YES, 0.0)
    assert cache.lookup(TOKEN, MAX_AGE_S + 1.0) is None


def test_no_news_costs_no_write_and_the_disk_names_nobody() -> None:
    cache = AuthCache(wall_time)
    remember = cache.learn(TOKEN, YES, 0.0)
    assert cache.learn(TOKEN, YES, 10.0) == {}
    assert "AABB01" not in str(remember)
    assert token_key(TOKEN) != token_key({"idToken": "AABB02", "type": "ISO14443"})
