"""The models of ``site.yaml``: every field has a unit, a range and one sentence.

This file only says what a site is. Loading, line numbers and the plain-words report are in
``check.py``. Unknown keys are errors everywhere. Phases are written L1, L2, L3.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, field_validator

from controller.config_base import MOST_MONEY, PHASE_INDEX, ROOT_CIRCUIT, Identifier, Model, Phase, distinct
from controller.config_devices import BatteryControlConfig, InverterConfig, RelayConfig
from controller.config_meters import (
    ChargersSource,
    HttpSource,
    MeterConfig,
    ModbusServerConfig,
    ModbusSource,
    MqttSource,
    SunSpecSource,
    VirtualSource,
)
from controller.config_prices import MarketConfig, PlainFeed, PriceFeed, PvPlantConfig
from controller.config_security import ClientCertificateConfig, StationCertificatesConfig
from controller.config_signals import ComplianceConfig, Section14aConfig, SignalConfig

__all__ = [
    "PHASE_INDEX",
    "ROOT_CIRCUIT",
    "ChargersSource",
    "HttpSource",
    "Identifier",
    "MeterConfig",
    "ModbusServerConfig",
    "ModbusSource",
    "Model",
    "MqttSource",
    "Phase",
    "SunSpecSource",
    "VirtualSource",
]

OcppIdentity = Annotated[str, Field(pattern=r"^[^:/\x00-\x1f]{1,48}$")]

NO_UPSTREAM = "none"
"""As stations[].upstream: this station has no CSMS."""


class SiteConfig(Model):
    """Who this site is."""

    id: Identifier = Field(description="Short name of the site; part of every MQTT topic.")
    name: str = Field(default="", max_length=80, description="Name shown on the page.")
    timezone: str = Field(default="UTC", description="IANA time zone of tariffs and of the page, e.g. Europe/Berlin.")


class GridConfig(Model):
    """The grid connection: the root of the circuit tree, circuit id 'grid'."""

    fuse_a: float = Field(gt=0, le=6300, description="Main fuse per phase [A].")
    voltage_v: float = Field(default=230.0, ge=100, le=480, description="Nominal voltage phase to neutral [V].")
    phases: Literal[1, 3] = Field(default=3, description="Number of phases of the connection.")
    max_import_w: float | None = Field(default=None, ge=0, description="Contractual import limit of the whole site [W].")
    max_export_w: float | None = Field(default=None, ge=0, description="Export limit of the whole site [W].")
    margin_a: float = Field(default=1.0, ge=0, le=100, description="Kept free below every fuse while charging normally [A].")
    worst_other_load_a: float = Field(
        ge=0, le=6300, description="Largest load per phase of everything that is not a charger, used when nobody measures it [A]."
    )
    meter: Identifier | None = Field(default=None, description="Id of the meter at the grid connection.")
    max_unbalance_a: float | None = Field(
        default=None,
        gt=0,
        le=6300,
        description="Largest allowed difference between two phases at the grid connection, caused by charging [A]; default: no such limit.",
    )


class CircuitConfig(Model):
    """One circuit (feeder, panel) below the grid connection."""

    id: Identifier = Field(description="Name of the circuit; unique, not 'grid'.")
    parent: Identifier = Field(default=ROOT_CIRCUIT, description="Id of the circuit that feeds this one; 'grid' is the root.")
    fuse_a: float = Field(gt=0, le=6300, description="Fuse per phase [A].")
    worst_other_load_a: float = Field(
        default=0.0, ge=0, le=6300, description="Largest load per phase on this circuit itself that is not a charger [A]."
    )
    meter: Identifier | None = Field(default=None, description="Id of the meter of this circuit, if it has one.")


class V2gConfig(Model):
    """What a car at this EVSE may give back. Without this block nothing is ever discharged."""

    max_discharge_w: float = Field(gt=0, le=1_000_000, description="Largest discharge power of the EVSE [W].")
    reserve_percent: float = Field(default=50.0, ge=0, le=100, description="State of charge below which a car is never discharged [%].")
    wear_per_kwh: float = Field(default=0.08, ge=0, le=MOST_MONEY, description="Price of battery wear per discharged kWh [currency/kWh].")
    despite_profiles: bool = Field(
        default=False, description="Discharge also while a charging profile of the CSMS only says how fast to charge, and nothing about giving back."
    )


class EvseConfig(Model):
    """One EVSE of a station."""

    id: int = Field(ge=1, le=99, description="EVSE number as the station counts it, from 1.")
    name: str = Field(default="", max_length=40, description="Name shown on the page, e.g. the parking bay.")
    phases: tuple[Phase, ...] = Field(
        default=("L1", "L2", "L3"),
        min_length=1,
        max_length=3,
        description="Site phases that feed the EVSE's own L1, L2, L3, in that order (phase rotation).",
    )
    min_current_a: float = Field(
        default=6.0, ge=0, le=32, description="Smallest current per phase a car charges with; below it only 0 is possible [A]."
    )
    max_current_a: float = Field(gt=0, le=1000, description="Largest current per phase [A].")
    fallback_a: float = Field(
        default=0.0, ge=0, le=1000, description="Current per phase the EVSE falls back to when Yardmaster is gone; 0 or at least min_current_a [A]."
    )
    priority: int = Field(default=0, ge=-9, le=9, description="Higher is served first, -9 to 9.")
    taper_from_percent: float = Field(
        default=85.0,
        ge=0,
        le=100,
        description="State of charge from which cars charge more and more slowly here, for cars that tell theirs; 100 = they never do [%].",
    )
    v2g: V2gConfig | None = Field(default=None, description="Allows discharging at this EVSE.")

    _distinct = field_validator("phases")(distinct)


class StationConfig(Model):
    """One charging station."""

    id: OcppIdentity = Field(description="OCPP identity, the last part of the URL the station dials.")
    circuit: Identifier = Field(default=ROOT_CIRCUIT, description="Id of the circuit that feeds the station.")
    model: Identifier = Field(default="generic", description="Charger model, a file name in config/chargers without .yaml.")
    password: SecretStr | None = Field(default=None, description="HTTP Basic password of the station (security profile 1).")
    password_file: Path | None = Field(default=None, description="File that holds the password instead.")
    password_hash: SecretStr | None = Field(
        default=None,
        description="Salted hash of the password instead, as `yardmaster hash-password` prints it: the password itself is stored nowhere.",
    )
    security_profile: Literal[0, 1, 2, 3] | None = Field(
        default=None,
        description="Lowest OCPP security profile the station may connect with: 1 password, 2 TLS and password, 3 TLS and its own certificate; "
        "default: a password where one is given here. A certificate that fits is always enough.",
    )
    certificate_name: str | None = Field(
        default=None, min_length=1, max_length=64, description="Common name (CN) in the station's certificate, often its serial number; default: id."
    )
    upstream: Identifier | None = Field(
        default=None, description="Id of the CSMS of this station; default: the first primary one; none: it has no CSMS."
    )
    evses: tuple[EvseConfig, ...] = Field(min_length=1, max_length=99, description="The station's EVSEs.")


class CertificateConfig(Model):
    """A server certificate with its key, PEM files."""

    cert_file: Path = Field(description="Certificate with its chain, PEM.")
    key_file: Path = Field(description="Private key, PEM, readable by Yardmaster only.")


class ListenTlsConfig(Model):
    """The TLS listener for stations (security profile 2), beside the plain one."""

    host: str | None = Field(default=None, description="Address to listen on; default: listen.host.")
    port: int = Field(default=9443, ge=0, le=65535, description="TCP port; 0 picks a free one.")
    certificates: tuple[CertificateConfig, ...] = Field(
        min_length=1,
        max_length=4,
        description="Server certificates; OCPP wants an RSA and an ECDSA one so that every station finds a cipher it knows.",
    )
    clients: StationCertificatesConfig | None = Field(
        default=None, description="Which certificates of stations are accepted (security profile 3); default: none is asked for."
    )


class ListenConfig(Model):
    """Where stations connect."""

    host: str = Field(default="0.0.0.0", description="Address to listen on.")
    port: int = Field(default=9000, ge=0, le=65535, description="TCP port for stations; 0 picks a free one.")
    path: str = Field(default="/ocpp", pattern=r"^/[A-Za-z0-9_.\-/]*$", description="URL path before the identity.")
    max_frame_bytes: int = Field(default=262_144, ge=4096, le=4_194_304, description="Largest accepted OCPP message [bytes].")
    messages_per_s: float = Field(
        default=20.0, ge=1, le=100_000, description="A station that sends more, beyond a burst of five seconds' worth, is read more slowly [1/s]."
    )
    handshake_s: float = Field(default=10.0, gt=0, le=60, description="Deadline for a complete handshake [s].")
    ping_s: float = Field(default=20.0, ge=1, le=600, description="WebSocket ping interval and pong deadline [s].")
    plain: bool = Field(default=True, description="Whether stations may connect without TLS on listen.port; needs listen.tls if false.")
    tls: ListenTlsConfig | None = Field(default=None, description="TLS listener for security profile 2; none is legal.")


class FilesConfig(Model):
    """Where stations fetch firmware from Yardmaster and put their logs, for a depot face. The port is open only while there is something to serve."""

    host: str | None = Field(default=None, description="Address to listen on; default: listen.host.")
    port: int = Field(default=9010, ge=0, le=65535, description="TCP port; 0 picks a free one.")
    tls_port: int | None = Field(
        default=None, ge=0, le=65535, description="TCP port for HTTPS with the certificates of listen.tls beside it; default: no HTTPS."
    )
    ftp_port: int | None = Field(
        default=None,
        ge=0,
        le=65535,
        description="TCP port of an FTP server for logs of chargers that know no HTTP; unencrypted, for their own network only; "
        "their data comes in on the 16 ports after it; default: none.",
    )
    address: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9_.\-:\[\]]{1,253}$",
        description="Name or address under which stations reach this machine; default: host, or what the system uses for outgoing connections.",
    )
    max_bytes: int = Field(
        default=1024 * 1024 * 1024,
        ge=1024 * 1024,
        le=1 << 40,
        description="Disk space that fetched firmware and collected logs may take together [bytes].",
    )


class CommandsConfig(Model):
    """What a CSMS may ask of stations. A forbidden command gets the action's own refusal."""

    allow: tuple[str, ...] | None = Field(
        default=None, max_length=200, description="OCPP actions the CSMS may send; default: all for a primary, none for a mirror."
    )
    deny: tuple[str, ...] = Field(default=(), max_length=200, description="OCPP actions it may not send; wins over allow.")
    per_minute: int = Field(default=0, ge=0, le=100_000, description="Most commands per station and minute, 0 = no bound.")


