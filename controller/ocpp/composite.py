"""What charging profiles add up to over time.

Within one purpose the highest valid stack level wins outright, also with a higher limit, also where it sets none. The profiles
of a transaction are PriorityCharging while that is active, else TxProfile, else TxDefaultProfile, each where it is valid. The
lowest of these, the station's maximum and an external constraint counts; what is generated on the site comes on top (SC.01,
K08.FR.04, K27). A schedule that has run out its duration falls back to the next stack level (K02.FR.08), a Dynamic one so long
after its last update (K28.FR.13/14). Validity is [valid_from, valid_to) (K01.FR.36/37).

A watt limit becomes amps with the *nominal* voltage and the phases of its period (K01.FR.49-51); limits of single phases count
with the lowest one (K01.FR.147). The lowest number of phases counts for all (K01.FR.140). Setpoints are held within the merged
limits (V2X.03/04, K08.FR.08); a station's maximum bounds no discharge (K01.FR.111, trap 23). Several schedules in one profile
(ISO 15118) count with their lowest limit, as we do not know which one the car chose. An unknown state of charge counts as above
every limitAtSoC.

Limits are per phase [A]. All times are UTC wall seconds. Pure arithmetic: never reads a clock. Costs grow with the number of
periods in the window, not with its square.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import tzinfo
from typing import Final

from controller.facts import LimitStep
from controller.ocpp.profile_data import WEEK_S, Mode, Profile, Purpose
from controller.ocpp.profile_steps import Steps, fold, merged, said_at, steps_of
from controller.ocpp.said import Known, Said, lower

MAX_WINDOW_S: Final = WEEK_S
"""A composite looks no further than this, whatever was asked: more periods than anybody can use."""


@dataclass(frozen=True, slots=True)
class Layer:
    """One purpose at one moment: its leading profile and what that says by itself.

    counts: False where another purpose stands in for it (a TxDefaultProfile behind a TxProfile). binding: its limit is the
    result's (before local generation). min_rate_a: less is inefficient, it says (K01.FR.21).
    """

    purpose: Purpose
    profile: Profile
    said: Said
    counts: bool
    binding: bool
    min_rate_a: float | None


def composite(
    profiles: Iterable[Profile],
    start_wall_s: float,
    end_wall_s: float,
    session_start_wall_s: float | None,
    voltage_v: float,
    *,
    priority_active: bool = False,
    soc_percent: float | None = None,
    offline_since_wall_s: float | None = None,
    timezone: tzinfo | None = None,
    delay_seed: str = "",
    totals: bool = False,
) -> tuple[LimitStep, ...]:
    """What ``profiles`` together allow from start_wall_s (first step) up to end_wall_s, at most MAX_WINDOW_S.

    session_start_wall_s None: no session; Relative schedules are taken to start with the window, as a session that began now
    would see them. voltage_v: nominal, phase to neutral, > 0. priority_active: UsePriorityCharging is on (K21/K22). soc_percent:
    of the battery, None = unknown. offline_since_wall_s: when the CSMS was lost, None = it is there. timezone: of the site, for
    useLocalTime; None = UTC. delay_seed: names the transaction, for randomizedDelay: the same one always draws the same; "" = no
    delays, as for an idle EVSE (K08). totals: limits in watts keep that they are sums (``LimitStep.total``). Neighbouring equal steps
    are merged.
    """
    end_s = min(end_wall_s, start_wall_s + MAX_WINDOW_S)
    session_s = start_wall_s if session_start_wall_s is None else session_start_wall_s
    known = Known(session_s, voltage_v, soc_percent, offline_since_wall_s, timezone, delay_seed)
    by_purpose: dict[Purpose, list[Profile]] = {}
    for profile in sorted(profiles, key=_rank):
        by_purpose.setdefault(profile.purpose, []).append(profile)

    def layer(purpose: Purpose) -> Steps:
        steps = [steps_of(profile, start_wall_s, end_s, known) for profile in by_purpose.get(purpose, [])]
        return fold(steps, _first) or [(start_wall_s, None)]

    transaction = merged(layer(Purpose.TX), layer(Purpose.TX_DEFAULT), _first)
    if priority_active:
        transaction = merged(layer(Purpose.PRIORITY), transaction, _first)
    bounds = merged(layer(Purpose.STATION_MAX), layer(Purpose.EXTERNAL), lower)
    result = merged(merged(bounds, transaction, lower), layer(Purpose.LOCAL_GENERATION), _added)
    return tuple(_step(moment, said, totals) for moment, said in result)


def limit_a_at(profile: Profile, wall_s: float, session_start_wall_s: float, voltage_v: float) -> float | None:
    """Limit per phase [A] that ``profile`` alone sets at ``wall_s``; None when it sets none or does not apply then.

    session_start_wall_s: zero of Relative schedules. voltage_v: nominal, phase to neutral, > 0.
    """
    said = said_at(profile, wall_s, Known(session_start_wall_s, voltage_v))
    return None if said is None else said.limit_a


def explain_at(
    profiles: Iterable[Profile],
    wall_s: float,
    session_start_wall_s: float | None,
    voltage_v: float,
    *,
    priority_active: bool = False,
    soc_percent: float | None = None,
    offline_since_wall_s: float | None = None,
    timezone: tzinfo | None = None,
    delay_seed: str = "",
) -> tuple[Layer, ...]:
    """The chain of limits at one moment: the leading profile of each purpose that has one, in the order of ``Purpose``."""
    session_s = wall_s if session_start_wall_s is None else session_start_wall_s
    known = Known(session_s, voltage_v, soc_percent, offline_since_wall_s, timezone, delay_seed)
    leaders: dict[Purpose, tuple[Profile, Said]] = {}
    for profile in sorted(profiles, key=_rank):
        said = None if profile.purpose in leaders else said_at(profile, wall_s, known)
        if said is not None:
            leaders[profile.purpose] = (profile, said)
    return _layers(leaders, priority_active, voltage_v)


def leading_at(
    profiles: Iterable[Profile],
    wall_s: float,
    session_start_wall_s: float | None,
    voltage_v: float,
    *,
    priority_active: bool = False,
    soc_percent: float | None = None,
    offline_since_wall_s: float | None = None,
    timezone: tzinfo | None = None,
    delay_seed: str = "",
) -> Profile | None:
    """The profile whose limit is the composite's at ``wall_s``; where none limits, one that sets a mode; None if there is none."""
    layers = explain_at(
        profiles,
        wall_s,
        session_start_wall_s,
        voltage_v,
        priority_active=priority_active,
        soc_percent=soc_percent,
        offline_since_wall_s=offline_since_wall_s,
        timezone=timezone,
        delay_seed=delay_seed,
    )
    found = [layer for layer in layers if layer.binding] or [layer for layer in layers if layer.counts and layer.said.mode]
    return found[0].profile if found else None


