"""``load_config`` and ``yardmaster check``: every bad file gets all its problems at once, with place, line and advice."""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from controller.check import ConfigError, add_arguments, load_config, main, report, schema_text, warnings_of
from controller.checking.report import figures
from controller.paths import config_dir

GOOD = """\
site: {id: yard, timezone: Europe/Berlin}
grid: {fuse_a: 63, worst_other_load_a: 20, meter: main}
circuits:
  - {id: left, fuse_a: 40}
  - {id: right, parent: left, fuse_a: 32}
stations:
  - id: box1
    circuit: left
    evses:
      - {id: 1, max_current_a: 32, fallback_a: 6}
      - {id: 2, max_current_a: 16, fallback_a: 6}
  - id: box2
    circuit: right
    evses: [{id: 1, max_current_a: 16, fallback_a: 6}]
upstreams:
  - {id: csms, url: "ws://127.0.0.1:9100/csms"}
meters:
  - {id: main, role: grid, source: {type: modbus, host: 127.0.0.1, map: yardmaster_sim}}
listen: {host: 127.0.0.1}
"""


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "site.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def problems_of(folder: Path, text: str | bytes) -> dict[str, str]:
    """Path -> message of every problem."""
    with pytest.raises(ConfigError) as caught:
        load_config(write(folder, text))
    return {problem.path: str(problem) for problem in caught.value.problems}


def changed(*pairs: tuple[str, str]) -> str:
    text = GOOD
    for old, new in pairs:
        assert old in text, old
        text = text.replace(old, new, 1)
    return text


def check(*words: str) -> int:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return main(parser.parse_args(words))


# -- good files ----------------------------------------------------------------------------------------


def test_a_good_file_becomes_a_config(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, GOOD))
    assert [station.id for station in config.stations] == ["box1", "box2"]
    assert config.stations[0].evses[1].fallback_a == 6.0
    assert config.circuits[0].parent == "grid"


@pytest.mark.parametrize("name", ["site.example.yaml", "site.demo.yaml"])
def test_the_shipped_sites_are_good(name: str) -> None:
    load_config(config_dir() / name)


def test_what_the_example_shows_in_comments_is_good_too(tmp_path: Path) -> None:
    """Whole blocks (``# signals:`` and what is indented below), the battery's command and the market's prices."""
    lines, inside = [], False
    for line in (config_dir() / "site.example.yaml").read_text(encoding="utf-8").splitlines():
        inside = bool(re.match(r"# (modbus_server|inverters|relays|signals):", line)) or (inside and line.startswith("#   "))
        key = re.match(r"  # (command: \{|market:|  feed: \{|  plus_)", line)
        lines.append(line[2:] if inside else line.replace("# ", "", 1) if key else line)
    config = load_config(write(tmp_path, "\n".join(lines)))
    assert config.battery is not None
    assert config.tariff is not None
    assert all((config.modbus_server, config.inverters, config.relays, config.signals, config.battery.command, config.tariff.market))


def test_the_example_tells_editors_its_schema() -> None:
    text = (config_dir() / "site.example.yaml").read_text(encoding="utf-8")
    assert text.startswith("# yaml-language-server: $schema=./site.schema.json\n")


def test_the_shipped_schema_is_current_and_takes_the_shipped_sites() -> None:
    shipped = (config_dir() / "site.schema.json").read_text(encoding="utf-8")
    assert shipped == schema_text(), "run: make schema"
    Draft202012Validator.check_schema(json.loads(shipped))
    validator = Draft202012Validator(json.loads(shipped))
    for name in ("site.example.yaml", "site.demo.yaml"):
        validator.validate(yaml.safe_load((config_dir() / name).read_text(encoding="utf-8")))
    assert not validator.is_valid({"site": {"id": "x"}, "grid": {"fuse": 63}})


# -- one mistake each: (what is changed, where it is told, words of the message) ---------------------------

