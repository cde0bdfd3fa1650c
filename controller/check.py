"""``yardmaster check FILE``: all problems of a site file at once, or what a good one means in plain words.

``load_config`` is how every other part gets its Config. It refuses a file with any problem before
anything changes (fault F81, catalogue B44) and fills in passwords and tokens from their files. The parts
are in ``controller/checking``: reading YAML strictly, wording of mistakes, cross checks, fallback
arithmetic, warnings, the report. This file puts them together and knows what ships beside the code.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from controller.checking.cautions import warnings_about
from controller.checking.csip import csip_files
from controller.checking.device_rules import control_maps
from controller.checking.drivers import with_drivers
from controller.checking.explain import explained, misread_scalars
from controller.checking.links import missing_files
from controller.checking.problems import ConfigError, Problem, Where, in_file_order
from controller.checking.report import figures, report
from controller.checking.rules import Site, cross_problems
from controller.checking.salvage import salvage
from controller.checking.secret_files import with_secrets
from controller.checking.yaml_file import Document, read_document
from controller.config import Config, ModbusSource
from controller.io.chargers import ChargerFileError, load_chargers
from controller.paths import config_dir
from controller.site.stations.charger import ChargerModel
from meters.template import Template, TemplateError, load_template

__all__ = ["ConfigError", "Problem", "add_arguments", "load_config", "main", "report", "schema_text", "warnings_of"]

FILE_KEYS = ("password_file", "token_file", "ca_file", "cert_file", "key_file", "tokens_file")
GOOD, BAD, UNREADABLE = 0, 1, 2
SCHEMA_TITLE = "Yardmaster site.yaml"


@dataclass(frozen=True, slots=True)
class Checked:
    """A file that passed. secrets: problems with secret files, which keep only their own leg down."""

    config: Config
    warnings: tuple[Problem, ...]
    secrets: tuple[Problem, ...]


def load_config(path: Path | str) -> Config:
    """The site in this file, its passwords and tokens filled in from their files.

    Raises ConfigError with every problem. A secret file that cannot be read does not stop the site: the
    value stays None beside its ``*_file`` and that leg stays down (F83); ``check`` reports it as a problem.
    """
    return checked(Path(path)).config


def warnings_of(config: Config) -> list[Problem]:
    """What somebody should look at twice in a valid configuration (without line numbers)."""
    return warnings_about(_site(config))


def checked(path: Path) -> Checked:
    """The file with everything known about it. Raises ConfigError."""
    document = read_document(path)
    _anchor_files(document.data, path.resolve().parent)
    problems = [*document.problems, *misread_scalars(document)]
    misread = frozenset(one.where for one in problems)
    config, replaced = _validated(document, problems)
    if config is not None:
        found = cross_problems(_site(config), misread | replaced)
        problems += [_with_line(one, document) for one in found]
    if problems or config is None:
        raise ConfigError(str(path), in_file_order(problems))
    config, secrets = with_secrets(config)
    config, unlisted = with_drivers(config)
    secrets = [*secrets, *unlisted, *missing_files(config), *csip_files(config)]
    warnings = [_with_line(one, document) for one in warnings_about(_site(config))]
    return Checked(config, tuple(in_file_order(warnings)), tuple(_with_line(one, document) for one in secrets))


def _validated(document: Document, problems: list[Problem]) -> tuple[Config | None, frozenset[Where]]:
    """The Config, or a stand-in good enough for the cross checks; what pydantic found is added to ``problems``."""
    try:
        return Config.model_validate(document.data), frozenset()
    except ValidationError as error:
        told = {one.where for one in problems}
        problems += [one for one in explained(error, document) if one.where not in told]
        return salvage(document.data)


def _with_line(problem: Problem, document: Document) -> Problem:
    return replace(problem, line=document.line_of(problem.where)) if problem.line is None else problem


def _anchor_files(data: Any, folder: Path) -> None:
    """Relative paths of secret, certificate and list files start at the site file, wherever the program was started."""
    if isinstance(data, list):
        for item in data:
            _anchor_files(item, folder)
    if isinstance(data, dict):
        for key, value in data.items():
            if key in FILE_KEYS and isinstance(value, str):
                data[key] = str(folder / value)
            else:
                _anchor_files(value, folder)


def _site(config: Config) -> Site:
    """The configuration with what ships beside it."""
    folder = config_dir()
    models = {path.stem for path in (folder / "chargers").glob("*.yaml")} | {"generic"}
    paths = {path.stem: path for path in (folder / "meters").glob("*.yaml")}
    used = {meter.source.map for meter in config.meters if isinstance(meter.source, ModbusSource)} | control_maps(config)
    templates, broken = _loaded({name: paths[name] for name in sorted(used & set(paths))})
    return Site(config, frozenset(models), frozenset(paths), templates, broken, _chargers(folder / "chargers"))


def _chargers(folder: Path) -> dict[str, ChargerModel]:
    """The charger models; none if one of their files is broken, which the start tells."""
    try:
        return load_chargers(folder)
    except ChargerFileError:
        return {}


def _loaded(paths: dict[str, Path]) -> tuple[dict[str, Template], dict[str, str]]:
    """Register maps by name, and what is wrong with those that cannot be used."""
    templates: dict[str, Template] = {}
    broken: dict[str, str] = {}
    for name, path in paths.items():
        try:
            templates[name] = load_template(path)
        except TemplateError as error:
            broken[name] = error.problems[0]
    return templates, broken


# -- the schema -------------------------------------------------------------------------------------------


def schema_text() -> str:
    """The JSON schema of site.yaml, as ``config/site.schema.json`` holds it. Editors complete and check with it."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **Config.model_json_schema(), "title": SCHEMA_TITLE}
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


