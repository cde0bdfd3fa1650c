// The sources of limits from outside: state, limit, time left, what is measured where they bind.

import { byId, h, keyed, setData, setText, show } from "./dom.js";
import { duration, isNumber, kilowatts, moment } from "./format.js";

const KINDS = { mqtt: "MQTT", api: "HTTP API", eebus: "EEBUS", contacts: "contacts", openadr3: "OpenADR 3", openadr2: "OpenADR 2.0b", ieee2030_5: "IEEE 2030.5" };
const STATES = { waiting: "failsafe, no limit yet", unlimited: "no limit", limited: "limited", failsafe: "failsafe", released: "free again", silent: "nothing said" };
const HEALTH = { waiting: "late", failsafe: "lost", silent: "late" };

export function renderSignals(signals) {
  show(byId("signals-card"), signals.length > 0);
  const held = signals.filter((signal) => isNumber(signal.limit_w) || isNumber(signal.production_limit_w)).length;
  setText(byId("signals-note"), held ? `${held} of ${signals.length} hold the site` : "none holds the site");
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
  const where = signal.circuit === "grid" ? "whole site" : signal.circuit;
  setText(part.sub, [KINDS[signal.kind] ?? signal.kind, signal.controllable ? `controllable loads of ${where}` : where, signal.next].filter(Boolean).join(" \u00b7 "));
  setText(part.state, signal.trouble ? `${STATES[signal.state] ?? signal.state}: ${signal.trouble}` : STATES[signal.state] ?? signal.state);
  const limits = [isNumber(signal.limit_w) ? kilowatts(signal.limit_w) : "", isNumber(signal.production_limit_w) ? `feed-in ${kilowatts(signal.production_limit_w)}` : ""];
  setText(part.value, limits.filter(Boolean).join(", ") || "no limit");
  setText(part.measured, isNumber(signal.measured_w) ? `measured ${kilowatts(signal.measured_w)}` : "not measured");
}

export function tickSignals(nowWallS) {
  for (const { end, signal } of byId("signals").parts?.values() ?? []) {
    const ends = [signal.ends_wall_s, signal.production_ends_wall_s].filter(isNumber);
    const first = ends.length ? Math.min(...ends) : null;
    const left = first === null ? null : first - nowWallS;
    const holds = isNumber(signal.limit_w) || isNumber(signal.production_limit_w);
    setText(end, !holds ? "" : left === null ? "no end" : left <= 0 ? "ends now" : `until ${moment(first, nowWallS)} \u00b7 ${duration(left)}`);
  }
}
