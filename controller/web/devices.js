// What is commanded besides chargers: inverters, battery, relays. What we want, what is in force, why.

import { byId, h, keyed, setData, setText, show } from "./dom.js";
import { isNumber, kilowatts } from "./format.js";

const KINDS = { inverter: "inverter", battery: "battery", relay: "relay" };
const STATES = { free: "free", commanded: "commanded", confirmed: "follows", refused: "refuses", other: "left to something else", silent: "silent" };
const HEALTH = { refused: "late", other: "late", silent: "lost" };

export function renderDevices(devices) {
  show(byId("devices-card"), devices.length > 0);
  const held = devices.filter((device) => device.state === "commanded" || device.state === "confirmed").length;
  setText(byId("devices-note"), held ? `${held} of ${devices.length} commanded` : "none commanded");
  keyed(byId("devices"), devices, (device) => device.id, create, update);
}

function create() {
  const part = { title: h("b"), sub: h("span", { class: "row-sub" }), state: h("b", { class: "health" }), value: h("b", { class: "num" }), wanted: h("span", { class: "row-sub num" }) };
  part.node = h("li", {}, h("i", { class: "dot", "aria-hidden": "true" }), h("div", { class: "row-main" }, h("span", {}, part.title), part.sub, part.state), h("div", { class: "row-side" }, part.value, part.wanted));
  return part;
}

function update(part, device) {
  setData(part.node, "health", HEALTH[device.state] ?? (device.trouble ? "late" : "good"));
  setText(part.title, device.id);
  setText(part.sub, [KINDS[device.kind] ?? device.kind, device.reason].filter(Boolean).join(" \u00b7 "));
  setText(part.state, device.trouble ? `${STATES[device.state] ?? device.state}: ${device.trouble}` : STATES[device.state] ?? device.state);
  if (device.kind === "relay") {
    setText(part.value, device.closed === null ? "" : device.closed ? "closed" : "open");
    setText(part.wanted, "");
    return;
  }
  const words = device.kind === "battery" ? batteryWords : kilowatts;
  setText(part.value, isNumber(device.power_w) ? words(device.power_w) : "not measured");
  const most = device.kind === "inverter" ? "at most " : "";
  const wanted = isNumber(device.wanted_w) ? `wanted ${most}${words(device.wanted_w)}` : "";
  const force = isNumber(device.command_w) && words(device.command_w) !== words(device.wanted_w) ? `in force ${words(device.command_w)}` : "";
  setText(part.wanted, [wanted, force].filter(Boolean).join(", "));
}

// A sign alone says little: which way it goes is a word.
function batteryWords(watts) {
  if (!isNumber(watts) || Math.abs(watts) < 50) return kilowatts(isNumber(watts) ? 0 : null);
  return `${watts > 0 ? "charging" : "discharging"} ${kilowatts(Math.abs(watts))}`;
}
