// Limits of the site that are not copper: what holds now above everything else, all of them with what is announced in a list,
// small tags on the power flow, and steps over the plan.

import { byId, h, keyed, setData, setText, show } from "./dom.js";
import { amps, duration, isNumber, kilowatts, moment } from "./format.js";

const FAILSAFE = new Set(["failsafe", "waiting"]);
const NAMES = { import: "Import", feed_in: "Feed-in", giving: "Giving back" };
const MOST_HELD = 4; // above everything else; the list has them all
const MOST_COMING = 2;

let site = null;

const announced = (bound) => bound.state === "announced";
const where = (bound) => (bound.circuit === "grid" ? "" : ` of ${bound.circuit}`);
const keyOf = (bound) => [bound.kind, bound.source, bound.circuit, bound.begins_wall_s, bound.words].join("|");
const urgency = (bound) => (bound.obeyed === false ? 0 : FAILSAFE.has(bound.state) ? 1 : announced(bound) ? 3 : 2);
const battery = () => (site?.devices ?? []).some((device) => device.kind === "battery");

// "feed-in", "chargers and battery together": what is limited, in the middle of a sentence.
function subject(bound) {
  if (bound.kind === "import") return bound.circuit === "grid" ? "the import of the whole site" : `the import${where(bound)}`;
  if (bound.kind === "loads") return `${battery() && bound.circuit === "grid" ? "chargers and battery together" : "all chargers together"}${where(bound)}`;
  if (bound.kind === "generation") return battery() ? "solar and battery together" : "solar";
  return bound.kind === "giving" ? "what cars give back" : "feed-in";
}

function title(bound) {
  if (bound.kind === "loads") return battery() && bound.circuit === "grid" ? "Chargers and battery" : "Chargers";
  if (bound.kind === "generation") return battery() ? "Solar and battery" : "Solar";
  return NAMES[bound.kind] ?? bound.kind;
}

const size = (bound) => (isNumber(bound.current_a) ? `${amps(bound.current_a)} per phase` : kilowatts(bound.power_w));
const outcome = (bound) => (bound.obeyed === true ? "obeyed" : bound.obeyed === false ? "exceeded" : "");

export function renderBounds(next) {
  site = next;
  const all = site.bounds ?? [];
  const holding = all.filter((bound) => !announced(bound) && bound.source !== "contract" && (bound.lowest || bound.obeyed === false));
  const coming = all.filter(announced).slice(0, MOST_COMING);
  const first = [...holding, ...coming].sort((a, b) => urgency(a) - urgency(b)).slice(0, MOST_HELD);
  show(byId("held"), first.length > 0);
  keyed(byId("held"), first, keyOf, createHeld, updateHeld);
  const more = holding.length + all.filter(announced).length - first.length;
  show(byId("held-more"), more > 0);
  setText(byId("held-more-link"), `${more} more ${more === 1 ? "limit" : "limits"}, now or announced`);
  show(byId("bounds"), all.length > 0);
  show(byId("bounds-empty"), all.length === 0);
  keyed(byId("bounds"), all, keyOf, createRow, updateRow);
  const now = all.filter((bound) => !announced(bound) && bound.source !== "contract").length;
  const later = all.filter(announced).length;
  setText(byId("signals-note"), [now ? `${now} in force` : "nothing is limited now", later ? `${later} announced` : ""].filter(Boolean).join(" \u00b7 "));
}

export function tickBounds(nowWallS) {
  for (const { end, bound } of byId("held").parts?.values() ?? []) setText(end, ending(bound, nowWallS));
  for (const { end, bound } of byId("bounds").parts?.values() ?? []) setText(end, ending(bound, nowWallS));
}

function ending(bound, nowWallS) {
  const { begins_wall_s: begins, ends_wall_s: ends } = bound;
  if (announced(bound)) {
    const wait = begins > nowWallS ? ` \u00b7 in ${duration(begins - nowWallS)}` : "";
    return `${moment(begins, nowWallS)} ${isNumber(ends) ? `to ${moment(ends, nowWallS)}` : "on"}${wait}`;
  }
  if (!isNumber(ends)) return "no end";
  return ends <= nowWallS ? "ends now" : `until ${moment(ends, nowWallS)} \u00b7 ${duration(ends - nowWallS)} left`;
}

// -- above everything else -------------------------------------------------------------------------

function createHeld() {
  const part = { who: h("b"), text: h("span", { class: "held-text" }), end: h("span", { class: "held-end num" }) };
  part.node = h("li", {}, part.who, part.text, part.end);
  return part;
}