def _layers(leaders: dict[Purpose, tuple[Profile, Said]], priority_active: bool, voltage_v: float) -> tuple[Layer, ...]:
    idle = set() if priority_active else {Purpose.PRIORITY}
    behind = [purpose for purpose in (Purpose.PRIORITY, Purpose.TX, Purpose.TX_DEFAULT) if purpose in leaders and purpose not in idle][1:]
    counting = {purpose: said for purpose, (_, said) in leaders.items() if purpose not in idle and purpose not in behind}
    capping = [(said.limit_a, purpose) for purpose, said in counting.items() if purpose is not Purpose.LOCAL_GENERATION and said.limit_a is not None]
    lowest = min(capping, key=lambda cap: cap[0], default=(None, None))[1]
    return tuple(
        Layer(purpose, profile, said, purpose in counting, purpose is lowest, _min_rate_a(profile, voltage_v))
        for purpose in Purpose
        if purpose in leaders
        for profile, said in [leaders[purpose]]
    )


def _min_rate_a(profile: Profile, voltage_v: float) -> float | None:
    rates = [
        schedule.min_rate if schedule.unit == "A" else schedule.min_rate / (voltage_v * schedule.periods[0].phase_count)
        for schedule in profile.schedules
        if schedule.min_rate is not None
    ]
    return max(rates, default=None)


def _rank(profile: Profile) -> tuple[int, int]:
    """Highest stack level first; the id only makes the order certain."""
    return -profile.stack_level, profile.profile_id


def _step(moment: float, said: Said | None, totals: bool) -> LimitStep:
    if said is None:
        return LimitStep(moment, None)
    total = totals and said.total
    return LimitStep(moment, said.limit_a, said.discharge_a, said.setpoint_a, said.phase_count, said.phase_to_use, said.mode.value, total)


def _first(above: Said | None, below: Said | None) -> Said | None:
    return below if above is None else above


def _added(result: Said | None, generated: Said | None) -> Said | None:
    """Local generation on top of a limit; where nothing limits it changes nothing (K27)."""
    if result is None or result.limit_a is None or generated is None or generated.limit_a is None or result.mode is Mode.IDLE:
        return result
    return replace(result, limit_a=result.limit_a + generated.limit_a, total=result.total and generated.total)
