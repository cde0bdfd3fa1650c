"""Checks what no compiler does: links in the documents, the schema, the pins, the shipped sites.

Part of ``make check``. Prints every problem and ends with 1, or one line and 0.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

from controller.check import ConfigError, load_config, schema_text
from deploy.pin import normal

ROOT = Path(__file__).resolve().parent.parent
LINK = re.compile(r"(?<!!)\[[^\]]+\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#{1,6} +(.+?) *$", re.MULTILINE)
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def documents() -> list[Path]:
    """Every Markdown file of the project."""
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "*.md"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode != 0:  # not a clone, e.g. an unpacked archive
        return [ROOT / "README.md", *sorted((ROOT / "deploy").rglob("*.md"))]
    return [ROOT / name for name in listed.stdout.split()]


def dead_links(document: Path) -> Iterator[str]:
    """Links to files or headings that are not there. Addresses on the web are not visited."""
    text = FENCE.sub("", document.read_text(encoding="utf-8"))
    for target in LINK.findall(text):
        if "://" in target or target.startswith("mailto:"):
            continue
        name, _, anchor = target.partition("#")
        file = (document.parent / name).resolve() if name else document
        if not file.exists():
            yield f"{document.relative_to(ROOT)}: the link {target} leads nowhere"
        elif anchor and file.suffix == ".md" and anchor not in anchors(file):
            yield f"{document.relative_to(ROOT)}: {target} names a heading that is not there"


def anchors(document: Path) -> set[str]:
    """The names under which a document's headings can be linked to."""
    text = FENCE.sub("", document.read_text(encoding="utf-8"))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in HEADING.findall(text)}


def commands_of_readme() -> Iterator[str]:
    """``make`` targets and ``yardmaster`` verbs that the README names but that do not exist."""
    from controller.__main__ import VERBS

    text = (ROOT / "README.md").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for target in sorted(set(re.findall(r"(?:^|`)make ([a-z-]+)", text, re.MULTILINE)) - targets):
        yield f"README.md: there is no 'make {target}'"
    for verb in sorted(set(re.findall(r"(?:^|`|bin/)yardmaster ([a-z-]+)", text, re.MULTILINE)) - set(VERBS)):
        yield f"README.md: there is no 'yardmaster {verb}'"


def stale_schema() -> Iterator[str]:
    """The shipped schema must be what the models say."""
    if (ROOT / "config" / "site.schema.json").read_text(encoding="utf-8") != schema_text():
        yield "config/site.schema.json is not what controller/config.py says; run: make schema"


def bad_sites() -> Iterator[str]:
    """The shipped site files must pass their own check."""
    for path in sorted((ROOT / "config").glob("site.*.yaml")):
        try:
            load_config(path)
        except ConfigError as error:
            yield error.text()


def missing_pins() -> Iterator[str]:
    """Every requirement of pyproject.toml must be pinned."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"], *(item for extra in project["optional-dependencies"].values() for item in extra)]
    pinned = {line.partition("==")[0] for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()}
    for requirement in wanted:
        name = normal(re.split(r"[\s\[<>=!~;]", requirement, maxsplit=1)[0])
        if name not in pinned:
            yield f"constraints.txt: {name} of pyproject.toml is not pinned; run: make constraints"


def main() -> int:
    """Run all checks."""
    problems = [problem for document in documents() for problem in dead_links(document)]
    for check in (commands_of_readme, stale_schema, bad_sites, missing_pins):
        problems += check()
    print("\n".join(problems) or "project: links, commands, schema, shipped sites and pins are in order")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