ONE_MISTAKE = [
    # unknown and misplaced keys
    (("fuse_a: 63", "fuse: 63"), "grid.fuse", ["unknown key", "Did you mean 'fuse_a'?"]),
    (("circuit: left\n", "circut: left\n"), "stations.0.circut", ["line 8", "Did you mean 'circuit'?"]),
    (("    circuit: right\n", "    circuit: right\n    max_current_a: 16\n"), "stations.1.max_current_a", ["It belongs in stations[].evses[]"]),
    (("host: 127.0.0.1, map", "hst: 127.0.0.1, host: h, map"), "meters.0.source.hst", ["Did you mean 'host'?"]),
    (("listen:", "lissen:"), "lissen", ["Did you mean 'listen'?"]),
    # values of the wrong kind
    (("fuse_a: 63", "fuse_a: 63A"), "grid.fuse_a", ["line 2", "'63A'", "write 63,", "Main fuse per phase [A]"]),
    (("fuse_a: 63", "fuse_a: '63,5 A'"), "grid.fuse_a", ["write 63.5,"]),
    (("fuse_a: 63", "fuse_a: yes"), "grid.fuse_a", ["yes without quotes means true or false"]),
    (("fuse_a: 63", "fuse_a:"), "grid.fuse_a", ["has no value", "Main fuse"]),
    (("fuse_a: 63", "fuse_a: .inf"), "grid.fuse_a", ["finite number"]),
    (("fuse_a: 63", "fuse_a: .nan"), "grid.fuse_a", ["finite number"]),
    (("fuse_a: 63", "fuse_a: 0"), "grid.fuse_a", ["is 0 but must be more than 0"]),
    (("fuse_a: 63", "fuse_a: 10000"), "grid.fuse_a", ["at most 6300"]),
    (("fuse_a: 63, ", ""), "grid.fuse_a", ["is missing; add it"]),
    (("id: box1", "id: yes"), "stations.0.id", ["yes without quotes", 'write "yes" if it is a name']),
    (("id: box1", "id: 007"), "stations.0.id", ['put it in quotes: "007"']),
    (("id: box1", "id: box/1"), "stations.0.id", ["'box/1'", "without ':' and '/'"]),
    (("id: yard", "id: my yard"), "site.id", ["letters, digits"]),
    (("evses: [{id: 1, max_current_a: 16, fallback_a: 6}]", "evses: 2"), "stations.1.evses", ["must be a list"]),
    (("evses: [{id: 1, max_current_a: 16, fallback_a: 6}]", "evses: []"), "stations.1.evses", ["at least 1 entries"]),
    (("  - {id: csms, url: \"ws://127.0.0.1:9100/csms\"}\n", ""), "upstreams", ["is empty; remove the line or add entries"]),
    (("listen: {host: 127.0.0.1}", "listen: 9000"), "listen", ["must be a block", "port"]),
    (("role: grid", "role: gird"), "meters.0.role", ["'gird'", "'grid'"]),
    (("type: modbus", "type: modbuss"), "meters.0.source.type", ["'modbus', 'sunspec', 'mqtt'", "Did you mean 'modbus'?"]),
    (("type: modbus, ", ""), "meters.0.source.type", ["is missing", "modbus, sunspec, mqtt"]),
    (("ws://127.0.0.1", "http://127.0.0.1"), "upstreams.0.url", ["ws:// or wss://"]),
    (("fallback_a: 6}", "fallback_a: 6, phases: [L1, L4]}"), "stations.0.evses.0.phases.1", ["'L4'", "'L1', 'L2' or 'L3'"]),
    (("fallback_a: 6}", "fallback_a: 6, phases: [L1, L1]}"), "stations.0.evses.0.phases", ["named twice"]),
    # names
    (("id: box2", "id: box1"), "stations.1.id", ["another station has the id 'box1'", "stations.0"]),
    (("id: right", "id: left"), "circuits.1.id", ["another circuit"]),
    (("  - {id: 2, max", "  - {id: 1, max"), "stations.0.evses.1.id", ["another EVSE of station box1 has the id 1"]),
    (("id: left", "id: grid"), "circuits.0.id", ["'grid' is the grid connection itself"]),
    (("circuit: left", "circuit: lfet"), "stations.0.circuit", ["there is no circuit 'lfet'", "Did you mean 'left'?"]),
    (("parent: left", "parent: up"), "circuits.1.parent", ["there is no circuit 'up'", "Known: grid, left, right"]),
    (("fuse_a: 40", "fuse_a: 40, parent: right"), "circuits.0.parent", ["circle", "left is fed by right is fed by left"]),
    (("fuse_a: 40", "fuse_a: 40, parent: left"), "circuits.0.parent", ["circle", "left is fed by left"]),
    (("circuit: left", "circuit: left\n    upstream: cmsm"), "stations.0.upstream", ["no upstream 'cmsm'", "'csms'"]),
    (("circuit: left", "circuit: left\n    model: nosuchbox"), "stations.0.model", ["charger model", "nosuchbox"]),
    # meters
    (("meter: main", "meter: mian"), "grid.meter", ["there is no meter 'mian'", "'main'"]),
    (("role: grid", "role: pv"), "grid.meter", ["has the role 'pv'", "role: grid"]),
    (("map: yardmaster_sim", "map: yardmaster_sin"), "meters.0.source.map", ["register map", "'yardmaster_sim'"]),
    (("{type: modbus, host: 127.0.0.1, map: yardmaster_sim}", "{type: mqtt, topic: a/b}"), "meters.0.source.type", ["no 'mqtt' block"]),
    (("map: yardmaster_sim", "map: yardmaster_sim, poll_s: 20"), "meters.0.source.poll_s", ["lost between two readings"]),
    # EVSEs
    (("max_current_a: 32, fallback_a: 6", "max_current_a: 32, fallback_a: 5"), "stations.0.evses.0.fallback_a", ["no car charges", "write 0"]),
    (("max_current_a: 32, fallback_a: 6", "max_current_a: 6, fallback_a: 7"), "stations.0.evses.0.fallback_a", ["above max_current_a"]),
    (("max_current_a: 32, fallback_a: 6", "max_current_a: 4"), "stations.0.evses.0.max_current_a", ["below the smallest one, 6 A"]),
    (("max_current_a: 32,", "max_current_a: 32, v2g: {max_discharge_w: 30000},"), "stations.0.evses.0.v2g.max_discharge_w", ["22080 W"]),
    # times, tariff, forecast
    (("Europe/Berlin", "Europe/Berlim"), "site.timezone", ["Did you mean 'Europe/Berlin'"]),
    (("listen:", "control: {setpoint_renew_s: 120}\nlisten:"), "control.setpoint_renew_s", ["less than setpoint_life_s"]),
    (("listen:", "control: {meter_late_s: 10}\nlisten:"), "control.meter_late_s", ["less than meter_lost_s"]),
    (("listen:", "control: {offline_hold_s: 30}\nlisten:"), "control.offline_hold_s", ["must not be given to others"]),
    (("listen:", "limits: {max_valid_for_s: 60}\nlisten:"), "limits.default_valid_for_s", ["max_valid_for_s, 60 s"]),
    (("listen:", "forecast: {pv_w: [1, 2]}\nlisten:"), "forecast.pv_w", ["has 2 values and must have 24"]),
    (
        ("listen:", 'tariff: {buy: [{start: "06:00", price_per_kwh: 1}, {start: 06:00, price_per_kwh: 2}]}\nlisten:'),
        "tariff.buy.1.start",
        ["begins at the same time"],
    ),
    (
        ("listen:", "tariff: {buy: [{start: 22:00, price_per_kwh: 1}, {start: 06:00, price_per_kwh: 2}]}\nlisten:"),
        "tariff.buy.1.start",
        ["begins before"],
    ),
    (("listen:", "tariff: {buy: [{start: 24:00, price_per_kwh: 1}]}\nlisten:"), "tariff.buy.0.start", ["'24:00'", "HH:MM"]),
    (("listen:", "tariff: {currency: Euro}\nlisten:"), "tariff.currency", ["three capital letters"]),
    (
        ("listen:", "tariff: {sell: [{start: 22:00, price_per_kwh: 1}, {start: 06:00, price_per_kwh: 2}]}\nlisten:"),
        "tariff.sell.1.start",
        ["begins before", "early to late"],
    ),
    (
        ("listen:", "tariff: {seasons: [{first_day: 02-30, buy: [{start: 00:00, price_per_kwh: 1}]}]}\nlisten:"),
        "tariff.seasons.0.first_day",
        ["no 02-30"],
    ),
    (("listen:", "tariff: {co2_per_kg: 0.1}\nlisten:"), "tariff.co2_per_kg", ["no effect", "co2_kg_per_kwh"]),
    (("listen:", "tariff: {co2_kg_per_kwh: [0.3, 0.4]}\nlisten:"), "tariff.co2_kg_per_kwh", ["2 values", "24"]),
    (("listen:", "tariff: {co2_kg_per_kwh: [350]}\nlisten:"), "tariff.co2_kg_per_kwh.0", ["350", "divided by 1000"]),
    (("listen:", "forecast: {arrivals: sometimes}\nlisten:"), "forecast.arrivals", ["auto"]),
    (
        ("listen:", "battery: {capacity_wh: 9000, max_charge_w: 5000, max_discharge_w: 5000, reserve_percent: 5}\nlisten:"),
        "battery.reserve_percent",
        ["never planned below 10 %"],
    ),
    # doors
    (("listen:", "api: {host: 0.0.0.0}\nlisten:"), "api.host", ["token_file", "127.0.0.1"]),
    (("listen:", "api: {port: 9000}\nlisten:"), "api.port", ["also listen.port"]),
    (
        ("circuit: left", "circuit: left\n    password: abcdefghijklmnop\n    password_file: p"),
        "stations.0.password_file",
        ["both password and password_file"],
    ),
    (("listen:", "mqtt: {host: h, password: hunter2hunter2}\nlisten:"), "mqtt.username", ["no user name"]),
    (("listen:", "mqtt: {host: h, ca_file: ca.pem}\nlisten:"), "mqtt.ca_file", ["tls: true"]),
]


