"""`yardmaster check` about an IEEE 2030.5 entry, and `yardmaster signals identity`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from controller.__main__ import main
from controller.check import ConfigError, checked
from controller.sim.ieee2030_5_pki import Authority
from signals.csip_identity import der_of_pem, lfdi, sfdi
from tests.support.yard import site


def written(folder: Path, **entry: Any) -> Path:
    """A site file with one entry; its certificates lie beside it, named relative to it."""
    authority = Authority(folder / "pki")
    authority.device("yard")
    authority.device("other")
    files = {"cert_file": "pki/yard.pem", "key_file": "pki/yard.key", "ca_file": "pki/smart-grid-root.pem"}
    signal = {"id": "utility", "type": "ieee2030_5", "url": "https://127.0.0.1:1/dcap", **files, "pin": 123455, "failsafe_w": 20_000, **entry}
    path = folder / "site.yaml"
    path.write_text(yaml.safe_dump(site(folder, signals=[signal])))
    return path


def test_a_good_entry(tmp_path: Path) -> None:
    found = checked(written(tmp_path))
    assert found.secrets == ()
    assert not [one for one in found.warnings if one.where[0] == "signals"]


def test_a_port_for_notifications_that_the_site_has_given_away_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, notify_url="https://depot.example/ntfy")
    checked(path)
    content = yaml.safe_load(path.read_text())
    port = content["listen"]["port"]
    for changes in ({"notify_port": port}, {"notify_url": f"https://depot.example:{port}/ntfy"}):
        path.write_text(yaml.safe_dump(content | {"signals": [content["signals"][0] | changes]}))
        with pytest.raises(ConfigError, match=rf"port {port} is also listen\.port"):
            checked(path)


def test_a_pin_whose_check_digit_is_wrong_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="123456 is no registration PIN"):
        checked(written(tmp_path, pin=123456))


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"key_file": "pki/other.key"}, "does not belong to the certificate"),
        ({"cert_file": "pki/none.pem"}, "cannot read"),
        ({"ca_file": "pki/yard.key"}, "holds no certificate"),
    ],
)
def test_certificates_that_cannot_be_used_are_told(tmp_path: Path, entry: dict[str, Any], words: str) -> None:
    assert [words in problem.message for problem in checked(written(tmp_path, **entry)).secrets] == [True]


@pytest.mark.parametrize(
    ("entry", "words"), [({"pin": None}, "no pin"), ({"binds": "controllable"}, "opModImpLimW"), ({"ca_legacy_tls": True}, "ciphers")]
)
def test_cautions(tmp_path: Path, entry: dict[str, Any], words: str) -> None:
    told = [one.message for one in checked(written(tmp_path, **entry)).warnings if one.where[0] == "signals"]
    assert len(told) == 1
    assert words in told[0]


def test_the_identity_of_a_site_and_of_a_certificate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path)
    der = der_of_pem((tmp_path / "pki" / "yard.pem").read_text())
    assert main(["signals", "identity", str(path)]) == 0
    shown = capsys.readouterr().out
    assert lfdi(der) in shown
    assert str(sfdi(der)) in shown
    assert main(["signals", "identity", str(tmp_path / "pki" / "yard.pem"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["lfdi"] == lfdi(der)


@pytest.mark.parametrize("name", ["none.pem", "pki/yard.key", "empty.yaml"])
def test_files_without_an_identity(tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    written(tmp_path)
    (tmp_path / "empty.yaml").write_text(yaml.safe_dump(site(tmp_path)))
    assert main(["signals", "identity", str(tmp_path / name)]) == 1
    assert "yardmaster:" in capsys.readouterr().err
