"""Any text parses as a frame or raises FrameError, in every version. Run by ``make fuzz``; see ``drive``."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.fuzz.drive import drive, instrumented

with instrumented():
    from controller.ocpp import rpc

HEADS = ("", "[2,", '[2,"a","X",', '[3,"a",', '[4,"a",', '[6,"a","NotifyPeriodicEventStream",{')


def one(data: bytes) -> None:
    """First byte: how the text begins; the rest of it are its letters."""
    text = HEADS[data[0] % len(HEADS)] + data[1:].decode("utf-8", "surrogateescape") if data else ""
    for version in ("ocpp1.6", "ocpp2.0.1", "ocpp2.1"):
        judge(text, version)


def judge(text: str, version: str) -> None:
    """A frame keeps its text; a refusal can be answered."""
    try:
        frame = rpc.parse(text, version=version)
    except rpc.FrameError as error:
        refused = error
    else:
        assert frame.text == text.removeprefix("\ufeff")
        assert 1 <= len(frame.message_id) <= 36
        return
    assert refused.detail
    assert len(refused.message_id) <= 36
    rpc.error_text(refused.message_id, refused.code, refused.detail, version=version).encode()


if __name__ == "__main__":
    drive(one, 4096)
