"""The report an installer hands over: one HTML file, nothing loaded from anywhere, made to be printed.

Reads top down as its owner asks: is it safe, what was found, what must be done, then every test with its
curves, the arithmetic of the fuses, and lines for signatures.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape

from controller.checking.fallback import FallbackSum
from controller.commission.charts import Chart, legend, svg
from controller.commission.files import Change
from controller.commission.findings import WORDS, Finding, Verdict, worst
from controller.commission.style import STYLE


@dataclass(frozen=True, slots=True)
class Section:
    """Findings under one headline, with their curves."""

    title: str
    findings: tuple[Finding, ...]
    charts: tuple[Chart, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """Everything the page says. facts: label and text at its head. files: name and text of what was written beside it."""

    site: str
    when: str
    facts: tuple[tuple[str, str], ...]
    sections: tuple[Section, ...]
    sums: tuple[FallbackSum, ...] | None = None
    changes: tuple[Change, ...] = ()
    files: tuple[tuple[str, str], ...] = field(default=())


def html(report: Report) -> str:
    """The page."""
    title = f"Commissioning of {report.site}"
    body = [
        f"<h1>{escape(title)}</h1>",
        f"<p>{escape(report.when)}</p>",
        _facts(report.facts),
        _result(report),
        *_open_points(report),
        *_changes(report),
        *(_section(one) for one in report.sections),
        *_fuses(report.sums),
        *_files(report.files),
        _signatures(),
    ]
    meta = '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
    head = f"{meta}<title>{escape(title)}</title><style>{STYLE}</style>"
    return f'<!doctype html>\n<html lang="en"><head>{head}<link rel="icon" href="data:,"></head>\n<body>\n' + "\n".join(body) + "\n</body></html>\n"


def _facts(facts: Iterable[tuple[str, str]]) -> str:
    rows = "".join(f"<tr><td>{escape(label)}</td><td>{escape(text)}</td></tr>" for label, text in facts)
    return f'<table class="facts"><tbody>{rows}</tbody></table>'


def _all(report: Report) -> list[Finding]:
    return [finding for section in report.sections for finding in section.findings]


def overall(report: Report) -> Verdict:
    """The verdict over everything, the fuses included."""
    if report.sums is not None and any(not one.fits for one in report.sums):
        return Verdict.FAIL
    return worst(_all(report))


def _result(report: Report) -> str:
    verdict, findings = overall(report), _all(report)
    counts = ", ".join(f"{number} {WORDS[kind]}" for kind in Verdict if (number := sum(one.verdict is kind for one in findings)))
    left = f" {counted} {'points were' if counted != 1 else 'point was'} not tested." if (counted := sum(map(_skipped, findings))) else ""
    sentence = {
        Verdict.PASS: "Passed: everything that was tested is as it must be." + left,
        Verdict.INFO: "Measured; nothing failed." + left,
        Verdict.FAIL: "Not passed: at least one point must be put right before the site is handed over.",
        Verdict.UNSURE: "Open: nothing failed, but some points could not be decided.",
        Verdict.SKIPPED: "Nothing was tested.",
    }[verdict]
    return f'<div class="result"><strong class="{verdict.value}">{sentence}</strong><br>{escape(counts)}</div>'


def _skipped(finding: Finding) -> bool:
    return finding.verdict is Verdict.SKIPPED


def _open_points(report: Report) -> Iterable[str]:
    points = [(section.title, one) for section in report.sections for one in section.findings if one.verdict in (Verdict.FAIL, Verdict.UNSURE)]
    if not points:
        return
    yield "<h2>Points that are open</h2>"
    rows = (f"<tr><td>{escape(where)}: {escape(one.title)}</td><td>{_verdict(one)}</td><td>{_words(one)}</td></tr>" for where, one in points)
    yield f"<table><thead><tr><th>Point</th><th>Verdict</th><th>What was seen, what to do</th></tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _changes(report: Report) -> Iterable[str]:
    if not report.changes:
        return
    yield "<h2>Changes to the site file</h2>"
    rows = (
        f"<tr><td>{escape(one.where)}</td><td><code>{escape(one.instead_of)}</code></td><td><code>{escape(one.line)}</code></td><td>{escape(one.why)}</td></tr>"
        for one in report.changes
    )
    yield f"<table><thead><tr><th>Where</th><th>Now</th><th>Change to</th><th>Why</th></tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _section(section: Section) -> str:
    rows = "".join(f"<tr><td>{escape(one.title)}</td><td>{_verdict(one)}</td><td>{_words(one)}</td></tr>" for one in section.findings)
    figures = "".join(f"<figure>{svg(chart)}{legend(chart)}<figcaption>{escape(chart.title)}</figcaption></figure>" for chart in section.charts)
    table = f"<table><thead><tr><th>Test</th><th>Verdict</th><th>What was seen</th></tr></thead><tbody>{rows}</tbody></table>"
    return f"<h2>{escape(section.title)}</h2>{table}{figures}"


def _verdict(one: Finding) -> str:
    return f'<span class="verdict {one.verdict.value}">{WORDS[one.verdict]}</span>'


def _words(one: Finding) -> str:
    advice = f'<span class="advice">{escape(one.advice)}</span>' if one.advice else ""
    return escape(one.text) + advice


def _fuses(sums: Sequence[FallbackSum] | None) -> Iterable[str]:
    yield "<h2>The fuses without Yardmaster</h2>"
    if sums is None:
        yield "<p>Not worked out: the site file was not named (--config site.yaml).</p>"
        return
    rule = "On every phase of every circuit these limits and the worst other load must fit under the fuse."
    yield f"<p>When Yardmaster is gone every charger falls back to its own small limit. {rule}</p>"
    numbers = "".join(f'<th class="number">{word}</th>' for word in ("Chargers", "Other load", "Together", "Fuse"))
    head = f"<tr><th>Circuit</th><th>Phase</th>{numbers}<th></th></tr>"
    rows = "".join(
        f'<tr><td>{escape(one.circuit)}</td><td>{one.phase}</td><td class="number">{one.chargers_a:g} A</td>'
        f'<td class="number">{one.others_a:g} A</td>'
        f'<td class="number">{one.total_a:g} A</td><td class="number">{one.fuse_a:g} A</td>'
        f'<td class="{"pass" if one.fits else "fail"}">{"fits" if one.fits else f"{one.excess_a:g} A too much"}</td></tr>'
        for one in sums
    )
    yield f"<table><thead>{head}</thead><tbody>{rows}</tbody></table>"


def _files(files: Iterable[tuple[str, str]]) -> Iterable[str]:
    for number, (name, text) in enumerate(files):
        if not number:
            yield "<h2>Measured charger models</h2>"
        yield f"<h3>{escape(name)}</h3><pre>{escape(text)}</pre>"


def _signatures() -> str:
    lines = ("Installer: name, company", "Date, signature", "Owner of the site: name", "Date, signature")
    return '<div class="sign">' + "".join(f"<div>{line}</div>" for line in lines) + "</div>"
