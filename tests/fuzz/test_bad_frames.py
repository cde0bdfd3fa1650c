"""Bad input catalogue, frames: B02 to B15 in every version (B01, and fragments, are met by the WebSocket shell)."""

import json

import pytest

from controller.ocpp import rpc

V16, V201, V21 = "ocpp1.6", "ocpp2.0.1", "ocpp2.1"
VERSIONS = (V16, V201, V21)


def refused(text: str, version: str = V201) -> rpc.FrameError:
    with pytest.raises(rpc.FrameError) as caught:
        rpc.parse(text, version=version)
    return caught.value


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("text", ["", "hello", "{", '[2,"a","Heartbeat",{}', '[2,"a","Heartbeat",{}]]', "[2,'a',1]", '[2,"a\n","H",{}]', "\x00"])
def test_b02_not_json_is_answered_under_id_minus_one_without_our_exception_text(text: str, version: str) -> None:
    error = refused(text, version)
    assert (error.code, error.message_id, error.ignore) == ("RpcFrameworkError", "-1", False)
    assert error.detail == "not JSON"
    assert error.__cause__ is None


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("text", ["{}", "[]", "1", '"x"', "null", "true"])
def test_b03_json_but_no_filled_array(text: str, version: str) -> None:
    error = refused(text, version)
    assert (error.code, error.message_id, error.ignore) == ("RpcFrameworkError", "-1", False)


@pytest.mark.parametrize("head", ["7", '"2"', "2.0", "true", "null", "[]", "0", "-2", "20"])
def test_b04_unknown_types_are_refused_by_2x_and_ignored_by_16(head: str) -> None:
    text = f'[{head},"a","Heartbeat",{{}}]'
    for version in (V201, V21):
        error = refused(text, version)
        assert (error.code, error.message_id, error.ignore) == ("MessageTypeNotSupported", "a", False)
    assert refused(text, V16).ignore


def test_b04_types_5_and_6_exist_only_at_21_and_a_5_is_never_answered() -> None:
    five, six = '[5,"a","X","",{}]', '[6,"a","NotifyPeriodicEventStream",{}]'
    assert isinstance(rpc.parse(five, version=V21), rpc.ResultError)
    assert isinstance(rpc.parse(six, version=V21), rpc.Send)
    assert refused(five, V201).ignore
    assert not refused(six, V201).ignore
    assert refused(five, V16).ignore
    assert refused(six, V16).ignore
    assert refused('[6,"a","X",[]]', V21).ignore


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("message_id", ['""', f'"{"x" * 37}"', "12", "1.5", "null", "[]", "{}", "true", f'"{"x" * 200_000}"'])
def test_b05_unusable_ids_are_answered_under_minus_one(message_id: str, version: str) -> None:
    error = refused(f'[2,{message_id},"Heartbeat",{{}}]', version)
    assert (error.code, error.message_id, error.ignore) == ("RpcFrameworkError", "-1", False)
    assert refused(f"[3,{message_id},{{}}]", version).ignore


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("message_id", ["x", "x" * 36, 'q"uo\\te', "line\r\nbreak", "\x01\x7f", "🔌" * 36, "-1", " "])
def test_b06_odd_ids_are_allowed_up_to_36_characters(message_id: str, version: str) -> None:
    assert rpc.parse(json.dumps([2, message_id, "Heartbeat", {}]), version=version).message_id == message_id


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(("action", "code"), [('""', "FormatViolation"), ("7", "FormatViolation"), ("null", "FormatViolation")])
def test_b07_an_action_that_is_no_name(action: str, code: str, version: str) -> None:
    error = refused(f'[2,"a",{action},{{}}]', version)
    assert (error.code, error.message_id) == (code, "a")


def test_b07_a_name_of_10_kb_is_not_implemented() -> None:
    assert refused(json.dumps([2, "a", "X" * 10_000, {}])).code == "NotImplemented"


@pytest.mark.parametrize("payload", ["null", "[]", '"x"', "1"])
def test_b08_a_payload_that_is_no_object(payload: str) -> None:
    error = refused(f'[2,"a","Heartbeat",{payload}]', V16)
    assert (error.code, error.message_id) == ("FormatViolation", "a")
    assert json.loads(rpc.error_text("a", error.code, error.detail, version=V16))[2] == "FormationViolation"


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("text", ['[2,"a","Heartbeat",{},1]', '[2,"a","Heartbeat"]', '[2,"a"]'])
def test_b09_too_many_or_too_few_elements(text: str, version: str) -> None:
    error = refused(text, version)
    assert (error.code, error.message_id) == ("ProtocolError", "a")


