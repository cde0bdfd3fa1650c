"""What Yardmaster may command besides chargers: PV inverters, the stationary battery, relays."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from controller.config_base import Identifier, ModbusLine, ModbusPin, Model, Pin


class SunSpecControl(ModbusLine):
    """Commands over SunSpec: model 123 or 704 for an inverter, 124 or 704 for a battery; discovered."""

    type: Literal["sunspec"] = Field(description="The device is commanded over SunSpec.")
    base: Literal[0, 40000, 50000] | None = Field(default=None, description="Where its models begin; default: 40000, 50000 and 0 are tried.")
    nth: int = Field(default=1, ge=1, le=16, description="Which one of several devices in one list of models, e.g. behind a gateway.")


class ModbusControl(ModbusLine):
    """Commands over Modbus with a register map that has a section ``controls``."""

    type: Literal["modbus"] = Field(description="The device is commanded with a register map.")
    map: Identifier = Field(description="Register map with controls, a file name in config/meters without .yaml.")


class MqttControl(Model):
    """Commands as JSON over the site's MQTT broker, for devices behind a home automation."""

    type: Literal["mqtt"] = Field(description="The device is commanded over MQTT.")
    command_topic: str = Field(
        min_length=1,
        max_length=255,
        description='Gets {"power_w": -2000, "valid_for_s": 60}: charging positive; for an inverter its most production, >= 0; '
        '{"power_w": null} gives it free.',
    )
    state_topic: str | None = Field(
        default=None,
        min_length=1,
        max_length=255,
        description='Tells {"power_w": -2000} back: the command in force, null = none; default: it is not confirmed.',
    )


class RelayStage(Model):
    """One step of an inverter that is reduced by contacts, as with a ripple control receiver."""

    percent: float = Field(ge=0, le=100, description="Most production in this step, of max_power_w [%].")
    closed: tuple[Identifier, ...] = Field(default=(), max_length=8, description="Ids of the relays that are closed then; all its others are open.")


class StageControl(Model):
    """Commands by contacts: the step at or below what is wanted is taken."""

    type: Literal["relays"] = Field(description="The inverter is reduced by relays.")
    stages: tuple[RelayStage, ...] = Field(min_length=2, max_length=8, description="The steps, among them one of 100 %.")

    @field_validator("stages")
    @classmethod
    def _whole(cls, stages: tuple[RelayStage, ...]) -> tuple[RelayStage, ...]:
        if len({stage.percent for stage in stages}) != len(stages):
            raise ValueError("two stages have the same percent")
        if max(stage.percent for stage in stages) < 100:
            raise ValueError("one stage must be 100 percent: the inverter free")
        return stages


InverterControl = Annotated[SunSpecControl | ModbusControl | MqttControl | StageControl, Field(discriminator="type")]
BatteryControl = Annotated[SunSpecControl | ModbusControl | MqttControl, Field(discriminator="type")]


class InverterConfig(Model):
    """A PV inverter that may be curtailed: for an export limit, for the grid operator, or when feeding in costs money."""

    id: Identifier = Field(description="Name of the inverter.")
    meter: Identifier | None = Field(default=None, description="Meter with role pv that tells what it produces.")
    max_power_w: float = Field(gt=0, le=100_000_000, description="Its rated active power [W].")
    min_percent: float = Field(default=0.0, ge=0, le=100, description="Never curtailed below this part of max_power_w [%].")
    life_s: float = Field(
        default=60.0, ge=5, le=3600, description="The command ends by itself after so long without a new one, where the device can [s]."
    )
    control: InverterControl = Field(description="How it is commanded.")
    other_master: Literal["yield", "insist"] = Field(
        default="yield", description="When something else commands it, too: leave it alone for a while and say so, or command it again."
    )


class BatteryControlConfig(Model):
    """How the stationary battery is commanded. Without it Yardmaster only plans with what the battery does by itself."""

    control: BatteryControl = Field(description="How it is commanded.")
    life_s: float = Field(
        default=60.0, ge=5, le=3600, description="The command ends by itself after so long without a new one, where the device can [s]."
    )
    min_power_w: float | None = Field(
        default=None,
        ge=0,
        le=100_000_000,
        description="Less than this is not worth its losses: it rests instead, unless a fuse or limit asks for it [W]; "
        "default: 1 % of its larger power.",
    )
    grid_charging: bool = Field(default=True, description="Whether it may be charged with energy from the grid.")
    grid_discharging: bool = Field(default=False, description="Whether it may feed into the grid.")
    other_master: Literal["yield", "insist"] = Field(
        default="yield", description="When something else commands it, too: leave it alone for a while and say so, or command it again."
    )


class RelayConfig(Model):
    """A relay output: it sheds a load, tells others that the site is held down, or is a step of an inverter."""

    id: Identifier = Field(description="Name of the relay.")
    pin: Pin = Field(description="The contact: a coil of a Modbus I/O module, or a file of this machine.")
    closes: Literal["limited", "failsafe", "overload", "surplus", "stage"] = Field(
        description="When it is active: while a limit from outside holds the site or circuit, while the site runs on fallbacks, while a fuse is "
        "over its limit, "
        "while more than surplus_w would be fed in; stage: only as a step of an inverter."
    )
    circuit: Identifier = Field(default="grid", description="The circuit whose limit or overload counts.")
    inverted: bool = Field(default=False, description="Active means open, e.g. for a contactor that sheds a load and must fail open.")
    surplus_w: float = Field(default=2000.0, gt=0, description="For surplus: the feed-in from which it is active [W].")
    min_on_s: float = Field(default=60.0, ge=0, le=86_400, description="Stays active at least so long [s].")
    min_off_s: float = Field(default=60.0, ge=0, le=86_400, description="Stays inactive at least so long, except for an overload [s].")

    @model_validator(mode="after")
    def _writable(self) -> Self:
        if isinstance(self.pin, ModbusPin) and self.pin.table != "coil":
            raise ValueError("a relay output on a Modbus module is a coil: say table: coil")
        return self
