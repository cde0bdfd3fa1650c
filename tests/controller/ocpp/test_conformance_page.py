"""CONFORMANCE.md shows the policy table that runs."""

import re
from pathlib import Path

from controller.link.policy import CSMS, STATION

FROM_STATION, FROM_CSMS = STATION["ocpp2.0.1"], CSMS["ocpp2.0.1"]

PAGE = Path(__file__).resolve().parents[3] / "controller" / "ocpp" / "CONFORMANCE.md"
ROW = re.compile(r"^\| (\w+) \| (\w+) \| (\w+) \| (\w+) \|$", re.MULTILINE)


def test_the_page_and_the_table_are_the_same() -> None:
    text = PAGE.read_text(encoding="utf-8")
    station, csms = text.split("## CALLs of the station")[1].split("## CALLs of the CSMS")
    for part, table in ((station, FROM_STATION), (csms, FROM_CSMS)):
        shown = {action: verbs for action, *verbs in ROW.findall(part)}
        assert shown == {action: [row.open, row.away, row.none] for action, row in table.items()}
