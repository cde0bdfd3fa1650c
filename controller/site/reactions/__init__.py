"""What follows from a fact, by what the fact is about; ``Site`` finds the right one by the fact's type.

Each class takes the site, keeps only what its own reactions must remember, and hands its ``handlers`` to ``Site.handle``.
Decisions about amps are made elsewhere: here is said which of them a fact asks for, and in which order.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from controller.facts import Fact
from controller.orders import Order

Handlers = dict[type[Fact], Callable[[Any], list[Order]]]
