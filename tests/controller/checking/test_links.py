"""Mistakes in connections are told where they are and what to do."""

from pathlib import Path
from typing import Any

import pytest

from controller.checking.links import (
    depot_faces,
    file_doors,
    link_cautions,
    listeners,
    missing_files,
    password_hashes,
    security_profiles,
    upstream_names,
    upstream_settings,
)
from controller.checking.problems import Problem
from controller.config import Config
from controller.link.secrets import salted_hash


def site(**parts: Any) -> Config:
    data: dict[str, Any] = {
        "site": {"id": "yard"},
        "grid": {"fuse_a": 63, "worst_other_load_a": 10},
        "stations": [{"id": "CP1", "evses": [{"id": 1, "max_current_a": 32}]}],
        "upstreams": [{"id": "cloud", "url": "wss://csms.example/ocpp"}, {"id": "copy", "role": "mirror", "url": "wss://copy.example/ocpp"}],
    }
    return Config.model_validate(data | parts)


def station(**more: Any) -> list[dict[str, Any]]:
    return [{"id": "CP1", "evses": [{"id": 1, "max_current_a": 32}]} | more]


def places(problems: Any) -> dict[str, str]:
    found: list[Problem] = list(problems)
    return {".".join(str(step) for step in one.where): one.message for one in found}


def test_a_good_site_has_no_problem() -> None:
    config = site(stations=station(upstream="cloud", password_hash=salted_hash("a very long password", bytes(16))))
    for rule in (upstream_names, upstream_settings, listeners, password_hashes, missing_files):
        assert places(rule(config)) == {}
    assert config.upstream_of("CP1") is config.upstreams[0]
    assert config.mirrors_of("CP1") == (config.upstreams[1],)


def test_a_station_may_have_no_csms_but_no_mirror_for_one() -> None:
    alone = site(stations=station(upstream="none"))
    assert places(upstream_names(alone)) == {}
    assert alone.upstream_of("CP1") is None
    assert "mirror" in places(upstream_names(site(stations=station(upstream="copy"))))["stations.0.upstream"]
    assert "'cloud'" in places(upstream_names(site(stations=station(upstream="clowd"))))["stations.0.upstream"]


def test_names_of_upstreams_and_their_stations() -> None:
    mirror = {"id": "m", "role": "mirror", "url": "ws://127.0.0.1:1/y", "stations": ["CP9"]}
    config = site(upstreams=[{"id": "none", "url": "ws://127.0.0.1:1/x"}, mirror])
    assert set(places(upstream_names(config))) == {"upstreams.0.id", "upstreams.1.stations.0"}


def test_a_depot_face_has_an_identity_of_its_own() -> None:
    one = {"id": "one", "url": "ws://127.0.0.1:1/x", "face": "depot", "identity": "DEPOT", "depot": {"firmware_models": ["generic"]}}
    assert places(depot_faces(site(upstreams=[one]))) == {}
    assert site(upstreams=[{**one, "identity": None}]).identity_of(site(upstreams=[{**one, "identity": None}]).upstreams[0]) == "yard"
    clash = site(upstreams=[{**one, "identity": "CP1"}, {**one, "id": "two", "depot": {"firmware_models": ["generik"]}}, {**one, "id": "three"}])
    assert set(places(depot_faces(clash))) == {"upstreams.0.identity", "upstreams.1.depot.firmware_models.0", "upstreams.2.identity"}
    odd = site(upstreams=[{**one, "role": "mirror"}, {"id": "p", "url": "ws://127.0.0.1:1/x", "identity": "X"}])
    assert set(places(depot_faces(odd))) == {"upstreams.0.face", "upstreams.1.identity"}


def test_settings_of_a_depot_without_its_face_are_told() -> None:
    pair = {"id": "one", "url": "wss://csms.example/ocpp", "depot": {"reset": "refuse", "token_type": "Central"}}
    assert "reset: without effect" in places(link_cautions(site(upstreams=[pair])))["upstreams.0.depot"]
    fine = site(upstreams=[{**pair, "depot": {"token_type": "Central"}}, {**pair, "id": "two", "face": "depot"}])
    assert not [place for place in places(link_cautions(fine)) if place.endswith(".depot")]


def test_settings_that_contradict_each_other() -> None:
    config = site(upstreams=[{"id": "a", "url": "ws://127.0.0.1:1/x", "stations": ["CP1"], "ca_file": "x.pem", "dial_first_s": 12}])
    assert set(places(upstream_settings(config))) == {"upstreams.0.stations", "upstreams.0.ca_file", "upstreams.0.dial_first_s"}