@pytest.mark.parametrize(("change", "path", "words"), ONE_MISTAKE, ids=[f"{path} {words[0]}" for _, path, words in ONE_MISTAKE])
def test_one_mistake_is_told_where_it_is_and_what_to_do(tmp_path: Path, change: tuple[str, str], path: str, words: list[str]) -> None:
    found = problems_of(tmp_path, changed(change))
    assert path in found
    for word in words:
        assert word in found[path]


BROKEN_TEXT: list[tuple[str, str | bytes, list[str]]] = [
    ("tab", "site:\n\tid: x\n", ["line 2", "tab", "spaces"]),
    ("key twice", GOOD.replace("listen:", "site: {id: other}\nlisten:"), ["'site' is given twice, first on line 1"]),
    ("anchor", GOOD.replace("fuse_a: 63", "fuse_a: &f 63"), ["line 2", "anchors and aliases are not allowed"]),
    ("alias bomb", "a: &a [x,x]\nb: &b [*a,*a]\nc: [*b,*b]\n", ["line 1", "anchors and aliases"]),
    ("merge key", GOOD + "<<: {id: x}\n", ["unknown key '<<'"]),
    ("tag", "site: !!python/object/apply:os.system [echo]\n", ["line 1", "is not allowed"]),
    ("own tag", "site: !vault x\n", ["the tag !vault is not allowed"]),
    ("false tag", "site: !!int abc\n", ["not of the kind 'int'"]),
    ("too large", "# " + "x" * 1_000_000, ["larger than 1000 kB"]),
    ("latin-1", "site: {id: yard, name: M\xfcller}\n".encode("latin-1"), ["line 1", "not UTF-8"]),
    ("utf-16", GOOD.encode("utf-16"), ["UTF-16", "save it as UTF-8"]),
    ("control character", "site: {id: a\x07b}\n", ["line 1", "U+0007"]),
    ("deep", "a: " + "[" * 60 + "]" * 60, ["nested more than 20 levels"]),
    ("very deep", "[" * 100_000, ["nested more than 20 levels"]),
    ("two documents", GOOD + "---\nsite: {id: b}\n", ["a second document begins here"]),
    ("empty", "", ["the file is empty", "site.example.yaml"]),
    ("only comments", "# nothing\n", ["the file is empty"]),
    ("a list", "- site\n- grid\n", ["must be keys and values"]),
    ("a word", "hello", ["must be keys and values"]),
    ("colon", "site: id: x\n", ["line 1", "a ':' where none may be"]),
    ("bracket", "site: {id: x\ngrid: 1\n", ["not readable as YAML"]),
    ("indentation", "site:\n  id: x\n    name: y\n", ["line 3", "not readable as YAML"]),
    ("list as key", "? [a, b]\n: 1\n", ["a key must be a word"]),
]