OcppVersion = Literal["ocpp2.1", "ocpp2.0.1", "ocpp1.6"]


class DepotConfig(Model):
    """The depot face: how the whole site shows itself as one station, and what a command for all of it means."""

    vendor_name: str = Field(default="Yardmaster", min_length=1, max_length=20, description="vendorName in its BootNotification.")
    model: str = Field(default="Local controller", min_length=1, max_length=20, description="model in its BootNotification.")
    serial_number: str | None = Field(default=None, max_length=25, description="serialNumber in its BootNotification; default: none.")
    reset: Literal["all", "refuse"] = Field(default="all", description="Reset without EVSE: reset every charger, or refuse.")
    availability: Literal["all", "refuse"] = Field(default="all", description="ChangeAvailability of the whole station: every charger, or refuse.")
    firmware_models: tuple[Identifier, ...] = Field(
        default=(),
        max_length=50,
        description="Charger models (stations[].model) that a station-wide UpdateFirmware is for; default: none, it is rejected with that reason, "
        "as one image never fits a mixed depot.",
    )
    firmware_parallel: int = Field(default=2, ge=1, le=100, description="How many chargers are updated at the same time.")
    logs: Literal["collect", "refuse"] = Field(
        default="collect", description="GetLog: collect the logs of all chargers and Yardmaster's own, or refuse."
    )
    local_list: Literal["all", "refuse"] = Field(default="all", description="SendLocalList: to Yardmaster and every charger that can, or refuse.")
    clear_cache: Literal["all", "refuse"] = Field(default="all", description="ClearCache: at Yardmaster and every charger, or refuse.")
    start_without_evse: Literal["first_free", "most_power", "refuse"] = Field(
        default="first_free",
        description="RequestStartTransaction without EVSE: the first EVSE with a car and no session, the strongest of those, or refuse.",
    )
    reserve_without_evse: Literal["keep_one_free", "refuse"] = Field(
        default="keep_one_free", description="ReserveNow without EVSE: reserve a free EVSE of the site for it, or refuse."
    )
    values_batch_s: float = Field(
        default=0.0, ge=0, le=900, description="Meter values that may wait are sent together after so long; 0 = each as it comes [s]."
    )
    site_values_s: float = Field(default=60.0, ge=0, le=86_400, description="How often the site meter's values go up for EVSE 0; 0 = never [s].")
    status_wait_s: float = Field(
        default=1.0, ge=0, le=60, description="How long a connector's change of state waits for the next one, which replaces it [s]."
    )
    absent_s: float = Field(default=10.0, ge=0, le=3600, description="How long a charger may be away before its connectors are told Unavailable [s].")
    token_type: str = Field(default="Local", max_length=20, description="idToken type of a 1.6 idTag that does not look like a card number.")
    anonymous_tag: str = Field(
        default="ANONYMOUS", min_length=1, max_length=20, description="idTag towards a 1.6 CSMS for a start without any token."
    )


