"""What can be wrong, or worth a second look, about sources of limits (``signals``), and what each means in plain words."""

from __future__ import annotations

from collections.abc import Iterator

from controller.checking.problems import Problem, listed
from controller.config import ROOT_CIRCUIT, Config
from controller.config_signals import ContactsSignal, EebusSignal, MqttSignal, SignalConfig
from controller.section_14a import devices_of, minimum_w, resolved_w

WAYS = {
    "mqtt": "MQTT",
    "api": "the HTTP API",
    "eebus": "an EEBUS bridge (LPC, LPP)",
    "contacts": "relay contacts",
    "openadr3": "OpenADR 3",
    "openadr2": "OpenADR 2.0b",
    "ieee2030_5": "IEEE 2030.5",
}


def signal_problems(config: Config) -> Iterator[Problem]:
    """What cannot work."""
    circuits = {ROOT_CIRCUIT, *(circuit.id for circuit in config.circuits)}
    ids: set[str] = set()
    topics: dict[str, str] = {}
    for number, entry in enumerate(config.signals):
        where = ("signals", number)
        if entry.id in ids:
            yield Problem((*where, "id"), f"{entry.id} is there twice; each source has its own name")
        ids.add(entry.id)
        if entry.circuit not in circuits:
            yield Problem((*where, "circuit"), f"{entry.circuit} is no circuit of this site, which has: {listed(sorted(circuits), 12)}")
        if isinstance(entry, MqttSignal | EebusSignal):
            yield from _topics(config, number, entry, topics)
        if isinstance(entry, ContactsSignal):
            yield from _contacts(config, number, entry)


def _topics(config: Config, number: int, entry: MqttSignal | EebusSignal, topics: dict[str, str]) -> Iterator[Problem]:
    if config.mqtt is None:
        yield Problem(("signals", number, "type"), f"{entry.id} comes over MQTT, and the site has no broker; add mqtt, or use type api")
    if entry.topic is None:
        return
    if any(sign in entry.topic for sign in "+#\0"):
        yield Problem(("signals", number, "topic"), "is one topic, written out in full, without + and #")
    if entry.topic in topics:
        yield Problem(("signals", number, "topic"), f"is the topic of {topics[entry.topic]}, too; then nobody knows whose limit it is")
    topics[entry.topic] = entry.id


def _contacts(config: Config, number: int, entry: ContactsSignal) -> Iterator[Problem]:
    names: set[str] = set()
    for place, contact in enumerate(entry.contacts):
        if contact.name in names:
            yield Problem(("signals", number, "contacts", place, "name"), f"{contact.name} is there twice")
        names.add(contact.name)
        if contact.production_percent is not None and not config.inverters:
            message = "is a part of the inverters' max_power_w, and the site file has no inverters; say production_w, or add them"
            yield Problem(("signals", number, "contacts", place, "production_percent"), message)


def signal_cautions(config: Config) -> Iterator[Problem]:
    """What somebody should look at twice."""
    fuse_w = config.grid.fuse_a * config.grid.voltage_v * config.grid.phases
    for number, entry in enumerate(config.signals):
        failsafe_w = resolved_w(entry.failsafe_w, config)
        if entry.operator and failsafe_w is None and not isinstance(entry, ContactsSignal):
            message = f"{entry.id}: no failsafe_w, so that nothing holds before the grid operator's first word, nor when his source falls silent"
            yield Problem(("signals", number), message)
        if failsafe_w is not None and failsafe_w >= fuse_w:
            message = f"{entry.id}: {failsafe_w:.0f} W are as much as the main fuse carries; such a failsafe holds nobody down"
            yield Problem(("signals", number, "failsafe_w"), message)
        if entry.heartbeat_s == 0 and not isinstance(entry, ContactsSignal):
            message = f"{entry.id}: with heartbeat_s 0 its silence is not noticed; a limit without an end then holds until it says otherwise"
            yield Problem(("signals", number, "heartbeat_s"), message)
        yield from _feed_in(config, number, entry)


