"""The site's picture as JSON: the same text whichever way it is made, and only what changed is told again."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest

from controller.io.api.picture import Feed, to_json
from controller.snapshot import EventView, Snapshot
from tests.support.picture import NOW_WALL_S, evse
from tests.support.picture import picture as snapshot


def plain(picture: Snapshot) -> object:
    """What JSON makes of the plain dicts and lists of a picture."""
    return json.loads(json.dumps(picture.as_json()))


def test_a_picture_written_directly_reads_like_its_plain_dicts() -> None:
    assert json.loads(to_json(snapshot())) == plain(snapshot())


def test_nan_and_infinity_anywhere_are_unknown() -> None:
    bad = evse("alpha", 1, power_w=math.nan, current_a=(1.0, math.inf, 2.0))
    found = json.loads(to_json({"evses": (bad,)}))["evses"][0]
    assert (found["power_w"], found["current_a"]) == (None, [1.0, None, 2.0])
    assert found["limit_a"] == bad.limit_a


def test_what_json_cannot_say_is_an_error_and_no_empty_object() -> None:
    with pytest.raises(TypeError):
        to_json({"at": object()})


def test_the_first_look_is_whole_and_the_next_tells_what_changed() -> None:
    pictures = [snapshot()]
    feed = Feed(lambda: pictures[-1], 1.0)
    feed.look(10.0)
    assert json.loads(feed.full()) == plain(pictures[0])
    seen, last = feed.number, feed.last_event()
    pictures.append(replace(pictures[0], now_wall_s=NOW_WALL_S + 1.0))
    feed.look(11.0)
    assert feed.changes(seen, last) is None, "the time alone is no change"
    fresh = EventView(last + 1, NOW_WALL_S, "info", "site", "something new")
    site = replace(pictures[0].site, mode="degraded")
    pictures.append(replace(pictures[0], site=site, events=(*pictures[0].events, fresh)))
    feed.look(12.0)
    assert json.loads(feed.changes(seen, last) or "") == {
        "now_wall_s": NOW_WALL_S,
        "site": {"mode": "degraded"},
        "events": [{"number": last + 1, "wall_s": NOW_WALL_S, "severity": "info", "subject": "site", "text": "something new"}],
    }


def test_an_event_that_left_the_log_is_told_no_more() -> None:
    pictures = [snapshot()]
    feed = Feed(lambda: pictures[-1], 1.0)
    feed.look(10.0)
    kept = tuple(EventView(number, NOW_WALL_S, "info", "site", f"text {number}") for number in (7, 8))
    for mono_s, events in ((11.0, kept), (12.0, kept[1:])):
        pictures.append(replace(pictures[0], events=events))
        feed.look(mono_s)
    assert [event["number"] for event in json.loads(feed.full())["events"]] == [8]
