"""The relay as a whole, beside a direct connection and nginx ``proxy_pass`` in the same run.

``yardmaster run`` is a process of its own, as its owner runs it: a site with N stations, one CSMS above,
journal, page and control loop at work. Stations and CSMS are one C program (``relay_load.c``). The proxy has
core 0, the generator core 1. Rounds are paired: in each round every contestant is started anew and measured
next to the others; what is printed are medians of the ratios within a round, so that a busy machine hurts all alike.

    python tests/bench/relay/bench_relay.py [--stations 10,100,1000] [--rounds 3] [--seconds 5] [--json FILE] [--only relay,outage]

CPU per message comes from /proc/<pid>/schedstat (nanoseconds run, all threads); a message is a CALL up and its
answer down. Memory is the growth of the resident set over N connected stations, idle and with a transaction. Targets: HOTPATH 9.
The generator's own load is printed: below 0.9 it does not limit anybody.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import socket
import sqlite3
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

import yaml

from tests.support.yard import free_port

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
PROXY_CORE, LOAD_CORE = 0, 1
RATES = {10: 100, 100: 1000, 1000: 5000}
Numbers = dict[str, float]


def pinned(core: int) -> Callable[[], None]:
    """For Popen: run on one core, if there are two."""

    def pin() -> None:
        if (os.cpu_count() or 1) > 1:
            os.sched_setaffinity(0, {core})

    return pin


def cpu_s(pids: list[int]) -> float:
    """CPU time [s] all threads of some processes have used."""
    total = 0
    for pid in pids:
        for task in Path(f"/proc/{pid}/task").iterdir():
            with suppress(FileNotFoundError):
                total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def waited_s(pids: list[int]) -> float:
    """Time [s] those threads were ready but others had their core."""
    return sum(int((task / "schedstat").read_text().split()[1]) for pid in pids for task in Path(f"/proc/{pid}/task").iterdir()) / 1e9


def rss_kib(pids: list[int]) -> int:
    """Resident memory [KiB]; what nginx's processes share is counted once (PSS)."""
    key = "Pss:" if len(pids) > 1 else "Rss:"
    total = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith(key):
                total += int(line.split()[1])
    return total


class Load:
    """The generator. back_port: where its CSMS listens, 0 = it has none."""

    def __init__(self, program: Path, front_port: int, back_port: int, stations: int, core: int = LOAD_CORE) -> None:
        command = [str(program), str(front_port), str(back_port), str(stations)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, preexec_fn=pinned(core))
        self.answer()

    def answer(self) -> dict[str, Any]:
        """The next line of the generator."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit("the load generator ended; its message is above")
        data: dict[str, Any] = json.loads(line)
        return data

    def tell(self, command: str) -> None:
        """A command; its answer is read with ``answer``."""
        assert self.process.stdin is not None
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()

    def do(self, command: str) -> dict[str, Any]:
        """A command and its answer."""
        self.tell(command)
        return self.answer()

    def stop(self) -> None:
        """End it."""
        self.process.kill()
        self.process.wait()


# -- the contestants ------------------------------------------------------------------------------------------


class Proxy:
    """Something stations connect to. ``start`` returns when it accepts connections on ``port``."""

    name = ""

    def __init__(self, folder: Path, stations: int, back_port: int) -> None:
        self.folder, self.stations, self.back_port = folder, stations, back_port
        self.port = free_port()
        self.process: subprocess.Popen[Any] | None = None

    def start(self) -> None:
        raise NotImplementedError

    def pids(self) -> list[int]:
        """Processes whose CPU and memory count."""
        assert self.process is not None
        return [self.process.pid]

    def settled(self) -> bool:
        """Whether every station is linked through and nothing waits."""
        return True

    def stop(self) -> None:
        """End it, as its owner would."""
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(10)
            self.process.kill()
            self.process.wait()


class Direct(Proxy):
    """No proxy: a CSMS of the same C program on the proxy's core."""

    name = "direct"
    program = Path()

    def start(self) -> None:
        self.load = Load(self.program, 0, self.port, 0, PROXY_CORE)
        self.process = self.load.process


