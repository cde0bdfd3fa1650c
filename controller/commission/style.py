"""The report's look: dark on white, one column, breaks where a printer may break."""

STYLE = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { font: 15px/1.5 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; color: #1c1b19; background: #fff;
  margin: 0 auto; padding: 2.5rem 1.5rem 4rem; max-width: 820px; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .3rem; }
h2 { font-size: 1.2rem; margin: 2.4rem 0 .6rem; padding-top: .6rem; border-top: 2px solid #1c1b19; break-after: avoid; }
h3 { font-size: 1rem; margin: 1.4rem 0 .3rem; break-after: avoid; }
p { margin: .3rem 0 .6rem; max-width: 68ch; }
table { border-collapse: collapse; width: 100%; margin: .4rem 0 1rem; }
th, td { text-align: left; vertical-align: top; padding: .35rem .6rem .35rem 0; border-bottom: 1px solid #d8d4cc; overflow-wrap: anywhere; }
th { font-weight: 600; overflow-wrap: break-word; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
tr { break-inside: avoid; }
.facts td:first-child { width: 11rem; color: #5c574e; }
.result { border: 2px solid #1c1b19; padding: .8rem 1rem; margin: 1.2rem 0; break-inside: avoid; }
.result strong { font-size: 1.15rem; }
.verdict { white-space: nowrap; font-weight: 600; width: 8.5rem; }
.fail { color: #9c1c1c; } .pass { color: #1f5f3a; } .unsure { color: #7d5200; } .info, .skipped { color: #5c574e; }
.advice { color: #5c574e; display: block; }
figure { margin: .6rem 0 1.2rem; break-inside: avoid; }
figcaption { font-size: .9rem; color: #5c574e; }
svg { width: 100%; height: auto; display: block; }
svg text { font: 11px system-ui, "DejaVu Sans", sans-serif; fill: #5c574e; }
svg .grid { stroke: #e3dfd7; } svg .setpoint { fill: none; stroke: #9a9a9a; stroke-width: 5; opacity: .55; }
.legend { margin: .1rem 0; font-size: .85rem; } .legend span { margin-right: 1.2rem; white-space: nowrap; }
svg.key { display: inline-block; width: 24px; height: 8px; }
pre { white-space: pre-wrap; background: #f5f3ee; padding: .7rem .9rem; break-inside: avoid; overflow-wrap: anywhere; }
.sign { display: grid; grid-template-columns: 1fr 1fr; gap: 3.2rem 2rem; margin-top: 3.4rem; break-inside: avoid; }
.sign div { border-top: 1px solid #1c1b19; padding-top: .3rem; font-size: .9rem; }
@media (max-width: 480px) {
  table { font-size: .8rem; display: block; overflow-x: auto; }
  th, td { padding-right: .3rem; } .verdict { width: auto; white-space: normal; }
  .sign { grid-template-columns: 1fr; } .facts td:first-child { width: auto; } }
@page { margin: 16mm 14mm; }
@media print { body { padding: 0; max-width: none; font-size: 10.5pt; } }
"""
