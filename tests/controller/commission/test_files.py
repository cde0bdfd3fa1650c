"""The files of a commissioning: models that load, changes that fit, names that are safe, a page that asks for nothing."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from controller.checking.fallback import fallback_sums
from controller.commission.charts import Chart, Line, chart_from, charts_of, svg
from controller.commission.files import changes_text, charger_yaml, file_name, full_rotation, site_changes, site_with
from controller.commission.findings import Finding, Quirks, Rotation, Verdict, finding_of, quirks_of, worst
from controller.commission.record import read
from controller.commission.report import Report, Section, html, overall
from controller.config import Config
from controller.io.chargers import load_charger
from controller.site.stations.charger import GENERIC
from tests.support.site_story import depot
from tests.support.steps import EVSE, STATION, World, entries

MEASURED = Quirks(("TxProfile",), "W", False, None, 7.0, 0.1, False, True, 8.0, 0.05, "availability", False, 12.0, 3)
L123 = ("L1", "L2", "L3")


def test_a_measured_model_loads_with_exactly_what_was_measured(tmp_path: Path) -> None:
    path = tmp_path / "box.yaml"
    path.write_text(charger_yaml(GENERIC, MEASURED, 'Box "22": #1\nmeasured'))
    model = load_charger(path)
    assert {name: getattr(model, name) for name in MEASURED.known() if name != "purposes"} == {
        name: value for name, value in MEASURED.known().items() if name != "purposes"
    }
    assert model.purposes == ("TxProfile",)
    assert model.description == 'Box "22": #1 measured'


def test_what_was_not_measured_stays_as_the_model_says(tmp_path: Path) -> None:
    base = replace(GENERIC, name="old", apply_s=30.0, reads_back=False, csms_profiles="overlay")
    path = tmp_path / "box.yaml"
    path.write_text(charger_yaml(base, Quirks(step_a=0.5), "Box"))
    assert load_charger(path) == replace(base, name="box", step_a=0.5, description="Box")
    assert "apply_s: 30  # not measured" in path.read_text()


@pytest.mark.parametrize(
    ("vendor", "model", "name"),
    [
        ("Acme AG", "Wall Box 22/C", "acme-ag-wall-box-22-c"),
        ("", "", "cp1"),
        ("../../etc", "passwd", "etc-passwd"),
        ("generic", "", "measured-cp1"),
        ("\x1b[31m", "ü", "31m"),
    ],
)
def test_file_names(vendor: str, model: str, name: str) -> None:
    assert file_name(vendor, model, "CP1") == name
    assert re.fullmatch(r"[a-z0-9\-]{1,60}", file_name(vendor, model, "Größe 7"))


@pytest.mark.parametrize(
    ("seen", "wired", "found"),
    [
        ((1, None, None), L123, (("L2", "L3", "L1"), False)),
        ((1, 0, 2), L123, (("L2", "L1", "L3"), True)),
        ((0, None, None), L123, None),
        ((None, None, None), L123, None),
        ((2, None, None), ("L1",), (("L3",), True)),
        ((0, 2, None), L123, None),
    ],
)
def test_phases_for_the_site_file(seen: tuple[int | None, int | None, int | None], wired: tuple[str, ...], found: Any) -> None:
    """The last: two phases that fit no usual order, the third unknown - a person must look."""
    assert full_rotation(Rotation(seen), wired) == found


def test_changes_make_a_site_file_that_is_good() -> None:
    config = depot(2)
    changes = site_changes(config, {("CP1", 1): Rotation((1, None, None), 1)}, {"CP2": "box"})
    data = json.loads(config.model_dump_json(exclude_defaults=True))
    after = Config.model_validate(site_with(data, changes))
    assert after.stations[0].evses[0].phases == ("L2", "L3", "L1")
    assert after.stations[1].model == "box"
    text = changes_text(changes, ["chargers/box.yaml"])
    assert "+ phases: [L2, L3, L1]" in text
    assert "Nothing: the site file says what was measured" in changes_text([], [])


def test_the_safer_of_two_boxes_counts() -> None:
    one = Quirks(apply_s=3.0, step_a=0.1, keeps_default=True, resume="none", min_current_a=6.0, purposes=("TxProfile", "TxDefaultProfile"))
    other = Quirks(apply_s=8.0, step_a=1.0, keeps_default=False, resume="status", purposes=("TxProfile",))
    safer = Quirks(("TxProfile",), apply_s=8.0, step_a=1.0, keeps_default=False, resume="status", min_current_a=6.0)
    assert one.careful(other) == other.careful(one) == safer


def test_what_is_kept_comes_back() -> None:
    finding = Finding("a", Verdict.UNSURE, "b", "c")
    assert finding_of(json.loads(json.dumps(finding.as_json()))) == finding
    assert quirks_of(json.loads(json.dumps(MEASURED.known()))) == MEASURED
    chart = charts_of(read(entries(World(), (16.0, 6.0)), STATION, EVSE), "x")[0]
    assert chart_from(json.loads(json.dumps(chart.as_json()))) == chart


def test_worst() -> None:
    assert worst([]) is Verdict.SKIPPED
    assert worst([Finding("a", Verdict.PASS, ""), Finding("b", Verdict.UNSURE, "")]) is Verdict.UNSURE
    assert worst([Finding("a", Verdict.FAIL, ""), Finding("b", Verdict.UNSURE, "")]) is Verdict.FAIL


# -- the page ---------------------------------------------------------------------------------------------


class Links(HTMLParser):
    """Every address a page names, and every element left open."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.found += [str(value) for name, value in attrs if name in ("src", "href", "action", "data")]


def page(*findings: Finding, config: Config | None = None) -> Report:
    charts = charts_of(read(entries(World(), (16.0, 6.0) * 3), STATION, EVSE), "Steps <b>")
    sums = tuple(fallback_sums(config)) if config is not None else None
    section = Section("EVSE CP1/1", findings, tuple(charts))
    return Report("Depot <script>alert(1)</script>", "today", (("Station CP1", "vendor <i>"),), (section,), sums)


def test_the_page_asks_for_nothing_and_shows_words_as_words() -> None:
    text = html(page(Finding("t", Verdict.FAIL, "<img src=x>", "do & so"), config=depot(2)))
    reader = Links()
    reader.feed(text)
    assert reader.found == ["data:,"]
    assert not reader.tags & {"script", "iframe", "img", "object", "form"}
    assert "&lt;img src=x&gt;" in text
    assert "do &amp; so" in text
    assert text.count("<svg viewBox=\"0 0 680") == 2


def test_the_fuse_decides_over_the_tests() -> None:
    good = Finding("t", Verdict.PASS, "")
    assert overall(page(good, config=depot(2))) is Verdict.PASS
    assert overall(page(good, config=depot(12))) is Verdict.FAIL
    assert "too much" in html(page(good, config=depot(12)))
    assert "Not worked out" in html(page(good))


def test_a_chart_of_nothing_is_nothing() -> None:
    assert svg(Chart("x", ())) == ""
    assert "nan" not in svg(Chart("x", (Line("L1", "0", ((0.0, 0.0),)),)))