@pytest.mark.parametrize(
    ("listen", "place"),
    [
        ({"plain": False}, "listen.plain"),
        ({"tls": {"port": 9000, "certificates": [{"cert_file": "c", "key_file": "k"}]}}, "listen.tls.port"),
        ({"tls": {"port": 8080, "certificates": [{"cert_file": "c", "key_file": "k"}]}}, "listen.tls.port"),
    ],
)
def test_doors(listen: dict[str, Any], place: str) -> None:
    assert set(places(listeners(site(listen=listen)))) == {place}


DEPOT = [{"id": "cloud", "url": "wss://csms.example/ocpp", "face": "depot", "identity": "D"}]


@pytest.mark.parametrize(
    ("files", "upstreams", "place"),
    [
        ({"tls_port": 9011}, DEPOT, "files.tls_port"),  # without listen.tls there is no certificate
        ({"port": 9000}, DEPOT, "files.port"),
        ({"port": 8080}, DEPOT, "files.port"),
    ],
)
def test_the_file_server_has_ports_of_its_own(files: dict[str, Any], upstreams: Any, place: str) -> None:
    assert set(places(file_doors(site(files=files, upstreams=upstreams)))) == {place}
    assert places(file_doors(site(upstreams=upstreams))) == {}
    assert places(file_doors(site(files={"port": 9000}))) == {}  # no depot face: it never listens


def test_the_file_server_may_be_encrypted_on_a_port_of_its_own() -> None:
    tls = {"tls": {"port": 9443, "certificates": [{"cert_file": "c", "key_file": "k"}]}}
    assert places(file_doors(site(files={"tls_port": 9011}, listen=tls, upstreams=DEPOT))) == {}
    for port in (9443, 9010):
        assert set(places(file_doors(site(files={"tls_port": port}, listen=tls, upstreams=DEPOT)))) == {"files.tls_port"}


def test_without_the_plain_door_its_port_is_free() -> None:
    assert places(listeners(site(listen={"plain": False, "tls": {"port": 9000, "certificates": [{"cert_file": "c", "key_file": "k"}]}}))) == {}


def test_a_hash_that_is_none_and_a_password_beside_a_hash() -> None:
    told = places(password_hashes(site(stations=station(password_hash="hunter2"))))["stations.0.password_hash"]
    assert "yardmaster hash-password" in told
    assert "hunter2" not in told
    twice = station(password="x" * 20, password_hash=salted_hash("x" * 20, bytes(16)))
    assert "remove one" in places(password_hashes(site(stations=twice)))["stations.0.password_hash"]


def test_cautions() -> None:
    config = site(
        listen={"host": "0.0.0.0"},
        stations=station(password="x" * 20),
        upstreams=[
            {"id": "a", "url": "wss://x/y", "offline_unknown": "accept", "commands": {"deny": ["Rest"]}},
            {"id": "m", "role": "mirror", "url": "wss://x/z", "commands": {"allow": ["Reset"]}},
        ],
        authorization={"unknown": "accept", "tokens": [{"id_token": "AA"}]},
    )
    told = places(link_cautions(config))
    assert set(told) == {"upstreams.0.offline_unknown", "upstreams.0.commands.deny", "upstreams.1.commands.allow", "listen", "authorization.unknown"}
    assert "'Reset'" in told["upstreams.0.commands.deny"]
    assert places(link_cautions(site())) == {}


def test_files_that_are_not_there(tmp_path: Path) -> None:
    (tmp_path / "there.pem").write_text("x")
    there, gone = str(tmp_path / "there.pem"), str(tmp_path / "gone.pem")
    config = site(
        listen={"tls": {"certificates": [{"cert_file": there, "key_file": gone}]}},
        upstreams=[{"id": "a", "url": "wss://x/y", "ca_file": gone}],
    )
    assert set(places(missing_files(config))) == {"listen.tls.certificates.0.key_file", "upstreams.0.ca_file"}


