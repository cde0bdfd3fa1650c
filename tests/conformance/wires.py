"""What the runs over every action share: one station and one CSMS per version, and what they answer by themselves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.conformance.directions import CALLS
from tests.conformance.peers import bodies
from tests.support.yard import site

VERSIONS = tuple(CALLS)
NAMES = {"ocpp1.6": "CP16", "ocpp2.0.1": "CP201", "ocpp2.1": "CP21"}


def defaults(folder: Path) -> Path:
    """Answers of the peers to CALLs nobody has planned: Yardmaster's own."""
    meanings = {version: bodies.Meaning(bodies.LEAN, transaction=1 if version == "ocpp1.6" else "tx") for version in VERSIONS}
    made = {
        version: {action: bodies.response(version, action, meanings[version]) for way in CALLS[version].values() for action in way}
        for version in VERSIONS
    }
    file = folder / "defaults.json"
    file.write_text(json.dumps(made))
    return file


def depot(folder: Path, ports: dict[str, int]) -> dict[str, Any]:
    """One station and one CSMS per version, at one site."""
    return site(
        folder,
        upstreams=[{"id": NAMES[version], "url": f"ws://127.0.0.1:{port}/ocpp"} for version, port in ports.items()],
        stations=[{"id": name, "upstream": name, "evses": [{"id": number, "max_current_a": 16} for number in (1, 2, 3)]} for name in NAMES.values()],
    )
