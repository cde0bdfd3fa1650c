"""All parts of the depot face, in the order they are asked: the first that takes an action of the CSMS, or of a station, answers it.

One line per part. ``Through`` comes last: it passes what nobody else takes.
"""

from __future__ import annotations

from collections.abc import Callable

from controller.link.depot.boot import Boot
from controller.link.depot.office import Office, Part
from controller.link.depot.sessions import Sessions
from controller.link.depot.states import States
from controller.link.depot.through import Through
from controller.link.depot.values import Values

MAKERS: tuple[Callable[[Office], Part], ...] = (
    Boot,
    States,
    Sessions,
    Values,
    Through,
)
