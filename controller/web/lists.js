// The lists: limits in force, health of the sources, stations with their links, event log.

import { byId, h, keyed, setData, setText, show } from "./dom.js";
import { amps, clock, duration, isNumber, kilowatts, moment } from "./format.js";

const KINDS = { meter: "Meter", mqtt: "MQTT broker", csms: "CSMS", solver: "Solver", history: "History", station: "Station" };

export function renderLimits(limits) {
  show(byId("limits-empty"), limits.length === 0);
  const numbered = limits.map((limit, index) => ({ ...limit, key: `${limit.source}|${limit.circuit}|${limit.unit}|${index}` }));
  keyed(byId("limits"), numbered, (limit) => limit.key, createLimit, updateLimit);
}

function createLimit() {
  const part = { title: h("b"), tag: h("span", { class: "tag" }, "in effect"), sub: h("span", { class: "row-sub" }), value: h("b", { class: "num" }), end: h("span", { class: "row-sub num" }) };
  part.node = h("li", {}, h("div", { class: "row-main" }, h("span", {}, part.title, " ", part.tag), part.sub), h("div", { class: "row-side" }, part.value, part.end));
  return part;
}

function updateLimit(part, limit) {
  part.limit = limit;
  setText(part.title, limit.source);
  show(part.tag, limit.binding && limit.source !== "fuse"); // the fuse always holds; a mark on it says nothing
  setText(part.sub, limit.circuit.replace(/^grid$/, "whole site").replace(/ of grid$/, " of the whole site"));
  setText(part.value, limit.unit === "W" ? kilowatts(limit.value) : `${amps(limit.value)} per phase`);
  setData(part.node, "binding", limit.binding);
}

export function tickLimits(nowWallS) {
  for (const { end, limit } of byId("limits").parts?.values() ?? []) {
    const left = isNumber(limit.ends_wall_s) ? limit.ends_wall_s - nowWallS : null;
    setText(end, left === null ? "no end" : left <= 0 ? "ends now" : `until ${moment(limit.ends_wall_s, nowWallS)} \u00b7 ${duration(left)}`);
  }
}

export function renderSources(all, meters) {
  const shown = new Set(meters.map((meter) => meter.id)); // they have a card of their own
  const sources = all.filter((source) => source.kind !== "meter" || !shown.has(source.name));
  const bad = sources.filter((source) => source.health === "lost" || source.health === "late").length;
  setText(byId("sources-note"), sources.length === 0 ? "" : bad ? `${bad} of ${sources.length} in trouble` : "all good");
  show(byId("sources-empty"), sources.length === 0);
  keyed(byId("sources"), sources, (source) => `${source.kind}|${source.name}`, createSource, updateSource);
}

function createSource() {
  const part = { dot: h("i", { class: "dot", "aria-hidden": "true" }), title: h("b"), sub: h("span", { class: "row-sub" }), health: h("b", { class: "health" }), age: h("span", { class: "row-sub num" }) };
  part.node = h("li", {}, part.dot, h("div", { class: "row-main" }, part.title, part.sub), h("div", { class: "row-side" }, part.health, part.age));
  return part;
}

function updateSource(part, source) {
  setData(part.node, "health", source.health);
  setText(part.title, source.name);
  setText(part.sub, [KINDS[source.kind] ?? source.kind, source.detail].filter(Boolean).join(": "));
  setText(part.health, source.health);
  setText(part.age, isNumber(source.age_s) ? `${duration(source.age_s)} ago` : "");
}

export function renderLinks(links) {
  const online = links.filter((link) => link.online).length;
  const queued = links.reduce((sum, link) => sum + link.queued, 0);
  setText(byId("links-note"), links.length ? `${online} of ${links.length} online${queued ? ` \u00b7 ${queued} queued` : ""}` : "");
  show(byId("links-empty"), links.length === 0);
  keyed(byId("links"), links, (link) => link.station_id, createLink, updateLink);
}

const UPSTREAM = { open: "CSMS connected", away: "CSMS away", none: "no CSMS" };

