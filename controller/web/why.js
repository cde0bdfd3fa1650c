// "Why?": the chain of limits behind one EVSE's setpoint, asked anew while the dialog is open.

import { byId, h, setText } from "./dom.js";
import { amps, clock, isNumber, kilowatts } from "./format.js";

const AGAIN_MS = 2000;
const PURPOSES = {
  station_max: "station maximum",
  tx_default: "default",
  tx: "transaction",
  external: "external",
  priority: "priority",
  local_generation: "local generation",
};
let asked = null;
let timer = 0;

export function openWhy(evse) {
  asked = evse;
  setText(byId("why-title"), evse.name || evse.id);
  setText(byId("why-sentence"), "Asking\u2026");
  byId("why-body").replaceChildren();
  const dialog = byId("why");
  dialog.onclose = () => {
    asked = null;
    clearTimeout(timer);
  };
  dialog.onclick = (event) => event.target === dialog && dialog.close();
  byId("why-close").onclick = () => dialog.close();
  if (!dialog.open) dialog.showModal();
  ask(evse);
}

async function ask(evse) {
  clearTimeout(timer);
  let answer = null;
  try {
    const reply = await fetch(`/api/v1/evses/${encodeURIComponent(evse.station_id)}/${evse.evse_id}/why`);
    answer = reply.ok ? await reply.json() : null;
  } catch {
    answer = null;
  }
  if (asked !== evse) return;
  if (answer) render(answer);
  else setText(byId("why-sentence"), "The controller does not answer; trying again.");
  timer = setTimeout(() => ask(evse), AGAIN_MS);
}

function render(why) {
  setText(byId("why-sentence"), why.sentence);
  const parts = [
    section("Its own limits, lowest first", why.layers.map(layer)),
    section("What it shares, tightest first", why.rows.map(row)),
    section("Charging profiles of the CSMS", why.profiles.map(profile)),
    section("The plan", steps(why.plan)),
    section("The station", [...why.told.map((line) => h("li", {}, h("span", {}, line))), h("li", {}, h("span", {}, `priority ${why.priority} = ${why.priority_from}`))]),
  ];
  byId("why-body").replaceChildren(...parts.filter(Boolean));
}

function section(title, items) {
  return items.length ? h("section", {}, h("h3", {}, title), h("ul", { class: "chain" }, ...items)) : null;
}

function item(binds, ...children) {
  const node = h("li", {}, ...children);
  node.dataset.binds = String(binds);
  return node;
}

function layer(entry) {
  const end = isNumber(entry.ends_wall_s) ? ` until ${clock(entry.ends_wall_s)}` : "";
  return item(entry.binds, h("b", {}, amps(entry.limit_a)), h("span", {}, entry.what + end));
}

// A bar per fuse: other load, kept free, other cars, this car, what is left. A limit in watts is told in them.
function row(entry) {
  const total = isNumber(entry.w_per_a);
  const much = total ? (value) => kilowatts(value * entry.w_per_a) : amps;
  const whole = Math.max(entry.carries_a, 0.1);
  const part = (kind, value) => {
    const seg = h("i", { class: `share share-${kind}` });
    seg.style.width = `${Math.max(0, Math.min(100, (100 * value) / whole))}%`;
    return seg;
  };
  const kept = entry.margin_a + entry.booked_a;
  const bar = h(
    "span",
    { class: "shares" },
    part("other", Math.max(0, entry.other_a)),
    part("kept", kept),
    part("cars", entry.others_a),
    part("own", entry.own_a),
  );
  const left = entry.left_a < -0.5 ? `${much(-entry.left_a)} too much` : `${much(Math.max(0, entry.left_a))} left`;
  const words = `${much(entry.other_a)} other load, ${much(kept)} kept free, ${much(entry.others_a)} other cars, ${much(entry.own_a)} here, ${left}`;
  return item(entry.binds, h("b", {}, much(entry.carries_a)), h("span", {}, `${entry.what} ${entry.phase}`, bar, h("small", {}, words)));
}

function profile(entry) {
  const flow = isNumber(entry.setpoint_a) ? `, setpoint ${amps(entry.setpoint_a)}` : "";
  const idle = entry.counts ? "" : " (another stands in for it)";
  const words = `profile ${entry.profile_id}, ${PURPOSES[entry.purpose] ?? entry.purpose}, stack level ${entry.stack_level}${flow}${idle}`;
  return item(entry.binds, h("b", {}, isNumber(entry.limit_a) ? amps(entry.limit_a) : "no limit"), h("span", {}, words));
}

function steps(plan) {
  const most = Math.max(1, ...plan.map((step) => Math.abs(step.power_w)));
  return plan.map((step) => {
    const bar = h("i", { class: step.power_w < 0 ? "share share-give" : "share share-own" });
    bar.style.width = `${(100 * Math.abs(step.power_w)) / most}%`;
    const span = `${clock(step.start_wall_s)}\u2013${clock(step.end_wall_s)}`;
    return item(false, h("b", {}, kilowatts(step.power_w)), h("span", {}, `${span}: ${step.reason}`, h("span", { class: "shares" }, bar)));
  });
}