def test_files_of_meters_devices_signals_and_feeds_that_are_not_there(tmp_path: Path) -> None:
    gone = str(tmp_path / "gone.pem")
    line = {"host": "meter", "framing": "tls", "ca_file": gone, "cert_file": gone, "key_file": gone}
    feed = {"type": "http", "url": "https://x/y", "ca_file": gone}
    config = site(
        meters=[{"id": "m", "role": "load", "source": {"type": "modbus", "map": "generic", **line}}],
        inverters=[{"id": "i", "max_power_w": 1000, "control": {"type": "sunspec", **line}}],
        signals=[{"id": "dso", "type": "openadr3", "url": "https://x/y", "ven_name": "v", "ca_file": gone}],
        tariff={"market": {"feed": feed}},
    )
    keys = ("ca_file", "cert_file", "key_file")
    expected = {f"meters.0.source.{key}" for key in keys} | {f"inverters.0.control.{key}" for key in keys}
    assert set(places(missing_files(config))) == expected | {"signals.0.ca_file", "tariff.market.feed.ca_file"}


def tls(**clients: Any) -> dict[str, Any]:
    door: dict[str, Any] = {"certificates": [{"cert_file": "/c.pem", "key_file": "/k.pem"}]}
    return {"tls": {**door, **({"clients": {"ca_file": "/ca.pem"} | clients} if clients else {})}}


def test_one_certificate_is_one_stations() -> None:
    two = [{**station()[0], "certificate_name": "B"}, {**station()[0], "id": "B"}]
    found = places(security_profiles(site(listen=tls(organization="x"), stations=two)))
    assert "one of the two could come as the other" in found["stations.1.certificate_name"]
    assert places(security_profiles(site(listen=tls(organization="x"), stations=[{**two[0], "certificate_name": "SN"}, two[1]]))) == {}


def test_security_profiles_that_nobody_could_reach() -> None:
    for least, more, words in (
        (3, {}, "add listen.tls.clients"),
        (2, {"password": "0123456789abcdef"}, "add listen.tls"),
        (1, {}, "wants a password"),
    ):
        found = places(security_profiles(site(stations=station(security_profile=least, **more))))
        assert words in found["stations.0.security_profile"]
    good = site(listen=tls(organization="x"), stations=station(security_profile=3, certificate_name="SN1"))
    assert places(security_profiles(good)) == {}
    named = places(security_profiles(site(listen=tls(), stations=station(certificate_name="SN1"))))
    assert "no effect" in named["stations.0.certificate_name"]


def test_a_certificate_of_ours_that_could_not_be_shown(tmp_path: Path) -> None:
    def csms(url: str = "wss://csms.example/ocpp", face: str = "pair", **entry: Any) -> Config:
        pair = {"cert_file": tmp_path / "a.pem", "key_file": tmp_path / "a.key"}
        return site(upstreams=[{"id": "cloud", "url": url, "face": face, "certificate": {**pair, **entry}}])

    assert "use wss://" in places(security_profiles(csms("ws://csms.example/ocpp")))["upstreams.0.certificate"]
    assert "face: depot" in places(security_profiles(csms(renewal="csms")))["upstreams.0.certificate.renewal"]
    assert "belong together" in places(security_profiles(csms(cert_file="/x/{identity}.pem")))["upstreams.0.certificate"]
    assert places(security_profiles(csms(face="depot", renewal="csms"))) == {}


def test_files_of_certificates_of_ours_are_looked_for_under_the_names_they_will_have(tmp_path: Path) -> None:
    pair = {"cert_file": tmp_path / "{identity}.pem", "key_file": tmp_path / "{identity}.key"}
    config = site(upstreams=[{"id": "cloud", "url": "wss://csms.example/ocpp", "certificate": pair}])
    found = places(missing_files(config))
    assert set(found) == {"upstreams.0.certificate.cert_file", "upstreams.0.certificate.key_file"}
    assert "CP1.pem" in found["upstreams.0.certificate.cert_file"]
    for name in ("CP1.pem", "CP1.key"):
        (tmp_path / name).write_text("here")
    assert places(missing_files(config)) == {}
    signed = site(upstreams=[{"id": "c", "url": "wss://c.example/x", "face": "depot", "certificate": {**pair, "renewal": "csms"}}])
    assert places(missing_files(signed)) == {}, "they come from the CSMS"


def test_the_ftp_door_has_a_port_of_its_own() -> None:
    depot = [{"id": "cloud", "url": "wss://csms.example/ocpp", "face": "depot"}]
    assert "files.ftp_port" in places(file_doors(site(upstreams=depot, files={"ftp_port": 9000})))
    assert places(file_doors(site(upstreams=depot, files={"ftp_port": 2121}))) == {}
