"""Charging profiles without a version: the door to what they say, add up to, and look like on disk.

- ``profile_data``: Profile, Schedule, Period and their words. Profile.raw is the JSON they came in.
- ``composite``: what a set of profiles means over time (``composite``) and at one moment (``explain_at`` lists the chain of
  purposes for people, ``leading_at`` names the binding one). ``circumstances``: without a date, on fewer phases, ended.
  All three questions take the same knowledge by keyword, with defaults that say "nothing special": priority_active, soc_percent,
  offline_since_wall_s (the CSMS is away since), timezone (a tzinfo, for useLocalTime), delay_seed (names the transaction, e.g.
  "CP1/t-17"; "" for an idle EVSE). ``invalid_for_good`` says which profiles can be forgotten.
- ``stored``: profile_to_json and profile_from_json for the journal.

A Dynamic profile counts from ``Profile.updated_wall_s``: whoever stores it stamps it when it comes and with every update
(dataclasses.replace). What is generated on the site (Purpose.LOCAL_GENERATION) is added by ``composite`` to whatever set it is
part of: give a station's own to the station's sum, and to an EVSE only that of the EVSE, else it counts several times.
"""

from controller.ocpp.circumstances import invalid_for_good, on_phases, without_calendar
from controller.ocpp.composite import MAX_WINDOW_S, Layer, composite, explain_at, leading_at, limit_a_at
from controller.ocpp.profile_data import (
    DAY_S,
    WEEK_S,
    Kind,
    LimitAtSoC,
    Mode,
    Period,
    PerPhase,
    Profile,
    ProfileError,
    Purpose,
    Recurrency,
    Schedule,
)
from controller.ocpp.said import Said
from controller.ocpp.stored import profile_from_json, profile_to_json

__all__ = [
    "DAY_S",
    "MAX_WINDOW_S",
    "WEEK_S",
    "Kind",
    "Layer",
    "LimitAtSoC",
    "Mode",
    "PerPhase",
    "Period",
    "Profile",
    "ProfileError",
    "Purpose",
    "Recurrency",
    "Said",
    "Schedule",
    "composite",
    "explain_at",
    "invalid_for_good",
    "leading_at",
    "limit_a_at",
    "on_phases",
    "profile_from_json",
    "profile_to_json",
    "without_calendar",
]
