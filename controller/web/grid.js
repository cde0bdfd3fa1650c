// The grid connection: power, room left, one bar per phase against limit and fuse, circuits below.

import { byId, h, keyed, setData, setShare, setText, show } from "./dom.js";
import { amps, ampsFixed, isNumber, kilowatts, seconds, UNKNOWN } from "./format.js";

const NAMES = ["L1", "L2", "L3"];
const SCALE = 1.12; // the bar goes on behind the fuse, so that an overload is seen as one

export function renderGrid(site) {
  const grid = site.grid;
  const root = site.circuits.find((circuit) => circuit.parent === null);
  const limits = root ? root.limit_a : [grid.fuse_a, grid.fuse_a, grid.fuse_a];
  renderHero(grid, limits);
  const phases = NAMES.slice(0, grid.phases).map((name, index) => ({
    name,
    current: grid.current_a[index],
    ev: grid.ev_current_a[index],
    limit: limits[index],
    fuse: grid.fuse_a,
  }));
  keyed(byId("phases"), phases, (phase) => phase.name, createPhase, updatePhase);
  const used = limits.slice(0, grid.phases);
  setText(byId("legend-limit"), Math.max(...used) - Math.min(...used) < 0.05 ? amps(used[0]) : `${amps(Math.min(...used))} at least`);
  show(byId("legend-limit").parentNode, Math.min(...used) < grid.fuse_a - 0.05);
  setText(byId("legend-fuse"), amps(grid.fuse_a));
  setData(byId("phases"), "export", phases.some((phase) => phase.current < -0.05));
  renderCircuits(site.circuits.filter((circuit) => circuit.parent !== null), grid.phases);
}

function renderHero(grid, limits) {
  setText(byId("grid-power"), kilowatts(isNumber(grid.power_w) ? Math.abs(grid.power_w) : null));
  setText(byId("grid-direction"), !isNumber(grid.power_w) ? "no reading" : grid.power_w < -50 ? "feed-in to the grid" : "import from the grid");
  const free = grid.current_a.slice(0, grid.phases).map((current, index) => (isNumber(current) ? limits[index] - current : null));
  const known = free.filter(isNumber);
  const least = known.length ? Math.min(...known) : null;
  const phase = NAMES[free.indexOf(least)];
  setText(byId("headroom"), isNumber(least) ? ampsFixed(Math.abs(least)) : UNKNOWN);
  setData(byId("headroom"), "over", isNumber(least) && least < -0.05);
  const words = !isNumber(least) ? "free: not measured" : least < -0.05 ? `over the limit on ${phase}` : `free on ${phase}, the tightest phase`;
  setText(byId("headroom-word"), words);
  setText(byId("grid-age"), isNumber(grid.meter_age_s) ? `meter ${seconds(grid.meter_age_s)} ago` : "no meter");
}

function createPhase({ name }) {
  const part = {
    building: h("span", { class: "seg seg-building" }),
    ev: h("span", { class: "seg seg-ev" }),
    limit: h("span", { class: "mark mark-limit" }),
    fuse: h("span", { class: "mark mark-fuse" }),
    value: h("span", { class: "phase-value" }),
    share: h("span", { class: "phase-share" }),
  };
  part.track = h("div", { class: "track", role: "meter", "aria-label": `Current on ${name}`, "aria-valuemin": "0" }, part.building, part.ev, part.limit, part.fuse);
  part.node = h("div", { class: "phase" }, h("span", { class: "phase-name" }, name), part.track, h("span", { class: "phase-numbers" }, part.value, part.share));
  return part;
}

function updatePhase(part, { current, ev, limit, fuse }) {
  const top = fuse * SCALE;
  const known = isNumber(current);
  const total = known ? Math.abs(current) : Math.max(0, ev);
  const evShare = known && current < 0 ? 0 : Math.min(total, Math.max(0, ev));
  setData(part.node, "level", !known ? "unknown" : current > fuse ? "over" : current > limit + 0.05 ? "high" : current < -0.05 ? "export" : "fine");
  setShare(part.building, "width", (total - evShare) / top);
  setShare(part.ev, "width", evShare / top);
  setShare(part.limit, "left", limit / top);
  setShare(part.fuse, "left", fuse / top);
  setText(part.value, ampsFixed(current));
  setText(part.share, known ? `${Math.round((100 * current) / fuse)}\u202f%`.replace("-", "\u2212") : "");
  part.track.setAttribute("aria-valuemax", String(fuse));
  part.track.setAttribute("aria-valuenow", known ? Math.abs(current).toFixed(1) : "0");
  part.track.setAttribute("aria-valuetext", known ? `${Math.abs(current).toFixed(1)} ampere ${current < 0 ? "fed in" : "drawn"}, fuse ${fuse}, limit ${limit.toFixed(1)}` : "not measured");
}

function renderCircuits(circuits, phaseCount) {
  show(byId("circuits"), circuits.length > 0);
  keyed(byId("circuits"), circuits, (circuit) => circuit.id, createCircuit, (part, circuit) => updateCircuit(part, circuit, phaseCount));
}

function createCircuit(circuit) {
  const bars = NAMES.map((name) => {
    const fillNode = h("span", { class: "seg seg-ev" });
    const mark = h("span", { class: "mark mark-limit" });
    return { fillNode, mark, node: h("div", { class: "track mini", title: name }, fillNode, mark) };
  });
  const value = h("span", { class: "circuit-value" });
  const node = h("div", { class: "circuit" }, h("span", { class: "circuit-name" }, circuit.id), h("div", { class: "circuit-bars" }, ...bars.map((bar) => bar.node)), value);
  return { node, bars, value };
}

function updateCircuit(part, circuit, phaseCount) {
  part.bars.forEach((bar, index) => {
    show(bar.node, index < phaseCount);
    setShare(bar.fillNode, "width", circuit.load_a[index] / (circuit.fuse_a * SCALE));
    setShare(bar.mark, "left", circuit.limit_a[index] / (circuit.fuse_a * SCALE));
    setData(bar.node, "level", circuit.load_a[index] > circuit.limit_a[index] + 0.05 ? "high" : "fine");
  });
  const highest = Math.max(...circuit.load_a.slice(0, phaseCount));
  setText(part.value, `${ampsFixed(highest)} of ${amps(Math.min(...circuit.limit_a.slice(0, phaseCount)))}`);
}
