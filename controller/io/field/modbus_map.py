"""What the Modbus server offers: the site's picture as registers, the same on every day.

Two faces. Our own map (deploy/meters.md, section "Modbus server") is on both units; its numbers are
float32, big-endian, import and charging positive, and NaN when they are not known. Behind it is a
SunSpec list at 40000, so that others can just discover the site: the grid as a meter, PV as an
inverter, the battery; unit 1 as integers with scale factors (203, 103), unit 2 as floats (213, 113).

Pure: a picture in, words out. What is not measured, or not any more, is "not available"; nothing is
carried over from earlier pictures.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable

from controller.config import Config
from controller.snapshot import EvseView, SiteView, Snapshot
from meters.sunspec_image import Image
from meters.sunspec_models import Found

INTEGER_UNIT, FLOAT_UNIT = 1, 2
MARK, VERSION = 0x594D, 1
"""The letters YM, and the version of the map: addresses are never given another meaning within a version."""

SITE, CIRCUITS, EVSES = 0, 1000, 3000
RECORD = 40
MAX_CIRCUITS, MAX_EVSES = 50, 900
NAME_WORDS = 20

MODES = ("normal", "degraded", "failsafe", "stop")
STATES = ("unavailable", "offline", "available", "waiting", "charging", "paused", "finished", "discharging", "faulted")
UNKNOWN = 0xFFFF

Words = dict[int, int]


def registers(config: Config, picture: Snapshot) -> dict[int, Words]:
    """Unit -> address -> word."""
    own = own_map(config, picture)
    return {
        INTEGER_UNIT: own | sunspec_list(config, picture, floats=False),
        FLOAT_UNIT: own | sunspec_list(config, picture, floats=True),
    }


def own_map(config: Config, picture: Snapshot) -> Words:
    """Our own map."""
    site, words = picture.site, Words()
    _put_u16(words, SITE, (MARK, VERSION))
    _put_u32(words, SITE + 2, int(max(0.0, picture.now_wall_s)))
    _put_u16(words, SITE + 4, (_number(MODES, site.mode), min(len(site.circuits), MAX_CIRCUITS), min(len(site.evses), MAX_EVSES), UNKNOWN))
    _put_floats(words, SITE + 8, _site_values(config, site))
    for number, circuit in enumerate(site.circuits[:MAX_CIRCUITS]):
        at = CIRCUITS + RECORD * number
        _put_floats(words, at, (*circuit.load_a, *circuit.limit_a, circuit.fuse_a, None, None, None))
        _put_text(words, at + 20, circuit.id)
    for number, evse in enumerate(site.evses[:MAX_EVSES]):
        _put_evse(words, EVSES + RECORD * number, evse)
    return words


def sunspec_list(config: Config, picture: Snapshot, floats: bool) -> Words:
    """SunSpec at 40000: the grid's meter, a PV inverter if there is PV, a battery if there is one; each as a device with a common model."""
    image = Image()
    _common(image, picture, "Grid")
    _meter(image, config, picture.site, floats)
    if any(meter.role == "pv" for meter in config.meters):
        _common(image, picture, "PV")
        _inverter(image, config, picture.site, floats)
    if any(meter.role == "battery" for meter in config.meters):
        _common(image, picture, "Battery")
        _battery(image, config, picture.site)
    image.close()
    return image.words


def _common(image: Image, picture: Snapshot, what: str) -> None:
    model = image.add(1)
    texts = {"Mn": "Yardmaster", "Md": what, "Opt": "read-only", "Vr": picture.version, "SN": picture.site_id}
    for name, text in texts.items():
        image.text(model, name, text)


def _site_values(config: Config, site: SiteView) -> tuple[float | None, ...]:
    grid, fresh = site.grid, _fresh(config, site)
    imports = [signal.limit_w for signal in site.signals if signal.limit_w is not None and signal.circuit == "grid"]
    exports = [signal.production_limit_w for signal in site.signals if signal.production_limit_w is not None]
    return (
        grid.power_w if fresh else None,
        *(grid.current_a if fresh else (None, None, None)),
        grid.ev_power_w,
        *grid.ev_current_a,
        grid.building_w if fresh else None,
        grid.pv_w,
        grid.battery_w,
        grid.battery_soc_percent,
        grid.meter_age_s,
        grid.fuse_a,
        grid.voltage_v,
        min(imports, default=None),
        min(exports, default=None),
        *(None,) * 9,
    )


