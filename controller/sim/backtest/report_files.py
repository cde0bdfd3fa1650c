"""Results of a backtest as JSON (whole, and read back) and CSV (one table per question), beside the report."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from controller.sim.backtest.outcome import Backtest, LimitCost, PolicyOutcome, Quarter, SessionOutcome

POLICIES, SESSIONS, QUARTERS, LIMITS = "policies.csv", "sessions.csv", "quarters.csv", "limits.csv"


class ResultError(ValueError):
    """A result file that cannot be read, with the reason."""


def write_json(backtest: Backtest, path: Path) -> Path:
    """Everything, so that a report can be made again. Numbers JSON has not (inf, nan) are written as null."""
    path.write_text(json.dumps(_plain(asdict(backtest)), ensure_ascii=False, separators=(",", ":"), allow_nan=False) + "\n", encoding="utf-8")
    return path


def read_json(path: Path) -> Backtest:
    """Back from ``write_json``. Raises ResultError for anything else, naming the file."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        return Backtest(**{**data, "policies": tuple(_policy(one) for one in data["policies"]), **_more(data)})
    except (OSError, ValueError, TypeError, KeyError) as error:
        reason = f"{error.__class__.__name__}: {error}"
        raise ResultError(f"{path} is not a result of a backtest ({reason}); write it anew with yardmaster simulate") from None


def _more(data: dict[str, Any]) -> dict[str, Any]:
    circuits = {evse: tuple(names) for evse, names in data.get("evse_circuits", {}).items()}
    return {"notes": tuple(data.get("notes", ())), "evse_circuits": circuits}


def _policy(data: dict[str, Any]) -> PolicyOutcome:
    parts = {
        "sessions": tuple(SessionOutcome(**one) for one in data["sessions"]),
        "curve": tuple(Quarter(**one) for one in data["curve"]),
        "limits": tuple(LimitCost(**one) for one in data.get("limits", ())),
        "notes": tuple(data.get("notes", ())),
    }
    return PolicyOutcome(**{**data, **parts})


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_csv(backtest: Backtest, folder: Path) -> list[Path]:
    """policies.csv, sessions.csv, quarters.csv, limits.csv in ``folder``; returns what was written."""
    folder.mkdir(parents=True, exist_ok=True)
    return [
        _table(folder / POLICIES, POLICY_HEADS, (_policy_row(one) for one in backtest.policies)),
        _table(folder / SESSIONS, SESSION_HEADS, (_session_row(one.policy, stay) for one in backtest.policies for stay in one.sessions)),
        _table(folder / QUARTERS, (*QUARTER_HEADS, *_load_heads(backtest)), _quarter_rows(backtest)),
        _table(folder / LIMITS, LIMIT_HEADS, (_limit_row(one.policy, cost) for one in backtest.policies for cost in one.limits)),
    ]


POLICY_HEADS = (
    "policy",
    "cost",
    "ev_cost",
    "energy_cost",
    "demand_cost",
    "wear_cost",
    "base_cost",
    "wanted_kwh",
    "delivered_kwh",
    "delivered_percent",
    "peak_kw",
    "over_limit_h",
    "co2_kg",
    "compute_s",
)
SESSION_HEADS = (
    "policy",
    "session",
    "evse",
    "arrival_wall_s",
    "departure_wall_s",
    "wanted_wh",
    "delivered_wh",
    "stated_wh",
    "stated_departure_wall_s",
    "given_wh",
)
QUARTER_HEADS = ("policy", "wall_s", "grid_w", "ev_w", "base_w", "pv_w", "battery_w", "buy_per_kwh", "sell_per_kwh")
LIMIT_HEADS = ("policy", "where", "unit", "cost", "more", "saved_by_more", "cost_kwh", "gained_kwh")


def _policy_row(one: PolicyOutcome) -> Sequence[Any]:
    money = (one.cost, one.ev_cost, one.energy_cost, one.demand_cost, one.wear_cost, one.base_cost)
    energies = (one.wanted_wh / 1000.0, one.delivered_wh / 1000.0, one.delivered_percent)
    over_h = sum(one.over_limit_s.values()) / 3600.0
    return (one.policy, *map(_short, (*money, *energies, one.peak_w / 1000.0, over_h, one.co2_kg, one.seconds)))


def _session_row(policy: str, one: SessionOutcome) -> Sequence[Any]:
    numbers = (one.arrival_wall_s, one.departure_wall_s, one.wanted_wh, one.delivered_wh)
    return (policy, one.id, one.evse, *map(_short, (*numbers, one.stated_wh, one.stated_departure_wall_s, one.given_wh)))


def _limit_row(policy: str, one: LimitCost) -> Sequence[Any]:
    return (policy, one.where, one.unit, *map(_short, (one.cost, one.more, one.saved_by_more, one.cost_kwh, one.gained_kwh)))


def _load_heads(backtest: Backtest) -> list[str]:
    return [f"load {circuit}" for circuit in backtest.circuits_a]


def _quarter_rows(backtest: Backtest) -> Iterable[Sequence[Any]]:
    for outcome in backtest.policies:
        for one in outcome.curve:
            means = (one.wall_s, one.grid_w, one.ev_w, one.base_w, one.pv_w, one.battery_w, one.buy_per_kwh, one.sell_per_kwh)
            yield (outcome.policy, *map(_short, means), *(_short(one.loads.get(circuit)) for circuit in backtest.circuits_a))


def _short(value: float | None) -> str:
    return "" if value is None else f"{value:.12g}"


def _table(path: Path, heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(heads)
        writer.writerows([_harmless(cell) for cell in row] for row in rows)
    return path


def _harmless(cell: Any) -> str:
    """A name that a spreadsheet would take for a formula gets an apostrophe; numbers stay numbers."""
    words = str(cell)
    return "'" + words if words[:1] in ("=", "+", "@", "\t", "\r") or (words[:1] == "-" and not _is_number(words)) else words


def _is_number(words: str) -> bool:
    try:
        float(words)
    except ValueError:
        return False
    return True
