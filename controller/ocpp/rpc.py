"""OCPP-J framing: the text of one WebSocket message <-> one frame object, and nothing else.

A frame keeps the ``text`` it came in, so that relaying never means writing JSON again. Reading is
strict: what two JSON readers could understand differently (duplicate keys, NaN, 1e999, lone
surrogates, NUL) is refused, and so is what costs more than it can be worth (size, depth, endless
digits). Size and depth are judged before the JSON reader sees the text: 4 MiB of small objects
hold the loop for 0.2 s, in which no other station is served.

Any text either parses or raises ``FrameError``; no other exception leaves ``parse``. Types 5 and 6
exist from OCPP 2.1 on (Part 4, 4.1.3, 4.4) and are unknown types below it.
Deliberate choices: a message id that is a JSON number is refused with id "-1" (the document wants a
string; echoing a guess could settle the wrong call); ``-0`` is valid JSON and read as zero.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Final

from controller.ocpp.dialect import Payload

MAX_BYTES: Final = 262_144
MAX_DEPTH: Final = 64
MAX_NUMBER_CHARS: Final = 300
MAX_ID_CHARS: Final = 36
MAX_ACTION_CHARS: Final = 64
MAX_DESCRIPTION_CHARS: Final = 255
UNREADABLE_ID: Final = "-1"

CALL: Final = 2
CALLRESULT: Final = 3
CALLERROR: Final = 4
CALLRESULTERROR: Final = 5
SEND: Final = 6

_LENGTHS: Final = {CALL: 4, CALLRESULT: 3, CALLERROR: 5, CALLRESULTERROR: 5, SEND: 4}

_TO_16: Final = {
    "FormatViolation": "FormationViolation",
    "OccurrenceConstraintViolation": "OccurenceConstraintViolation",
    "MessageTypeNotSupported": "NotSupported",
    "RpcFrameworkError": "ProtocolError",
}
_TO_2X: Final = {
    "FormationViolation": "FormatViolation",
    "OccurenceConstraintViolation": "OccurrenceConstraintViolation",
}


class FrameError(Exception):
    """A text that is not a usable frame.

    code: RPC error code in 2.x spelling (``error_text`` translates it). message_id: the id to answer
    with, "-1" if unreadable. detail: short and safe to send. ignore: True = drop it silently, because
    this version says so or because the frame was itself an answer. message_type: as far as readable.
    """

    def __init__(self, code: str, detail: str, *, message_id: str = UNREADABLE_ID, ignore: bool = False, message_type: int | None = None) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail
        self.message_id = message_id
        self.ignore = ignore
        self.message_type = message_type


@dataclass(frozen=True, slots=True)
class Call:
    """[2, id, action, payload]."""

    message_id: str
    action: str
    payload: Payload
    text: str


@dataclass(frozen=True, slots=True)
class Result:
    """[3, id, payload]."""

    message_id: str
    payload: Payload
    text: str


@dataclass(frozen=True, slots=True)
class Error:
    """[4, id, code, description, details]. Read leniently: code and description are free text."""

    message_id: str
    code: str
    description: str
    details: Payload
    text: str


@dataclass(frozen=True, slots=True)
class ResultError:
    """[5, id, code, description, details], 2.1 only. Never answered."""

    message_id: str
    code: str
    description: str
    details: Payload
    text: str


@dataclass(frozen=True, slots=True)
class Send:
    """[6, id, action, payload], 2.1 only. Never answered."""

    message_id: str
    action: str
    payload: Payload
    text: str


Frame = Call | Result | Error | ResultError | Send


# -- reading -----------------------------------------------------------------------------------


def parse(text: str, *, version: str, max_bytes: int = MAX_BYTES) -> Frame:
    """Frame in ``text``; ``version`` is the link's subprotocol, e.g. "ocpp2.0.1".

    A byte order mark at the head is dropped, also from ``Frame.text`` (RFC 8259 forbids sending one).
    Raises FrameError and nothing else.
    """
    text = text.removeprefix("\ufeff")
    message_id = text[4:-5]
    if text[:4] == '[3,"' and text[-5:] == '",{}]' and 1 <= len(message_id) <= MAX_ID_CHARS and _is_plain(message_id):
        return Result(message_id, {}, text)  # most answers: worth their own door
    try:
        _check_before(text, max_bytes)
        return _frame(_decode(text), text, version)
    except _RefusedError as refused:
        raise _with_head(refused, text, version) from None


def _is_plain(inside: str) -> bool:
    """Whether this is what stands between the quotes of a JSON string, letter for letter."""
    return inside.isascii() and inside.isprintable() and '"' not in inside and "\\" not in inside


class _RefusedError(ValueError):
    """Content that is refused before the frame is known. readable: its head may still be trusted."""

    def __init__(self, detail: str, *, readable: bool = True) -> None:
        super().__init__(detail)
        self.detail = detail
        self.readable = readable


def _check_before(text: str, max_bytes: int) -> None:
    if len(text) > max_bytes:
        raise _RefusedError(f"frame larger than {max_bytes} bytes")
    if text.isascii() and "\\" not in text and text.count("{") + text.count("[") <= MAX_DEPTH:
        return  # nearly every frame: no deeper than it has brackets, as many bytes as letters, no escapes
    try:
        data = text.encode()
    except UnicodeEncodeError:
        raise _RefusedError("text is not valid Unicode") from None
    if len(data) > max_bytes:
        raise _RefusedError(f"frame larger than {max_bytes} bytes")
    plain = data.replace(rb"\\", b"")
    if rb"\u0000" in plain:
        raise _RefusedError("NUL character")
    if _depth(plain) > MAX_DEPTH:
        raise _RefusedError(f"nested deeper than {MAX_DEPTH}")


_STEPS: Final = bytes({ord("["): 1, ord("{"): 1, ord("]"): 255, ord("}"): 255}.get(code, 0) for code in range(256))
_OTHERS: Final = bytes(code for code in range(256) if code not in b"[]{}")


def _depth(plain: bytes) -> int:
    """Deepest nesting outside strings. plain: JSON text without escaped backslashes.

    Every second piece between quotes is outside a string. On text that is not JSON the count may
    be off, but only behind the first error, where the JSON reader stops anyway. All steps are
    linear and run in C: no pattern matching, hence no text that makes it slow.
    """
    outside = b"".join(plain.replace(rb"\"", b"").split(b'"')[::2])
    steps = memoryview(outside.translate(_STEPS, _OTHERS)).cast("b")
    return max(accumulate(steps), default=0)


def _whole(digits: str) -> int:
    if len(digits) > MAX_NUMBER_CHARS:
        raise _RefusedError("number too long")
    return int(digits)


def _real(digits: str) -> float:
    if len(digits) > MAX_NUMBER_CHARS:
        raise _RefusedError("number too long")
    value = float(digits)
    if math.isinf(value):
        raise _RefusedError("number out of range")
    return value + 0.0  # -0.0 becomes 0.0: a sign without a value only confuses comparisons


def _constant(_name: str) -> Any:
    raise _RefusedError("NaN and Infinity are not JSON")


def _object(pairs: list[tuple[str, Any]]) -> Payload:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise _RefusedError("duplicate key")
    return result


_DECODER: Final = json.JSONDecoder(object_pairs_hook=_object, parse_int=_whole, parse_float=_real, parse_constant=_constant)
_SURROGATE: Final = re.compile(r"\\u[dD][89a-fA-F]")


def _read(text: str) -> Any:
    """The raw reader takes what nearly everybody sends; spaces around it, or rubbish, are the whole decoder's business."""
    if text[:1] == "[":
        value, end = _DECODER.raw_decode(text)
        if end == len(text):
            return value
    return _DECODER.decode(text)


