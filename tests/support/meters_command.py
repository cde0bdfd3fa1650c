"""``yardmaster meters`` in a test: on the test's own event loop, what it prints given back."""

from __future__ import annotations

import argparse
import contextlib
import io
import json
from dataclasses import dataclass
from typing import Any

from controller.tools.meters import ACTIONS, add_arguments


@dataclass(frozen=True)
class Done:
    """What a command did. out, err: what it printed."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The last line, as JSON."""
        return json.loads(self.out.splitlines()[-1])


async def meters(*arguments: str) -> Done:
    """Run ``yardmaster meters`` with these words. Raises what the action raises."""
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    given = parser.parse_args(list(arguments))
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = await ACTIONS[given.action][2](given)
    return Done(code, out.getvalue(), err.getvalue())