@pytest.mark.parametrize(("text", "words"), [case[1:] for case in BROKEN_TEXT], ids=[case[0] for case in BROKEN_TEXT])
def test_a_text_that_is_not_a_site_gets_one_clear_sentence(tmp_path: Path, text: str | bytes, words: list[str]) -> None:
    told = "\n".join(problems_of(tmp_path, text).values())
    for word in words:
        assert word in told


def test_a_byte_order_mark_is_harmless(tmp_path: Path) -> None:
    assert load_config(write(tmp_path, b"\xef\xbb\xbf" + GOOD.encode())).site.id == "yard"


def test_times_and_dates_stay_texts_and_numbers_in_quotes_are_numbers(tmp_path: Path) -> None:
    tariff = "tariff: {buy: [{start: 05:30, price_per_kwh: '0.3'}, {start: 22:00, price_per_kwh: 1e-1}]}\n"
    text = changed(("listen:", f"{tariff}listen:"), ("id: box2", "id: 2026-01-01"))
    config = load_config(write(tmp_path, text))
    assert [(window.start, window.price_per_kwh) for window in config.tariff.buy] == [("05:30", 0.3), ("22:00", 0.1)]
    assert config.stations[1].id == "2026-01-01"


# -- all at once ---------------------------------------------------------------------------------------


