"""The order and the age of what a source says: what is late, repeated, out of date or from the future is refused.

Serves F52 and F53. A message that waited in a broker must say when it was issued and for how long it holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from controller.facts import Stamp

FUTURE_S: Final = 60.0
"""A limit issued further in the future than this has a wrong clock behind it [s]."""
LONGEST_S: Final = 10 * 365.0 * 86_400.0
"""A longer duration is cut to this, or has no end: nobody means it, and no calendar shows it (B39) [s]."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a limit was not taken. repeat: a plain duplicate, not worth a person's attention."""

    reason: str
    repeat: bool = False


@dataclass(frozen=True, slots=True)
class Heard:
    """The last word of a source: for the order of later ones. Forgotten after until_mono_s."""

    sequence: int | None
    issued_wall_s: float | None
    until_mono_s: float


@dataclass(frozen=True, slots=True)
class Word:
    """What a message says about its own order and age. duration_s: how long its limit holds [monotonic s], None = it has no end."""

    at: Stamp
    sequence: int | None
    issued_wall_s: float | None
    retained: bool
    duration_s: float | None

    @property
    def waited_s(self) -> float:
        """How long ago [monotonic s] a retained limit was issued."""
        if not self.retained or self.issued_wall_s is None or not self.at.wall_trusted:
            return 0.0
        return max(0.0, (self.at.wall_s - self.issued_wall_s) / self.at.wall_speed)


def out_of_order(heard: Heard | None, word: Word) -> Refusal | None:
    """F52: the sequence decides, else the moment of issue; neither repeats nor late ones count."""
    if heard is None or word.at.mono_s >= heard.until_mono_s:
        return None
    if word.sequence is not None and heard.sequence is not None:
        if word.sequence > heard.sequence:
            return None
        return Refusal(f"sequence {word.sequence} is not newer than {heard.sequence}", repeat=word.sequence == heard.sequence)
    if word.issued_wall_s is not None and heard.issued_wall_s is not None and word.issued_wall_s < heard.issued_wall_s:
        return Refusal("issued before the limit already taken")
    return None


def too_old(word: Word) -> Refusal | None:
    """F53: what a broker kept must say when it was issued and for how long. An unknown clock cannot judge that."""
    if word.retained and word.duration_s is None:
        return Refusal("a retained limit must say how long it holds")
    if not word.at.wall_trusted:
        return None
    if word.issued_wall_s is None:
        return Refusal("a retained limit must say when it was issued") if word.retained else None
    if word.issued_wall_s > word.at.wall_s + FUTURE_S * word.at.wall_speed:
        return Refusal("issued in the future; check the sender's clock")
    if word.retained and word.duration_s is not None and word.duration_s <= word.waited_s:
        return Refusal("a retained limit that has already ended")
    return None