class UpstreamConfig(Model):
    """One CSMS above the stations."""

    face: Literal["pair", "depot"] = Field(
        default="pair",
        description="pair: the CSMS sees each charger for itself; depot: it sees one large station whose EVSEs are the site's chargers.",
    )
    identity: OcppIdentity | None = Field(default=None, description="OCPP identity of the one station of a depot face; default: the site's id.")
    versions: tuple[OcppVersion, ...] | None = Field(
        default=None,
        min_length=1,
        max_length=3,
        description="What this CSMS speaks, preferred first. Default for pair: what the charger speaks, and translated if the CSMS does not; "
        "for depot: ocpp2.1, ocpp2.0.1, ocpp1.6.",
    )
    translate: bool = Field(default=True, description="For pair: translate for a CSMS that does not speak the charger's OCPP version.")
    depot: DepotConfig = Field(default=DepotConfig(), description="For the depot face: what a command for the whole site means.")

    id: Identifier = Field(description="Name of this upstream.")
    role: Literal["primary", "mirror"] = Field(
        default="primary",
        description="primary: answers the stations; mirror: only gets a copy of what they say, bounded, and may command nothing unless allowed.",
    )
    stations: tuple[OcppIdentity, ...] | None = Field(
        default=None,
        max_length=5000,
        description="For a mirror: the stations it is told about; default: all. A primary is named by stations[].upstream.",
    )
    commands: CommandsConfig = Field(default=CommandsConfig(), description="What this CSMS may ask of stations.")
    ca_file: Path | None = Field(default=None, description="CA certificates for wss, PEM; default: the system's.")
    certificate: ClientCertificateConfig | None = Field(
        default=None, description="Certificate we show this CSMS (security profile 3); default: none, the password is the proof (profile 1 or 2)."
    )
    dial_first_s: float = Field(
        default=3.0,
        ge=0,
        le=30,
        description="How long a connecting station's handshake may wait for this CSMS to choose the OCPP version; 0 = not at all [s].",
    )
    offline_unknown: Literal["refuse", "accept"] = Field(
        default="refuse", description="What an unknown driver hears while this CSMS is away; a driver the CSMS has blocked is refused in any case."
    )
    stop_invalid: bool = Field(
        default=True, description="Stop a charging session that was accepted while the CSMS was away if the CSMS then does not accept its driver."
    )
    message_attempts: int = Field(
        default=3,
        ge=1,
        le=100,
        description="How often a transaction message is sent that the CSMS answers with an error; a station's own setting wins.",
    )
    message_retry_s: float = Field(
        default=30.0, ge=1, le=3600, description="Wait before the second attempt; the third waits twice as long; a station's own setting wins [s]."
    )
    queued_values: int = Field(
        default=1000,
        ge=10,
        le=100_000,
        description="Periodic meter values kept per charging session while the CSMS is away; beyond that every second one goes.",
    )
    url: str = Field(pattern=r"^wss?://\S+$", description="OCPP endpoint of the CSMS, without the identity.")
    outage: Literal["autonomous", "transparent"] = Field(
        default="autonomous",
        description="autonomous: answer and queue while the CSMS is away; transparent: close the stations' sockets so that they queue.",
    )
    password: SecretStr | None = Field(default=None, description="HTTP Basic password, used for every station's identity, or for that of the depot.")
    password_file: Path | None = Field(default=None, description="File that holds the password instead.")
    notify_limits: bool = Field(
        default=True, description="Tell this CSMS when the site holds a charger below what the CSMS allows (NotifyChargingLimit; not in 1.6)."
    )
    limit_significance_percent: float = Field(
        default=10.0, ge=0, le=100, description="Smaller changes of such a limit are not told, as a part of the last one told [%]."
    )
    notify_schedules: bool = Field(default=False, description="Attach the schedule to such a message; a station's own setting wins.")
    reconnect_min_s: float = Field(default=2.0, gt=0, le=300, description="First wait before dialling again [s].")
    reconnect_max_s: float = Field(default=60.0, gt=0, le=3600, description="Longest wait before dialling again [s].")
    call_timeout_s: float = Field(default=30.0, gt=0, le=300, description="How long the CSMS may take to answer one message [s].")