def test_all_problems_come_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = changed(
        ("Europe/Berlin", "Berlin"),
        ("fuse_a: 63", "fuse_a: 63A"),
        ("circuit: left", "circuit: lefty"),
        ("  - {id: 2, max_current_a: 16,", "  - {id: 2, max_curent_a: 16,"),
        ("id: box2", "id: box1"),
        ("map: yardmaster_sim", "map: nosuch"),
        ("listen: {host: 127.0.0.1}", "listen: {prt: 1}\napi: {host: 10.0.0.1}"),
    )
    with pytest.raises(ConfigError) as caught:
        load_config(write(tmp_path, text))
    lines = [problem.line for problem in caught.value.problems]
    assert lines == sorted(lines, key=lambda line: line or 0)
    paths = {problem.path for problem in caught.value.problems}
    assert paths == {
        "site.timezone",
        "grid.fuse_a",
        "stations.0.circuit",
        "stations.0.evses.1.max_curent_a",
        "stations.0.evses.1.max_current_a",
        "stations.1.id",
        "meters.0.source.map",
        "listen.prt",
        "api.host",
    }
    assert f"{len(paths)} problems, nothing was changed" in str(caught.value)


def test_a_wrong_value_causes_no_false_follow_up_problems(tmp_path: Path) -> None:
    """A circuit without a usable id must not make every station on it 'unknown circuit'."""
    assert set(problems_of(tmp_path, changed(("id: left", "id: le ft")))) == {"circuits.0.id"}
    assert set(problems_of(tmp_path, changed(("id: main, role", "id: 5, role")))) == {"meters.0.id"}
    assert set(problems_of(tmp_path, changed(("stations:", "station:")))) == {"station"}
    assert set(problems_of(tmp_path, changed(("grid: {fuse_a: 63, worst_other_load_a: 20, meter: main}\n", "")))) == {"grid"}
    assert set(problems_of(tmp_path, changed(("  - {id: 2, max_current_a: 16, fallback_a: 6}", "  - 2")))) == {"stations.0.evses.1"}
    wrong_phases = changed(("fuse_a: 63", "fuse_a: 40"), ("fallback_a: 6}", "fallback_a: 10, phase: [L2]}"))
    assert set(problems_of(tmp_path, wrong_phases)) == {"stations.0.evses.0.phase"}


def test_the_messages_never_show_a_secret(tmp_path: Path) -> None:
    text = changed(
        ("circuit: left", "circuit: left\n    password: 1234567890123456"),
        ("listen:", "mqtt: {host: h, username: u, password: [hunter2]}\napi: {token: {a: hunter2}}\nhistory: hunter2\nlisten:"),
    )
    told = "\n".join(problems_of(tmp_path, text).values())
    assert "stations.0.password: must be a text; put it in quotes" in told
    assert "hunter2" not in told
    assert "1234567890123456" not in told
    broken = "\n".join(problems_of(tmp_path, 'mqtt: {password: "hunter2" x}\n').values())
    assert "not readable as YAML" in broken
    assert "hunter2" not in broken


# -- the fallback arithmetic ------------------------------------------------------------------------------


def test_a_fallback_sum_above_the_fuse_is_spelled_out(tmp_path: Path) -> None:
    found = problems_of(tmp_path, changed(("worst_other_load_a: 20", "worst_other_load_a: 50")))
    message = found["grid.fuse_a"]
    assert "'grid' on L1 (also on L2, L3)" in message
    assert "chargers 6 (box1/1) + 6 (box1/2) + 6 (box2/1) = 18 A, other load 50 A (grid), together 68 A, more than 63 A" in message
    assert "Lower fallback_a by 5 A in all" in message


def test_exactly_the_fuse_is_allowed_and_a_tenth_more_is_not(tmp_path: Path) -> None:
    load_config(write(tmp_path, changed(("worst_other_load_a: 20", "worst_other_load_a: 45"))))
    assert "together 63.1 A" in problems_of(tmp_path, changed(("worst_other_load_a: 20", "worst_other_load_a: 45.1")))["grid.fuse_a"]


def test_a_charger_that_lets_cars_draw_more_than_told_counts_with_that(tmp_path: Path) -> None:
    """5 % of 6 A and 6 A are 0.6 A more than the 18 A that would just fit."""
    loose = changed(("worst_other_load_a: 20", "worst_other_load_a: 45"), ("evses:\n", "model: loose_meter\n    evses:\n"))
    assert "together 63.6 A" in problems_of(tmp_path, loose)["grid.fuse_a"]


def test_other_load_of_circuits_below_counts_too(tmp_path: Path) -> None:
    found = problems_of(tmp_path, changed(("parent: left, fuse_a: 32", "parent: left, fuse_a: 32, worst_other_load_a: 25")))
    assert "other load 25 A (right), together 43 A, more than 40 A" in found["circuits.0.fuse_a"]
    assert "grid.fuse_a" in problems_of(
        tmp_path, changed(("fuse_a: 32", "fuse_a: 32, worst_other_load_a: 22"), ("worst_other_load_a: 20", "worst_other_load_a: 24"))
    )


