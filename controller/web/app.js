// The page: takes the live feed and hands it to the parts. Nothing is computed here that the
// controller knows already; this only shows it.

import { renderBounds, tickBounds } from "./bounds.js";
import { loadPast, remember, renderCharts, startCharts, tickPlan } from "./charts.js";
import { byId, setData, setText, show } from "./dom.js";
import { renderEvses, tickEvses } from "./evses.js";
import { renderExplain } from "./explain.js";
import { renderFlow, startFlow } from "./flow.js";
import { clock, day, duration, setZone, zoneName } from "./format.js";
import { renderGrid } from "./grid.js";
import { renderDepots, renderEvents, renderLimits, renderLinks, renderSources, startEvents, tickLimits } from "./lists.js";
import { renderDevices } from "./devices.js";
import { renderMeters, renderSeries, tickSeries } from "./meters.js";
import { askRecord } from "./record.js";
import { renderSignals, tickSignals } from "./signals.js";
import { Stream } from "./stream.js";

const MODES = { normal: "Normal", degraded: "Degraded", failsafe: "Failsafe", stop: "Stopped" };

let state = null;
let stateAt = 0;
let announced = null;
let lostSince = null;

function onState(next, changed) {
  const first = state === null;
  state = next;
  stateAt = performance.now();
  setZone(state.timezone);
  remember(state);
  if (first) document.body.dataset.phase = "ready";
  renderHeader();
  const site = state.site;
  if (changed.has("grid") || changed.has("circuits")) renderGrid(site);
  if (changed.has("grid") || changed.has("evses") || changed.has("devices") || changed.has("bounds")) renderFlow(site);
  if (changed.has("evses")) renderEvses(site);
  if (changed.has("limits")) renderLimits(site.limits);
  if (changed.has("bounds") || changed.has("devices")) renderBounds(site);
  if (changed.has("signals")) renderSignals(site.signals ?? []);
  if (changed.has("meters")) renderMeters(site.meters ?? []);
  if (changed.has("series")) renderSeries(site.series ?? [], state.currency);
  if (changed.has("devices")) renderDevices(site.devices ?? []);
  if (changed.has("explain")) renderExplain(site.explain, state.currency);
  if (changed.has("sources") || changed.has("meters")) renderSources(site.sources, site.meters ?? []);
  if (changed.has("links")) renderLinks(state.links);
  if (changed.has("faces")) renderDepots(state.faces ?? []);
  if (changed.has("events")) {
    renderEvents(state.events);
    announce(state.events);
  }
  renderCharts(state);
  tick();
  if (first) requestAnimationFrame(() => setTimeout(startLater, 0));
}

// After the numbers are on the screen: the chart library (about 1.5 MB) and the past.
function startLater() {
  startCharts();
  loadPast(state);
}

function onLink(live, heardAt) {
  lostSince = live ? null : heardAt;
  setData(byId("live"), "live", live ? "yes" : "no");
  setText(byId("live-word"), live ? "live" : "lost");
  document.body.dataset.lost = String(!live);
  show(byId("lost"), !live);
  setText(byId("announce"), live ? "Connected." : "Connection lost. The values on this page are old.");
  if (!live) tickLost();
}

function renderHeader() {
  const { mode, mode_reason: reason } = state.site;
  setData(byId("mode"), "mode", mode);
  setText(byId("mode-word"), MODES[mode] ?? mode);
  setText(byId("mode-reason"), reason);
  byId("mode-reason").title = reason;
  const name = state.site_name || state.site_id;
  setText(byId("site-name"), name);
  setText(byId("version"), state.version);
  document.title = `${mode === "normal" ? "" : `${MODES[mode] ?? mode}: `}${name} – Yardmaster`;
  setText(byId("foot-site"), `${state.site_id}, times in ${zoneName()}`);
  setText(byId("flow-note"), state.wall_speed > 1.01 ? `demo: time runs ${Math.round(state.wall_speed)} times faster` : "");
}

// New alarms are read aloud by screen readers; old ones from before the page was opened are not.
function announce(events) {
  const newest = events.at(-1)?.number ?? 0;
  const alarms = announced === null ? [] : events.filter((event) => event.number > announced && event.severity === "alarm");
  announced = newest;
  if (alarms.length) setText(byId("announce"), alarms.map((event) => `Alarm, ${event.subject}: ${event.text}`).join(" "));
}

const nowWallS = () => state.now_wall_s + ((Math.min(performance.now() - stateAt, lostSince === null ? 6000 : 0)) / 1000) * state.wall_speed;

function tick() {
  if (!state) return;
  const now = nowWallS();
  setText(byId("clock-time"), clock(now));
  setText(byId("clock-date"), day(now));
  tickEvses(state.site.evses, now);
  tickBounds(now);
  tickSignals(now);
  tickSeries(now);
  askRecord(state.site, now);
  tickLimits(now);
  tickPlan(state.site.plan, now);
  if (lostSince !== null) tickLost();
}

function tickLost() {
  setText(byId("lost-text"), `Last word ${duration((performance.now() - lostSince) / 1000)} ago; values below are old. Connecting again …`);
}

startFlow();
startEvents(() => state && renderEvents(state.events));
setInterval(tick, 500);
new Stream("/api/v1/stream", onState, onLink);