function createLink(link) {
  const part = { sub: h("span", { class: "row-sub" }), health: h("b", { class: "health" }), queue: h("span", { class: "row-sub num" }) };
  part.node = h("li", {}, h("i", { class: "dot", "aria-hidden": "true" }), h("div", { class: "row-main" }, h("b", {}, link.station_id), part.sub), h("div", { class: "row-side" }, part.health, part.queue));
  return part;
}

function updateLink(part, link) {
  setData(part.node, "health", link.online ? (link.upstream === "away" ? "late" : "good") : "lost");
  setText(part.sub, [link.version, link.remote_address].filter(Boolean).join(" \u00b7 ") || "never connected");
  setText(part.health, link.online ? UPSTREAM[link.upstream] ?? link.upstream : "offline");
  const queue = [link.queued ? `${link.queued} queued` : "", link.parked ? `${link.parked} parked` : ""].filter(Boolean).join(" \u00b7 ");
  setText(part.queue, queue || "queue empty");
}

// -- the site as one station ------------------------------------------------------------------

const FACE = { open: "CSMS connected", dialling: "dialling", away: "CSMS away" };

export function renderDepots(faces) {
  const depots = faces.filter((face) => face.kind === "depot");
  show(byId("depot-card"), depots.length > 0);
  const notes = depots.map((face) => [face.identity, face.version, face.state === "open" && !face.accepted ? "not accepted yet" : FACE[face.state] ?? face.state, face.queued ? `${face.queued} waiting` : ""]);
  setText(byId("depot-note"), notes.map((note) => note.filter(Boolean).join(" \u00b7 ")).join("; "));
  const trouble = depots.map((face) => face.trouble).filter(Boolean).join("; ");
  setText(byId("depot-lead"), trouble || "What the CSMS sees: one station with these EVSEs. Its EVSE 0 is the site itself.");
  const numbers = depots.flatMap((face) => face.numbers.map((number) => ({ ...number, key: `${face.upstream_id}|${number.number}` })));
  keyed(byId("depot"), numbers, (number) => number.key, createNumber, updateNumber);
}

function createNumber(number) {
  const part = { charger: h("td"), states: h("td"), link: h("td") };
  part.node = h("tr", {}, h("th", { scope: "row", class: "num" }, String(number.number)), part.charger, part.states, part.link);
  return part;
}

function updateNumber(part, number) {
  setText(part.charger, `${number.station_id}, EVSE ${number.evse_id}`);
  setText(part.states, number.states.join(", ") || "unknown");
  setText(part.link, number.configured ? (number.linked ? "connected" : "away") : "not part of it now");
}

// -- event log -------------------------------------------------------------------------------

const SHOWN = 200;
const FILTERS = {
  all: () => true,
  trouble: (event) => event.severity !== "info",
  story: (event) => event.subject === "story",
};
let filter = "all";

export function startEvents(redraw) {
  const buttons = [...byId("event-filters").querySelectorAll("button")];
  for (const button of buttons) {
    button.addEventListener("click", () => {
      filter = button.dataset.filter;
      buttons.forEach((other) => other.setAttribute("aria-pressed", String(other === button)));
      redraw();
    });
  }
}

export function renderEvents(events) {
  const shown = events.filter(FILTERS[filter]).slice(-SHOWN).reverse();
  show(byId("events-empty"), shown.length === 0);
  show(byId("events"), shown.length > 0);
  keyed(byId("events"), shown, (event) => `${event.number}|${event.wall_s}`, createEvent, () => {});
  const story = events.findLast((event) => event.subject === "story");
  show(byId("story"), Boolean(story));
  if (story) {
    setText(byId("story-time"), clock(story.wall_s));
    setText(byId("story-text"), story.text);
  }
}

function createEvent(event) {
  const node = h(
    "li",
    { "data-severity": event.severity, "data-story": String(event.subject === "story") },
    h("time", {}, clock(event.wall_s)),
    h("span", { class: "severity" }, event.subject === "story" ? "story" : event.severity),
    h("b", {}, event.subject === "story" ? "" : event.subject),
    h("span", { class: "event-text" }, event.text),
  );
  return { node };
}