def _decode(text: str) -> Any:
    try:
        value = _read(text)
    except _RefusedError:
        raise
    except (ValueError, RecursionError):
        raise _RefusedError("not JSON", readable=False) from None
    if "\\" in text and _SURROGATE.search(text):
        _check_surrogates(value)
    return value


def _check_surrogates(value: Any) -> None:
    """Escapes such as \\ud800 alone pass the JSON reader, but cannot be written as UTF-8 again."""
    try:
        _ENCODER.encode(value).encode()
    except UnicodeEncodeError:
        raise _RefusedError("text is not valid Unicode") from None


_HEAD: Final = re.compile(r'[ \t\r\n]*\[[ \t\r\n]*([2-6])[ \t\r\n]*,[ \t\r\n]*"([^"\\\x00-\x1f\ud800-\udfff]{1,36})"[ \t\r\n]*,')


def _with_head(refused: _RefusedError, text: str, version: str) -> FrameError:
    """The error of a refused text, with the sender's id if the head can be read: its call is then answered at once."""
    head = _HEAD.match(text) if refused.readable else None
    if head is None:
        code = "FormatViolation" if refused.readable else "RpcFrameworkError"
        return FrameError(code, refused.detail)
    message_type = int(head[1])
    if message_type not in _types_of(version):
        return _unknown_type(message_type, head[2], version)
    return FrameError("FormatViolation", refused.detail, message_id=head[2], ignore=message_type != CALL, message_type=message_type)


def _types_of(version: str) -> range:
    return range(CALL, SEND + 1) if version == "ocpp2.1" else range(CALL, CALLERROR + 1)


