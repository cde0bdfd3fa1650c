"""The dashboards as JSON: what is shipped is what the script makes, and every query names what Yardmaster really writes."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from controller.facts import DeviceRead, LimitUnit, NeedStated, SeriesKind, SeriesTold
from controller.orders import RecordPoint
from controller.site.plans.series import origin_of
from tests.support.site_story import Story, depot

FOLDER = Path(__file__).parents[2] / "deploy" / "grafana"
FILES = [f"{kind}/{name}.json" for kind in ("influxql", "victoriametrics") for name in ("site", "chargers", "signals")]
INFLUXQL = re.compile(r'^SELECT (?:mean|last)\("(\w+)"\) FROM "(\w+)" WHERE \$timeFilter GROUP BY time\(\$__interval\)(?:, "(\w+)")? fill\(none\)$')
PROMQL = re.compile(r"^(?:avg|last)_over_time\((\w+)\[\$__interval\]\)$")


def made() -> Any:
    """The script as a module."""
    spec = importlib.util.spec_from_file_location("grafana_make", FOLDER / "make.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["grafana_make"] = module
    spec.loader.exec_module(module)
    return module


def load(name: str) -> Any:
    return json.loads((FOLDER / name).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def written() -> dict[str, dict[str, set[str]]]:
    """Measurement -> field -> tags, from points of a story in which everything happens."""
    feed = {"type": "http", "url": "http://127.0.0.1:9/"}
    meters = [
        {"id": "roof", "role": "pv", "source": {"type": "mqtt", "topic": "roof"}},
        {"id": "cell", "role": "battery", "source": {"type": "mqtt", "topic": "cell"}},
    ]
    line = {"type": "modbus", "host": "relay", "table": "coil", "address": 0}
    config = depot(
        1,
        mqtt={"host": "127.0.0.1"},
        meters=meters,
        battery={"capacity_wh": 10_000, "max_charge_w": 5000, "max_discharge_w": 5000, "meter": "cell"},
        inverters=[{"id": "roof", "meter": "roof", "max_power_w": 9000, "control": {"type": "sunspec", "host": "inverter"}}],
        relays=[{"id": "lamp", "pin": line, "closes": "limited"}],
        signals=[{"id": "dso", "type": "mqtt", "topic": "dso"}],
        tariff={"market": {"feed": feed}, "co2_feed": feed},
    )
    told = Story(config)
    told.start()
    begin_s = told.at().wall_s // 3600 * 3600
    for kind, key in ((SeriesKind.BUY, "market"), (SeriesKind.CO2, "co2_feed")):
        told.do(SeriesTold(told.at(), kind, f"feed {key}", ((begin_s, begin_s + 36_000.0, 0.3),), origin_of(config.feeds()[key])))
    told.plug("CP1")
    told.do(NeedStated(told.at(), next(iter(told.site.evses)), 50_000.0, told.at().wall_s + 900, "api"))
    told.limit(30_000.0, LimitUnit.W, source="dso")
    for _ in range(40):
        amps = told.metered_a(10.0)
        more = {"voltage_v": (230.0, 231.0, 229.0), "energy_import_wh": 5.0, "energy_export_wh": 6.0, "phase_power_w": (1.0, 1.0, 1.0)}
        told.do(told.reading(amps, power_w=230.0 * sum(amps), frequency_hz=50.0, **more))
        told.do(told.reading((-8.0, -8.0, -8.0), meter="roof", power_w=-5520.0))
        told.do(told.reading((1.0, 1.0, 1.0), meter="cell", power_w=690.0, soc_percent=50.0))
        told.do(DeviceRead(told.at(), "roof", power_w=5520.0, command_w=9000.0))
        told.do(DeviceRead(told.at(), "lamp", closed=False))
        told.step(None)
    told.unplug(next(iter(told.drawn_a)))
    told.now += 900.0  # prices are recorded each quarter hour
    told.do(told.tick())
    found: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for point in told.of(RecordPoint):
        for field in point.fields:
            found[point.measurement][field] |= set(point.tags)
    return found


MISSING_IN_THE_STORY = {("signal", "limit_w"), ("signal", "production_limit_w"), ("signal", "measured_w"), ("device", "wanted_w")}
"""Fields that appear only while a source limits, or while a device is commanded; their names are checked against the code that writes them."""


@pytest.mark.parametrize("name", FILES)
def test_every_query_names_what_is_written(name: str, written: dict[str, dict[str, set[str]]]) -> None:
    for panel in load(name)["panels"]:
        assert panel["targets"], panel["title"]
        for target in panel["targets"]:
            measurement, field, tag = parsed(target)
            if (measurement, field) in MISSING_IN_THE_STORY:
                continue
            assert field in written[measurement], f"{panel['title']}: {measurement}.{field}"
            if tag:
                assert tag in written[measurement][field], f"{panel['title']}: {measurement} has no tag {tag}"


def parsed(target: dict[str, Any]) -> tuple[str, str, str]:
    """Measurement, field, and the tag its name uses."""
    if "query" in target:
        match = INFLUXQL.match(target["query"])
        assert match is not None, target["query"]
        used = re.findall(r"\$tag_(\w+)", target["alias"])
        assert used == ([match[3]] if match[3] else []), "a name may use only tags the query groups by"
        return match[2], match[1], match[3] or ""
    match = PROMQL.match(target["expr"])
    assert match is not None, target["expr"]
    measurement, _, field = match[1].partition("_")
    (tag,) = re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]) or [""]
    return measurement, field, tag


@pytest.mark.parametrize(("measurement", "field"), sorted(MISSING_IN_THE_STORY))
def test_fields_of_rare_moments_are_in_the_code_that_writes_them(measurement: str, field: str) -> None:
    source = {"signal": "meters/views.py", "device": "devices/steering.py"}[measurement]
    text = (FOLDER.parents[1] / "controller" / "site" / source).read_text(encoding="utf-8")
    assert f'RecordPoint("{measurement}"' in text
    assert f'"{field}":' in text


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_what_the_script_makes(name: str) -> None:
    kind, _, file = name.partition("/")
    assert (FOLDER / name).read_text(encoding="utf-8") == made().text(file.removesuffix(".json"), kind)


@pytest.mark.parametrize("name", FILES)
def test_panels_fit_the_grid_and_use_the_chosen_data_source(name: str) -> None:
    board = load(name)
    (choice,) = board["templating"]["list"]
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        place = panel["gridPos"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
        assert max(x for x, _ in cells) < 24
        assert not cells & taken
        taken |= cells
        for part in (panel, *panel["targets"]):
            assert part["datasource"] == {"type": choice["query"], "uid": "${datasource}"}
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])


def test_ids_of_dashboards_are_different_and_short_enough() -> None:
    """Grafana takes at most 40 characters."""
    uids = [load(name)["uid"] for name in FILES]
    assert len(set(uids)) == len(uids)
    assert max(map(len, uids)) <= 40


@pytest.mark.parametrize("name", FILES)
def test_a_close_look_leaves_no_holes(name: str) -> None:
    """A step shorter than the time between two points would show most of a line as missing: prices come by the quarter hour, all else in 10 s."""
    for panel in load(name)["panels"]:
        slow = "price_" in json.dumps(panel["targets"]) or '\\"price\\"' in json.dumps(panel["targets"])
        assert panel["interval"] == ("900s" if slow else "20s"), panel["title"]
        assert panel["fieldConfig"]["defaults"]["custom"]["spanNulls"] == (3_600_000 if slow else 60_000)
