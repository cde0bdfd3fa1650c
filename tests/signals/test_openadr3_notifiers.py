"""What a server says about its MQTT notifier, as in the OpenAPI document of 3.1 and its notifications document."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signals.openadr3_notifiers import Binding, Broker, Login, binding, topic_paths, topics
from signals.openadr_plain import Refused

PEM = "-----BEGIN X-----"


def offered(**changes: Any) -> dict[str, Any]:
    mqtt = {"URIS": ["mqtts://broker.vtn.company.com"], "serialization": "JSON", "authentication": {"method": "ANONYMOUS"}}
    return {"WEBHOOK": True, "MQTT": mqtt | changes}


def test_the_documents_example() -> None:
    """Its figure 7: mqtts without a port is 8883, as IANA has it."""
    assert binding(offered(), True) == Binding((Broker("broker.vtn.company.com", 8883, True),), Login())


@pytest.mark.parametrize("raw", [{"WEBHOOK": True}, {}, {"WEBHOOK": True, "MQTT": None}, {"WEBHOOK": True, "MQTT": False, "KAFKA": {}}])
def test_a_server_without(raw: Any) -> None:
    assert binding(raw, True) is None


def test_addresses_we_cannot_dial_are_passed_over() -> None:
    uris = ["wss://b.example/mqtt", "mqtt://b.example", "not an address", 7, "mqtts://[::1", "mqtt://b.example:99999", "ssl://c.example:8884"]
    found = binding(offered(URIS=uris), True)
    assert found is not None
    assert found.brokers == (Broker("b.example", 1883, False), Broker("c.example", 8884, True))


def test_a_token_is_shown_to_no_broker_without_tls() -> None:
    login = {"method": "OAUTH2_BEARER_TOKEN", "username": "{clientID}"}
    uris = ["mqtt://b.example", "mqtts://c.example"]
    found = binding(offered(URIS=uris, authentication=login), True)
    assert found is not None
    assert (found.brokers, found.login) == ((Broker("c.example", 8883, True),), Login("OAUTH2_BEARER_TOKEN", "{clientID}"))
    with pytest.raises(Refused, match="no broker that we may use"):
        binding(offered(URIS=uris[:1], authentication=login), True)
    assert binding(offered(URIS=uris[:1], authentication=login), False) is not None  # the server itself is without TLS


def test_a_certificate_is_taken_and_never_shown() -> None:
    found = binding(offered(authentication={"method": "CERTIFICATE", "caCert": PEM, "clientCert": PEM + "c", "clientKey": PEM + "k"}), True)
    assert found is not None
    assert (found.login.ca, found.login.cert, found.login.key) == (PEM, PEM + "c", PEM + "k")
    assert PEM not in repr(found)


@pytest.mark.parametrize(
    "changes",
    [
        {"serialization": "CBOR"},
        {"authentication": {"method": "KERBEROS"}},
        {"authentication": {"method": "OAUTH2_BEARER_TOKEN"}},
        {"authentication": {"method": "CERTIFICATE", "caCert": PEM}},
        {"authentication": "ANONYMOUS"},
        {"URIS": []},
        {"URIS": None},
        {"URIS": "mqtts://b.example"},
        {"URIS": ["mqtts://b.example"] * 9},
    ],
    ids=str,
)
def test_what_we_cannot_use_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(Refused):
        binding(offered(**changes), True)


def test_where_topics_are_asked_for() -> None:
    """The endpoints of the OpenAPI document that a VEN may use: all objects are for the business side (scope read_bl)."""
    head = "/notifiers/mqtt/topics"
    assert topic_paths("v1", ["p1"]) == (f"{head}/vens/v1/events", f"{head}/vens/v1/programs", f"{head}/programs", f"{head}/programs/p1/events")
    assert topic_paths(None, []) == (f"{head}/programs",)


def test_the_topic_for_everything_or_each_operations() -> None:
    each = {"CREATE": "events/create", "UPDATE": "events/update", "DELETE": "events/delete"}
    assert topics({"topics": each}) == ("events/create", "events/update", "events/delete")
    assert topics({"topics": each | {"ALL": "events/+"}}) == ("events/+",)
    assert topics({"topics": {"UPDATE": "programs/44/update", "DELETE": "programs/44/delete"}}) == ("programs/44/update", "programs/44/delete")


NO_TOPICS = [[], {"ALL": 7}, {"ALL": "a/#/b"}, {"ALL": "a\0"}, {"UPDATE": "a+/b"}, {"DELETE": "x" * 1001}]


@pytest.mark.parametrize("raw", [{}, *({"topics": each} for each in NO_TOPICS)], ids=lambda raw: str(raw)[:40])
def test_what_is_no_topic_is_refused(raw: Any) -> None:
    with pytest.raises(Refused):
        topics(raw)


PLAIN = st.none() | st.booleans() | st.integers() | st.text(max_size=20)
JSON = st.recursive(PLAIN, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=10)


@given(JSON, JSON)
def test_any_json_is_read_or_refused(raw: Any, more: Any) -> None:
    for value in (raw, {"MQTT": raw}, {"MQTT": {"URIS": raw, "authentication": more}}, {"topics": raw}):
        for read in (lambda each: binding(each, True), topics):
            try:
                read(json.loads(json.dumps(value)))
            except Refused:
                continue
