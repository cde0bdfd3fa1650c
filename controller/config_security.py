"""Certificates between Yardmaster and its neighbours over OCPP: those that stations show, and those that we show a CSMS (security profile 3)."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Literal

from pydantic import Field

from controller.config_base import Model

IDENTITY = "{identity}"
"""In a file name: stands for the OCPP identity, so that each has its own."""


class StationCertificatesConfig(Model):
    """Whose certificates stations may show at the TLS listener (security profile 3). Stations without one still come in with their password."""

    ca_file: Path = Field(description="CA certificates that have signed the stations' certificates, PEM. No public CA belongs here.")
    crl_file: Path | None = Field(
        default=None,
        description="Revocation lists of these CAs, PEM, read again when the file changes; default: none is checked. A list that is too old, or "
        "missing for a CA, lets none of its stations in.",
    )
    organization: str | None = Field(
        default=None, max_length=64, description="Organization (O) that a station's certificate must name (A00.FR.404); default: any."
    )


class ClientCertificateConfig(Model):
    """The certificate we show a CSMS (security profile 3)."""

    cert_file: Path = Field(
        description="Certificate with its chain, PEM. {identity} in the path stands for the OCPP identity: then each station has its own."
    )
    key_file: Path = Field(description="Private key, PEM, readable by Yardmaster only; {identity} as in cert_file.")
    renewal: Literal["operator", "csms"] = Field(
        default="operator",
        description="operator: you replace the files; csms: for a depot face, Yardmaster makes keys of its own and has them signed by the CSMS "
        "(SignCertificate), the first time too if the files do not exist.",
    )
    renew_days: float = Field(default=30.0, ge=1, le=365, description="With renewal csms: how long before its end a certificate is renewed [days].")
    common_name: str | None = Field(
        default=None,
        min_length=1,
        max_length=64,
        description="Common name (CN) in a request for a certificate; default: depot.serial_number, else the identity.",
    )
    organization: str | None = Field(default=None, max_length=64, description="Organization (O) in a request for a certificate; default: none.")


def files_of(entry: ClientCertificateConfig, identity: str) -> tuple[Path, Path]:
    """(certificate, key) of an identity. A name that is no file name is written as its hash."""
    name = identity if identity not in (".", "..") and "/" not in identity and "\0" not in identity else hashlib.sha256(identity.encode()).hexdigest()
    return Path(str(entry.cert_file).replace(IDENTITY, name)), Path(str(entry.key_file).replace(IDENTITY, name))
