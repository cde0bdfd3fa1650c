"""The parts of ``yardmaster demo`` that can be seen without running it."""

from __future__ import annotations

import argparse
import socket
from pathlib import Path

import pytest

from controller.engine import Engine
from controller.facts import Restored, StationRefused, StoryTold
from controller.sim.demo import Console, DemoError, Ports, add_arguments, choose_ports, patched, status_line
from controller.sim.neighbours import Settings
from tests.controller.sim.kit import stamp
from tests.controller.sim.test_site import CONFIG


def test_a_busy_port_is_one_sentence_that_says_what_to_do() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(DemoError, match=r"port \d+ is in use .* choose another one with --port") as caught:
            choose_ports(taken.getsockname()[1])
    assert "\n" not in str(caught.value)


def test_impossible_ports_and_speeds_are_refused() -> None:
    with pytest.raises(DemoError, match="is not a port"):
        choose_ports(70_000)
    parser = argparse.ArgumentParser(exit_on_error=False)
    add_arguments(parser)
    with pytest.raises(argparse.ArgumentError, match="between 1 and 600"):
        parser.parse_args(["--speed", "0"])


def test_ports_are_all_different() -> None:
    ports = choose_ports(0)
    assert len({ports.stations, ports.csms, ports.meters, ports.mqtt}) == 4


def test_the_site_is_moved_to_the_ports_and_stays_on_the_loopback() -> None:
    config = patched(CONFIG, Ports(1001, 1002, 1003, 1004, 1005), Path("/tmp/somewhere"))
    assert config.mqtt is not None
    assert (config.api.port, config.listen.port, config.mqtt.port) == (1001, 1002, 1005)
    assert config.upstreams[0].url == "ws://127.0.0.1:1003/csms"
    assert {getattr(meter.source, "port", None) for meter in config.meters} == {1004}
    assert {config.api.host, config.listen.host, config.mqtt.host} == {"127.0.0.1"}
    assert config.data_dir == Path("/tmp/somewhere")


def test_settings_survive_the_pipe() -> None:
    import json

    settings = Settings("x.yaml", "demo", 1.0, 2.0, 60.0, 1, 2, 3, 4, 5)
    assert Settings(**json.loads(settings.text())) == settings


def test_the_console_shows_each_event_once_and_joins_equal_texts() -> None:
    engine, lines = Engine(CONFIG, "test", {}), []
    engine.handle(Restored(stamp(0), {}, {}))
    console = Console(lambda: engine.snapshot(stamp(1)), lines.append)
    for station in ("X1", "X2"):
        engine.handle(StationRefused(stamp(1), station, "127.0.0.1", "unknown identity"))
    engine.handle(StoryTold(stamp(1), "Once upon a time"))
    console.events()
    console.events()
    assert [line for line in lines if "unknown identity" in line] == ["00:00   ! X1, X2: connection from 127.0.0.1 refused: unknown identity"]
    assert not any("Once upon a time" in line for line in lines)


def test_the_status_line_shows_what_is_not_known_as_unknown() -> None:
    engine = Engine(CONFIG, "test", {})
    engine.handle(Restored(stamp(0), {}, {}))
    line = status_line(engine.snapshot(stamp(0)), {"events": 7})
    assert "grid   ?   ?   ? A of 125" in line
    assert "CSMS has 7 events" in line
