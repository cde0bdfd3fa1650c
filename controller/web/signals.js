// The sources of limits from outside: state, limit, time left, what is measured where they bind.

import { byId, h, keyed, setData, setText, show } from "./dom.js";
import { duration, isNumber, kilowatts, moment } from "./format.js";

const KINDS = { mqtt: "MQTT", api: "HTTP API", eebus: "EEBUS", contacts: "contacts", openadr3: "OpenADR 3", openadr2: "OpenADR 2.0b", ieee2030_5: "IEEE 2030.5" };
const STATES = { waiting: "failsafe", unlimited: "no limit", limited: "limited", failsafe: "failsafe", released: "free again", silent: "nothing said" };
const HEALTH = { waiting: "late", failsafe: "lost", silent: "late" };

const holds = (signal) => isNumber(signal.limit_w) || isNumber(signal.production_limit_w);

export function renderSignals(signals, devices) {
  show(byId("signals-card"), signals.length > 0);
  const held = signals.filter(holds);
  setText(byId("signals-note"), held.length ? `in force: ${held.map((signal) => signal.id).join(", ")}` : "nothing is limited");
  const binding = held.filter((signal) => signal.binds);
  show(byId("held"), binding.length > 0);
  keyed(byId("held"), binding, (signal) => signal.id, createHeld, (part, signal) => updateHeld(part, signal, devices));
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
  const limits = [isNumber(signal.limit_w) ? kilowatts(signal.limit_w) : "", isNumber(signal.production_limit_w) ? `feed-in ${kilowatts(signal.production_limit_w)}` : ""];
  setText(part.value, limits.filter(Boolean).join(", ") || "no limit");
  setText(part.measured, isNumber(signal.measured_w) ? `measured ${kilowatts(signal.measured_w)}` : "not measured");
}

export function tickSignals(nowWallS) {
  for (const list of ["signals", "held"]) {
    for (const { end, signal } of byId(list).parts?.values() ?? []) setText(end, holds(signal) ? ending(signal, nowWallS) : "");
  }
}

function ending(signal, nowWallS) {
  const ends = [signal.ends_wall_s, signal.production_ends_wall_s].filter(isNumber);
  if (!ends.length) return "no end";
  const first = Math.min(...ends);
  return first <= nowWallS ? "ends now" : `until ${moment(first, nowWallS)} \u00b7 ${duration(first - nowWallS)} left`;
}

// -- what holds now, above everything else ---------------------------------------------------------

function createHeld() {
  const part = { who: h("b"), text: h("span", { class: "held-text" }), end: h("span", { class: "held-end num" }) };
  part.node = h("li", {}, part.who, part.text, part.end);
  return part;
}

function updateHeld(part, signal, devices) {
  part.signal = signal;
  setData(part.node, "state", signal.state);
  setText(part.who, signal.id);
  const parts = [
    isNumber(signal.limit_w) ? `${loads(signal, devices)} to ${kilowatts(signal.limit_w)}` : "",
    isNumber(signal.production_limit_w) ? `feed-in to ${kilowatts(signal.production_limit_w)}` : "",
  ];
  const measured = isNumber(signal.measured_w) ? `; measured ${kilowatts(signal.measured_w)}` : "; not measured";
  const why = signal.state === "waiting" || signal.state === "failsafe" ? "its failsafe limits" : "limits";
  setText(part.text, `${why} ${parts.filter(Boolean).join(" and ")}${measured}`);
}

function loads(signal, devices) {
  const where = signal.circuit === "grid" ? "" : ` of ${signal.circuit}`;
  if (!signal.controllable) return signal.circuit === "grid" ? "the import of the whole site" : `the import${where}`;
  const battery = signal.circuit === "grid" && devices.some((device) => device.kind === "battery");
  return `${battery ? "chargers and battery together" : "all chargers together"}${where}`;
}