# -- the verb ---------------------------------------------------------------------------------------------


EPILOG = """\
examples:
  yardmaster check site.yaml
  yardmaster check config/site.example.yaml
  yardmaster check --schema > site.schema.json     for an editor that completes and checks while you type

exit code: 0 good, 1 problems were found, 2 the file cannot be read
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the verb ``check``."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EPILOG
    parser.add_argument("file", nargs="?", type=Path, default=Path("site.yaml"), help="site file to check (default: site.yaml)")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument("--schema", action="store_true", help="print the JSON schema of site files and end")


def main(arguments: argparse.Namespace) -> int:
    """Check a file and print what was found. Returns 0 good, 1 problems, 2 the file cannot be read."""
    if getattr(arguments, "schema", False):
        sys.stdout.write(schema_text())
        return GOOD
    as_json = bool(getattr(arguments, "json", False))
    try:
        result = checked(Path(arguments.file))
        if result.secrets:
            raise ConfigError(str(arguments.file), result.secrets)
    except ConfigError as error:
        _print_bad(error, as_json)
        return UNREADABLE if error.unreadable else BAD
    _print_good(str(arguments.file), result, as_json)
    return GOOD


def _print_bad(error: ConfigError, as_json: bool) -> None:
    if as_json:
        _print_json({"ok": False, "file": error.source, "problems": [one.as_json() for one in error.problems], "warnings": []})
    else:
        print(error.text(), file=sys.stderr)


def _print_good(file: str, result: Checked, as_json: bool) -> None:
    if as_json:
        warnings = [one.as_json() for one in result.warnings]
        _print_json({"ok": True, "file": file, "problems": [], "warnings": warnings, "figures": figures(result.config)})
        return
    print(f"{file} is good.\n")
    print(report(result.config))
    if result.warnings:
        print(f"\nWorth a second look ({len(result.warnings)})")
        print("\n".join(f"  - {one}" for one in result.warnings))


def _print_json(content: dict[str, Any]) -> None:
    print(json.dumps(content, indent=2, ensure_ascii=False))
