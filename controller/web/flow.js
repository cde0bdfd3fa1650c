// Power flow as a picture: five places around the site's busbar, lines that move with the power.

import { placeLimit } from "./bounds.js";
import { byId, s, setData, setText } from "./dom.js";
import { isNumber, kilowatts, percent } from "./format.js";

const NOISE_W = 30;
const NARROW_PX = 520;
const BUSBAR = 22; // half its height
const BEND = 18;
const TAG = { height: 21, letter: 6.9, pad: 16 }; // a limit on the edge of a place
const PLACES = ["grid", "pv", "battery", "building", "ev"];
const LABELS = { grid: "Grid", pv: "Solar", battery: "Battery", building: "Building", ev: "Chargers" };

const WIDE = {
  view: [720, 330],
  box: [168, 84],
  hub: [360, 165],
  at: { grid: [92, 165], pv: [360, 50], battery: [360, 280], building: [628, 84], ev: [628, 246] },
};
const NARROW = {
  view: [350, 392],
  box: [118, 84],
  hub: [175, 196],
  at: { grid: [61, 196], pv: [175, 46], battery: [175, 346], building: [289, 138], ev: [289, 254] },
};

const ICONS = {
  grid: "M7 20 10.5 3h3L17 20M8.4 13h7.2M9.4 8h5.2M5 20h14M9 13l7 7M15 13l-7 7",
  pv: "M4 18 7 7h10l3 11zM5.6 12.5h12.8M12 7v11M12 2v2M5 4l1.2 1.4M19 4l-1.2 1.4",
  battery: "M6 6h12v15H6zM10 3h4v3h-4zM12.6 9.5 10 14h4l-2.6 4.5",
  building: "M5 21V6l7-3 7 3v15zM9 21v-4h6v4M9 9h1M14 9h1M9 13h1M14 13h1",
  ev: "M5 21V5a2 2 0 0 1 2-2h6a2 2 0 0 1 2 2v16M4 21h12M15 12h2a2 2 0 0 1 2 2v2a1.5 1.5 0 0 0 3 0V9l-3-3M10.5 7 8 11.5h4L9.5 16",
};

let parts = null;
let layout = null;
const present = { pv: false, battery: false }; // once seen they stay: a silent meter is no reason to hide a roof

export function startFlow() {
  const holder = byId("flow");
  parts = build();
  holder.append(parts.svg);
  const place = () => arrange(holder.clientWidth < NARROW_PX ? NARROW : WIDE);
  new ResizeObserver(place).observe(holder);
  place();
}

function build() {
  const svg = s("svg", { class: "flow-svg", role: "img", "aria-label": "Power flow between grid, solar, battery, building and chargers" });
  const lines = s("g");
  const nodes = s("g");
  const places = {};
  for (const name of PLACES) {
    const rail = s("path", { class: "rail" });
    const stream = s("path", { class: `stream stream-${name}` });
    const box = s("rect", { class: "place-box", rx: "14" });
    const icon = s("path", { class: "place-icon", d: ICONS[name] });
    const label = s("text", { class: "place-label" }, LABELS[name]);
    const value = s("text", { class: "place-value" });
    const word = s("text", { class: "place-word" });
    const tag = { box: s("rect", { class: "tag-box", rx: String(TAG.height / 2), height: String(TAG.height) }), text: s("text", { class: "tag-text", "text-anchor": "middle" }) };
    tag.group = s("g", { class: "place-limit" }, tag.box, tag.text);
    const group = s("g", { class: `place place-${name}` }, box, icon, label, value, word, tag.group);
    lines.append(rail, stream);
    nodes.append(group);
    places[name] = { rail, stream, box, icon, label, value, word, group, tag };
  }
  const hub = s("rect", { class: "hub", rx: "5", width: "10", height: String(2 * BUSBAR) });
  svg.append(lines, hub, nodes);
  return { svg, hub, places };
}

function arrange(next) {
  if (next === layout) return;
  layout = next;
  parts.svg.setAttribute("class", next === NARROW ? "flow-svg narrow" : "flow-svg");
  const [boxWidth, boxHeight] = next.box;
  parts.svg.setAttribute("viewBox", `0 0 ${next.view[0]} ${next.view[1]}`);
  set(parts.hub, { x: next.hub[0] - 5, y: next.hub[1] - BUSBAR });
  for (const name of PLACES) {
    const [x, y] = next.at[name];
    const { rail, stream, box, icon, label, value, word } = parts.places[name];
    const left = x - boxWidth / 2;
    const upper = y - boxHeight / 2;
    set(box, { x: left, y: upper, width: boxWidth, height: boxHeight });
    icon.setAttribute("transform", `translate(${left + 11} ${upper + 9}) scale(0.83)`);
    set(label, { x: left + 37, y: upper + 24 });
    set(value, { x: left + 12, y: upper + 53 });
    set(word, { x: left + 12, y: upper + 72 });
    const path = curve(x, y, next.hub[0], next.hub[1]);
    rail.setAttribute("d", path);
    stream.setAttribute("d", path);
  }
}

