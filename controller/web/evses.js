// One card per EVSE: what it does, how fast, why not faster, how far, until when.

import { byId, h, keyed, setData, setShare, setText, show } from "./dom.js";
import { amps, ampsFixed, duration, isNumber, kilowattHours, kilowatts, moment, percent, UNKNOWN } from "./format.js";
import { openWhy } from "./why.js";

const WORDS = {
  offline: "Offline",
  available: "Free",
  waiting: "Waiting",
  charging: "Charging",
  paused: "Paused",
  finished: "Finished",
  discharging: "Giving back",
  faulted: "Fault",
  unavailable: "Out of service",
};
const WITH_CAR = new Set(["waiting", "charging", "paused", "finished", "discharging"]);

export function renderEvses(site) {
  const evses = site.evses;
  const count = (state) => evses.filter((evse) => evse.state === state).length;
  const charging = count("charging") + count("discharging");
  const waiting = count("waiting") + count("paused");
  const away = evses.filter((evse) => !evse.online).length;
  const notes = [`${charging} charging`, `${waiting} waiting`, `${count("available")} free`];
  if (count("finished")) notes.splice(2, 0, `${count("finished")} finished`);
  if (away) notes.push(`${away} offline`);
  setText(byId("evse-note"), evses.length ? notes.join(" \u00b7 ") : "");
  show(byId("evses-empty"), evses.length === 0);
  byId("evses").style.setProperty("--per-row", perRow(evses.length));
  keyed(byId("evses"), evses, (evse) => evse.id, create, update);
}

// Everything that moves with the clock alone.
export function tickEvses(evses, nowWallS) {
  const parts = byId("evses").parts;
  if (!parts) return;
  for (const evse of evses) {
    const part = parts.get(evse.id);
    const until = evse.departure_wall_s;
    setText(part.departure, isNumber(until) ? moment(until, nowWallS) : UNKNOWN);
    setText(part.departureIn, !isNumber(until) ? "not stated" : until > nowWallS ? `in ${duration(until - nowWallS)}` : "is over");
  }
}

function create(evse) {
  const part = {
    title: h("h3"),
    sub: h("span", { class: "evse-sub" }),
    pill: h("span", { class: "pill" }),
    power: h("span", { class: "evse-power" }),
    current: h("span", { class: "evse-current" }),
    bar: h("span", { class: "seg seg-ev" }),
    mark: h("span", { class: "mark mark-limit" }),
    limit: h("b"),
    reason: h("span"),
    energy: h("b"),
    goal: h("span"),
    progress: h("span", { class: "seg seg-done" }),
    departure: h("dd"),
    departureIn: h("span", { class: "small" }),
    soc: h("span", { class: "evse-soc" }),
    phases: h("dd", { class: "chips" }),
    floor: h("dd"),
    floorWord: h("span", { class: "small" }),
    floorRow: h("div", { class: "fallback" }),
  };
  part.track = h("div", { class: "track thin", role: "meter", "aria-label": "Current", "aria-valuemin": "0" }, part.bar, part.mark);
  part.energyBox = h("div", { class: "evse-energy" }, h("p", {}, h("span", {}, part.energy, part.goal), part.soc), h("div", { class: "track done" }, part.progress));
  part.departureRow = h("div", {}, h("dt", {}, "Leaves"), part.departure, part.departureIn);
  part.floorRow.append(h("dt", {}, "Fallback"), part.floor, part.floorWord);
  part.ask = h("button", { type: "button", class: "ask", "aria-label": `Why ${evse.name || evse.id} gets what it gets` }, "Why?");
  part.ask.addEventListener("click", () => openWhy(evse));
  part.why = h("div", { class: "evse-because" }, h("p", { class: "evse-why" }, part.limit, part.reason), part.ask);
  part.node = h(
    "article",
    { class: "card evse", "aria-label": evse.name || evse.id },
    h("header", {}, h("div", {}, part.title, part.sub), part.pill),
    h("div", { class: "evse-main" }, part.power, part.current),
    part.track,
    part.why,
    part.energyBox,
    h("dl", { class: "evse-facts" }, part.departureRow, h("div", {}, h("dt", {}, "Phases"), part.phases), part.floorRow),
  );
  evse.phases.forEach((phase) => part.phases.append(h("i", {}, phase)));
  return part;
}