def test_phases_are_summed_each_for_itself(tmp_path: Path) -> None:
    """Three EVSEs of one phase each share the fuse only where they meet."""
    spread = changed(
        ("fuse_a: 63", "fuse_a: 26"),
        ("max_current_a: 32, fallback_a: 6", "max_current_a: 16, fallback_a: 6, phases: [L1]"),
        ("max_current_a: 16, fallback_a: 6}\n  - id: box2", "max_current_a: 16, fallback_a: 6, phases: [L2]}\n  - id: box2"),
        ("evses: [{id: 1, max_current_a: 16, fallback_a: 6}]", "evses: [{id: 1, max_current_a: 16, fallback_a: 6, phases: [L3]}]"),
    )
    load_config(write(tmp_path, spread))
    told = problems_of(tmp_path, spread.replace("phases: [L3]", "phases: [L2]"))["grid.fuse_a"]
    assert "'grid' on L2: chargers 6 (box1/2) + 6 (box2/1) = 12 A" in told


def test_one_phase_site_refuses_other_phases_and_adds_on_l1_only(tmp_path: Path) -> None:
    text = changed(("fuse_a: 63", "fuse_a: 63, phases: 1"))
    assert "write phases: [L1]" in problems_of(tmp_path, text)["stations.0.evses.0.phases"]
    one_phase = text.replace("fallback_a: 6}", "fallback_a: 6, phases: [L1]}")
    assert "L2" not in report(load_config(write(tmp_path, one_phase))).split("What goes where")[0]


# -- secret files -------------------------------------------------------------------------------------------


def test_secrets_come_from_files_beside_the_site_file(tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "box1").write_text("correct horse battery\n", encoding="utf-8")
    path = write(tmp_path, changed(("circuit: left", "circuit: left\n    password_file: secrets/box1")))
    password = load_config(path).stations[0].password
    assert password is not None
    assert password.get_secret_value() == "correct horse battery"


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "No such file"), (b"", "is empty"), (b"a\nb\n", "more than one line"), (b"\xff\xfe", "not a UTF-8"), (b"x" * 5000, "4096 bytes")],
)
def test_a_bad_secret_file_fails_the_check_but_keeps_only_its_own_leg_down(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes | None, words: str
) -> None:
    if content is not None:
        (tmp_path / "pw").write_bytes(content)
    path = write(tmp_path, changed(("circuit: left", "circuit: left\n    password_file: pw")))
    station = load_config(path).stations[0]
    assert station.password is None
    assert station.password_file == tmp_path.resolve() / "pw"
    assert check(str(path)) == 1
    told = capsys.readouterr().err
    assert "stations.0.password_file" in told
    assert words in told


# -- warnings, report, verb ---------------------------------------------------------------------------------

WARNINGS = [
    ((", meter: main", ""), "grid", "no meter at the grid connection: 20 A per phase"),
    (("fuse_a: 63,", "fuse_a: 63, margin_a: 0,"), "grid.margin_a", "nothing is kept free"),
    (("fuse_a: 63,", "fuse_a: 63, max_import_w: 50000,"), "grid.max_import_w", "more than the fuse carries (43470 W)"),
    (("fuse_a: 32", "fuse_a: 50"), "circuits.1.fuse_a", "more than the fuse above it (left, 40 A)"),
    (("max_current_a: 32", "max_current_a: 50"), "stations.0.evses.0.max_current_a", "can never be reached behind the fuse of 'left'"),
    (("listen: {host: 127.0.0.1}", "listen: {}"), "stations", "anybody in the network can pretend to be box1, box2"),
    (("circuit: left", "circuit: left\n    password: short"), "stations.0.password", "shorter than the 16 characters"),
    (('upstreams:\n  - {id: csms, url: "ws://127.0.0.1:9100/csms"}\n', ""), "upstreams", "no CSMS"),
    (("ws://127.0.0.1:9100/csms", "ws://u:hunter2@csms.example/ocpp"), "upstreams.0.url", "holds a user name or password"),
    (("ws://127.0.0.1:9100/csms", "ws://csms.example/ocpp"), "upstreams.0.url", "not encrypted"),
    (("listen:", "limits: {max_valid_for_s: 2592000}\nlisten:"), "limits.max_valid_for_s", "30 days"),
    (("listen:", "limits: {failsafe_a: 80}\nlisten:"), "limits.failsafe_a", "above the main fuse"),
    (("listen:", "control: {setpoint_renew_s: 100}\nlisten:"), "control.setpoint_renew_s", "one lost renewal"),
    (("map: yardmaster_sim", "map: yardmaster_sim, poll_s: 2"), "meters.0.source.poll_s", "one missed reading"),
    (("max_current_a: 32,", "max_current_a: 32, v2g: {max_discharge_w: 7000},"), "stations.0.evses.0.v2g", "grid.max_export_w is not set"),
    (("role: grid, source", "role: circuit, source"), "meters.0.id", "name it in circuits[].meter"),
    (("evses:\n", "model: station_max_only\n    evses:\n"), "stations.0.model", "cannot be promised"),
    (("worst_other_load_a: 20", "worst_other_load_a: 20, max_unbalance_a: 5"), "grid.max_unbalance_a", "can never charge alone"),
]


