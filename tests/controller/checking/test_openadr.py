"""What is wrong, or worth a second look, about OpenADR entries."""

from __future__ import annotations

from typing import Any

import pytest

from controller.checking.openadr import openadr_cautions, openadr_problems
from controller.config import Config

V3 = {"type": "openadr3", "id": "dso", "url": "https://vtn.example/openadr3/3.1.0", "ven_name": "v"}
V2 = {"type": "openadr2", "id": "dso", "url": "https://vtn.example/OpenADR2/Simple/2.0b", "ven_name": "v"}
OAUTH = {"client_id": "me", "client_secret": "s"}


def config(entry: dict[str, Any]) -> Config:
    return Config.model_validate({"site": {"id": "a"}, "grid": {"fuse_a": 63, "worst_other_load_a": 5}, "signals": [entry]})


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (V3, None),
        (V3 | {"oauth": OAUTH}, None),
        (V3 | {"oauth": OAUTH, "token": "t"}, "both oauth and a token"),
        (V3 | {"oauth": {"client_id": "me"}}, "no secret"),
        (V3 | {"username": "u", "password": "p"}, "no user name"),
        (V2, None),
        (V2 | {"cert_file": "c.pem"}, "belong together"),
        (V2 | {"vtn_fingerprint": "AA:BB"}, "wants ours signed"),
    ],
)
def test_what_cannot_work(entry: dict[str, Any], words: str | None) -> None:
    said = "; ".join(problem.message for problem in openadr_problems(config(entry)))
    assert (words is None and said == "") or (words is not None and words in said)


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (V3, None),
        (V3 | {"url": "http://vtn.example/"}, "http without TLS"),
        (V3 | {"url": "http://127.0.0.1:9000/"}, None),
        (V2 | {"url": "http://10.0.0.9/OpenADR2/Simple/2.0b"}, "http without TLS"),
        (V3 | {"poll_s": 100}, "one poll that fails is already the failsafe"),
        (V3 | {"poll_s": 100, "heartbeat_s": 0}, None),
        (V3 | {"callback_url": "https://me.example/api/v1/openadr3/dso"}, None),
        (V3 | {"callback_url": "https://me.example/hook"}, "calls are answered at /api/v1/openadr3/dso"),
        (V3 | {"callback_url": "http://me.example/api/v1/openadr3/dso"}, "nobody from outside"),
    ],
)
def test_what_to_look_at_twice(entry: dict[str, Any], words: str | None) -> None:
    said = "; ".join(problem.message for problem in openadr_cautions(config(entry)))
    assert (words is None and said == "") or (words is not None and words in said)
