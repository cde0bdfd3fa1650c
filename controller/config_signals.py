"""Limits from outside in ``site.yaml``: who may hold the site down, what for, and what holds when it falls silent.

One entry per source, whatever it speaks. All share the rules of ``SignalModel`` (the semantics of EEBUS LPC and LPP).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from controller.config_base import ROOT_CIRCUIT, HttpAccess, Identifier, Model, Pin

SECTION_14A = "section_14a"
"""In place of watts: the minimum power of the section 14a table."""
PowerOrMinimum = Annotated[float, Field(ge=0, le=1e9)] | Literal["section_14a"]


class Section14aConfig(Model):
    """The minimum that a grid operator leaves to controllable loads behind an energy manager (Germany, section 14a EnWG).

    Pmin = per_device_w + (n - 1) * factor(n) * per_device_w; large heat pumps and coolers count with share_percent of their power.
    """

    devices: int | None = Field(
        default=None, ge=1, le=10_000, description="Controllable devices; default: every EVSE, and the battery if there is one."
    )
    per_device_w: float = Field(default=4200.0, gt=0, le=100_000, description="Minimum of one device [W].")
    factors: tuple[float, ...] = Field(
        default=(1.0, 0.8, 0.75, 0.7, 0.65, 0.6, 0.55, 0.5, 0.45),
        min_length=1,
        max_length=100,
        description="Simultaneity factor for 1, 2, 3 ... devices; the last one holds on.",
    )
    large_device_w: float = Field(default=0.0, ge=0, description="Sum of the rated powers of heat pumps and coolers above 11 kW [W].")
    large_share_percent: float = Field(default=40.0, ge=0, le=100, description="Part of large_device_w that is left to them [%].")


class ComplianceConfig(Model):
    """The record that limits from outside were received and obeyed."""

    years: float = Field(default=3.0, gt=0, le=30, description="Lines are kept so long [years].")


class SignalModel(Model):
    """One source of limits. consumption: import of what it binds; production: feed-in at the grid connection."""

    id: Identifier = Field(description="Name of the source, shown wherever its limit binds.")
    circuit: Identifier = Field(default=ROOT_CIRCUIT, description="Circuit whose consumption it limits.")
    binds: Literal["circuit", "controllable"] = Field(
        default="circuit",
        description="Everything that flows through the circuit, or only what can be controlled below it: chargers and the battery's charging.",
    )
    failsafe_w: PowerOrMinimum | None = Field(
        default=None,
        description="Consumption that holds until the first limit comes and while the source is silent [W], or section_14a; default: no failsafe.",
    )
    failsafe_production_w: float | None = Field(default=None, ge=0, description="The same for feed-in, as a positive number [W].")
    failsafe_min_s: float = Field(
        default=7200.0,
        ge=7200,
        le=86_400,
        description="While the source is silent a lower last limit without an end outlasts it so long [s]; the failsafe itself holds until a new "
        "limit comes, or its heartbeat has been back for 120 s.",
    )
    heartbeat_s: float = Field(
        default=120.0, ge=0, le=86_400, description="Silence of the source after which the failsafe holds; 0 = it need not say anything [s]."
    )
    operator: bool = Field(default=True, description="The grid operator speaks here; false: a fleet manager, an aggregator or anybody else.")


class MqttSignal(SignalModel):
    """Limits as JSON over the site's broker: {"consumption_w": 4200, "duration_s": 900}; each message is a heartbeat."""

    type: Literal["mqtt"] = Field(description="Limits come over MQTT.")
    topic: str | None = Field(default=None, min_length=1, max_length=255, description="Topic; default: yardmaster/<site>/signal/<id>/set.")


class ApiSignal(SignalModel):
    """The same JSON, sent to POST /api/v1/signals/<id>."""

    type: Literal["api"] = Field(description="Limits come over the HTTP API.")


class EebusSignal(SignalModel):
    """LPC and LPP of a grid operator's box, through a bridge that speaks EEBUS there and MQTT here (deploy/signals.md)."""

    type: Literal["eebus"] = Field(description="Limits come from an EEBUS bridge over MQTT.")
    topic: str | None = Field(
        default=None, min_length=1, max_length=200, description="Head of the bridge's topics; default: yardmaster/<site>/eebus/<id>."
    )