@pytest.mark.parametrize(("change", "path", "words"), WARNINGS, ids=[f"{path} {words[:24]}" for _, path, words in WARNINGS])
def test_a_warning_refuses_nothing(tmp_path: Path, change: tuple[str, str], path: str, words: str) -> None:
    changes = [change] if change[0] != "role: grid, source" else [change, (", meter: main", "")]
    config = load_config(write(tmp_path, changed(*changes)))
    told = [problem.message for problem in warnings_of(config) if problem.path == path]
    assert any(words in message for message in told)
    assert "hunter2" not in "".join(told)


def test_a_well_kept_site_gets_no_warning(tmp_path: Path) -> None:
    assert warnings_of(load_config(write(tmp_path, GOOD))) == []
    without_fallback = GOOD.replace("fallback_a: 6", "fallback_a: 0")
    assert "nobody charges at all" in warnings_of(load_config(write(tmp_path, without_fallback)))[0].message


def test_a_password_file_open_to_everybody_is_told(tmp_path: Path) -> None:
    secret = tmp_path / "pw"
    secret.write_text("correct horse battery", encoding="utf-8")
    path = write(tmp_path, changed(("circuit: left", "circuit: left\n    password_file: pw")))
    secret.chmod(0o644)
    assert [problem.path for problem in warnings_of(load_config(path))] == ["stations.0.password_file"]
    secret.chmod(0o600)
    assert warnings_of(load_config(path)) == []


def test_the_report_says_what_the_site_may_draw_and_what_silence_does(tmp_path: Path) -> None:
    text = changed(("fuse_a: 63,", "fuse_a: 63, max_import_w: 34500,"), ("listen:", "mqtt: {host: broker}\nlimits: {failsafe_a: 30}\nlisten:"))
    words = " ".join(report(load_config(write(tmp_path, text))).split())
    for sentence in (
        "yard: 2 stations, 3 EVSEs",
        "Main fuse: 63 A on each of three phases at 230 V, that is 43.5 kW. 1 A of it stays free.",
        "Import limit: 34.5 kW, all phases together.",
        "chargers share L1 30 A, L2 30 A, L3 30 A, that is 20.7 kW",
        "Circuit left (fed by grid): fuse 40 A per phase for 3 EVSEs of 2 stations.",
        "Grid meter main: after 3 s",
        "after 10 s every EVSE behind it goes to its fallback current",
        "30 A per phase hold for the site until a new limit arrives",
        "at most 2 min after the last renewal",
        "6 A: box1/1, box1/2, box2/1.",
        "grid L1 L2 L3: chargers 3 x 6 = 18 A, other load 20 A (grid), together 38 A, fits under 63 A.",
        "Stations dial ws://127.0.0.1:9000/ocpp/<their id>.",
        "limits from yardmaster/yard/limit/set",
    ):
        assert sentence in words


def test_the_report_says_what_each_csms_will_see(tmp_path: Path) -> None:
    upstreams = """\
  - {id: one, url: "wss://one.example/ocpp", face: depot, identity: DEPOT-17, versions: [ocpp2.1, ocpp1.6]}
  - {id: two, url: "wss://two.example/ocpp", versions: [ocpp2.0.1]}
  - {id: three, url: "wss://three.example/ocpp", translate: false}
  - {id: four, url: "wss://four.example/ocpp", face: depot}
"""
    text = changed(('  - {id: csms, url: "ws://127.0.0.1:9100/csms"}\n', upstreams), ("id: box2", "id: box2\n    upstream: two"))
    config = load_config(write(tmp_path, text))
    words = " ".join(report(config).split())
    for sentence in (
        "To the CSMS one, wss://one.example/ocpp: one large station DEPOT-17 with 2 EVSEs, made of 1 charger and the site itself (EVSE 0). "
        "It is offered OCPP 2.1, else OCPP 1.6.",
        "DEPOT-17: EVSE 1 = box1/1, EVSE 2 = box1/2.",
        "To the CSMS two, wss://two.example/ocpp: everything 1 station says, each under its own id, byte for byte where it speaks OCPP 2.0.1, "
        "translated where not.",
        "To the CSMS three, wss://three.example/ocpp: everything 0 stations say, each under its own id, byte for byte.",
        "one large station yard with 0 EVSEs",
        "port 9010; open only while there is something to fetch or put.",
        "yard: no station names this upstream; while the site runs, `yardmaster face four` gives it some.",
    ):
        assert sentence in words
    assert figures(config)["depots"][0] == {"upstream": "one", "identity": "DEPOT-17", "numbers": {"box1/1": 1, "box1/2": 2}}