class TokenConfig(Model):
    """A driver the site itself vouches for: may charge where no CSMS is configured, and while the CSMS is away."""

    id_token: str = Field(min_length=1, max_length=36, description="Card number as the station reports it, or another id; capitals do not matter.")
    name: str = Field(default="", max_length=80, description="Who this is, for people; never sent anywhere.")
    expires: datetime | None = Field(default=None, description="Not valid from then on, ISO 8601 with time zone.")
    priority: int | None = Field(default=None, ge=-9, le=9, description="Charging priority, -9 to 9; default: that of the group, else 0.")
    group: Identifier | None = Field(default=None, description="Fleet group of this driver, one of authorization.groups.")


class GroupConfig(Model):
    """A fleet group: drivers that share a priority and usual needs."""

    id: Identifier = Field(description="Name of the group.")
    priority: int = Field(default=0, ge=-9, le=9, description="Charging priority, -9 to 9; one the CSMS states for a driver wins.")
    departure: str | None = Field(
        default=None, pattern=r"^([01]\d|2[0-3]):[0-5]\d$", description="Local time the group usually leaves, HH:MM; what car or fleet state wins."
    )
    energy_wh: float | None = Field(default=None, gt=0, le=2_000_000, description="Energy a session of this group usually needs [Wh].")


