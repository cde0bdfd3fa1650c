// Meters with their quality; prices and forecasts with how far they reach.

import { byId, h, keyed, setData, setText, show } from "./dom.js";
import { ampsFixed, duration, isNumber, kilowatts, moment, number, seconds } from "./format.js";

const ROLES = { grid: "grid connection", circuit: "circuit", pv: "solar", battery: "battery", load: "load" };
const SERIES = { buy: "Price of a kWh bought", sell: "Price of a kWh sold", co2: "CO\u2082 of a kWh", pv: "Solar forecast", load: "Building forecast", clear_sky: "Clear sky" };
const GAP = "\u202f";

export function renderMeters(meters) {
  show(byId("meters-card"), meters.length > 0);
  const bad = meters.filter((meter) => meter.health !== "good").length;
  setText(byId("meters-note"), bad ? `${bad} of ${meters.length} in trouble` : "all good");
  keyed(byId("meters"), meters, (meter) => meter.id, create, updateMeter);
}

function create() {
  const part = { title: h("b"), sub: h("span", { class: "row-sub" }), state: h("b", { class: "health" }), value: h("b", { class: "num" }), more: h("span", { class: "row-sub num" }) };
  part.node = h("li", {}, h("i", { class: "dot", "aria-hidden": "true" }), h("div", { class: "row-main" }, part.title, part.sub, part.state), h("div", { class: "row-side" }, part.value, part.more));
  return part;
}

function updateMeter(part, meter) {
  setData(part.node, "health", meter.health === "good" && meter.quality === "suspect" ? "late" : meter.health);
  setText(part.title, meter.id);
  const refused = meter.refused ? `${meter.refused} of ${meter.reads} readings not believed` : "";
  const failed = meter.failed ? `${meter.failed} polls without an answer` : "";
  setText(part.sub, [ROLES[meter.role] ?? meter.role, refused, failed].filter(Boolean).join(" \u00b7 "));
  const quality = meter.quality === "good" && meter.health === "good" ? "" : meter.quality ? `reading ${meter.quality}` : "no reading yet";
  setText(part.state, [meter.health, quality, meter.detail].filter(Boolean).join(", "));
  setText(part.value, kilowatts(meter.power_w));
  const amps = meter.current_a.filter(isNumber);
  const age = isNumber(meter.age_s) ? `${meter.age_s < 90 ? seconds(meter.age_s) : duration(meter.age_s)} ago` : "";
  setText(part.more, [amps.length ? amps.map(ampsFixed).join(" ") : "", age].filter(Boolean).join(" \u00b7 "));
}

export function renderSeries(series, currency) {
  show(byId("series-card"), series.length > 0);
  const bad = series.filter((one) => one.trouble).length;
  setText(byId("series-note"), bad ? `${bad} of ${series.length} in trouble` : "all good");
  const keys = series.map((one) => ({ ...one, currency, key: `${one.kind}|${one.source}` }));
  keyed(byId("series"), keys, (one) => one.key, create, updateSeries);
}

function updateSeries(part, one) {
  part.one = one;
  setData(part.node, "health", one.trouble ? "late" : "good");
  setText(part.title, SERIES[one.kind] ?? one.kind);
  setText(part.sub, `from ${one.source}`);
  setText(part.state, one.trouble);
  setText(part.value, isNumber(one.value_now) ? valueOf(one) : "nothing for now");
}

function valueOf({ kind, value_now: value, currency }) {
  if (kind === "buy" || kind === "sell") return `${number(value, 3)}${GAP}${currency}/kWh`;
  return kind === "co2" ? `${number(value, 3)}${GAP}kg/kWh` : kilowatts(value);
}

export function tickSeries(nowWallS) {
  for (const { more, one } of byId("series").parts?.values() ?? []) {
    setText(more, !isNumber(one.until_wall_s) ? "nothing is known" : one.until_wall_s <= nowWallS ? "has ended" : `until ${moment(one.until_wall_s, nowWallS)}`);
  }
}
