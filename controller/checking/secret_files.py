"""Reads the files that hold passwords and tokens.

The values end up in ``password`` and ``token`` beside the file's name, so that nobody else has to open
files. A file that cannot be read leaves its value empty: that leg stays down and says why (fault F83),
nothing falls back to "no password". Values never appear in a message.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr

from controller.checking.problems import Problem, Where
from controller.config import Config

MAX_SECRET_BYTES = 4096


class _SecretError(Exception):
    """A secret file cannot be used; the text says why."""


def with_secrets(config: Config) -> tuple[Config, list[Problem]]:
    """The configuration with the content of all secret files, and a problem for each one that cannot be used."""
    problems: list[Problem] = []
    filled = _filled(config, (), problems)
    if config.mqtt is not None and config.mqtt.ca_file is not None and not _readable(config.mqtt.ca_file):
        problems.append(Problem(("mqtt", "ca_file"), f"cannot read {config.mqtt.ca_file}; give the path of a PEM file with the broker's CA"))
    return filled, problems


def _filled(model: Any, where: Where, problems: list[Problem]) -> Any:
    """The model with secrets filled in, found by their names anywhere in it."""
    if isinstance(model, tuple):
        return tuple(_filled(item, (*where, number), problems) for number, item in enumerate(model))
    if not isinstance(model, BaseModel):
        return model
    changes: dict[str, Any] = {}
    for name in type(model).model_fields:
        value = getattr(model, name)
        key = name.removesuffix("_file")
        if name.endswith("_file") and key in type(model).model_fields and value is not None:
            changes[key] = _secret(value, (*where, name), problems)
        elif (inner := _filled(value, (*where, name), problems)) is not value and inner != value:
            changes[name] = inner
    return model.model_copy(update=changes) if changes else model


def _secret(path: Path, where: Where, problems: list[Problem]) -> SecretStr | None:
    try:
        return SecretStr(_content(path))
    except _SecretError as error:
        problems.append(Problem(where, str(error)))
        return None


def _content(path: Path) -> str:
    """The first and only line of a secret file."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_SECRET_BYTES + 1)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise _SecretError(f"cannot read {path}: {reason}; create it, readable for the user Yardmaster runs as") from error
    if len(content) > MAX_SECRET_BYTES:
        raise _SecretError(f"{path} has more than {MAX_SECRET_BYTES} bytes; it must hold nothing but the secret")
    try:
        text = content.decode("utf-8").strip()
    except UnicodeDecodeError as error:
        raise _SecretError(f"{path} is not a UTF-8 text file") from error
    if not text:
        raise _SecretError(f"{path} is empty; write the secret into it")
    if "\n" in text or "\r" in text:
        raise _SecretError(f"{path} has more than one line; it must hold nothing but the secret")
    return text


def _readable(path: Path) -> bool:
    try:
        with path.open("rb"):
            return True
    except OSError:
        return False


def open_to_others(config: Config) -> Iterator[tuple[Where, Path]]:
    """Secret files that every user of this machine may read."""
    for where, path in _secret_files(config, ()):
        try:
            mode = path.stat().st_mode
        except OSError:
            continue
        if os.name == "posix" and mode & stat.S_IROTH:
            yield where, path


def _secret_files(model: Any, where: Where) -> Iterator[tuple[Where, Path]]:
    if isinstance(model, tuple):
        for number, item in enumerate(model):
            yield from _secret_files(item, (*where, number))
    if isinstance(model, BaseModel):
        for name in type(model).model_fields:
            value = getattr(model, name)
            if name in ("password_file", "token_file", "key_file") and value is not None:
                yield (*where, name), value
            yield from _secret_files(value, (*where, name))
