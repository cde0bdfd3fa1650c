"""What all configuration models share: strictness, names, phases."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

Phase = Literal["L1", "L2", "L3"]
ALL_PHASES: tuple[Phase, ...] = ("L1", "L2", "L3")
Identifier = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.\-]{1,48}$")]


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address or host name. A name we do not know counts as no."""
    try:
        return host.lower() == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def distinct(phases: tuple[Phase, ...]) -> tuple[Phase, ...]:
    """Raises ValueError for a phase that is named twice."""
    if len(set(phases)) != len(phases):
        raise ValueError("a phase is named twice; list each of L1, L2, L3 at most once")
    return phases


PHASE_INDEX: dict[str, int] = {"L1": 0, "L2": 1, "L3": 2}
ROOT_CIRCUIT = "grid"
MOST_MONEY = 1e7
"""An amount beyond this is none in any currency; what can be a price in tariff.currency is in ``checking.prices``."""


class Model(BaseModel):
    """Base of all configuration models: unknown keys are errors, values are frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False)


class ModbusLine(Model):
    """How a Modbus device is reached: over TCP, over TLS, over a serial gateway, or on a serial port of this machine."""

    host: str | None = Field(default=None, description="Host name or address of the device or gateway; for every framing but rtu.")
    port: int = Field(default=502, ge=1, le=65535, description="TCP port; Modbus/TLS devices usually listen on 802.")
    device: str | None = Field(default=None, description="Serial port of this machine for framing rtu, e.g. /dev/ttyUSB0.")
    baud: int = Field(default=9600, ge=300, le=1_000_000, description="Speed of the serial port [bit/s].")
    parity: Literal["N", "E", "O"] = Field(default="N", description="Parity of the serial port.")
    stop_bits: Literal[1, 2] = Field(default=1, description="Stop bits of the serial port.")
    unit: int = Field(default=1, ge=0, le=255, description="Modbus unit id.")
    framing: Literal["tcp", "rtu_over_tcp", "rtu", "tls"] = Field(
        default="tcp", description="Modbus TCP, RTU frames through a serial gateway, RTU on a serial port of this machine, or Modbus TCP in TLS."
    )
    ca_file: Path | None = Field(default=None, description="CA certificate the device's own is checked with, PEM; needed for tls.")
    cert_file: Path | None = Field(default=None, description="Our certificate for tls, PEM, where the device asks for one.")
    key_file: Path | None = Field(default=None, description="Private key of cert_file, PEM.")
    server_name: str | None = Field(default=None, description="Name in the device's certificate; default: host.")
    timeout_s: float = Field(default=1.0, gt=0, le=30, description="How long the device may take to answer [s].")

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        if self.framing == "rtu" and self.device is None:
            raise ValueError("framing rtu needs device, the serial port, e.g. /dev/ttyUSB0")
        if self.framing != "rtu" and self.host is None:
            raise ValueError(f"framing {self.framing} needs host")
        if self.framing == "tls" and self.ca_file is None:
            raise ValueError("framing tls needs ca_file: without it nobody knows whom we talk to")
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("cert_file and key_file belong together")
        return self


class HttpAccess(Model):
    """How an HTTP server is asked. Only what it needs."""

    url: str = Field(pattern=r"^https?://\S+$", description="Address, with everything that never changes.")
    username: str | None = Field(default=None, description="User name for HTTP Basic.")
    password: SecretStr | None = Field(default=None, description="Password for HTTP Basic.")
    password_file: Path | None = Field(default=None, description="File that holds the password instead.")
    token: SecretStr | None = Field(default=None, description="Bearer token.")
    token_file: Path | None = Field(default=None, description="File that holds the token instead.")
    ca_file: Path | None = Field(default=None, description="CA certificate file for https, PEM; default: the system's.")


class ModbusPin(ModbusLine):
    """One contact of a Modbus I/O module: a discrete input or a coil."""

    type: Literal["modbus"] = Field(description="The contact is on a Modbus I/O module.")
    address: int = Field(ge=0, le=65535, description="Address of the input or coil, from 0 as sent on the wire.")
    table: Literal["input", "coil"] = Field(default="input", description="Table it is in: discrete inputs (function 2) or coils (functions 1 and 5).")


class FilePin(Model):
    """One contact of this machine: a file that holds 0 or 1, as GPIO drivers offer it."""

    type: Literal["file"] = Field(description="The contact is a file that holds 0 or 1.")
    path: Path = Field(description="The file, e.g. /sys/class/gpio/gpio17/value.")


Pin = Annotated[ModbusPin | FilePin, Field(discriminator="type")]
