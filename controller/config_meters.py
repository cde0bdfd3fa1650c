"""Meters in ``site.yaml``: where values come from, and the server that offers them again."""

from __future__ import annotations

from typing import Annotated, Literal, Self, TypeVar

from pydantic import Field, field_validator, model_validator

from controller.config_base import ALL_PHASES, HttpAccess, Identifier, ModbusLine, Model, Phase, distinct
from meters.json_fields import parse_path

Quantity = Annotated[str, Field(pattern=r"^(u|i|p)_l[123]$|^p_l[123]_(imp|exp)$|^p(_imp|_exp)?$|^f$|^e_(imp|exp)$|^soc$")]


class ModbusSource(ModbusLine):
    """A meter read over Modbus with a register map."""

    type: Literal["modbus"] = Field(description="This source is Modbus with a register map.")
    map: Identifier = Field(description="Register map, a file name in config/meters without .yaml.")
    poll_s: float = Field(default=1.0, ge=0.1, le=60, description="Time between two readings [s].")


class SunSpecSource(ModbusLine):
    """A meter, inverter or battery that speaks SunSpec: its models are discovered, no register map is needed."""

    type: Literal["sunspec"] = Field(description="This source is SunSpec over Modbus.")
    poll_s: float = Field(default=1.0, ge=0.1, le=60, description="Time between two readings [s].")
    base: Literal[0, 40000, 50000] | None = Field(default=None, description="Where its models begin; default: 40000, 50000 and 0 are tried.")
    models: tuple[int, ...] = Field(
        default=(), max_length=8, description="Models that hold the values; default: by the meter's role, the first that fits."
    )
    nth: int = Field(default=1, ge=1, le=16, description="Which one of several such models, e.g. the second meter behind an inverter.")
    sign: Literal["import", "export"] | None = Field(
        default=None,
        description="What a positive power means: of a meter model, default import, as most devices do (SolarEdge: export); of a battery whose "
        "model 802 does not tell whether it charges, default export, discharging.",
    )


class FieldPath(Model):
    """Where one value is in a JSON document."""

    path: str = Field(
        min_length=1,
        max_length=200,
        description="Keys with dots, lists with [n], e.g. StatusSNS.ENERGY.Power or emeters[0].power; keys with dots as [\"1.8.0\"]; "
        "$ is the whole document.",
    )
    scale: float = Field(default=1.0, description="Value in A, W, V, Hz, Wh or percent per unit of the document; -1 turns the sign.")

    @field_validator("path")
    @classmethod
    def _readable(cls, path: str) -> str:
        parse_path(path)
        return path

    @field_validator("scale")
    @classmethod
    def _not_zero(cls, scale: float) -> float:
        if scale == 0:
            raise ValueError("scale 0 would make every value 0")
        return scale


Source = TypeVar("Source")
JsonFormat = Literal["yardmaster", "tasmota", "shelly", "json"]


class MqttSource(Model):
    """A meter that publishes over the site's MQTT broker."""

    type: Literal["mqtt"] = Field(description="This source is an MQTT topic.")
    topic: str = Field(
        min_length=1,
        max_length=255,
        description="Topic with a JSON object; in format yardmaster: current_a (list of 1 or 3), power_w, voltage_v, energy_import_wh, "
        "energy_export_wh, soc_percent; import positive.",
    )
    format: JsonFormat = Field(default="yardmaster", description="What the payload looks like; json: as fields say, also a bare number.")
    fields: dict[Quantity, FieldPath] = Field(
        default={}, description="For json: where each quantity is: u_l1..3 [V], i_l1..3 [A], p_l1..3 and p [W], f [Hz], e_imp, e_exp [Wh], soc [%]."
    )
    measured_at: str | None = Field(
        default=None,
        min_length=1,
        max_length=200,
        description="For json: path of something that is new with every measurement, e.g. a time or a counter. While it stands still the values "
        "count as old; that clock need not be right.",
    )

    @model_validator(mode="after")
    def _told(self) -> Self:
        return _checked_fields(self, self.format, self.fields, self.measured_at)