const set = (node, attributes) => Object.entries(attributes).forEach(([name, value]) => node.setAttribute(name, value));

// From the place to the busbar; places in the corners leave sideways, bend, and join above or below its middle.
function curve(x, y, hubX, hubY) {
  if (x === hubX || y === hubY) return `M${x} ${y}L${hubX} ${hubY}`;
  const aside = Math.sign(x - hubX);
  const down = Math.sign(hubY - y);
  const joinY = hubY - (down * BUSBAR) / 2;
  const middle = hubX + (x - hubX) * 0.36;
  return (
    `M${x} ${y}L${middle + BEND * aside} ${y}Q${middle} ${y} ${middle} ${y + down * BEND}` +
    `L${middle} ${joinY - down * BEND}Q${middle} ${joinY} ${middle - BEND * aside} ${joinY}L${hubX} ${joinY}`
  );
}

// inward_w: power from the place into the site.
export function renderFlow(site) {
  const grid = site.grid;
  const charging = site.evses.filter((evse) => evse.state === "charging" || evse.state === "discharging").length;
  const pv = isNumber(grid.pv_w) ? Math.abs(grid.pv_w) : null; // a PV meter counts production as negative import
  present.pv ||= pv !== null;
  present.battery ||= grid.battery_w !== null || grid.battery_soc_percent !== null;
  update("grid", grid.power_w, grid.power_w, { in: "import", out: "feeding in", still: "balanced", unknown: "no reading" });
  update("pv", pv, pv, { in: heldTo(site.devices ?? [], pv), out: "", still: "no sun", unknown: "no reading" });
  const charge = isNumber(grid.battery_soc_percent) ? `${percent(grid.battery_soc_percent)} full` : "";
  const word = (text) => [charge, text].filter(Boolean).join(layout === NARROW ? " " : ", ");
  update("battery", grid.battery_w, isNumber(grid.battery_w) ? -grid.battery_w : null, {
    in: layout === NARROW ? charge || "giving" : word("discharging"),
    out: layout === NARROW ? charge || "charging" : word("charging"),
    still: word(layout === NARROW ? "" : "resting") || "resting",
    unknown: word("") || "no reading",
  });
  update("building", grid.building_w, isNumber(grid.building_w) ? -grid.building_w : null, { in: "feeding in", out: "using", still: "nothing", unknown: "not measured" });
  update("ev", grid.ev_power_w, -grid.ev_power_w, { in: "giving back", out: `${charging} of ${site.evses.length} charging`, still: "none charging", unknown: "" });
  const limits = PLACES.map((name) => updateTag(name, placeLimit(name, site))).filter(Boolean);
  parts.svg.setAttribute("aria-label", spoken(limits));
  for (const name of ["pv", "battery"]) {
    for (const node of [parts.places[name].group, parts.places[name].rail, parts.places[name].stream]) setData(node, "absent", !present[name]);
  }
}

// A limit sits on the lower edge of its place, at the right, where no line leaves.
function updateTag(name, limit) {
  const { group, box, text } = parts.places[name].tag;
  setData(group, "absent", limit === null);
  if (!limit) return "";
  const [x, y] = layout.at[name];
  const width = limit.text.length * TAG.letter + TAG.pad;
  const left = x + layout.box[0] / 2 - width - 8;
  const upper = y + layout.box[1] / 2 - TAG.height / 4;
  setText(text, limit.text);
  setData(group, "outside", limit.outside);
  set(box, { x: left, y: upper, width });
  set(text, { x: left + width / 2, y: upper + 15 });
  return limit.spoken;
}

// The picture in words, for those who cannot see it.
function spoken(limits) {
  const said = PLACES.filter((name) => name in present ? present[name] : true).map((name) => {
    const { value, word } = parts.places[name];
    return [LABELS[name], value.textContent, word.textContent].filter(Boolean).join(" ");
  });
  return `Power flow. ${[...said, ...limits].join("; ")}.`;
}

// "producing", or what the inverters are held to: all of them, and they make about as much as they may.
function heldTo(devices, pv) {
  const inverters = devices.filter((device) => device.kind === "inverter");
  const most = inverters.reduce((sum, device) => sum + (device.wanted_w ?? NaN), 0);
  return inverters.length && isNumber(most) && pv > 0.93 * most ? `held to ${kilowatts(most)}` : "producing";
}

function update(name, shown, inward, words) {
  const { value, word, stream, group } = parts.places[name];
  const direction = !isNumber(inward) ? "unknown" : Math.abs(inward) < NOISE_W ? "still" : inward > 0 ? "in" : "out";
  setText(value, kilowatts(isNumber(shown) ? Math.abs(shown) : null));
  setText(word, words[direction]);
  setData(stream, "direction", direction);
  setData(group, "direction", direction);
  const strength = isNumber(inward) ? Math.abs(inward) / 1000 : 0;
  setData(stream, "pace", strength > 30 ? 3 : strength > 8 ? 2 : 1);
}

