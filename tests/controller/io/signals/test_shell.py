"""The shell of all sources: one that cannot work (F83) is told, tried again, and stops nobody else."""

from __future__ import annotations

import shutil
from pathlib import Path

from controller.config import Config
from controller.facts import SourceChanged
from controller.io.clock import Clock
from controller.io.signals.shell import SignalsShell
from controller.sim.ieee2030_5_pki import Authority
from tests.support.facts import FactLog


async def test_f83_a_certificate_that_cannot_be_read_keeps_its_own_source_down_until_it_can(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "pki")
    device, ours = authority.device("YARD-1"), tmp_path / "ours.pem"
    files = {"cert_file": str(ours), "key_file": str(device.key), "ca_file": str(authority.ca)}
    utility = {"id": "utility", "type": "ieee2030_5", "url": "https://127.0.0.1:9/dcap", **files}
    config = Config.model_validate(
        {
            "site": {"id": "test"},
            "grid": {"fuse_a": 63, "worst_other_load_a": 10},
            "data_dir": str(tmp_path / "data"),
            "signals": [utility, {"id": "desk", "type": "api", "heartbeat_s": 0}],
        }
    )
    facts = FactLog()
    shell = SignalsShell(config, Clock(), facts.submit, again_s=0.05)
    await shell.start()
    try:
        told = await facts.next(SourceChanged)
        assert (told.source, told.healthy) == ("utility", False)
        assert str(ours) in told.detail
        status, _ = await shell.notified("desk", b"{}") or (0, "")
        assert status == 200
        shutil.copy(device.cert, ours)
        await facts.until(lambda: any("cannot be reached" in fact.detail for fact in facts.of(SourceChanged)))  # it dials
    finally:
        await shell.stop()
