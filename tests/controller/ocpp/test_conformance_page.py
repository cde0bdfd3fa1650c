"""CONFORMANCE.md tells the truth: the tables that run, every use case, and only tests that exist.

Out of date? `python -m tests.support.conformance_page` writes its tables anew.
"""

import re

from controller.link.policy import STATION
from controller.ocpp.registry import sides
from tests.support.conformance_page import PAGE, TESTS, TRANSLATION, citations, depot_rows, policy_rows, side_rows
from tests.support.requirements import SECTIONS

TEXT = PAGE.read_text(encoding="utf-8")
ROW = re.compile(r"^\| (\w+) \| (station|CSMS) \| (\w+) \| (\w+) \| (\w+) \| [^|]* \|$", re.MULTILINE)
STATES = {"done", "passes", "no", "later"}


def section(title: str) -> str:
    return TEXT.split(f"## {title}\n")[1].split("\n## ")[0]


def test_the_tables_of_messages_are_those_that_run() -> None:
    for version in STATION:
        assert ROW.findall(section(f"Messages of {version}")) == policy_rows(version)


def test_the_tables_of_refusals_are_those_of_the_translators() -> None:
    rows = [row for version in sorted(sides()) for end in ("station", "csms") for row in side_rows(version, end)] + depot_rows()
    told = re.findall(r"^\| (\w+) \| ([^|]+) \|$", section(TRANSLATION), re.MULTILINE)
    assert [row for row in told if row[0] != "message"] == rows
    assert all(why.strip() for _, why in rows)


def test_every_use_case_has_one_row_with_a_state_and_every_done_one_a_test() -> None:
    for title, rows in SECTIONS:
        numbers = [row.number for row in rows]
        assert len(numbers) == len(set(numbers))
        for row in rows:
            assert row.state in STATES
            assert row.what
            assert row.tests or row.state != "done", row.number
            assert f"| {row.number} | {row.state} | {row.what} |" in section(title)
    blocks = {"A": 5, "B": 13, "C": 25, "D": 2, "E": 17, "F": 7, "G": 5, "H": 4, "I": 12, "J": 3, "K": 29, "L": 4, "M": 7, "N": 15}
    blocks |= {"O": 6, "P": 2, "Q": 12, "R": 5, "S": 4}
    listed = {row.number for row in SECTIONS[-1][1]}
    assert listed == {"A00"} | {f"{block}{number:02d}" for block, count in blocks.items() for number in range(1, count + 1)}


def test_every_test_named_on_the_page_exists_and_carries_its_number() -> None:
    cited = citations()
    for number, places in re.findall(r"^\| ([^|]+?) \| done \|(?: \|)? (`[^|]*::[^|]*`) \|$", TEXT, re.MULTILINE):
        assert set(re.findall(r"`([^`]+)`", places)) <= set(cited.get(number, ())), f"{number}: write the page anew"
    for name in re.findall(r"`([\w/]+\.py)(?:::\w+)?`", TEXT.split("<!-- made by")[1]):
        assert (TESTS / name).exists(), name
    for _, rows in SECTIONS:
        for row in rows:
            for name in row.tests:
                assert (TESTS / name).exists(), f"{row.number}: {name}"


def test_numbers_are_read_one_by_one() -> None:
    assert "controller/ocpp/v2/test_outage.py::test_never_first_last_state_limit_or_what_is_said_once" in citations()["E12.FR.05"]
    assert {"A01.FR.09", "A01.FR.12"} <= set(citations())
