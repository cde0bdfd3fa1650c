"""What the site file says about us as a DER: identity and ratings."""

from __future__ import annotations

from pathlib import Path

from controller.certificates import CertificateError
from controller.config import Config
from controller.config_signals import Ieee20305Signal
from controller.io.signals.ieee2030_5_walk import Ourselves
from signals.csip_identity import IdentityError, der_of_pem, lfdi, sfdi
from signals.csip_modes import Ratings

NOMINAL_V = 230.0


def identity(cert_file: Path) -> tuple[str, int]:
    """(LFDI, SFDI) of a certificate file. Raises CertificateError."""
    der = certificate(cert_file)
    return lfdi(der), sfdi(der)


def certificate(cert_file: Path) -> bytes:
    """The certificate of a file. Raises CertificateError."""
    try:
        return der_of_pem(cert_file.read_text("ascii", "replace"))
    except OSError as error:
        raise CertificateError(f"cannot read {cert_file}: {error.strerror}; our identity is made from it") from None
    except IdentityError as error:
        raise CertificateError(f"{cert_file}: {error}") from None


def ourselves(config: Config, entry: Ieee20305Signal) -> Ourselves:
    """What we show to the server. Raises CertificateError."""
    return Ourselves(*identity(entry.cert_file), ratings(config, entry))


def ratings(config: Config, entry: Ieee20305Signal) -> Ratings:
    """setMaxW and its kin: what we command, so all inverters, and the battery if the site file says how it is commanded."""
    battery = config.battery
    commanded = battery is not None and battery.command is not None
    charge_w, discharge_w = (battery.max_charge_w, battery.max_discharge_w) if battery is not None and commanded else (0.0, 0.0)
    solar_w = sum(inverter.max_power_w for inverter in config.inverters)
    return Ratings(solar_w + discharge_w, charge_w, discharge_w, controllable=entry.binds == "controllable")
