// The two charts. The library comes late and may be missing: the numbers never wait for it.

import { limitSteps, PLAN_KINDS } from "./bounds.js";
import { byId, setData, setText } from "./dom.js";
import { duration, isNumber, kilowattHours, kilowatts, localStamp, moment, money, seconds } from "./format.js";

const LIBRARY = "/vendor/plotly.min.js";
const RECENT_S = 900; // seconds of real time on the rolling chart
const REDRAW_MS = 2000;
const CONFIG = { displayModeBar: false, responsive: true, scrollZoom: false, doubleClick: false };
const SOLVERS = { highs: "HiGHS", cbc: "CBC" };
const NAMES = ["L1", "L2", "L3"];

let library = null;
let recent = [];
let planDrawn = "";
let recentDrawnAt = 0;
let last = null;

export function startCharts() {
  for (const id of ["plan-chart", "recent-chart"]) setData(byId(id), "wait", "Loading the chart …");
  const script = document.createElement("script");
  script.src = LIBRARY;
  script.async = true;
  script.onload = () => {
    library = window.Plotly;
    redraw();
  };
  script.onerror = () => {
    for (const id of ["plan-chart", "recent-chart"]) setData(byId(id), "wait", "The chart library could not be loaded.");
  };
  document.head.append(script);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
}

function redraw() {
  planDrawn = "";
  recentDrawnAt = 0;
  if (last) renderCharts(last);
}

export function renderCharts(state) {
  last = state;
  renderPlanFacts(state);
  if (!library) return;
  drawPlan(state);
  drawRecent(state);
}

// -- recent currents ---------------------------------------------------------------------------

export function remember(state) {
  const grid = state.site.grid;
  const root = state.site.circuits.find((circuit) => circuit.parent === null);
  const wallS = state.now_wall_s;
  if (recent.length && recent.at(-1).wallS >= wallS) return;
  recent.push({ wallS, at: localStamp(wallS), current: grid.current_a, limit: root ? Math.min(...root.limit_a.slice(0, grid.phases)) : null });
  const oldest = wallS - RECENT_S * Math.max(1, state.wall_speed);
  const first = recent.findIndex((point) => point.wallS >= oldest);
  if (first > 0) recent = recent.slice(first);
}

// What happened before the page was opened, if the controller keeps a history.
export async function loadPast(state) {
  const span = RECENT_S * Math.max(1, state.wall_speed);
  const until = state.now_wall_s;
  const query = new URLSearchParams({ measurement: "grid", since: String(Math.max(0, until - span)), until: String(until), max_points: "300" });
  const answer = await fetch(`/api/v1/history?${query}`).catch(() => null);
  if (!answer?.ok) return;
  const points = new Map();
  for (const { field, points: values } of (await answer.json()).series) {
    const index = NAMES.findIndex((name) => field === `current_${name.toLowerCase()}_a`);
    const isLimit = /^limit_l[123]_a$/.test(field);
    if (index < 0 && !isLimit) continue;
    for (const [wallS, value] of values) {
      if (!points.has(wallS)) points.set(wallS, { wallS, at: localStamp(wallS), current: [null, null, null], limit: null });
      const point = points.get(wallS);
      if (isLimit) point.limit = Math.min(point.limit ?? Infinity, value);
      else point.current[index] = value;
    }
  }
  const first = recent[0]?.wallS ?? Infinity;
  const past = [...points.values()].filter((point) => point.wallS < first).sort((a, b) => a.wallS - b.wallS);
  recent = [...past, ...recent];
  redraw();
}

