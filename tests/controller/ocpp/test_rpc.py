"""Frames: read strictly, written compactly, the text kept as it came. Bad ones: tests/fuzz/test_bad_frames.py."""

import json

import pytest

from controller.ocpp import rpc

V16, V201, V21 = "ocpp1.6", "ocpp2.0.1", "ocpp2.1"


def refused(text: str, version: str = V201) -> rpc.FrameError:
    with pytest.raises(rpc.FrameError) as caught:
        rpc.parse(text, version=version)
    return caught.value


@pytest.mark.parametrize(
    ("text", "version", "frame"),
    [
        ('[2, "a", "Heartbeat", {}]', V16, rpc.Call("a", "Heartbeat", {}, '[2, "a", "Heartbeat", {}]')),
        ('[3,"a",{"x":[1,2.5,null,true]}]', V201, rpc.Result("a", {"x": [1, 2.5, None, True]}, '[3,"a",{"x":[1,2.5,null,true]}]')),
        ('[4,"a","GenericError","no",{"k":1}]', V201, rpc.Error("a", "GenericError", "no", {"k": 1}, '[4,"a","GenericError","no",{"k":1}]')),
        ('[5,"a","FormatViolation","",{}]', V21, rpc.ResultError("a", "FormatViolation", "", {}, '[5,"a","FormatViolation","",{}]')),
        ('[6,"a","NotifyPeriodicEventStream",{}]', V21, rpc.Send("a", "NotifyPeriodicEventStream", {}, '[6,"a","NotifyPeriodicEventStream",{}]')),
    ],
)
def test_each_type_reads_into_its_own_class(text: str, version: str, frame: rpc.Frame) -> None:
    assert rpc.parse(text, version=version) == frame


def test_the_text_is_kept_byte_for_byte_whatever_its_spacing() -> None:
    text = ' [ 2 ,\t"x" , "Authorize",\n {"idToken" : "\\u00e9\\/", "v": 31.884057998657227} ] '
    assert rpc.parse(text, version=V201).text == text


@pytest.mark.parametrize(
    ("text", "code", "description", "details"),
    [
        ('[4,"a","GenericError","x"]', "GenericError", "x", {}),
        ('[4,"a","GenericError"]', "GenericError", "", {}),
        ('[4,"a"]', "GenericError", "", {}),
        ('[4,"a","MadeUpCode",null,null]', "MadeUpCode", "", {}),
        ('[4,"a","OccurenceConstraintViolation","x",[]]', "OccurenceConstraintViolation", "x", {}),
    ],
)
def test_an_error_is_read_leniently(text: str, code: str, description: str, details: dict[str, object]) -> None:
    assert rpc.parse(text, version=V201) == rpc.Error("a", code, description, details, text)


def test_a_long_description_passes_in_and_is_cut_when_sent() -> None:
    long = "line\n" * 130
    frame = rpc.parse(json.dumps([4, "-1", "InternalError", long, {}]), version=V201)
    assert isinstance(frame, rpc.Error)
    assert frame.description == long
    assert len(json.loads(rpc.error_text("a", "InternalError", long, version=V201))[3]) == 255


@pytest.mark.parametrize(
    ("code", "version", "spelling"),
    [
        ("FormatViolation", V16, "FormationViolation"),
        ("OccurrenceConstraintViolation", V16, "OccurenceConstraintViolation"),
        ("MessageTypeNotSupported", V16, "NotSupported"),
        ("RpcFrameworkError", V16, "ProtocolError"),
        ("NotImplemented", V16, "NotImplemented"),
        ("FormationViolation", V201, "FormatViolation"),
        ("OccurenceConstraintViolation", V21, "OccurrenceConstraintViolation"),
        ("RpcFrameworkError", V201, "RpcFrameworkError"),
    ],
)
def test_error_codes_are_spelled_as_the_version_does(code: str, version: str, spelling: str) -> None:
    assert json.loads(rpc.error_text("a", code, "d", version=version)) == [4, "a", spelling, "d", {}]


