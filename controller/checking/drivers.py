"""The site's own list of drivers: its checks, and reading the file that may hold it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import UTC
from pathlib import Path

from pydantic import ValidationError

from controller.checking.problems import Problem, Where
from controller.config import Config, TokenConfig

COLUMNS = ("id_token", "name", "expires", "priority", "group")
MAX_LIST_BYTES = 4 * 1024 * 1024
MAX_TOLD = 20


def drivers(config: Config) -> Iterator[Problem]:
    """The site's own list."""
    first: dict[str, int] = {}
    for number, token in enumerate(config.authorization.tokens):
        where: Where = ("authorization", "tokens", number)
        twin = first.setdefault(token.id_token.lower(), number)
        if twin != number:
            yield Problem((*where, "id_token"), f"is on the list already (authorization.tokens.{twin}); capitals do not matter")
        if _zoneless(token):
            yield Problem((*where, "expires"), "has no time zone; write it like 2027-01-01T00:00:00+01:00 or end it with Z")
    yield from _groups(config)


def _groups(config: Config) -> Iterator[Problem]:
    """Fleet groups: each once, and every driver in one that there is."""
    groups = [group.id for group in config.authorization.groups]
    for number, name in enumerate(groups):
        if name in groups[:number]:
            yield Problem(("authorization", "groups", number, "id"), f"group {name!r} is on the list already; give each its own id")
    for number, token in enumerate(config.authorization.tokens):
        if token.group is not None and token.group not in groups:
            yield Problem(("authorization", "tokens", number, "group"), f"there is no group {token.group!r}; {_known(groups)}")


def _known(groups: list[str]) -> str:
    return f"this site has {', '.join(groups)}" if groups else "name it in authorization.groups first"


def _zoneless(token: TokenConfig) -> bool:
    return token.expires is not None and token.expires.tzinfo is None


def with_drivers(config: Config) -> tuple[Config, list[Problem]]:
    """The configuration with the drivers of authorization.tokens_file, and a problem for each line that cannot be used.

    A broken line is left out and told; the others count: a driver more or less must not stop the site.
    """
    path = config.authorization.tokens_file
    if path is None:
        return config, []
    where: Where = ("authorization", "tokens_file")
    try:
        content = _content(path)
    except OSError as error:
        return config, [Problem(where, f"cannot read {path}: {error.strerror or type(error).__name__}; nobody on it may charge")]
    except ValueError as error:
        return config, [Problem(where, f"{path} {error}")]
    tokens, problems = _read(content, where, path)
    tokens, strays = _known_groups(tokens, {group.id for group in config.authorization.groups}, where, path)
    known = {token.id_token.lower() for token in config.authorization.tokens}
    more = tuple(token for token in tokens if token.id_token.lower() not in known)
    authorization = config.authorization.model_copy(update={"tokens": (*config.authorization.tokens, *more)})
    return config.model_copy(update={"authorization": authorization}), [*problems, *strays][:MAX_TOLD]


def _known_groups(tokens: list[TokenConfig], groups: set[str], where: Where, path: Path) -> tuple[list[TokenConfig], list[Problem]]:
    """A driver of an unknown group may charge all the same, as one without a group."""
    strays = sorted({token.group for token in tokens if token.group is not None and token.group not in groups})
    kept = [token.model_copy(update={"group": None}) if token.group in strays else token for token in tokens]
    return kept, [Problem(where, f"{path}: there is no group {name!r} in authorization.groups; its drivers count without") for name in strays]


def _content(path: Path) -> str:
    with path.open("rb") as file:
        data = file.read(MAX_LIST_BYTES + 1)
    if len(data) > MAX_LIST_BYTES:
        raise ValueError(f"has more than {MAX_LIST_BYTES // 1024 // 1024} MiB")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError("is not a UTF-8 text file") from None


def _read(content: str, where: Where, path: Path) -> tuple[list[TokenConfig], list[Problem]]:
    reader = csv.DictReader(io.StringIO(content), strict=True)
    tokens: list[TokenConfig] = []
    problems: list[Problem] = []
    try:
        if "id_token" not in (reader.fieldnames or ()):
            return [], [Problem(where, f"{path} needs a first line with the columns {', '.join(COLUMNS)}; id_token must be among them")]
        for row in reader:
            try:
                tokens.append(_token(row))
            except ValueError as error:
                problems.append(Problem(where, f"{path}, line {reader.line_num}: {error}; this driver is left out"))
    except csv.Error as error:
        problems.append(Problem(where, f"{path}, line {reader.line_num}: {error}; what follows is left out"))
    return tokens, problems[:MAX_TOLD]


def _token(row: dict[str, str | None]) -> TokenConfig:
    """A driver. Raises ValueError with words that name the column."""
    given = {key: value.strip() for key in COLUMNS if (value := row.get(key)) and value.strip()}
    try:
        token = TokenConfig.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        raise ValueError(f"{'.'.join(str(step) for step in first['loc'])}: {first['msg']}") from None
    return token.model_copy(update={"expires": token.expires.replace(tzinfo=UTC)}) if _zoneless(token) and token.expires is not None else token