function drawRecent(state) {
  const now = performance.now();
  if (now - recentDrawnAt < REDRAW_MS || document.hidden) return;
  recentDrawnAt = now;
  const { grid } = state.site;
  const colours = palette();
  const x = recent.map((point) => point.at);
  const phase = (index) => ({
    x,
    y: recent.map((point) => point.current[index]),
    name: NAMES[index],
    mode: "lines",
    line: { color: colours[`phase${index + 1}`], width: 2 },
    hovertemplate: "%{y:.1f} A",
  });
  const traces = [0, 1, 2].slice(0, grid.phases).map(phase);
  traces.push({ x, y: recent.map((point) => point.limit), name: "Limit", mode: "lines", line: { color: colours.limit, width: 2, dash: "dot", shape: "hv" }, hovertemplate: "%{y:.0f} A" });
  const values = recent.flatMap((point) => point.current).filter(isNumber);
  const top = Math.max(grid.fuse_a * 1.12, ...values);
  const low = Math.min(0, ...values) * 1.1;
  const end = recent.at(-1)?.at;
  const span = Math.max(60 * state.wall_speed, recent.length ? recent.at(-1).wallS - recent[0].wallS : 0);
  const layout = base(colours, {
    yaxis: axis(colours, { title: { text: "A" }, range: [low, top] }),
    xaxis: axis(colours, { type: "date", range: [localStamp((recent.at(-1)?.wallS ?? 0) - span), end], showgrid: false, tickformat: state.wall_speed > 5 || span > 900 ? "%H:%M" : "%H:%M:%S", nticks: narrow() ? 4 : 6, tickangle: 0 }),
    shapes: [{ type: "line", xref: "paper", x0: 0, x1: 1, y0: grid.fuse_a, y1: grid.fuse_a, line: { color: colours.fuse, width: 2 } }],
    annotations: [{ xref: "paper", x: 0, xanchor: "left", y: grid.fuse_a, yanchor: "bottom", text: `Fuse ${grid.fuse_a} A`, showarrow: false, font: { color: colours.text, size: 11 } }],
  });
  setData(byId("recent-chart"), "wait", "");
  setText(byId("recent-note"), recent.length > 1 ? `last ${duration(recent.at(-1).wallS - recent[0].wallS)}` : "");
  library.react("recent-chart", traces, layout, CONFIG);
}

// -- plan ----------------------------------------------------------------------------------------

function renderPlanFacts(state) {
  const plan = state.site.plan;
  const facts = plan
    ? [
        ["Planned cost", money(plan.cost, state.currency)],
        ["Highest import", kilowatts(plan.peak_w)],
        ["Charging", kilowattHours(energyOf(plan.ev_power_w, plan.duration_s))],
        ["Solver", `${SOLVERS[plan.solver] ?? plan.solver}, ${seconds(plan.solve_s)}`],
      ]
    : [["Planned cost", "–"], ["Highest import", "–"], ["Charging", "–"], ["Solver", "–"]];
  const list = byId("plan-facts");
  if (!list.children.length) {
    for (const _ of facts) {
      const box = document.createElement("div");
      box.append(document.createElement("dt"), document.createElement("dd"));
      list.append(box);
    }
  }
  facts.forEach(([name, value], index) => {
    setText(list.children[index].children[0], name);
    setText(list.children[index].children[1], value);
  });
  const missing = Object.entries(plan?.shortfall_wh ?? {}).filter(([, wh]) => wh > 50);
  const nameOf = (id) => state.site.evses.find((evse) => evse.id === id)?.name || id;
  setText(byId("plan-short"), missing.length ? `Will not be full in time: ${missing.map(([id, wh]) => `${nameOf(id)} (${kilowattHours(wh)} short)`).join(", ")}` : "");
  if (!plan) {
    setText(byId("plan-age"), "");
    if (library || !byId("plan-chart").dataset.wait) setData(byId("plan-chart"), "wait", "No plan yet. Chargers share the power by rule until the first one is ready.");
  }
}

export function tickPlan(plan, nowWallS) {
  if (plan) setText(byId("plan-age"), `made ${duration(nowWallS - plan.created_wall_s)} ago`);
}

const energyOf = (powers, durations) => powers.reduce((sum, power, index) => sum + (power * durations[index]) / 3600, 0);