def _unknown_type(message_type: Any, message_id: str, version: str) -> FrameError:
    """1.6 ignores unknown types (J 4.1.3); 2.x may answer. A type 5 is itself an answer: never answered."""
    known = message_type if type(message_type) is int else None
    ignore = version == "ocpp1.6" or known == CALLRESULTERROR
    return FrameError("MessageTypeNotSupported", "unknown message type", message_id=message_id, ignore=ignore, message_type=known)


def _frame(value: Any, text: str, version: str) -> Frame:
    if not isinstance(value, list) or not value:
        raise FrameError("RpcFrameworkError", "frame is not a filled array")
    if len(value) == 4 and (call := _good_call(value, text)) is not None:
        return call
    message_type, message_id = value[0], _message_id(value)
    if type(message_type) is not int or message_type not in _types_of(version):
        raise _unknown_type(message_type, message_id or UNREADABLE_ID, version)
    silent = message_type != CALL
    if message_id is None:
        raise FrameError("RpcFrameworkError", "message id is not a text of 1 to 36 characters", ignore=silent, message_type=message_type)
    try:
        return _typed(message_type, message_id, value, text)
    except _MisshapenError as wrong:
        raise FrameError(wrong.code, wrong.detail, message_id=message_id, ignore=silent, message_type=message_type) from None


def _good_call(value: list[Any], text: str) -> Call | None:
    """The CALL in four elements, if it is one and nothing is wrong with it."""
    message_type, message_id, action, payload = value
    if type(message_type) is not int or message_type != CALL or type(payload) is not dict or type(message_id) is not str or type(action) is not str:
        return None
    good = 0 < len(message_id) <= MAX_ID_CHARS and 0 < len(action) <= MAX_ACTION_CHARS
    return Call(message_id, action, payload, text) if good else None


def _message_id(value: list[Any]) -> str | None:
    message_id = value[1] if len(value) > 1 else None
    return message_id if isinstance(message_id, str) and 1 <= len(message_id) <= MAX_ID_CHARS else None


class _MisshapenError(Exception):
    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


def _typed(message_type: int, message_id: str, value: list[Any], text: str) -> Frame:
    length = _LENGTHS[message_type]
    if len(value) > length:
        raise _MisshapenError("ProtocolError", f"more than {length} elements")
    if message_type == CALLERROR:
        return Error(message_id, *_error_parts(value), text)
    if message_type == CALLRESULTERROR:
        return ResultError(message_id, *_error_parts(value), text)
    if len(value) < length:
        raise _MisshapenError("ProtocolError", f"fewer than {length} elements")
    if message_type == CALLRESULT:
        return Result(message_id, _payload(value[2]), text)
    made = Call if message_type == CALL else Send
    return made(message_id, _action(value[2]), _payload(value[3]), text)


def _error_parts(value: list[Any]) -> tuple[str, str, Payload]:
    """Code, description, details; what is missing or of the wrong type becomes harmless. Any code passes."""
    code, description, details = [*value[2:], None, None, None][:3]
    return (
        code if isinstance(code, str) and code else "GenericError",
        description if isinstance(description, str) else "",
        details if isinstance(details, dict) else {},
    )


def _action(action: Any) -> str:
    if not isinstance(action, str) or not action:
        raise _MisshapenError("FormatViolation", "action is not a text")
    if len(action) > MAX_ACTION_CHARS:
        raise _MisshapenError("NotImplemented", "unknown action")
    return action


def _payload(payload: Any) -> Payload:
    if not isinstance(payload, dict):
        raise _MisshapenError("FormatViolation", "payload is not an object")
    return payload


# -- writing -----------------------------------------------------------------------------------

_ENCODER: Final = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def call_text(message_id: str, action: str, payload: Payload) -> str:
    """Text of a CALL. Payloads here are ours: NaN in one is our bug and raises ValueError."""
    return _ENCODER.encode([CALL, message_id, action, payload])


def result_text(message_id: str, payload: Payload) -> str:
    """Text of a CALLRESULT."""
    return _ENCODER.encode([CALLRESULT, message_id, payload])


def error_text(message_id: str, code: str, description: str = "", details: Payload | None = None, *, version: str) -> str:
    """Text of a CALLERROR. code in either spelling is written as ``version`` spells it; description is cut to 255."""
    spelling = _TO_16 if version == "ocpp1.6" else _TO_2X
    return _ENCODER.encode([CALLERROR, message_id, spelling.get(code, code), description[:MAX_DESCRIPTION_CHARS], details or {}])


def send_text(message_id: str, action: str, payload: Payload) -> str:
    """Text of a SEND; only for links that speak 2.1."""
    return _ENCODER.encode([SEND, message_id, action, payload])


def with_payload(call: Call, payload: Payload) -> str:
    """Text of ``call`` with another payload, same id and action."""
    return call_text(call.message_id, call.action, payload)
