"""``yardmaster signals``: what others must know of us before they can send limits, and what they say now."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from controller.certificates import CertificateError
from controller.config_signals import Ieee20305Signal, OpenAdr2Signal
from controller.io.signals.ieee2030_5_site import certificate, identity
from signals.csip_identity import fingerprint, spoken

EPILOG = """\
identity prints what a utility needs to register the site: the long and the short device identifier (LFDI, SFDI) for an IEEE
2030.5 server, the fingerprint for one of OpenADR 2.0b. FILE is a site.yaml, for all its servers, or a certificate (PEM). The
private key is not read.

show asks a running controller what each source of limits says now, and prints it in plain words. FILE is its site.yaml, or the
address of its page; default: http://127.0.0.1:8080. Exit code 0: all sources are well; 2: one is silent, or in trouble.

Examples:
  yardmaster signals show site.yaml
  yardmaster signals identity site.yaml
  yardmaster signals identity device.pem --json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's own arguments."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EPILOG
    parser.add_argument("what", choices=["identity", "show"], help="identity: LFDI and SFDI of our certificates; show: what each source says now")
    parser.add_argument("file", nargs="?", help="a site's configuration; for identity also a certificate (PEM), for show an address")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--token-file", type=Path, metavar="FILE", help="for show: file with the token of the API, if it has one")


def main(arguments: argparse.Namespace) -> int:
    """Run the command; the exit code."""
    if arguments.what == "show":
        from controller.tools import signals_show

        return signals_show.main(arguments)
    if arguments.file is None:
        print("yardmaster: name a site's configuration or a certificate: yardmaster signals identity FILE", file=sys.stderr)
        return 1
    return _identities(arguments)


def _identities(arguments: argparse.Namespace) -> int:
    try:
        certificates = _certificates(Path(arguments.file))
        found = [{"signal": name, "certificate": str(path), **_identity(path)} for name, path in certificates]
    except CertificateError as error:
        print(f"yardmaster: {error}", file=sys.stderr)
        return 1
    if not found:
        print(f"yardmaster: {arguments.file} has no signal with a certificate of ours; name a certificate instead", file=sys.stderr)
        return 1
    print(json.dumps(found, indent=2) if arguments.json else "\n\n".join(_text(one) for one in found))
    return 0


def _certificates(path: Path) -> list[tuple[str, Path]]:
    """(signal or "", certificate file). Raises CertificateError."""
    if path.suffix.lower() not in (".yaml", ".yml"):
        return [("", path)]
    from controller.check import ConfigError, load_config

    try:
        config = load_config(path)
    except ConfigError as error:
        raise CertificateError(error.text()) from None
    shown = [entry for entry in config.signals if isinstance(entry, Ieee20305Signal | OpenAdr2Signal)]
    return [(entry.id, entry.cert_file) for entry in shown if entry.cert_file is not None]


def _identity(path: Path) -> dict[str, str]:
    long_form, short_form = identity(path)
    found = {"lfdi": long_form, "sfdi": str(short_form), "sfdi_spoken": spoken(short_form)}
    return found | {"openadr_fingerprint": fingerprint(certificate(path))}


def _text(one: dict[str, str]) -> str:
    head = f"{one['signal']} ({one['certificate']})" if one["signal"] else one["certificate"]
    names = f"  LFDI                 {one['lfdi']}\n  SFDI                 {one['sfdi']}  ({one['sfdi_spoken']})"
    return f"{head}\n{names}\n  OpenADR fingerprint  {one['openadr_fingerprint']}"