class Nginx(Proxy):
    """nginx proxy_pass, one worker, no access log."""

    name = "nginx"

    def start(self) -> None:
        text = f"""
            daemon off; worker_processes 1; pid {self.folder}/nginx.pid; error_log {self.folder}/nginx.log crit;
            worker_rlimit_nofile 20000; events {{ worker_connections 10000; }}
            http {{ access_log off; client_body_temp_path {self.folder}/a; proxy_temp_path {self.folder}/b; fastcgi_temp_path {self.folder}/c;
              uwsgi_temp_path {self.folder}/d; scgi_temp_path {self.folder}/e;
              server {{ listen 127.0.0.1:{self.port} backlog=4096; location / {{ proxy_pass http://127.0.0.1:{self.back_port}; proxy_http_version 1.1;
                proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade; proxy_read_timeout 1h; proxy_send_timeout 1h; }} }} }}"""
        file = self.folder / "nginx.conf"
        file.write_text(text)
        program = find("nginx")
        self.process = subprocess.Popen([program, "-e", f"{self.folder}/nginx.log", "-c", str(file)], preexec_fn=pinned(PROXY_CORE))
        reachable(self.port, self.process)

    def pids(self) -> list[int]:
        assert self.process is not None
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [self.process.pid, *map(int, children)]


class Yardmaster(Proxy):
    """``yardmaster run`` with a site of N stations."""

    name = "yardmaster"

    def start(self) -> None:
        self.api_port = free_port()
        self.data = self.folder / "data"
        file = self.folder / "site.yaml"
        file.write_text(yaml.safe_dump(self.site()))
        log = (self.folder / "yardmaster.log").open("wb")
        command = [sys.executable, "-m", "controller", "run", str(file)]
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, preexec_fn=pinned(PROXY_CORE))
        try:
            reachable(self.port, self.process)
        except SystemExit as error:
            raise SystemExit(f"{error}\n{(self.folder / 'yardmaster.log').read_text()[-3000:]}") from None

    def site(self) -> dict[str, Any]:
        """The site's file. The rate cap per station (F13) is lifted: it would end the measurement at 20 messages/s each."""
        numbers, amps = range(1, self.stations + 1), {"max_current_a": 32, "fallback_a": 6 if self.stations <= 500 else 0}
        return {
            "site": {"id": "bench"},
            "grid": {"fuse_a": min(6300.0, 40.0 * self.stations), "worst_other_load_a": 10},
            "stations": [{"id": f"ST{number:05d}", "evses": [{"id": 1, **amps}]} for number in numbers],
            "listen": {"host": "127.0.0.1", "port": self.port, "messages_per_s": 100_000},
            "upstreams": [{"id": "csms", "url": f"ws://127.0.0.1:{self.back_port}/ocpp", "reconnect_min_s": 1}],
            "api": {"host": "127.0.0.1", "port": self.api_port},
            "data_dir": str(self.data),
        }

    def rows(self) -> int:
        """Transaction messages in the journal."""
        with sqlite3.connect(f"file:{next(self.data.glob('journal.sqlite3'))}?mode=ro", uri=True) as db:
            count: int = db.execute("SELECT count(*) FROM outbox").fetchone()[0]
            return count

    def settled(self) -> bool:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.api_port}/api/v1/state", timeout=20) as response:
            links = json.load(response)["links"]
        return all(link["upstream"] == "open" and not link["queued"] for link in links)


    def limit(self, limit_a: float) -> None:
        """POST a limit for the whole site."""
        body = json.dumps({"circuit": "grid", "value": limit_a, "unit": "A", "valid_for_s": 600, "source": "bench"}).encode()
        address = f"http://127.0.0.1:{self.api_port}/api/v1/limits"
        request = urllib.request.Request(address, body, {"Content-Type": "application/json"}, method="POST")
        urllib.request.urlopen(request, timeout=20).close()


def find(program: str) -> str:
    """Full path of a program of the system."""
    for folder in [*os.environ.get("PATH", "").split(":"), "/usr/sbin", "/usr/local/sbin"]:
        if os.access(Path(folder) / program, os.X_OK):
            return str(Path(folder) / program)
    raise SystemExit(f"{program} is not installed; run: deploy/install-test-tools.sh bench")