function updateHeld(part, bound) {
  part.bound = bound;
  setData(part.node, "state", bound.obeyed === false ? "exceeded" : bound.state);
  setText(part.who, bound.source);
  setText(part.text, sentence(bound));
}

function sentence(bound) {
  if (announced(bound)) return `will limit ${subject(bound)} to ${size(bound)}`;
  const verb = { waiting: "has said nothing yet, its failsafe limits", failsafe: "is silent, its failsafe limits" }[bound.state] ?? "limits";
  const measured = isNumber(bound.measured_w) ? `measured ${kilowatts(bound.measured_w)}` : "not measured";
  return `${verb} ${subject(bound)} to ${size(bound)}; ${[measured, outcome(bound)].filter(Boolean).join(", ")}`;
}

// -- all of them -----------------------------------------------------------------------------------

function createRow() {
  const part = { title: h("b"), tag: h("span", { class: "tag" }, "lowest"), sub: h("span", { class: "row-sub" }), state: h("b", { class: "health" }), value: h("b", { class: "num" }), measured: h("span", { class: "row-sub num" }), end: h("span", { class: "row-sub num" }) };
  part.node = h("li", {}, h("i", { class: "dot", "aria-hidden": "true" }), h("div", { class: "row-main" }, h("span", {}, part.title, " ", part.tag), part.sub, part.state), h("div", { class: "row-side" }, part.value, part.measured, part.end));
  return part;
}

function updateRow(part, bound) {
  part.bound = bound;
  setData(part.node, "health", bound.obeyed === false || bound.state === "failsafe" ? "lost" : bound.state === "waiting" ? "late" : announced(bound) ? "coming" : "good");
  setText(part.title, `${title(bound)}${where(bound)}`);
  show(part.tag, bound.lowest && rivals(bound) > 1);
  setText(part.sub, [bound.source === "contract" ? "contract (site file)" : bound.source, bound.words].filter(Boolean).join(" \u00b7 "));
  setText(part.state, stateWord(bound));
  setText(part.value, `at most ${size(bound)}`);
  setText(part.measured, announced(bound) ? "" : isNumber(bound.measured_w) ? `measured ${kilowatts(bound.measured_w)}` : "not measured");
}

const rivals = (bound) => site.bounds.filter((other) => !announced(other) && other.kind === bound.kind && other.circuit === bound.circuit).length;

function stateWord(bound) {
  if (announced(bound)) return "announced";
  const why = { failsafe: "failsafe, the source is silent", waiting: "failsafe until its first word" }[bound.state] ?? "";
  return [why, outcome(bound) || (why ? "" : "in force")].filter(Boolean).join(", ");
}

// -- on the power flow -----------------------------------------------------------------------------

// What a place of the flow may carry at most now: { text, outside, spoken }; null = no limit besides copper.
export function placeLimit(name, next) {
  const now = (kind) => (next.bounds ?? []).filter((bound) => !announced(bound) && bound.kind === kind && bound.circuit === "grid" && bound.lowest);
  const kinds = { grid: (next.grid.power_w ?? 0) < -30 ? ["feed_in", "import"] : ["import", "feed_in"], pv: ["generation"], ev: ["loads"] }[name] ?? [];
  for (const kind of kinds) {
    const [bound] = now(kind);
    if (bound && (bound.source !== "contract" || kind === kinds[0])) return { text: `${{ feed_in: "out ", import: "in " }[kind] ?? ""}\u2264 ${kilowatts(bound.power_w)}`, outside: bound.source !== "contract", spoken: `${title(bound)} at most ${size(bound)}, ${bound.source}` };
  }
  return null;
}

// -- over the plan ---------------------------------------------------------------------------------

export const PLAN_KINDS = ["import", "loads", "feed_in", "generation"];

// The lowest limit of a kind at the grid connection over a plan, as [{ start, end, watts }]; [] = none in it.
export function limitSteps(bounds, kind, beginS, endS) {
  const mine = (bounds ?? []).filter((bound) => bound.kind === kind && bound.circuit === "grid").map((bound) => ({ start: Math.max(beginS, bound.begins_wall_s ?? beginS), end: Math.min(endS, bound.ends_wall_s ?? endS), watts: bound.power_w }));
  const edges = [...new Set(mine.flatMap((one) => [one.start, one.end]))].sort((a, b) => a - b);
  return edges.slice(0, -1).flatMap((start, index) => {
    const end = edges[index + 1];
    const here = mine.filter((one) => one.start < end && start < one.end).map((one) => one.watts);
    return here.length ? [{ start, end, watts: Math.min(...here) }] : [];
  });
}
