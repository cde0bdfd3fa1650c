// The sources of limits from outside: state, what they say now, time left, when they were heard.

import { byId, h, keyed, setData, setText, show } from "./dom.js";
import { duration, isNumber, kilowatts, moment } from "./format.js";

const KINDS = { mqtt: "MQTT", api: "HTTP API", eebus: "EEBUS", contacts: "contacts", openadr3: "OpenADR 3", openadr2: "OpenADR 2.0b", ieee2030_5: "IEEE 2030.5" };
const STATES = { waiting: "failsafe", unlimited: "no limit", limited: "limited", failsafe: "failsafe", released: "free again", silent: "nothing said" };
const HEALTH = { waiting: "late", failsafe: "lost", silent: "late" };

const limitsOf = (signal) =>
  [
    [signal.limit_w, ""],
    [signal.load_limit_w, "loads "],
    [signal.production_limit_w, "feed-in "],
    [signal.generation_limit_w, "generation "],
  ].filter(([watts]) => isNumber(watts));

export function renderSignals(signals) {
  show(byId("signals-part"), signals.length > 0);
  keyed(byId("signals"), signals, (signal) => signal.id, create, update);
}

function create() {
  const part = { title: h("b"), tag: h("span", { class: "tag" }, "in effect"), sub: h("span", { class: "row-sub" }), state: h("b", { class: "health" }), value: h("b", { class: "num" }), end: h("span", { class: "row-sub num" }), measured: h("span", { class: "row-sub num" }) };
  part.node = h("li", {}, h("i", { class: "dot", "aria-hidden": "true" }), h("div", { class: "row-main" }, h("span", {}, part.title, " ", part.tag), part.sub, part.state), h("div", { class: "row-side" }, part.value, part.measured, part.end));
  return part;
}

function update(part, signal) {
  part.signal = signal;
  setData(part.node, "health", HEALTH[signal.state] ?? (signal.trouble ? "late" : "good"));
  setText(part.title, signal.id);
  show(part.tag, signal.binds);
  const where = signal.circuit === "grid" ? "the whole site" : signal.circuit;
  setText(part.sub, [KINDS[signal.kind] ?? signal.kind, signal.controllable ? `controllable loads of ${where}` : where, signal.next].filter(Boolean).join(" \u00b7 "));
  setText(part.state, signal.trouble ? `${STATES[signal.state] ?? signal.state}: ${signal.trouble}` : STATES[signal.state] ?? signal.state);
  setText(part.value, limitsOf(signal).map(([watts, what]) => `${what}${kilowatts(watts)}`).join(", ") || "no limit");
  setText(part.measured, isNumber(signal.measured_w) ? `measured ${kilowatts(signal.measured_w)}` : "not measured");
}

export function tickSignals(nowWallS) {
  for (const { end, signal } of byId("signals").parts?.values() ?? []) setText(end, limitsOf(signal).length ? ending(signal, nowWallS) : "");
}

function ending(signal, nowWallS) {
  const ends = [signal.ends_wall_s, signal.production_ends_wall_s].filter(isNumber);
  if (!ends.length) return "no end";
  const first = Math.min(...ends);
  return first <= nowWallS ? "ends now" : `until ${moment(first, nowWallS)} \u00b7 ${duration(first - nowWallS)} left`;
}