function update(part, evse) {
  const car = WITH_CAR.has(evse.state) || evse.transaction_id !== null;
  setData(part.node, "state", evse.state);
  setData(part.node, "car", car);
  setText(part.title, evse.name || evse.id);
  setText(part.sub, [evse.name ? evse.id : "", evse.priority ? `priority ${evse.priority > 0 ? "+" : ""}${evse.priority}` : ""].filter(Boolean).join(" \u00b7 "));
  setText(part.pill, WORDS[evse.state] ?? evse.state);
  setText(part.power, kilowatts(isNumber(evse.power_w) ? Math.abs(evse.power_w) : null));
  const currents = evse.current_a.filter(isNumber);
  const highest = currents.length ? Math.max(...currents.map(Math.abs)) : null;
  setText(part.current, isNumber(highest) ? `${ampsFixed(highest)} per phase` : evse.state === "available" ? "no car" : "no reading");
  setShare(part.bar, "width", (highest ?? 0) / evse.max_current_a);
  setShare(part.mark, "left", (evse.limit_a ?? 0) / evse.max_current_a);
  setData(part.mark, "set", isNumber(evse.limit_a));
  part.track.setAttribute("aria-valuemax", String(evse.max_current_a));
  part.track.setAttribute("aria-valuenow", (highest ?? 0).toFixed(1));
  const most = isNumber(evse.limit_a) ? `limit ${evse.limit_a.toFixed(1)} ampere` : `at most ${evse.max_current_a} ampere`;
  part.track.setAttribute("aria-valuetext", `${isNumber(highest) ? `${highest.toFixed(1)} ampere per phase` : "no reading"}, ${most}`);
  setText(part.limit, isNumber(evse.limit_a) ? (evse.limit_a === 0 ? (evse.state === "finished" ? "Has what it needs" : "Paused") : `Limit ${amps(evse.limit_a)}`) : `Up to ${amps(evse.max_current_a)}`);
  setText(part.reason, evse.reason);
  updateEnergy(part, evse);
  setText(part.floor, amps(evse.floor_a));
  setText(part.floorWord, evse.floor_confirmed ? "confirmed" : "unconfirmed");
  setData(part.floorRow, "confirmed", evse.floor_confirmed);
  part.floorRow.title = evse.floor_confirmed
    ? "The station confirmed the current it falls back to when Yardmaster is gone."
    : "The station has not confirmed yet the current it falls back to when Yardmaster is gone.";
}

function updateEnergy(part, evse) {
  const got = evse.session_energy_wh;
  const need = evse.need_wh;
  const open = isNumber(need) && need >= 50;
  const total = (got ?? 0) + (need ?? 0);
  if (!isNumber(got) && !isNumber(need)) {
    setText(part.energy, "");
    setText(part.goal, "no session");
  } else {
    setText(part.energy, kilowattHours(got));
    setText(part.goal, open ? ` of ${kilowattHours(total)}` : isNumber(need) ? " charged, complete" : " charged");
  }
  setText(part.soc, isNumber(evse.soc_percent) ? `${percent(evse.soc_percent)} full` : open ? `${kilowattHours(need)} to go` : "");
  setShare(part.progress, "width", isNumber(need) && total > 0 ? (got ?? 0) / total : 0);
}

// Cards per row on a wide screen, so that the last row is as full as can be.
function perRow(count) {
  if (count <= 3 || (count % 3 === 0 && count % 4 !== 0 && count < 12)) return 3;
  return 4;
}
