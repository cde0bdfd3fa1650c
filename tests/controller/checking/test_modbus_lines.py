"""Modbus lines in a site file: what is refused and what is pointed out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from controller.checking.cautions import warnings_about
from controller.checking.modbus_lines import line_cautions, line_problems, lines_of
from controller.checking.report import report
from controller.checking.rules import Site, cross_problems
from controller.config import Config
from controller.paths import config_dir
from meters.template import load_all
from tests.support.certificates import ECDSA_CERT, ECDSA_KEY

MAPS = load_all(config_dir() / "meters")
SERIAL = {"framing": "rtu", "device": "/dev/ttyUSB0"}
NET = {"host": "10.0.0.5"}


def site(*sources: dict[str, Any], **more: Any) -> Config:
    meters = [{"id": f"m{at}", "role": "load", "source": {"type": "modbus", "map": "eastron_sdm630", **source}} for at, source in enumerate(sources)]
    return Config.model_validate({"site": {"id": "s"}, "grid": {"fuse_a": 63, "worst_other_load_a": 10}, "meters": meters, **more})


def problems(config: Config) -> list[str]:
    return [f"{found.path}: {found.message}" for found in line_problems(config)]


def cautions(config: Config) -> list[str]:
    return [f"{found.path}: {found.message}" for found in line_cautions(config, MAPS)]


def test_devices_on_one_wire_that_agree_are_fine() -> None:
    config = site({**SERIAL, "unit": 1, "poll_s": 5}, {**SERIAL, "unit": 2, "poll_s": 5}, NET, {**NET, "unit": 2})
    assert not problems(config)
    assert not cautions(config)


@pytest.mark.parametrize(("key", "value"), [("baud", 19_200), ("parity", "E"), ("stop_bits", 2)])
def test_one_serial_port_has_one_speed(key: str, value: object) -> None:
    found = problems(site({**SERIAL, "unit": 1}, {**SERIAL, "unit": 2, key: value}))
    assert len(found) == 1
    assert found[0].startswith(f"meters.1.source.{key}: meters.0.source uses the same port with {key}")


def test_contacts_and_relays_are_on_wires_like_meters() -> None:
    relay = {"id": "heat", "pin": {"type": "modbus", "address": 3, "table": "coil", **SERIAL, "baud": 19_200, "unit": 0}, "closes": "surplus"}
    config = site(SERIAL, relays=[relay])
    assert [place.where[0] for place in lines_of(config)] == ["meters", "relays"]
    found = problems(config)
    assert found[0].startswith("relays.0.pin.unit: unit 0 speaks to everybody")
    assert found[1].startswith("relays.0.pin.baud: meters.0.source uses the same port with baud 9600")


def test_one_address_has_one_certificate(tmp_path: Path) -> None:
    tls = {**NET, "framing": "tls", "ca_file": tmp_path / "a.pem"}
    assert "ca_file" in problems(site(tls, {**tls, "ca_file": tmp_path / "b.pem"}))[0]


def test_two_framings_to_one_address_are_pointed_out() -> None:
    assert "reaches the same address with framing tcp" in cautions(site(NET, {**NET, "framing": "rtu_over_tcp"}))[0]


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ({**SERIAL, "host": "10.0.0.5"}, "m.host: is not used with framing rtu"),
        ({**NET, "device": "/dev/ttyUSB0"}, "m.device: is not used with framing tcp"),
        ({**SERIAL, "unit": 250}, "m.unit: unit ids of serial devices end at 247"),
        ({**SERIAL, "map": "kostal_ksem"}, "m.framing: Kostal Smart Energy Meter speaks Modbus TCP; it has no serial port"),
        ({**NET, "map": "eastron_sdm72dm_v2_short", "poll_s": 0.2}, "m.poll_s: Eastron SDM72D-M V2 (short reads) needs 0.40 s of silence"),
    ],
)
def test_what_deserves_a_second_look(source: dict[str, Any], text: str) -> None:
    assert any(found.replace("meters.0.source", "m").startswith(text) for found in cautions(site(source))), cautions(site(source))


def test_a_serial_line_with_too_much_to_do_is_told_with_numbers() -> None:
    """Ten SDM630 at 9600 bit/s: 76 registers are 165 bytes of 11 bits, 0.19 s, and 0.1 s of silence each."""
    found = cautions(site(*({**SERIAL, "unit": unit} for unit in range(1, 11))))
    assert len(found) == 1
    assert "the 10 meters on /dev/ttyUSB0 need 289 % of its time at 9600 bit/s" in found[0]
    assert not cautions(site(*({**SERIAL, "unit": unit, "poll_s": 5} for unit in range(1, 11))))


def test_certificates_that_cannot_be_used_are_told_and_good_ones_not(tmp_path: Path) -> None:
    (tmp_path / "good.pem").write_text(ECDSA_CERT)
    (tmp_path / "good.key").write_text(ECDSA_KEY)
    (tmp_path / "bad.pem").write_text("no certificate")
    own = {"cert_file": tmp_path / "good.pem", "key_file": tmp_path / "good.key"}
    good = {**NET, "framing": "tls", "ca_file": tmp_path / "good.pem", **own}
    assert not cautions(site(good))
    assert "meters.0.source.ca_file: cannot be used" in cautions(site({**good, "ca_file": tmp_path / "none.pem"}))[0]
    assert "meters.0.source.cert_file: cannot be used" in cautions(site({**good, "cert_file": tmp_path / "bad.pem"}))[0]


def test_rules_and_warnings_of_the_whole_file_have_them() -> None:
    config = site({**SERIAL, "unit": 0}, {**SERIAL, "host": "10.0.0.5"})
    whole = Site(config, maps=frozenset(MAPS), templates=MAPS)
    assert any("unit 0 speaks to everybody" in found.message for found in cross_problems(whole))
    assert any("is not used with framing rtu" in found.message for found in warnings_about(whole))


def test_the_report_names_the_port_and_not_an_address() -> None:
    text = " ".join(report(site({**SERIAL, "unit": 3})).split())
    assert "Meter m0: read every 1 s from /dev/ttyUSB0 (9600 N1), unit 3" in text