def reachable(port: int, process: subprocess.Popen[Any], seconds: float = 60) -> None:
    """Wait until something listens on a port."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if process.poll() is not None:
            raise SystemExit(f"{process.args} ended with {process.returncode}")
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise SystemExit(f"{process.args} did not listen within {seconds:g} s")


@contextmanager
def contest(kind: type[Proxy], program: Path, stations: int) -> Iterator[tuple[Any, Load]]:
    """A fresh proxy between a fresh generator's stations and its CSMS."""
    with tempfile.TemporaryDirectory(prefix="bench-relay-") as name, ExitStack() as stack:
        Direct.program = program
        folder = Path(name)
        folder.chmod(0o755)  # nginx's worker may be another user
        back_port = 0 if kind is Direct else free_port()
        proxy = kind(folder, stations, back_port)
        stack.callback(proxy.stop)
        load = Load(program, proxy.port, back_port, stations)
        stack.callback(load.stop)
        proxy.start()
        yield proxy, load


def begin(proxy: Proxy, load: Load, what: str) -> Numbers:
    """All stations connect, boot and start a transaction; measured is the way to the last boot."""
    empty_kib = rss_kib(proxy.pids())
    storm = sound(measured(proxy, load, "connect 180"), f"{what} connect")
    settle(proxy, load)
    storm["idle_kib"] = (rss_kib(proxy.pids()) - empty_kib) / proxy.stations
    load.do("start")
    settle(proxy, load)
    return storm


def settle(proxy: Proxy, load: Load, seconds: float = 120) -> None:
    """Let it dial, replay and install profiles: that is not what is measured here."""
    end = time.monotonic() + seconds
    load.do("idle 1")
    while not proxy.settled():
        if time.monotonic() > end:
            print(f"  ! {proxy.name} still had messages waiting after {seconds:g} s")
            return
        load.do("idle 1")


# -- one measurement ------------------------------------------------------------------------------------------


def measured(proxy: Proxy, load: Load, command: str) -> Numbers:
    """Carry out a command and add what the proxy used for it."""
    pids = proxy.pids()
    cpu, waited, began = cpu_s(pids), waited_s(pids), time.monotonic()
    result = load.do(command)
    seconds = time.monotonic() - began
    result["cpu_s"] = cpu_s(pids) - cpu
    result["proxy_busy"] = result["cpu_s"] / seconds
    result["proxy_waited"] = (waited_s(pids) - waited) / seconds
    result["cpu_us"] = result["cpu_s"] / max(1, result["done"] or result["boots"]) * 1e6
    return result


def sound(result: Numbers, what: str) -> Numbers:
    """A figure with lost or wrong answers is none."""
    if result["bad"] or result["lost"] or result["missed"]:
        print(f"  ! {what}: {result['bad']} unexpected answers, {result['lost']} lost connections, {result['missed']} messages not sent in time")
    return result


def round_of(kind: type[Proxy], program: Path, stations: int, seconds: float) -> dict[str, Numbers]:
    """Storm, idle, fixed rate, saturation, for one contestant."""
    with contest(kind, program, stations) as (proxy, load):
        load.do("idle 1.5")
        empty_kib = rss_kib(proxy.pids())
        storm = begin(proxy, load, kind.name)
        idle = measured(proxy, load, "idle 3")
        memory = {"idle_kib": storm["idle_kib"], "charging_kib": (rss_kib(proxy.pids()) - empty_kib) / stations}
        rate = sound(measured(proxy, load, f"rate {RATES.get(stations, 5 * stations)} {seconds}"), f"{kind.name} rate")
        full = sound(measured(proxy, load, f"saturate {seconds}"), f"{kind.name} saturate")
        return {"storm": storm, "idle": idle, "rate": rate, "full": full, "memory": memory}


def outage(program: Path, stations: int, seconds: float) -> Numbers:
    """CPU per message while the CSMS is away: transaction messages are on disk before their answers."""
    with contest(Yardmaster, program, stations) as (proxy, load):
        begin(proxy, load, "outage")
        there = measured(proxy, load, f"saturate {seconds}")
        load.do("away")
        load.do("idle 2")
        before = proxy.rows()
        away = measured(proxy, load, f"saturate {seconds}")
        load.do("idle 1")
        return {**away, "open_cpu_us": there["cpu_us"], "rows": proxy.rows() - before}