class ContactConfig(Model):
    """One relay contact of a control box or ripple receiver."""

    name: str = Field(min_length=1, max_length=40, description="Name of the contact, e.g. W4.")
    pin: Pin = Field(description="Where it is read.")
    active: Literal["closed", "open"] = Field(default="closed", description="Which position means that it restricts.")
    consumption_w: PowerOrMinimum | None = Field(default=None, description="Consumption while it is active [W], or section_14a.")
    production_w: float | None = Field(default=None, ge=0, description="Feed-in while it is active [W].")
    production_percent: float | None = Field(default=None, ge=0, le=100, description="The same as a part of all inverters' max_power_w [%].")
    missing: Literal["restrict", "hold", "ignore"] = Field(
        default="restrict", description="When it cannot be read: as if active, as it was last, or as if not active."
    )


class ContactsSignal(SignalModel):
    """Relay contacts: FNN control box, ripple control receiver, SG-Ready. The lowest active contact counts."""

    type: Literal["contacts"] = Field(description="Limits come as relay contacts.")
    contacts: tuple[ContactConfig, ...] = Field(min_length=1, max_length=16, description="The contacts.")
    profile: Literal["levels", "sg_ready"] = Field(
        default="levels",
        description="levels: each contact restricts by itself; sg_ready: two contacts make the four SG-Ready states, the first one locks.",
    )
    debounce_s: float = Field(default=0.5, ge=0, le=60, description="A position counts when it has lasted so long [s].")
    poll_s: float = Field(default=0.5, ge=0.05, le=60, description="Time between two looks [s].")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.profile == "sg_ready":
            if len(self.contacts) != 2:
                raise ValueError("sg_ready has exactly two contacts, the locking one first")
            return self
        for contact in self.contacts:
            if contact.consumption_w is None and contact.production_w is None and contact.production_percent is None:
                raise ValueError(f"contact {contact.name} says neither consumption_w nor production_w nor production_percent")
        return self


class OAuthConfig(Model):
    """OAuth 2 client credentials."""

    client_id: str = Field(min_length=1, max_length=200, description="Client id.")
    client_secret: SecretStr | None = Field(default=None, description="Client secret.")
    client_secret_file: Path | None = Field(default=None, description="File that holds it instead.")
    token_url: str | None = Field(
        default=None, pattern=r"^https?://\S+$", description="Token endpoint; default: as the server says, <url>/auth/token."
    )
    scope: str = Field(default="", max_length=400, description="Scopes to ask for, with spaces between.")


class LevelConfig(Model):
    """What one level of load shed means here."""

    consumption_w: float | None = Field(default=None, ge=0, le=1e9, description="Consumption that is left [W].")
    consumption_percent: float | None = Field(
        default=None, ge=0, le=100, description="The same as a part of what the circuit may draw: its fuse, or grid.max_import_w [%]."
    )

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.consumption_w is None) == (self.consumption_percent is None):
            raise ValueError("a level says either consumption_w or consumption_percent")
        return self


Levels = tuple[LevelConfig, LevelConfig, LevelConfig]
USUAL_LEVELS: Levels = (LevelConfig(consumption_percent=75), LevelConfig(consumption_percent=50), LevelConfig(consumption_percent=0))


class OpenAdr3Signal(SignalModel, HttpAccess):
    """Events of an OpenADR 3 VTN: capacity limits, prices, dispatch setpoints, load control levels."""

    type: Literal["openadr3"] = Field(description="Limits come from an OpenADR 3 VTN.")
    oauth: OAuthConfig | None = Field(default=None, description="How a token is got; default: token or none.")
    ven_name: str = Field(min_length=1, max_length=128, description="Name of this VEN.")
    resource_name: str | None = Field(default=None, min_length=1, max_length=128, description="Name of the site as its resource; default: site.id.")
    version: Literal["auto", "3.0", "3.1"] = Field(default="auto", description="Generation of the VTN; auto: as its address or its answers tell.")
    programs: tuple[str, ...] = Field(default=(), max_length=20, description="Names of the programs that count; default: all this VEN sees.")
    targets: tuple[str, ...] = Field(default=(), max_length=20, description="Targets of events that mean us, beside our VEN and resource name.")
    poll_s: float = Field(default=30.0, ge=1, le=3600, description="Time between two polls [s].")
    callback_url: str | None = Field(
        default=None,
        pattern=r"^https?://\S+$",
        description="Where the VTN can reach our API's /api/v1/openadr3/<id>, for notifications; default: polling only.",
    )
    mqtt_notifier: bool = Field(default=True, description="Listen at the VTN's MQTT broker if it offers one (3.1), beside polling.")
    reports: bool = Field(default=True, description="Send the readings that the VTN's events ask for.")
    levels: Levels = Field(default=USUAL_LEVELS, description="What the levels 1, 2 and 3 of SIMPLE events leave; 0 is normal operation.")
    alert_level: int = Field(
        default=0, ge=0, le=3, description="Level that holds while ALERT_GRID_EMERGENCY or ALERT_BLACK_START lasts; 0: they are only told."
    )