function drawPlan(state) {
  const plan = state.site.plan;
  const limits = plan ? planLimits(state.site) : [];
  const key = plan ? `${plan.created_wall_s}|${fuseKw(state.site)}|${JSON.stringify(limits)}` : "none";
  if (key === planDrawn) return;
  planDrawn = key;
  if (!plan) {
    if (byId("plan-chart").data) library.purge("plan-chart");
    return;
  }
  const colours = palette();
  const x = plan.start_wall_s.map(localStamp);
  const width = plan.duration_s.map((value) => value * 1000);
  const kilo = (values) => values.map((value) => value / 1000);
  const bar = (name, values, color) => ({ type: "bar", name, x, y: values, width, offset: 0, marker: { color, line: { width: 0 } }, hovertemplate: "%{y:.1f} kW" });
  const steps = (values) => [...values, values.at(-1)];
  const endS = plan.start_wall_s.at(-1) + plan.duration_s.at(-1);
  const stepX = [...x, localStamp(endS)];
  const traces = [bar("Building", kilo(plan.base_load_w), colours.building), bar("Chargers", kilo(plan.ev_power_w), colours.ev)];
  if (plan.expected_cars) traces.push({ ...bar("Cars expected", kilo(plan.expected_power_w), colours.ev), opacity: 0.4 });
  if (plan.battery_power_w.some((value) => Math.abs(value) > 1)) traces.push(bar("Battery", kilo(plan.battery_power_w), colours.battery));
  if (plan.pv_w.some((value) => value > 1)) traces.push(bar("Solar", kilo(plan.pv_w).map((value) => -value), colours.pv));
  traces.push({ x: stepX, y: steps(kilo(plan.grid_power_w)), name: "Grid", mode: "lines", line: { color: colours.text, width: 2, shape: "hv" }, hovertemplate: "%{y:.1f} kW" });
  traces.push(...limits.map((limit) => limitTrace(limit, colours)), ...priceTraces(plan, colours, state.currency));
  const fuse = fuseKw(state.site);
  const layout = base(colours, {
    barmode: "relative",
    bargap: 0,
    yaxis: axis(colours, { title: { text: "kW" }, zeroline: true, zerolinecolor: colours.muted, domain: [0, 0.76] }),
    yaxis2: axis(colours, { anchor: "x", domain: [0.84, 1], range: priceRange(plan.buy_per_kwh), tickformat: ".2f", nticks: 3 }),
    xaxis: axis(colours, { type: "date", range: [x[0], localStamp(endS)], tickformat: "%H:%M", tickangle: 0, nticks: narrow() ? 5 : 9, showgrid: false }),
    shapes: [{ type: "line", xref: "paper", x0: 0, x1: 1, y0: fuse, y1: fuse, line: { color: colours.fuse, width: 2 } }],
    annotations: [
      { xref: "paper", x: 1, xanchor: "right", y: fuse, yanchor: "bottom", text: `Fuse ${fuse.toFixed(0)} kW`, showarrow: false, font: { color: colours.text, size: 11 } },
      { xref: "paper", yref: "paper", x: 0, xanchor: "left", y: 1.02, yanchor: "bottom", text: priceTitle(plan, state.currency), showarrow: false, font: { color: colours.muted, size: 11 } },
    ],
    margin: { l: 48, r: 16, t: 22, b: 62 },
  });
  setData(byId("plan-chart"), "wait", "");
  byId("plan-chart").setAttribute("aria-label", planWords(plan, limits));
  library.react("plan-chart", traces, layout, CONFIG);
}

// -- limits over the plan: they are drawn where they hold, feed-in and generation below zero as the powers they bound -------------

const LIMITS = {
  import: { name: "Import limit", sign: 1, colour: "limit", dash: "dash" },
  loads: { name: "Chargers' limit", sign: 1, colour: "ev", dash: "dot" },
  feed_in: { name: "Feed-in limit", sign: -1, colour: "limit", dash: "dash" },
  generation: { name: "Generation limit", sign: -1, colour: "pv", dash: "dot" },
};

function planLimits(site) {
  const plan = site.plan;
  const endS = plan.start_wall_s.at(-1) + plan.duration_s.at(-1);
  const all = PLAN_KINDS.map((kind) => ({ kind, steps: limitSteps(site.bounds, kind, plan.start_wall_s[0], endS) }));
  return all.filter((limit) => limit.steps.length);
}

