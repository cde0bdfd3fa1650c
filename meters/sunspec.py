"""SunSpec: finding a device's models and reading them, as conversations.

A conversation is a generator: it yields the ``Block`` it wants, is sent the words or a
``Refused``, and returns what it found. Whoever runs it (a shell, a test) owns the line; a line
that does not answer ends the conversation by closing it.

Discovery walks the list of models from its base (S9) by their lengths, known or not (S5), until
the end mark, an id 0 or an illegal address, and keeps what it found (S6). Reading asks model by
model, each from its id on, so that every poll proves that the model is still there (S8); what the
device refuses inside a model is cut in halves down to single points and not asked again (S7).
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from meters.reading import ReadingError
from meters.sunspec_models import HEAD, KNOWN, Found, Picture, blocks_of, halves
from meters.template import Block

BASES = (40000, 50000, 0)
MARK = (0x5375, 0x6E53)
"""The word SunS, which every list of models begins with."""

END_ID = 0xFFFF
MAX_MODELS = 250
MAX_ADDRESS = 0xFFFF
_NOT_THERE = frozenset({1, 2, 3, 4})
"""Exceptions that say nothing is at an address; some devices answer 3 or 4 where 2 is meant."""
_CUTTABLE = frozenset({2, 3, 4})
"""Exceptions after which parts are asked for; what was a failure for a moment is asked for again later, see ``Reader.relearn``."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The device answered with a Modbus exception. text: for people."""

    code: int
    text: str = ""


Answer = Sequence[int] | Refused
Result = TypeVar("Result")
Conversation = Generator[Block, Answer, Result]


class MovedError(ReadingError):
    """The models are not where they were: the device was set up anew (S8) or is another one. Discover again."""

    def __init__(self, detail: str) -> None:
        super().__init__("models moved", detail)


def discover(bases: Iterable[int] = BASES) -> Conversation[tuple[Found, ...]]:
    """All models of a device in their order, usable or not. Raises ReadingError: no SunSpec here, or the device is busy."""
    tried = []
    for base in bases:
        tried.append(str(base))
        answer = yield Block(base, len(MARK))
        if isinstance(answer, Refused):
            _raise_unless(_NOT_THERE, answer)
        elif tuple(answer) == MARK:
            found = yield from _walk(base + len(MARK))
            if found:
                return found
    raise ReadingError("no SunSpec", f"no list of models at {', '.join(tried)}; check the unit id and that SunSpec is switched on in the device")


@dataclass(slots=True)
class Reader:
    """Reads some models of a device again and again. Remembers what it refuses.

    wanted: models and how many of their registers are needed, 0 = all.
    """

    models: tuple[Found, ...]
    wanted: tuple[tuple[Found, int], ...]
    _plans: dict[Found, tuple[Block, ...]] = field(default_factory=dict)

    def poll(self) -> Conversation[Picture]:
        """One picture. Raises MovedError, or ReadingError when the device refuses for a reason that passes."""
        words: dict[int, int] = {}
        for model, upto in self.wanted:
            self._plans.setdefault(model, blocks_of(model, upto))
            yield from self._read(model, words)
            _check_head(model, words)
        return Picture(self.models, words)

    def relearn(self) -> None:
        """Ask for everything once more: what was refused may have been refused for a moment only."""
        self._plans.clear()

    def _read(self, model: Found, words: dict[int, int]) -> Conversation[None]:
        waiting = list(self._plans[model])
        while waiting:
            block = waiting.pop(0)
            answer = yield block
            if not isinstance(answer, Refused):
                words.update(enumerate(answer, block.address))
                continue
            _raise_unless(_CUTTABLE, answer)
            parts = halves(model, block)
            parts = () if parts == (block,) else parts
            if not parts and block.address - model.address < HEAD:
                raise _moved(model)
            self._plans[model] = tuple(new for old in self._plans[model] for new in (parts if old == block else (old,)))
            waiting = [*parts, *waiting]


def _walk(address: int) -> Conversation[tuple[Found, ...]]:
    found: list[Found] = []
    while len(found) < MAX_MODELS and address + HEAD <= MAX_ADDRESS:
        answer = yield Block(address, HEAD)
        if isinstance(answer, Refused):
            _raise_unless(_NOT_THERE, answer)
            break
        model = Found(answer[0], address, answer[1])
        if model.model_id in (0, END_ID):
            break
        if model.end > MAX_ADDRESS + 1:
            break
        found.append(model)
        address = model.end
    return tuple(found)


def _check_head(model: Found, words: dict[int, int]) -> None:
    head = (words.get(model.address), words.get(model.address + 1))
    if head != (model.model_id, model.length):
        raise _moved(model)


def _moved(model: Found) -> MovedError:
    return MovedError(f"model {model.model_id} is no longer at {model.address}; the device is searched again")


def _raise_unless(codes: frozenset[int], answer: Refused) -> None:
    if answer.code not in codes:
        raise ReadingError("refused", answer.text or f"Modbus exception {answer.code}")


def summary(models: Iterable[Found]) -> str:
    """The models in one line for people; those that cannot be used say why."""
    return ", ".join(_described(model) for model in models) or "none"


def _described(model: Found) -> str:
    if model.model_id not in KNOWN:
        return f"{model.model_id} (unknown)"
    return str(model.model_id) if model.usable else f"{model.model_id} (length {model.length} does not fit)"