def test_writing_is_compact_and_keeps_letters() -> None:
    assert rpc.call_text("a", "DataTransfer", {"data": "Zürich"}) == '[2,"a","DataTransfer",{"data":"Zürich"}]'
    assert rpc.result_text("a", {"b": [1]}) == '[3,"a",{"b":[1]}]'
    assert rpc.send_text("a", "NotifyPeriodicEventStream", {}) == '[6,"a","NotifyPeriodicEventStream",{}]'
    assert rpc.error_text("a", "GenericError", details={"k": 1}, version=V201) == '[4,"a","GenericError","",{"k":1}]'


def test_a_nan_of_our_own_making_never_reaches_a_socket() -> None:
    with pytest.raises(ValueError, match="JSON"):
        rpc.call_text("a", "SetChargingProfile", {"limit": float("nan")})


def test_another_payload_keeps_id_and_action() -> None:
    call = rpc.parse('[2,"id-7","TransactionEvent",{"seqNo":1}]', version=V201)
    assert isinstance(call, rpc.Call)
    assert rpc.with_payload(call, {"seqNo": 1, "offline": True}) == '[2,"id-7","TransactionEvent",{"seqNo":1,"offline":true}]'


def test_a_broken_answer_is_never_answered_but_names_the_call_it_was_for() -> None:
    for text in ('[3,"a",[]]', '[3,"a"]', '[3,"a",{},1]', '[4,"a","X","",{},1]', '[3,"a",{"x":NaN}]'):
        error = refused(text)
        assert error.ignore
        assert error.message_id == "a"
        assert error.message_type in (3, 4)


def test_a_refused_call_is_answered_with_its_own_id_where_the_head_is_readable() -> None:
    error = refused('[2,"my-id","Heartbeat",{"a":1,"a":2}]')
    assert (error.message_id, error.code, error.ignore) == ("my-id", "FormatViolation", False)


def test_the_largest_allowed_frame_passes_and_one_byte_more_does_not() -> None:
    frame = rpc.call_text("a", "DataTransfer", {"data": "é" * 100})
    size = len(frame.encode())
    assert rpc.parse(frame, version=V201, max_bytes=size)
    with pytest.raises(rpc.FrameError, match="larger"):
        rpc.parse(frame, version=V201, max_bytes=size - 1)


def test_brackets_and_quotes_inside_strings_do_not_count_as_depth() -> None:
    text = rpc.call_text("a", "DataTransfer", {"data": '"\\' + "[{" * 500 + "\\\\"})
    assert rpc.parse(text, version=V201).text == text


@pytest.mark.parametrize(("depth", "passes"), [(64, True), (65, False)])
def test_depth_is_counted_exactly(depth: int, passes: bool) -> None:
    inner = depth - 2  # the frame and its payload
    text = '[2,"a","DataTransfer",{"data":' + "[" * inner + "]" * inner + "}]"
    if passes:
        assert rpc.parse(text, version=V201)
    else:
        assert refused(text).detail == "nested deeper than 64"


@pytest.mark.parametrize("version", [V16, V201])
def test_types_5_and_6_never_come_out_of_a_link_below_2_1(version: str) -> None:  # trap 3
    for text in ('[5,"a","FormatViolation","",{}]', '[6,"a","NotifyPeriodicEventStream",{"id":1}]'):
        assert not isinstance(rpc.parse(text, version=V21), rpc.Call)
        error = refused(text, version)
        assert error.code == "MessageTypeNotSupported"
        assert error.ignore is (version == V16 or text.startswith("[5"))


@pytest.mark.parametrize("code", ["OccurenceConstraintViolation", "OccurrenceConstraintViolation", "FormationViolation", "FormatViolation"])
def test_both_spellings_of_a_code_are_read_in_every_version_and_written_as_each_wants(code: str) -> None:  # trap 29
    for version in (V16, V201, V21):
        frame = rpc.parse(json.dumps([4, "a", code, "", {}]), version=version)
        assert isinstance(frame, rpc.Error)
        assert frame.code == code
        of_16, of_2x = ("FormationViolation", "OccurenceConstraintViolation"), ("FormatViolation", "OccurrenceConstraintViolation")
        assert json.loads(rpc.error_text("a", code, version=version))[2] in (of_16 if version == V16 else of_2x)


def test_a_code_without_a_translation_passes_as_it_is() -> None:
    for version in (V16, V201, V21):
        assert json.loads(rpc.error_text("a", "VendorCode", version=version))[2] == "VendorCode"