def _feed_in(config: Config, number: int, entry: SignalConfig) -> Iterator[Problem]:
    if _limits_feed_in(entry) and not _can_hold_feed_in(config):
        message = f"{entry.id} limits feed-in, but nothing here can be held down: no inverters, no battery.command, no EVSE with v2g"
        yield Problem(("signals", number), message)


def _limits_feed_in(entry: SignalConfig) -> bool:
    contacts = entry.contacts if isinstance(entry, ContactsSignal) else ()
    return entry.failsafe_production_w is not None or any(one.production_w is not None or one.production_percent is not None for one in contacts)


def _can_hold_feed_in(config: Config) -> bool:
    battery = config.battery is not None and config.battery.command is not None
    return bool(config.inverters) or battery or any(evse.v2g is not None for station in config.stations for evse in station.evses)


# -- in plain words ----------------------------------------------------------------------------------------


def signal_words(config: Config) -> Iterator[str]:
    """What each source may do, and what holds while it is silent."""
    for entry in config.signals:
        yield f"{entry.id}, over {WAYS[entry.type]}: {_what(entry)}. {_silent(config, entry)}"
        if isinstance(entry, ContactsSignal):
            yield from _positions(config, entry)
    if any(entry.failsafe_w == "section_14a" for entry in config.signals) or any(_uses_14a(entry) for entry in config.signals):
        count = devices_of(config)
        yield f"The minimum of section 14a EnWG for {count} controllable devices is {_kw(minimum_w(count, config.section_14a))}."
    if len(config.signals) > 1:
        yield "Where several hold at once, the lowest counts."
    if config.signals:
        yield f"What was received, obeyed and measured is recorded for {config.compliance.years:g} years: yardmaster compliance FILE."


def _what(entry: SignalConfig) -> str:
    where = "the whole site" if entry.circuit == ROOT_CIRCUIT else f"circuit {entry.circuit}"
    if entry.binds == "controllable":
        where = f"chargers and the battery's charging below {entry.circuit}, not the other loads there"
    return f"may limit the consumption of {where}, and the feed-in of the site"


def _silent(config: Config, entry: SignalConfig) -> str:
    failsafe_w, parts = resolved_w(entry.failsafe_w, config), []
    if failsafe_w is not None:
        parts.append(f"{_kw(failsafe_w)} consumption")
    if entry.failsafe_production_w is not None:
        parts.append(f"{_kw(entry.failsafe_production_w)} feed-in")
    if not parts:
        return "It has no failsafe: while it is silent its last limit holds until it ends, then none."
    when = f"when it has been silent for {entry.heartbeat_s:g} s" if entry.heartbeat_s else "when its connection is lost and no limit of it holds"
    return f"Until its first word and {when}: {' and '.join(parts)}; that ends with its next limit, or once it has been back for 2 min."


def _positions(config: Config, entry: ContactsSignal) -> Iterator[str]:
    for contact in entry.contacts:
        consumption_w = resolved_w(contact.consumption_w, config)
        what = [f"consumption {_kw(consumption_w)}"] if consumption_w is not None else []
        what += [f"feed-in {_kw(contact.production_w)}"] if contact.production_w is not None else []
        what += [f"feed-in {contact.production_percent:g} %"] if contact.production_percent is not None else []
        lost = {"restrict": "as if it were", "hold": "as it was last", "ignore": "as if it were not"}[contact.missing]
        yield f"{entry.id} {contact.name}, when {contact.active}: {' and '.join(what) or 'a state of SG-Ready'}. If it cannot be read: {lost}."


def _uses_14a(entry: SignalConfig) -> bool:
    return isinstance(entry, ContactsSignal) and any(contact.consumption_w == "section_14a" for contact in entry.contacts)


def _kw(watts: float) -> str:
    return f"{watts / 1000:.3g} kW"