class HttpSource(HttpAccess):
    """A meter that is asked over HTTP and answers JSON."""

    type: Literal["http"] = Field(description="This source answers JSON over HTTP.")
    format: JsonFormat = Field(
        default="json", description="tasmota, shelly: the device's own answers (url: only http://device); json: as fields say."
    )
    fields: dict[Quantity, FieldPath] = Field(default={}, description="For json: where each quantity is, as for MQTT.")
    measured_at: str | None = Field(
        default=None,
        min_length=1,
        max_length=200,
        description="For json: path of something that is new with every measurement, e.g. a time or a counter. While it stands still the values "
        "count as old; that clock need not be right.",
    )
    poll_s: float = Field(default=1.0, ge=0.1, le=300, description="Time between two readings [s].")
    timeout_s: float = Field(default=2.0, gt=0, le=30, description="How long it may take to answer [s].")

    @model_validator(mode="after")
    def _told(self) -> Self:
        return _checked_fields(self, self.format, self.fields, self.measured_at)


def _checked_fields(source: Source, kind: str, fields: dict[str, FieldPath], measured_at: str | None) -> Source:
    if measured_at is not None:
        if kind != "json":
            raise ValueError("measured_at goes with format json only; the other formats know their devices")
        parse_path(measured_at)
    if (kind == "json") != bool(fields):
        raise ValueError("format json needs fields, and only json takes them, e.g. fields: {p: {path: power}}")
    return source


class ChargersSource(Model):
    """The chargers' own values taken together as a meter, for a feeder that has none."""

    type: Literal["chargers"] = Field(description="This source is what stations report.")
    stations: tuple[str, ...] = Field(min_length=1, max_length=500, description="Ids of the stations that are added up.")
    other_load_a: float = Field(default=0.0, ge=0, le=6300, description="Added per phase for what else hangs there and nobody measures [A].")


class VirtualSource(Model):
    """A meter that is worked out from others: sums, differences, shares."""

    type: Literal["virtual"] = Field(description="This source is worked out from other meters.")
    plus: tuple[Identifier, ...] = Field(default=(), max_length=50, description="Meters that are added.")
    minus: tuple[Identifier, ...] = Field(default=(), max_length=50, description="Meters that are taken off.")
    share_percent: float = Field(default=100.0, gt=0, le=100, description="Part of the result that counts, e.g. of a shared PV plant [%].")

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.plus and not self.minus:
            raise ValueError("name at least one meter under plus or minus")
        return self


class MeterQualityConfig(Model):
    """What this meter cannot show. Readings that do are not believed."""

    max_step_a: float | None = Field(
        default=None, gt=0, le=10_000, description="Largest change of a phase from one reading to the next that is believed at once [A]."
    )
    stuck_after_s: float | None = Field(
        default=None,
        gt=0,
        le=86_400,
        description="Values that stay the same to the last digit for so long are not believed [s]; default: never by time alone.",
    )


MeterSource = Annotated[ModbusSource | SunSpecSource | MqttSource | HttpSource | ChargersSource | VirtualSource, Field(discriminator="type")]


class MeterConfig(Model):
    """One meter."""

    id: Identifier = Field(description="Name of the meter.")
    role: Literal["grid", "circuit", "pv", "battery", "load"] = Field(
        description="What it measures. grid and circuit meters are named by grid.meter / circuits[].meter; load: anything else, for history and "
        "virtual meters."
    )
    source: MeterSource = Field(description="Where its values come from.")
    phases: tuple[Phase, ...] = Field(
        default=ALL_PHASES, min_length=1, max_length=3, description="Site phases behind the meter's own L1, L2, L3, in that order (phase rotation)."
    )
    reversed: bool = Field(default=False, description="The current transformers look the wrong way: every power and current changes its sign.")
    quality: MeterQualityConfig = Field(default=MeterQualityConfig(), description="What this meter cannot show.")

    _distinct = field_validator("phases")(distinct)


class ModbusServerConfig(Model):
    """A read-only Modbus TCP server that offers the site's values to others, as many devices accept one client only."""

    host: str = Field(default="127.0.0.1", description="Address to listen on.")
    port: int = Field(default=5502, ge=0, le=65535, description="TCP port; 0 picks a free one.")
    max_clients: int = Field(default=16, ge=1, le=1000, description="Most clients at the same time.")