class AuthorizationConfig(Model):
    """The site's own list of drivers."""

    groups: tuple[GroupConfig, ...] = Field(default=(), max_length=200, description="Fleet groups.")
    tokens: tuple[TokenConfig, ...] = Field(default=(), max_length=20_000, description="Drivers known to the site.")
    tokens_file: Path | None = Field(default=None, description="CSV file with more of them: id_token, name, expires, priority, group.")
    unknown: Literal["accept", "refuse"] | None = Field(
        default=None,
        description="Where no CSMS is configured: what a driver who is not on the list hears; default: accept if there is no list, else refuse.",
    )

    @property
    def accepts_unknown(self) -> bool:
        """What ``unknown`` means here. A file that cannot be read is a list all the same: nobody gets in by its loss."""
        if self.unknown is None:
            return not self.tokens and self.tokens_file is None
        return self.unknown == "accept"


class MqttConfig(Model):
    """The MQTT broker of the site."""

    host: str = Field(description="Host name or address of the broker.")
    port: int = Field(default=1883, ge=1, le=65535, description="TCP port.")
    username: str | None = Field(default=None, description="User name.")
    password: SecretStr | None = Field(default=None, description="Password.")
    password_file: Path | None = Field(default=None, description="File that holds the password instead.")
    tls: bool = Field(default=False, description="Use TLS.")
    ca_file: Path | None = Field(default=None, description="CA certificate file for TLS; default: the system's.")
    home_assistant: bool = Field(default=False, description="Announce site, chargers and meters to Home Assistant (MQTT discovery).")
    discovery_prefix: str = Field(
        default="homeassistant", pattern=r"^[A-Za-z0-9_.\-/]{1,80}$", description="Head of the discovery topics, as set in Home Assistant."
    )


class LimitsConfig(Model):
    """Rules for limits that fleet managers send."""

    max_valid_for_s: float = Field(default=86_400.0, gt=0, description="Longest life of a received limit; longer ones are cut to it [s].")
    default_valid_for_s: float = Field(default=900.0, gt=0, description="Life of a limit that names no end [s].")
    failsafe_a: float | None = Field(
        default=None,
        ge=0,
        description="Site limit per phase when the broker is lost while a limit is in force and it ends [A]; default: the limit simply ends.",
    )


class BatteryConfig(Model):
    """The stationary battery, for planning."""

    capacity_wh: float = Field(gt=0, description="Usable capacity [Wh].")
    max_charge_w: float = Field(gt=0, description="Largest charging power [W].")
    max_discharge_w: float = Field(gt=0, description="Largest discharging power [W].")
    min_soc_percent: float = Field(default=10.0, ge=0, le=100, description="Never planned below this state of charge [%].")
    efficiency_percent: float = Field(default=92.0, gt=50, le=100, description="Round-trip efficiency [%].")
    wear_per_kwh: float = Field(default=0.03, ge=0, description="Price of wear per discharged kWh [currency/kWh].")
    reserve_percent: float = Field(
        default=0.0, ge=0, le=100, description="Kept for outages and grid events; given only where a fuse or a car's energy would suffer [%]."
    )
    meter: Identifier | None = Field(default=None, description="Meter with role battery that tells power and state of charge.")
    command: BatteryControlConfig | None = Field(default=None, description="How it is commanded; default: not at all, it is only planned with.")