class OpenAdr2Signal(SignalModel):
    """Events of an OpenADR 2.0b VTN (simple HTTP, pull)."""

    type: Literal["openadr2"] = Field(description="Limits come from an OpenADR 2.0b VTN.")
    url: str = Field(pattern=r"^https?://\S+$", description="The VTN's address up to and with /OpenADR2/Simple/2.0b.")
    ven_name: str = Field(min_length=1, max_length=128, description="Name of this VEN.")
    cert_file: Path | None = Field(default=None, description="Our certificate, PEM, also used to sign.")
    key_file: Path | None = Field(default=None, description="Its private key, PEM.")
    ca_file: Path | None = Field(default=None, description="CA certificate of the VTN, PEM.")
    vtn_fingerprint: str | None = Field(default=None, max_length=100, description="Fingerprint of the VTN's certificate for signed messages.")
    poll_s: float = Field(default=10.0, ge=1, le=3600, description="Time between two polls, unless the VTN asks for another [s].")
    reports: bool = Field(default=True, description="Offer power readings (TELEMETRY_USAGE) to the VTN.")
    levels: Levels = Field(default=USUAL_LEVELS, description="What the levels 1, 2 and 3 of SIMPLE signals leave; 0 is normal operation.")

    @field_validator("url")
    @classmethod
    def _path(cls, url: str) -> str:
        return url.rstrip("/")


class Ieee20305Signal(SignalModel):
    """DER programs and controls of an IEEE 2030.5 (CSIP) utility server over mutual TLS."""

    type: Literal["ieee2030_5"] = Field(description="Limits come from an IEEE 2030.5 server.")
    url: str = Field(pattern=r"^https://\S+$", description="Address of its DeviceCapability, e.g. https://utility.example/dcap.")
    cert_file: Path = Field(description="Our device certificate, PEM; its fingerprint is our LFDI.")
    key_file: Path = Field(description="Its private key, PEM.")
    ca_file: Path = Field(description="CA certificates the server's is checked with, PEM.")
    pin: int | None = Field(default=None, ge=0, le=999_999, description="Registration PIN; the server's must be the same.")
    poll_s: float = Field(default=60.0, ge=1, le=3600, description="Time between two polls, unless the server's resources ask for another [s].")
    readings: bool = Field(default=True, description="Send readings to mirror usage points.")
    notify_url: str | None = Field(
        default=None,
        pattern=r"^https://\S+$",
        description="Address at which the server can reach us for notifications, e.g. https://depot.example:9443/ntfy; default: polling only.",
    )
    notify_host: str = Field(default="0.0.0.0", description="Address to listen on for them.")
    notify_port: int | None = Field(default=None, ge=1, le=65_535, description="Port to listen on for them; default: the one of notify_url.")
    ca_legacy_tls: bool = Field(default=False, description="Also accept ciphers that are not TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8 or GCM.")

    @property
    def door(self) -> int | None:
        """Port that notifications come to, None = nobody is asked to send any."""
        if self.notify_url is None:
            return None
        return self.notify_port or urlsplit(self.notify_url).port or 443


SignalConfig = Annotated[
    MqttSignal | ApiSignal | EebusSignal | ContactsSignal | OpenAdr3Signal | OpenAdr2Signal | Ieee20305Signal, Field(discriminator="type")
]