def test_the_verb_prints_words_and_ends_with_0(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(str(write(tmp_path, changed((", meter: main", ""))))) == 0
    printed = capsys.readouterr().out
    assert "is good." in printed
    assert "Worth a second look (2)" in printed
    assert "line 2: grid: no meter at the grid connection" in printed


def test_the_verb_ends_with_1_for_a_bad_file_and_2_for_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(str(write(tmp_path, changed(("fuse_a: 63", "fuse_a: 0"))))) == 1
    assert "1 problem, nothing was changed" in capsys.readouterr().err
    assert check(str(tmp_path / "none.yaml")) == 2
    assert "none.yaml: No such file" in capsys.readouterr().err
    assert check(str(tmp_path)) == 2


def test_the_verb_speaks_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check("--json", str(write(tmp_path, changed(("fuse_a: 63", "fuse_a: 0"))))) == 1
    bad = json.loads(capsys.readouterr().out)
    assert bad["ok"] is False
    assert bad["problems"][0]["path"] == "grid.fuse_a"
    assert bad["problems"][0]["line"] == 2
    assert check("--json", str(write(tmp_path, GOOD))) == 0
    good = json.loads(capsys.readouterr().out)
    assert good["ok"] is True
    assert good["figures"]["left_for_charging_a"] == {"L1": 42.0, "L2": 42.0, "L3": 42.0}
    assert good["figures"]["fallback"][0] == {
        "circuit": "grid", "phase": "L1", "chargers_a": 18.0, "other_load_a": 20.0, "total_a": 38.0, "fuse_a": 63.0
    }  # fmt: skip


def test_the_verb_prints_the_schema(capsys: pytest.CaptureFixture[str]) -> None:
    assert check("--schema") == 0
    assert json.loads(capsys.readouterr().out)["title"] == "Yardmaster site.yaml"


def test_a_misspelt_key_of_one_station_hides_nothing_of_another(tmp_path: Path) -> None:
    file = tmp_path / "site.yaml"
    file.write_text(
        """\
site: {id: t}
grid: {fuse_a: 63, worst_other_load_a: 10}
stations:
  - {id: A, circut: hall, evses: [{id: 1, max_current_a: 32}]}
  - {id: B, circuit: nowhere, evses: [{id: 1, max_current_a: 32, fallback_a: 3}]}
""",
        encoding="utf-8",
    )
    with pytest.raises(ConfigError) as caught:
        load_config(file)
    text = caught.value.text()
    assert all(words in text for words in ("stations.0.circut", "stations.1.circuit", "stations.1.evses.0.fallback_a", "write 0, or 6 or more"))


def test_the_report_says_which_cars_may_be_discharged() -> None:
    demo = report(load_config(config_dir() / "site.demo.yaml"))
    said = " ".join(demo.split())
    assert "A car at Y1/1 may give back up to 11 kW, never below 45 % of its battery" in said
    assert "No other car is ever discharged." in said
    assert "No car is ever discharged." in " ".join(report(load_config(config_dir() / "site.example.yaml")).split())


@pytest.mark.parametrize(("line", "place"), [("grid: {fuse_a: 63, worst_other_load_a: 10, max_import_w: .inf}", "grid.max_import_w")])
@pytest.mark.parametrize("number", [".inf", ".nan"])
def test_a_number_that_is_none_never_reaches_a_plan(tmp_path: Path, line: str, place: str, number: str) -> None:
    told = problems_of(tmp_path, f"site: {{id: t}}\n{line.replace('.inf', number)}\nstations: [{{id: A, evses: [{{id: 1, max_current_a: 16}}]}}]\n")
    assert "finite number" in told[place]


@pytest.mark.parametrize(
    "block", ["battery: {capacity_kwh: 40}", "site: {name: x}", "grid: {fuse: 63}", "mqtt: {hosts: x}", "battery: []", "signals: [{typ: mqtt}]"]
)
def test_a_misspelt_key_in_a_block_that_lacks_a_needed_one_is_told_with_all_the_rest(tmp_path: Path, block: str) -> None:
    """Leaving the block out took the misspelt key with it; looking for that one ended in a traceback."""
    name = block.partition(":")[0]
    kept = [line for line in GOOD.splitlines() if not line.startswith(f"{name}:")]
    found = problems_of(tmp_path, "\n".join([*kept, block, "timezone: nonsense"]))
    assert len(found) >= 2
    assert "timezone" in found
    assert any(path.startswith(name) for path in found)