class PriceWindow(Model):
    """One price of the day."""

    start: str = Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$", description="Local time the price begins, HH:MM.")
    price_per_kwh: float = Field(ge=-MOST_MONEY, le=MOST_MONEY, description="Price of energy [currency/kWh]; may be negative.")


Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
WEEKDAYS: tuple[Weekday, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MONTH_DAY = r"^(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])$"


class SeasonConfig(Model):
    """Prices of a part of the year, or of some weekdays; they hold instead of tariff.buy."""

    first_day: str = Field(default="01-01", pattern=MONTH_DAY, description="First local day of the year they hold, MM-DD.")
    last_day: str = Field(default="12-31", pattern=MONTH_DAY, description="Last one, MM-DD; may lie before the first: then round New Year.")
    weekdays: tuple[Weekday, ...] = Field(default=WEEKDAYS, min_length=1, max_length=7, description="Days of the week they hold: mon to sun.")
    buy: tuple[PriceWindow, ...] = Field(min_length=1, description="Prices of such a day; each holds until the next start, around midnight.")


class TariffConfig(Model):
    """What energy and peaks cost."""

    currency: str = Field(default="EUR", pattern=r"^[A-Z]{3}$", description="Currency code (ISO 4217); what is believed as a price follows it.")
    buy: tuple[PriceWindow, ...] = Field(
        default=(PriceWindow(start="00:00", price_per_kwh=0.30),),
        min_length=1,
        description="Time-of-use prices; each holds until the next start, around midnight.",
    )
    seasons: tuple[SeasonConfig, ...] = Field(
        default=(), max_length=24, description="Other prices by season and weekday; the first that fits a day holds, else tariff.buy."
    )
    market: MarketConfig | None = Field(default=None, description="Prices from a feed; buy and seasons hold where it has none.")
    sell_market: MarketConfig | None = Field(default=None, description="The same for exported energy; default: sell and sell_per_kwh.")
    sell_per_kwh: float = Field(default=0.07, ge=-MOST_MONEY, le=MOST_MONEY, description="Price paid for exported energy [currency/kWh].")
    sell: tuple[PriceWindow, ...] = Field(default=(), description="The same by time of day; default: sell_per_kwh all day.")
    demand_per_kw: float = Field(
        default=0.0, ge=0, le=MOST_MONEY, description="Price of the highest mean import of the billing period, over demand_minutes [currency/kW]."
    )
    demand_minutes: Literal[15, 30, 60] = Field(default=15, description="Length of the windows whose mean import counts [min].")
    demand_period: Literal["days", "month"] = Field(
        default="days", description="Billing period of the demand charge: demand_window_days from the first day on, or the calendar month."
    )
    demand_window_days: float = Field(default=30.0, gt=0, le=366, description="Length of the billing period the demand charge is spread over [days].")
    co2_per_kg: float = Field(
        default=0.0, ge=0, le=MOST_MONEY, description="What a kilogram of CO2 of the grid's energy counts in planning [currency/kg]."
    )
    co2_kg_per_kwh: tuple[float, ...] = Field(
        default=(), max_length=24, description="CO2 of the grid's energy [kg/kWh]: one value, or 24 by local hour; needed for co2_per_kg."
    )
    co2_feed: PlainFeed | None = Field(
        default=None, description="CO2 of the grid's energy from a feed [kg/kWh]; co2_kg_per_kwh holds where it has none."
    )
    missing_per_kwh: float | None = Field(
        default=None,
        gt=0,
        le=MOST_MONEY,
        description="What a kWh costs that a car leaves without; default: energy first, no saving is worth one [currency/kWh].",
    )


class ForecastConfig(Model):
    """Simple forecasts used until history teaches better ones."""

    base_load_w: tuple[float, ...] = Field(
        default=(), max_length=24, description="Typical load of the building per hour of the day [W], 24 values; default: the present load goes on."
    )
    pv_w: tuple[float, ...] = Field(default=(), max_length=24, description="Typical PV production per hour of the day [W], 24 values.")
    session_energy_wh: float = Field(default=20_000.0, gt=0, description="Energy assumed for a session that says nothing [Wh].")
    session_stay_s: float = Field(default=8 * 3600.0, gt=0, description="Stay assumed for a session that says nothing [s].")
    arrivals: Literal["auto", "off"] = Field(
        default="auto", description="auto: plans keep room for cars that usually still come, once a week of sessions has been seen; off: never."
    )
    stays: Literal["auto", "off"] = Field(
        default="auto", description="auto: needs and departures nobody says, or says wrongly, are learnt from earlier sessions; off: never."
    )
    load: Literal["auto", "off"] = Field(
        default="auto", description="auto: load and PV are learnt by time and kind of day, and after some days win over the above; off: never."
    )
    load_certainty_percent: float = Field(
        default=90.0,
        ge=50,
        le=99,
        description="Share of days whose load and PV a plan leaves room for, as far as learnt; 50 = plan with the mean [%].",
    )
    pv_plants: tuple[PvPlantConfig, ...] = Field(
        default=(), max_length=20, description="PV plants: their clear-sky power, corrected by what is measured, is the forecast."
    )
    pv_feed: PlainFeed | None = Field(default=None, description="PV forecast from a feed [W], >= 0; wins where it has values.")
    load_feed: PlainFeed | None = Field(default=None, description="Forecast of the building's load from a feed [W]; wins where it has values.")
    keep_days: float = Field(default=90.0, ge=7, le=730, description="Past sessions older than this are forgotten [days].")


class EmbeddedHistory(Model):
    """History in an SQLite file of its own."""

    type: Literal["embedded"] = Field(default="embedded", description="Embedded store.")
    retention_days: float = Field(default=90.0, gt=0, le=3660, description="Points older than this are deleted [days].")
    fine_days: float = Field(default=8.0, gt=0, le=3660, description="Older points are kept as means over five minutes [days].")
    coarse_days: float = Field(default=35.0, gt=0, le=3660, description="Still older ones as means over a quarter of an hour [days].")


class InfluxHistory(Model):
    """History in InfluxDB (line protocol, API v2) through a bounded spool on disk."""

    type: Literal["influxdb"] = Field(description="InfluxDB or anything that takes its line protocol.")
    url: str = Field(pattern=r"^https?://\S+$", description="Base URL of the server.")
    org: str = Field(default="", description="Organisation.")
    bucket: str = Field(description="Bucket.")
    token: SecretStr | None = Field(default=None, description="API token.")
    token_file: Path | None = Field(default=None, description="File that holds the token instead.")
    gzip: bool = Field(default=True, description="Send batches compressed.")
    spool_bytes: int = Field(
        default=64 * 1024 * 1024, ge=65536, description="Largest spool on disk while the server is away; the oldest points go first [bytes]."
    )


class ApiConfig(Model):
    """The page and the HTTP API."""

    host: str = Field(default="127.0.0.1", description="Address to listen on.")
    port: int = Field(default=8080, ge=0, le=65535, description="TCP port; 0 picks a free one.")
    token: SecretStr | None = Field(default=None, description="Bearer token for changing calls; needed when host is not a loopback address.")
    token_file: Path | None = Field(default=None, description="File that holds the token instead.")


class ControlConfig(Model):
    """Times of the control loop. The defaults suit most sites."""

    tick_s: float = Field(default=1.0, ge=0.1, le=10, description="Control loop period [s].")
    meter_late_s: float = Field(default=3.0, gt=0, le=60, description="Age of a reading from which a margin is added [s].")
    meter_lost_s: float = Field(default=10.0, gt=0, le=300, description="Age of a reading from which the site goes to failsafe [s].")
    setpoint_life_s: float = Field(default=120.0, ge=20, le=3600, description="Life of a setpoint in a station [s].")
    setpoint_renew_s: float = Field(default=50.0, ge=5, le=1800, description="A setpoint is renewed at this age [s].")
    plan_every_s: float = Field(default=60.0, ge=1, le=3600, description="Time between two plans [s].")
    energy_first: bool = Field(
        default=False, description="Charge as early as the wires allow, whatever energy and peaks cost: for sites that are short of power."
    )
    plan_max_age_s: float = Field(default=900.0, gt=0, le=7200, description="A plan older than this is not used [s].")
    solver_deadline_s: float = Field(default=10.0, gt=0, le=600, description="The solver is killed after this time [s].")
    offline_hold_s: float = Field(default=120.0, ge=0, le=3600, description="How long the last setpoint of a lost station stays booked [s].")
    ramp_up_a_per_s: float = Field(default=4.0, gt=0, le=100, description="Setpoints rise no faster than this per phase [A/s].")
    dead_band_a: float = Field(default=1.0, ge=0, le=10, description="Smaller rises are not sent [A].")
    turn_s: float = Field(default=300.0, ge=30, le=7200, description="When not everybody can charge, a turn lasts at least this long [s].")
    unused_after_s: float = Field(default=30.0, ge=5, le=3600, description="An offer not used for this long is offered to others [s].")
    phase_switch_s: float = Field(default=600.0, ge=60, le=86_400, description="Between two switches of a car between one and three phases [s].")


class Config(Model):
    """The whole site."""

    site: SiteConfig = Field(description="Who this site is.")
    grid: GridConfig = Field(description="The grid connection.")
    circuits: tuple[CircuitConfig, ...] = Field(default=(), description="Circuits below the grid connection.")
    stations: tuple[StationConfig, ...] = Field(default=(), description="Charging stations. Unknown identities are refused.")
    listen: ListenConfig = Field(default=ListenConfig(), description="Where stations connect.")
    files: FilesConfig = Field(default=FilesConfig(), description="Firmware and logs of the stations, for a depot face.")
    upstreams: tuple[UpstreamConfig, ...] = Field(default=(), description="CSMSs above the stations; none is legal.")
    authorization: AuthorizationConfig = Field(default=AuthorizationConfig(), description="The site's own list of drivers.")
    meters: tuple[MeterConfig, ...] = Field(default=(), description="Meters.")
    mqtt: MqttConfig | None = Field(default=None, description="MQTT broker; none is legal.")
    limits: LimitsConfig = Field(default=LimitsConfig(), description="Rules for received limits.")
    section_14a: Section14aConfig = Field(default=Section14aConfig(), description="The minimum the grid operator leaves under section 14a EnWG.")
    compliance: ComplianceConfig = Field(default=ComplianceConfig(), description="The record of limits from outside.")
    signals: tuple[SignalConfig, ...] = Field(
        default=(), max_length=20, description="Who may hold the site down: grid operator, aggregator, fleet manager. The lowest limit wins."
    )
    battery: BatteryConfig | None = Field(default=None, description="Stationary battery.")
    inverters: tuple[InverterConfig, ...] = Field(default=(), max_length=50, description="PV inverters that may be curtailed.")
    relays: tuple[RelayConfig, ...] = Field(default=(), max_length=50, description="Relay outputs.")
    modbus_server: ModbusServerConfig | None = Field(
        default=None, description="Offers the site's values over Modbus TCP, read-only; default: no server."
    )
    tariff: TariffConfig = Field(default=TariffConfig(), description="Prices.")
    forecast: ForecastConfig = Field(default=ForecastConfig(), description="Simple forecasts.")
    history: Annotated[EmbeddedHistory | InfluxHistory, Field(discriminator="type")] = Field(
        default=EmbeddedHistory(), description="Where history goes."
    )
    api: ApiConfig = Field(default=ApiConfig(), description="The page and the HTTP API.")
    control: ControlConfig = Field(default=ControlConfig(), description="Times of the control loop.")
    data_dir: Path = Field(default=Path("data"), description="Folder for the journal, the spool and the embedded history.")

    def station(self, station_id: str) -> StationConfig | None:
        """The station with this identity, or None."""
        return next((station for station in self.stations if station.id == station_id), None)

    def feeds(self) -> dict[str, PriceFeed]:
        """The feeds the site asks: market, sell_market, co2_feed, pv_feed, load_feed, as far as they are given."""
        tariff, forecast = self.tariff, self.forecast
        markets = {"market": tariff.market, "sell_market": tariff.sell_market}
        plain = {"co2_feed": tariff.co2_feed, "pv_feed": forecast.pv_feed, "load_feed": forecast.load_feed}
        found: dict[str, PriceFeed] = {key: market.feed for key, market in markets.items() if market is not None}
        return found | {key: feed for key, feed in plain.items() if feed is not None}

    def identity_of(self, upstream: UpstreamConfig) -> str:
        """OCPP identity of a depot face."""
        return upstream.identity or self.site.id

    def upstream_of(self, station_id: str) -> UpstreamConfig | None:
        """The primary CSMS of a station: its own, else the first; None for a station that has none ("none")."""
        station = self.station(station_id)
        primaries = [upstream for upstream in self.upstreams if upstream.role == "primary"]
        if station is None or station.upstream == NO_UPSTREAM or not primaries:
            return None
        if station.upstream is None:
            return primaries[0]
        return next((up for up in primaries if up.id == station.upstream), None)

    def mirrors_of(self, station_id: str) -> tuple[UpstreamConfig, ...]:
        """The CSMSs that get a copy of what a station says."""
        mirrors = (upstream for upstream in self.upstreams if upstream.role == "mirror")
        return tuple(mirror for mirror in mirrors if mirror.stations is None or station_id in mirror.stations)