def stalled(kind: type[Proxy], program: Path, stations: int = 20, each: int = 8000) -> Numbers:
    """Memory that grows behind a CSMS that stops reading while stations flood [KiB per station]."""
    with contest(kind, program, stations) as (proxy, load):
        begin(proxy, load, "stalled")
        before = rss_kib(proxy.pids())
        load.do("stall")
        flood = load.do(f"flood {each} 4")
        grown = (rss_kib(proxy.pids()) - before) / stations
        load.do("unstall")
        return {**flood, "kib": grown}


def storms(program: Path, stations: int, times: int = 6) -> list[Numbers]:
    """Power returns, again and again: every station reconnects and boots."""
    results = []
    with contest(Yardmaster, program, stations) as (proxy, load):
        for _ in range(times):
            result = sound(measured(proxy, load, "connect 180"), "storm")
            result["rss_kib"] = rss_kib(proxy.pids())
            results.append(result)
            load.do("drop")
            load.do("idle 6")
    return results


def setpoints(program: Path, stations: int) -> Numbers:
    """A limit arrives: how long until every charging station has its new setpoint."""
    with contest(Yardmaster, program, stations) as (proxy, load):
        begin(proxy, load, "setpoints")
        load.do("idle 15")  # cars begin to charge as the ramp allows
        load.tell(f"profiles {stations} 20")
        load.answer()
        proxy.limit(1.0)
        return load.answer()


# -- the whole ------------------------------------------------------------------------------------------------


def interpreter() -> str:
    """Which Python, and whether it was built with profile-guided optimisation (11-18 % of CPU, HOTPATH 2.6)."""
    flags = sysconfig.get_config_var("CONFIG_ARGS") or ""
    distribution = sys.base_prefix == "/usr" and Path("/etc/debian_version").exists()  # Debian says nothing, but does profile
    pgo = "--enable-optimizations" in flags or distribution
    return f"{platform.python_implementation()} {platform.python_version()} in {sys.base_prefix} ({'PGO' if pgo else 'not a PGO build'})"


def compiled(folder: Path) -> Path:
    """The generator, compiled for this machine."""
    program = folder / "relay_load"
    subprocess.run([find("cc"), "-O2", "-o", str(program), str(HERE / "relay_load.c")], check=True)
    return program


def ratio(rounds: list[dict[str, dict[str, Numbers]]], name: str, phase: str, key: str) -> float:
    """Median over the rounds of a contestant's figure divided by nginx's in the same round."""
    return statistics.median(one[name][phase][key] / max(1e-9, one["nginx"][phase][key]) for one in rounds)


def figure(rounds: list[dict[str, dict[str, Numbers]]], name: str, phase: str, key: str) -> float:
    """Median over the rounds."""
    return statistics.median(one[name][phase][key] for one in rounds)


HEAD = (
    f"{'':>11} {'CPU us':>8} {'x nginx':>8} {'msg/s':>8} {'p99 ms':>8} | {'p50 us':>7} {'x':>5} {'p99 us':>7} {'x':>5} {'CPU us':>7}"
    f" | {'KiB/st.':>8} {'charging':>8} | {'boots s':>7} {'CPU us':>7} | {'gen.':>5} {'waits':>5}"
)


def table(stations: int, rounds: list[dict[str, dict[str, Numbers]]]) -> None:
    """One table: a line per contestant."""
    per_s = RATES.get(stations, 5 * stations)
    print(f"\n{stations} stations: saturated | {per_s} messages/s | memory | all connect at once | generator busy, proxy waited for its core")
    print(HEAD)
    for name in rounds[0]:
        print(line(name, rounds))
    idle = 100 * figure(rounds, "yardmaster", "idle", "proxy_busy")
    print(f"  yardmaster with {stations} charging stations that say nothing uses {idle:.1f} % of its core", flush=True)


