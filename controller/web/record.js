// The compliance record: what became of limits from outside, newest first. The controller reads it from the disk, so it is asked for.

import { byId, h, keyed, setText, show } from "./dom.js";
import { isNumber, kilowatts, moment } from "./format.js";

const MOST = 20;
const AGAIN_MS = 5000;
const QUIET_MS = 60000; // nobody may limit anything: what was recorded before is shown all the same
const WORDS = {
  received: "received",
  refused: "refused",
  in_force: "in force",
  failsafe: "failsafe",
  failsafe_set: "failsafe set",
  released: "free again",
  ended: "ended",
  obeyed: "obeyed",
  violated: "exceeded",
  not_measured: "not measured",
};
const SEVERITIES = { violated: "alarm", failsafe: "warning", refused: "warning", not_measured: "warning", obeyed: "good" };
const OF_DEVICES = new Set(["generation", "controllable loads"]);
let askedAt = -Infinity;
let heard = "";

// Every few seconds, and at once when a source changes what it holds.
export function askRecord(site, nowWallS) {
  const holding = (site.bounds ?? []).filter((bound) => bound.state !== "announced" && bound.source !== "contract");
  if (document.hidden) return;
  const key = JSON.stringify(holding.map((bound) => [bound.source, bound.kind, bound.state, bound.power_w, bound.obeyed]));
  const now = performance.now();
  const quiet = !holding.length && !site.signals?.length;
  if (now - askedAt < (key !== heard ? 1000 : quiet ? QUIET_MS : AGAIN_MS)) return;
  askedAt = now;
  heard = key;
  ask(nowWallS);
}

async function ask(nowWallS) {
  const answer = await fetch(`/api/v1/compliance?changes=${MOST}`).catch(() => null);
  if (!answer?.ok) return;
  const { lines } = await answer.json();
  show(byId("record"), lines.length > 0);
  show(byId("record-empty"), lines.length === 0);
  keyed(byId("record"), lines.reverse(), (line) => line.number, (line) => create(line, nowWallS), () => {});
}

function create(line, nowWallS) {
  const where = line.circuit === "grid" || line.circuit === "" ? "" : ` of ${line.circuit}`;
  const what = OF_DEVICES.has(line.circuit) ? line.circuit : line.direction === "production" ? "feed-in" : `consumption${where}`;
  const parts = [
    isNumber(line.limit_w) ? `${what} ${kilowatts(line.limit_w)}` : what,
    isNumber(line.measured_w) ? `measured ${kilowatts(line.measured_w)}` : "",
    line.detail,
  ];
  const node = h(
    "li",
    { "data-severity": SEVERITIES[line.event] ?? "info" },
    h("time", {}, moment(line.wall_s, nowWallS)),
    h("span", { class: "severity" }, WORDS[line.event] ?? line.event),
    h("b", {}, line.source),
    h("span", { class: "event-text" }, parts.filter(Boolean).join(", ")),
  );
  return { node };
}