def test_b09_a_lone_type_has_no_id() -> None:
    assert refused("[2]").message_id == "-1"


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("payload", ['{"a":1,"a":1}', '{"x":[{"a":1,"\\u0061":2}]}'])
def test_b10_duplicate_keys(payload: str, version: str) -> None:
    assert refused(f'[2,"a","Heartbeat",{payload}]', version).detail == "duplicate key"


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999"])
def test_b11_values_that_are_no_numbers(value: str, version: str) -> None:
    assert refused(f'[2,"a","MeterValues",{{"v":{value}}}]', version).message_id == "a"


@pytest.mark.parametrize("value", ["-0", "-0.0", "-0e5"])
def test_b11_minus_zero_is_valid_json_and_read_as_zero(value: str) -> None:
    frame = rpc.parse(f'[2,"a","MeterValues",{{"v":{value}}}]', version=V201)
    assert isinstance(frame, rpc.Call)
    assert str(frame.payload["v"]).startswith("0")


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("value", ["9" * 5000, "-" + "9" * 301, "0." + "1" * 400, "1" + "0" * 301 + ".5", "1e-" + "0" * 400 + "1"])
def test_b12_endless_digits_are_refused_before_conversion(value: str, version: str) -> None:
    assert refused(f'[2,"a","MeterValues",{{"v":{value}}}]', version).detail == "number too long"


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("text", ["[" * 65, '[2,"a","X",' + '{"a":' * 64 + "1" + "}" * 64 + "]", "[" * 200_000, "[{" * 100_000])
def test_b13_nesting_is_refused_before_parsing(text: str, version: str) -> None:
    assert refused(text, version).detail == "nested deeper than 64"


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("text", ['[2,"a","X",{"v":"\ud800"}]', '[2,"a","X",{"v":"\\ud800"}]', '[2,"a","X",{"\\udfff\\ud800":1}]', "\udc80"])
def test_b14_lone_surrogates(text: str, version: str) -> None:
    assert refused(text, version).detail == "text is not valid Unicode"


def test_b14_a_surrogate_pair_is_one_letter() -> None:
    frame = rpc.parse('[2,"a","X",{"v":"\\ud83d\\udd0c"}]', version=V201)
    assert isinstance(frame, rpc.Call)
    assert frame.payload == {"v": "🔌"}


def test_b14_nul_is_refused_but_not_a_backslash_before_u0000() -> None:
    assert refused('[2,"a","X",{"v":"\\u0000"}]').detail == "NUL character"
    assert refused('[2,"a","X",{"v":"\\\\\\u0000"}]').detail == "NUL character"
    assert rpc.parse('[2,"a","X",{"v":"\\\\u0000"}]', version=V201)


def test_b14_one_byte_order_mark_is_dropped_two_are_not_json() -> None:
    assert rpc.parse('\ufeff[3,"a",{}]', version=V201).text == '[3,"a",{}]'
    assert refused('\ufeff\ufeff[3,"a",{}]').detail == "not JSON"


def test_b15_a_frame_of_256_kib_and_one_byte() -> None:
    envelope = len('[2,"a","DataTransfer",{"data":""}]')
    fits = rpc.call_text("a", "DataTransfer", {"data": "x" * (262_144 - envelope)})
    assert rpc.parse(fits, version=V201)
    assert refused(fits[:-3] + 'x"}]').detail.startswith("frame larger")


@pytest.mark.parametrize(
    "text",
    [
        '"' * 260_000,
        '\\"' * 130_000,
        '["' + '\\"' * 129_000,
        "[]" * 130_000,
        "\\" * 260_000,
        '["\\\\"' * 40_000,
        "[1" + ",1" * 129_000,
        "{" * 3 + '"":' * 80_000,
    ],
    ids=range(8),
)
def test_no_text_within_the_size_limit_needs_more_than_linear_work(text: str) -> None:
    """These made a pattern with backtracking take minutes; the suite's patience is the judge, not a clock."""
    assert refused(text).detail
