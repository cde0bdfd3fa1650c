"""The report's look: one column to read, light and dark, A4 and 390 px, colours after Okabe and Ito that stay apart for everybody."""

_LIGHT = """--bg:#fff;--sunk:#f3f5f7;--text:#15212b;--muted:#52606d;--line:#d9dfe5;--accent:#0d6e5f;--good:#0b6b45;--bad:#a3261e;--tip:#eef6f4;
--base:#aab4bd;--cars:#0072b2;--pv:#e69f00;--battery:#b95c94;--before:#d55e00;--price:#8a6d00;--other:#6b7883;--shade:#0072b2"""
_DARK = """--bg:#10161b;--sunk:#1a232b;--text:#e8eef3;--muted:#a3b2bf;--line:#2c3945;--accent:#4cc9b0;--good:#6bd8a4;--bad:#ff9a90;--tip:#14272a;
--base:#5d6a75;--cars:#3fa7e6;--pv:#f0b429;--battery:#dc8fbd;--before:#ff8a3d;--price:#e2c15a;--other:#8d9ba7;--shade:#3fa7e6"""

STYLE = (
    f":root{{color-scheme:light dark;{_LIGHT}}}\n"
    f"@media screen and (prefers-color-scheme:dark){{:root{{{_DARK}}}}}\n"
    + """
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0 auto;max-width:1000px;padding:36px 28px 64px;background:var(--bg);color:var(--text);
 font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans","DejaVu Sans",sans-serif;font-variant-numeric:tabular-nums}
h1{font-size:30px;line-height:1.2;margin:0 0 4px;overflow-wrap:anywhere}
h2{font-size:21px;line-height:1.3;margin:44px 0 6px;padding-top:14px;border-top:2px solid var(--text);break-after:avoid}
h3{font-size:16px;margin:0;break-after:avoid}
p{margin:6px 0 10px;max-width:74ch}
.sub,.small{color:var(--muted);font-size:14px}
.short{background:var(--tip);border-left:4px solid var(--accent);border-radius:0 10px 10px 0;padding:14px 20px;margin:20px 0;break-inside:avoid}
.short p{font-size:18px;line-height:1.5;margin:8px 0;max-width:none}
.tiles{display:grid;grid-template-columns:repeat(4,minmax(0,1fr));gap:12px;margin:18px 0;padding:0}
.tiles div{background:var(--sunk);border-radius:10px;padding:12px 14px;break-inside:avoid}
.tiles dt{font-size:13px;color:var(--muted)}.tiles dd{margin:2px 0 0;font-size:24px;font-weight:650;line-height:1.2;overflow-wrap:anywhere}
.tiles dd small{display:block;font-size:13px;font-weight:400;color:var(--muted)}
nav{font-size:14px;margin:8px 0}nav a{margin-right:14px;white-space:nowrap}
a{color:var(--accent)}
:focus-visible{outline:3px solid var(--accent);outline-offset:2px}
figure{margin:22px 0 30px;break-inside:avoid}
figcaption p{color:var(--muted);font-size:14px;margin:2px 0 8px}
.plot{position:relative;margin:10px 10px 34px 62px}
.plot>svg{position:absolute;inset:0;width:100%;height:100%;overflow:hidden}
.plot span{position:absolute;font-size:12px;line-height:14px;color:var(--muted);white-space:nowrap}
.plot .y{right:100%;margin-right:8px;transform:translateY(50%)}
.plot .x{top:100%;margin-top:7px;transform:translateX(-50%)}.plot .x.first{transform:none}.plot .x.last{transform:translateX(-100%)}
.plot .tag{right:4px;padding:1px 4px;color:var(--text);font-weight:600;background:color-mix(in srgb,var(--bg) 78%,transparent);border-radius:4px}
.plot.strip{margin:0 10px 16px 62px}.strip-words{margin:0 0 3px 62px;font-size:12px}
.line{fill:none;stroke:var(--other);stroke-width:2;vector-effect:non-scaling-stroke;stroke-linejoin:round}
.line.grid{stroke:var(--line);stroke-width:1}.line.zero{stroke:var(--muted);stroke-width:1}
.line.limit{stroke:var(--text);stroke-width:1.8;stroke-dasharray:9 5}
.line.edge{stroke:var(--bg);stroke-width:1}
.line.grid-power{stroke:var(--text);stroke-width:2}
.line.before{stroke:var(--before);stroke-width:2;stroke-dasharray:3 2}
.line.p-uncontrolled{stroke:var(--before);stroke-width:2.4}
.line.p-ours{stroke:var(--cars);stroke-width:3.4}.line.p-ours-v2g{stroke:var(--battery);stroke-width:3;stroke-dasharray:14 3}
.line.p-bound,.line.p-bound-v2g{stroke:var(--text);stroke-width:1.6;stroke-dasharray:2 3}
.line.p-1{stroke-width:1.5}.line.p-2{stroke-width:1.5;stroke-dasharray:7 3}.line.p-3{stroke-width:1.5;stroke-dasharray:3 3}
.line.p-4{stroke-width:1.5;stroke-dasharray:10 3 2 3}
.dot{fill:none;stroke-linecap:round;vector-effect:non-scaling-stroke;stroke-width:5;stroke:var(--cars);stroke-opacity:.55}
.dot.short{stroke:var(--before);stroke-opacity:1;stroke-width:7}
.base{fill:var(--base)}.cars{fill:var(--cars)}.pv{fill:var(--pv)}.battery{fill:var(--battery)}.was{fill:var(--before)}
i.base,i.s0{background:var(--base)}i.cars{background:var(--cars)}i.was{background:var(--before)}i.good{background:var(--good)}i.bad{background:var(--bad)}
i.demand{background:var(--pv)}i.wear{background:var(--battery)}i.all{background:var(--other)}
.q0{fill:var(--shade);fill-opacity:.08}.q1{fill:var(--shade);fill-opacity:.24}.q2{fill:var(--shade);fill-opacity:.42}.q3{fill:var(--shade);fill-opacity:.62}
.q4{fill:var(--shade);fill-opacity:.8}.q5{fill:var(--shade);fill-opacity:1}
.legend{list-style:none;display:flex;flex-wrap:wrap;gap:4px 18px;margin:6px 0 4px;padding:0;font-size:13.5px}
.legend li{display:flex;align-items:center;gap:7px}
.key{width:28px;height:14px;flex:none}
.table{margin:12px 0 20px}
table{border-collapse:collapse;width:100%;font-size:14.5px}
caption{text-align:left;font-weight:600;padding:0 0 6px}
th,td{text-align:left;vertical-align:top;padding:6px 14px 6px 0;border-bottom:1px solid var(--line);overflow-wrap:anywhere}
thead th{font-size:13px;color:var(--muted);font-weight:600;vertical-align:bottom;overflow-wrap:normal}
tbody th{font-weight:550}.wide tbody th{min-width:210px}.wide .num{white-space:normal}.wide td:has(.bar){width:17%}tr{break-inside:avoid}
.num{text-align:right;white-space:nowrap;overflow-wrap:normal}thead .num{white-space:normal}th:last-child,td:last-child{padding-right:2px}
tr.ours th,tr.ours td{background:var(--tip);font-weight:650}tr.ours th{box-shadow:-4px 0 0 var(--accent)}
tr.total th,tr.total td{border-top:2px solid var(--text);font-weight:650}
td:has(.bar){width:30%;min-width:110px}
.bar{display:block;position:relative;height:14px;margin:4px 0;background:var(--sunk);border-radius:3px}
.bar i{position:absolute;top:0;bottom:0;border-radius:2px}
.shares{display:flex;height:14px;margin:4px 0;border-radius:3px;overflow:hidden;background:var(--sunk)}
.shares i{display:block;position:static}
i.s0{background:var(--cars)}i.s1{background:color-mix(in srgb,var(--cars) 55%,var(--bg))}i.s2{background:var(--pv)}
i.s3{background:var(--before)}i.s4{background:var(--bad)}
.legend i{width:14px;height:12px;border-radius:2px;flex:none}
.meaning{display:block;font-weight:400;color:var(--muted);font-size:13px}
.good{color:var(--good)}.bad{color:var(--bad)}
details{margin:2px 0;font-size:14px}summary{cursor:pointer;color:var(--accent)}
.days{display:grid;grid-template-columns:1fr;gap:6px}
.notes li{margin:5px 0;max-width:80ch}
footer{margin-top:40px;padding-top:12px;border-top:1px solid var(--line);color:var(--muted);font-size:13px}
@media (max-width:640px){
 body{padding:20px 14px 40px;font-size:15.5px}h1{font-size:24px}h2{font-size:19px;margin-top:34px}
 .short{padding:10px 14px}.short p{font-size:16.5px}
 .tiles{grid-template-columns:repeat(2,minmax(0,1fr));gap:8px}.tiles dd{font-size:20px}
 .plot,.plot.strip{margin-left:50px;margin-right:4px}.strip-words{margin-left:50px}.plot .x.minor{display:none}
 .table{overflow-x:auto}.table td,.table th{padding-right:10px}.table tbody th{min-width:104px;overflow-wrap:break-word}
 .cards{overflow:visible}.cards table,.cards tbody,.cards caption{display:block}
 .cards thead{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
 .cards tr{display:grid;grid-template-columns:1fr 1fr;gap:2px 16px;padding:10px 0;border-bottom:1px solid var(--line)}
 .cards tr.ours{background:var(--tip);box-shadow:-14px 0 0 var(--tip),14px 0 0 var(--tip)}
 .cards th,.cards td{border:0!important;padding:1px 0;text-align:left;white-space:normal;width:auto!important}
 .cards tbody th{overflow-wrap:anywhere;grid-column:1/-1;min-width:0!important;box-shadow:none!important}
 .cards td::before{content:attr(data-label);display:block;font-size:12px;font-weight:400;color:var(--muted)}
 .cards td:has(.bar),.cards td:has(.shares){grid-column:1/-1}.cards td:empty{display:none}
}
@page{size:A4;margin:15mm 14mm}
@media print{
 body{padding:0;max-width:none;font-size:10.5pt}nav,summary,details{display:none}
 *{-webkit-print-color-adjust:exact;print-color-adjust:exact}
 table{font-size:8.6pt}thead th{font-size:8pt}th,td{padding:4px 8px 4px 0}tbody th{min-width:70px}.wide tbody th{min-width:128px}
 .wide td:has(.bar){width:14%;min-width:70px}
 .meaning{font-size:7.6pt}td:has(.bar){min-width:80px}.legend{font-size:9pt}figure{margin:12px 0 18px}
 section:has(h2#days),section:has(h2#overview),section:has(h2#cars){break-before:page}
 h2{margin-top:22px}.short p{font-size:12pt}.tiles dd{font-size:15pt}.plot{break-inside:avoid}.table{overflow:visible}
 a{color:inherit;text-decoration:none}
}
"""
)
