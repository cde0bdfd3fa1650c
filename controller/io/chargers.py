"""Reads the charger models in ``config/chargers``: one YAML file per model, checked before use.

A file that cannot be used is an error with its name, its field and what to write instead; nothing
is guessed from half a file. Raises ``ChargerFileError``, the one exception of this boundary.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from controller.site.stations.charger import GENERIC, ChargerModel

MAX_BYTES = 65_536


class ChargerFileError(Exception):
    """A charger model file cannot be used; the text names the file, the field and the remedy."""


class ChargerFile(BaseModel):
    """One file of ``config/chargers``. Unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    description: str = Field(default="", max_length=200, description="One sentence for people.")
    purposes: tuple[Literal["TxProfile", "TxDefaultProfile", "ChargingStationMaxProfile"], ...] = Field(
        default=("TxProfile", "TxDefaultProfile"), min_length=1, description="Profile purposes it honours for live setpoints, best first."
    )
    unit: Literal["A", "W"] = Field(default="A", description="Unit of the limits it understands.")
    stack_level: int = Field(default=0, ge=0, le=1000, description="Stack level of our fallback; setpoints lie one above.")
    apply_s: float = Field(default=GENERIC.apply_s, ge=0, le=120, description="From its Accepted until the limit acts, measured at the meter [s].")
    step_a: float = Field(default=1.0, ge=0.1, le=16, description="Smallest step of a limit it follows [A].")
    keeps_default: bool = Field(default=True, description="The fallback survives a reboot and a lost connection.")
    reads_back: bool = Field(default=True, description="GetCompositeSchedule is supported and tells the truth.")
    min_current_a: float = Field(default=6.0, ge=0, le=32, description="Below this current it pauses [A].")
    other_unit: bool = Field(default=True, description="The other unit may be tried when this one is refused.")
    relative: bool = Field(default=False, description="Setpoints count from the session instead of from a date: for boxes without a clock.")
    overdraw_part: float = Field(default=0.0, ge=0, le=0.25, description="It lets a car draw up to this part more than told, 0.05 = 5 %.")
    min_write_s: float = Field(default=0.0, ge=0, le=3600, description="Rises are not written more often than this [s].")
    writes_per_day: int = Field(default=0, ge=0, le=100_000, description="Most profiles a day for rises and renewals, 0 = no bound (flash wear).")
    phase_switching: bool = Field(default=False, description="Switches a running car between one and three phases.")
    phase_pause_s: float = Field(default=10.0, ge=0, le=600, description="How long it pauses for such a switch [s].")
    resume: Literal["none", "status", "availability"] = Field(default="status", description="What wakes a car that sleeps after a pause of 0 A.")
    dynamic: bool = Field(default=True, description="2.1: Dynamic profiles may be used where the station announces them.")
    csms_profiles: Literal["merge", "overlay"] = Field(
        default="merge", description="merge: the CSMS's profiles stay in Yardmaster; overlay: they pass, the station-max profile is ours."
    )

    @model_validator(mode="after")
    def _fits_together(self) -> ChargerFile:
        if len(set(self.purposes)) != len(self.purposes):
            raise ValueError("purposes: name each purpose once, best first")
        if self.relative and (self.csms_profiles == "overlay" or set(self.purposes) == {"ChargingStationMaxProfile"}):
            raise ValueError("relative: a station-max profile cannot count from a session (K01.FR.38); leave it out")
        return self


def load_charger(path: Path) -> ChargerModel:
    """One model; its name is the file's name. Raises ChargerFileError."""
    try:
        text = path.read_text(encoding="utf-8")
        data = yaml.safe_load(text) if len(text) <= MAX_BYTES else None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ChargerFileError(f"{path}: cannot be read ({error}); mend the file or remove it") from error
    if not isinstance(data, dict):
        raise ChargerFileError(f"{path}: must be a YAML mapping of at most {MAX_BYTES} bytes; start from generic.yaml")
    try:
        checked = ChargerFile.model_validate(data)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(str(part) for part in one['loc']) or 'file'}: {one['msg']}" for one in error.errors())
        raise ChargerFileError(f"{path}: {problems}; see the fields in generic.yaml") from error
    return ChargerModel(name=path.stem, **checked.model_dump())


def load_chargers(folder: Path) -> dict[str, ChargerModel]:
    """All models of a folder by name; "generic" is always there. Raises ChargerFileError."""
    models = {GENERIC.name: GENERIC}
    for path in sorted(folder.glob("*.yaml")):
        models[path.stem] = load_charger(path)
    return models