function limitTrace({ kind, steps }, colours) {
  const { name, sign, colour, dash } = LIMITS[kind];
  const x = [];
  const y = [];
  steps.forEach(({ start, end, watts }, index) => {
    if (index && steps[index - 1].end !== start) {
      x.push(localStamp(start));
      y.push(null);
    }
    x.push(localStamp(start), localStamp(end));
    y.push((sign * watts) / 1000, (sign * watts) / 1000);
  });
  return { x, y, name, mode: "lines", connectgaps: false, line: { color: colours[colour], width: 2.5, dash }, hovertemplate: "%{y:.1f} kW" };
}

function planWords(plan, limits) {
  const said = limits.flatMap(({ kind, steps }) => steps.map(({ start, end, watts }) => `${LIMITS[kind].name} ${kilowatts(watts)} from ${moment(start, plan.start_wall_s[0])} to ${moment(end, plan.start_wall_s[0])}`));
  return ["Planned power over the next 24 hours", `highest import ${kilowatts(plan.peak_w)}`, ...said.slice(0, 12)].join("; ");
}

// Announced prices as a solid strip, those of the tariff that stand in for them dashed. Without a market all are what they are.
function priceTraces(plan, colours, currency) {
  const told = plan.announced?.length ? plan.announced : plan.start_wall_s.map(() => true);
  const strip = (wanted, line, fill) => ({ ...priceSteps(plan, told, wanted), name: "Price", yaxis: "y2", mode: "lines", line: { color: colours.price, width: 2, ...line }, ...fill, showlegend: false, hovertemplate: `%{y:.2f} ${currency}/kWh${wanted ? "" : ", not announced"}` });
  const filled = { fill: "tozeroy", fillcolor: colours.sunk };
  const traces = told.includes(true) ? [strip(true, {}, filled)] : [];
  return told.includes(false) ? [...traces, strip(false, { dash: "dot" }, {})] : traces;
}

// Begin and end of every slot that is (or is not) announced; a null breaks the line between stretches.
function priceSteps(plan, told, wanted) {
  const x = [];
  const y = [];
  plan.start_wall_s.forEach((start, index) => {
    if (told[index] !== wanted) return;
    if (x.length && told[index - 1] !== wanted) {
      x.push(x.at(-1));
      y.push(null);
    }
    x.push(localStamp(start), localStamp(start + plan.duration_s[index]));
    y.push(plan.buy_per_kwh[index], plan.buy_per_kwh[index]);
  });
  return { x, y, connectgaps: false };
}

function priceTitle(plan, currency) {
  const assumed = plan.announced?.includes(false) ? " (dotted: not announced, the tariff's)" : "";
  return `Price of energy, ${currency}/kWh${assumed}`;
}

// From zero, or from the lowest price when energy is worth less than nothing.
function priceRange(prices) {
  const highest = Math.max(...prices);
  const lowest = Math.min(0, ...prices);
  return [lowest * 1.1, highest > 0 ? highest * 1.25 : 0.1];
}

const fuseKw = ({ grid }) => (grid.fuse_a * grid.phases * grid.voltage_v) / 1000;

// -- looks -----------------------------------------------------------------------------------------

function palette() {
  const style = getComputedStyle(document.documentElement);
  const names = ["text", "muted", "line", "sunk", "card", "building", "ev", "battery", "pv", "limit", "fuse", "price", "phase1", "phase2", "phase3"];
  return Object.fromEntries(names.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
}

const narrow = () => innerWidth < 700;

const axis = (colours, more) => ({ gridcolor: colours.line, linecolor: colours.line, zeroline: false, tickfont: { color: colours.muted, size: 11 }, fixedrange: true, automargin: true, ...more, title: more.title ? { ...more.title, font: { color: colours.muted, size: 11 }, standoff: 6 } : undefined });

function base(colours, more) {
  return {
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: getComputedStyle(document.body).fontFamily, color: colours.text, size: 12 },
    margin: { l: 44, r: 16, t: 8, b: 58 },
    hovermode: "x unified",
    hoverlabel: { bgcolor: colours.card, bordercolor: colours.line, font: { color: colours.text } },
    legend: { orientation: "h", x: 0, y: 0, yref: "container", yanchor: "bottom", font: { size: 11.5, color: colours.muted } },
    uirevision: "keep",
    ...more,
  };
}