def line(name: str, rounds: list[dict[str, dict[str, Numbers]]]) -> str:
    """A contestant's line."""

    def at(phase: str, key: str) -> float:
        return figure(rounds, name, phase, key)

    def x(key: str, phase: str = "rate") -> float:
        return ratio(rounds, name, phase, key)

    done_per_s = statistics.median(one[name]["full"]["done"] / one[name]["full"]["seconds"] for one in rounds)
    return (
        f"{name:>11} {at('full', 'cpu_us'):8.1f} {x('cpu_us', 'full'):8.2f} {done_per_s:8.0f} {at('full', 'p99_us') / 1000:8.1f}"
        f" | {at('rate', 'p50_us'):7.0f} {x('p50_us'):5.2f} {at('rate', 'p99_us'):7.0f} {x('p99_us'):5.2f} {at('rate', 'cpu_us'):7.0f}"
        f" | {at('memory', 'idle_kib'):8.1f} {at('memory', 'charging_kib'):8.1f} | {at('storm', 'seconds'):7.2f} {at('storm', 'cpu_us'):7.0f}"
        f" | {at('full', 'generator_busy'):5.2f} {at('full', 'proxy_waited'):5.2f}"
    )


def relay_part(program: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Paired rounds for each number of stations."""
    found: dict[str, Any] = {}
    for stations in map(int, options.stations.split(",")):
        kinds, seconds = (Direct, Nginx, Yardmaster), options.seconds
        found[str(stations)] = [{kind.name: round_of(kind, program, stations, seconds) for kind in kinds} for _ in range(options.rounds)]
        table(stations, found[str(stations)])
    return found


def outage_part(program: Path, options: argparse.Namespace) -> Numbers:
    """See ``outage``."""
    away = outage(program, 100, options.seconds)
    print(
        f"\nCSMS away, 100 stations: {away['cpu_us']:.0f} us CPU per message ({away['open_cpu_us']:.0f} when relayed), "
        f"{away['done'] / away['seconds']:.0f} messages/s, "
        f"p99 {away['p99_us'] / 1000:.1f} ms; {away['done']:.0f} answers, {away['rows']:.0f} transaction messages on disk",
        flush=True,
    )
    return away


def stalled_part(program: Path, options: argparse.Namespace) -> dict[str, Numbers]:
    """See ``stalled``."""
    found = {kind.name: stalled(kind, program) for kind in (Nginx, Yardmaster)}
    grown = ", ".join(f"{name} {one['kib']:.0f} KiB ({one['lost']:.0f} sockets ended)" for name, one in found.items())
    print(f"\nCSMS stops reading, 20 stations flood; growth per station: {grown}", flush=True)
    return found


def storms_part(program: Path, options: argparse.Namespace) -> list[Numbers]:
    """See ``storms``."""
    found = storms(program, 1000)
    for number, one in enumerate(found, 1):
        print(
            f"{'' if number > 1 else chr(10)}power return {number}, 1000 stations: {one['boots']:.0f} boots answered "
            f"in {one['seconds']:.2f} s (half in {one['p50_us'] / 1e6:.2f} s), "
            f"{one['retries']:.0f} dialled again, {one['cpu_us']:.0f} us CPU each, {one['rss_kib'] / 1024:.0f} MiB resident",
            flush=True,
        )
    return found


def setpoints_part(program: Path, options: argparse.Namespace) -> Numbers:
    """See ``setpoints``."""
    one = setpoints(program, 1000)
    print(f"\na limit of 1 A for 1000 stations: {one['profiles']:.0f} had a new setpoint within {one['last_profile_s']:.2f} s", flush=True)
    return one


PARTS: dict[str, Callable[[Path, argparse.Namespace], Any]] = {
    "relay": relay_part,
    "outage": outage_part,
    "stalled": stalled_part,
    "storms": storms_part,
    "setpoints": setpoints_part,
}


def main() -> None:
    """Run everything, print tables, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stations", default="10,100,1000", help="numbers of stations for the relay part")
    parser.add_argument("--rounds", type=int, default=3, help="paired rounds of the relay part")
    parser.add_argument("--seconds", type=float, default=5, help="length of one measurement")
    parser.add_argument("--json", type=Path, help="write every figure into this file")
    parser.add_argument("--only", default=",".join(PARTS), help="parts to run")
    options = parser.parse_args()
    find("nginx")
    result: dict[str, Any] = {"python": interpreter(), "machine": platform.platform(), "cores": os.cpu_count(), "load": os.getloadavg()[0]}
    print(f"{result['python']}, {result['machine']}, {result['cores']} cores, load {result['load']:.1f}")
    with tempfile.TemporaryDirectory() as name:
        program = compiled(Path(name))
        for part in options.only.split(","):
            result[part] = PARTS[part](program, options)
    if options.json:
        options.json.write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