def _fresh(config: Config, site: SiteView) -> bool:
    """The last word of a grid meter that has fallen silent is not what flows now."""
    age_s = site.grid.meter_age_s
    return age_s is not None and age_s < config.control.meter_lost_s


def _put_evse(words: Words, at: int, evse: EvseView) -> None:
    power_w, current_a = (evse.power_w, evse.current_a) if evse.online else (None, (None, None, None))
    soc_percent = evse.soc_percent if evse.online else None
    _put_floats(words, at, (power_w, *current_a, evse.limit_a, evse.max_current_a, evse.session_energy_wh, soc_percent, evse.need_wh))
    _put_u16(words, at + 18, (_number(STATES, evse.state), int(evse.online)))
    _put_text(words, at + 20, evse.id)


# -- SunSpec ----------------------------------------------------------------------------------


def _meter(image: Image, config: Config, site: SiteView, floats: bool) -> None:
    model = image.add(213 if floats else 203)
    if not floats:
        _scales(image, model, config)
    current_a = site.grid.current_a if _fresh(config, site) else (None, None, None)
    power_w = site.grid.power_w if _fresh(config, site) else None
    known = [amps for amps in current_a if amps is not None]
    image.fill(model, A=sum(known) if known else None, W=power_w)
    image.fill(model, **dict(zip(("AphA", "AphB", "AphC"), current_a, strict=True)))


def _inverter(image: Image, config: Config, site: SiteView, floats: bool) -> None:
    model = image.add(113 if floats else 103)
    if not floats:
        _scales(image, model, config)
    image.fill(model, W=None if site.grid.pv_w is None else 0.0 - site.grid.pv_w)


def _battery(image: Image, config: Config, site: SiteView) -> None:
    model = image.add(802)
    power_w = site.grid.battery_w
    image.fill(model, SoC_SF=-1, W_SF=_power_exponent(config), SoC=site.grid.battery_soc_percent, LocRemCtl=1)
    image.fill(model, W=None if power_w is None else 0.0 - power_w)
    if power_w is not None:
        image.fill(model, ChaSt=4 if power_w > 0 else 3 if power_w < 0 else 6)


def _scales(image: Image, model: Found, config: Config) -> None:
    amps = 10.0 * config.grid.fuse_a
    image.fill(model, A_SF=_exponent(amps, -2), W_SF=_power_exponent(config))


def _power_exponent(config: Config) -> int:
    """The finest scale at which three times three fuses and more fit into 16 bits with a sign: it never changes while the program runs."""
    return _exponent(10.0 * config.grid.fuse_a * config.grid.voltage_v, 0)


def _exponent(most: float, finest: int) -> int:
    return max(finest, math.ceil(math.log10(most / 0x7FFF)))


# -- words ------------------------------------------------------------------------------------


def _put_u16(words: Words, at: int, values: Iterable[int]) -> None:
    words.update(enumerate(values, at))


def _put_u32(words: Words, at: int, value: int) -> None:
    _put_u16(words, at, (value >> 16 & 0xFFFF, value & 0xFFFF))


def _put_floats(words: Words, at: int, values: Iterable[float | None]) -> None:
    for number, value in enumerate(values):
        _put_u16(words, at + 2 * number, struct.unpack(">HH", struct.pack(">f", _single(value))))


def _single(value: float | None) -> float:
    """A float32 can hold it, else NaN."""
    return value if value is not None and math.isfinite(value) and abs(value) < 3.4e38 else math.nan


def _put_text(words: Words, at: int, text: str) -> None:
    data = text.encode()[: 2 * NAME_WORDS].ljust(2 * NAME_WORDS, b"\0")
    _put_u16(words, at, struct.unpack(f">{NAME_WORDS}H", data))


def _number(names: tuple[str, ...], name: str) -> int:
    return names.index(name) if name in names else UNKNOWN
