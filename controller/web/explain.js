// "What the limits cost": what held cars back in the last days, from the prices inside the plans.

import { byId, h, keyed, s, setData, setText, show } from "./dom.js";
import { duration, money, number } from "./format.js";

const GAP = "\u202f";
const BARS = { width: 140, height: 34, gap: 2 };
const LONGEST_S = 86400;

export function renderExplain(explain, currency) {
  show(byId("explain-card"), Boolean(explain));
  if (!explain) return;
  const { limits, days, sentences } = explain;
  show(byId("effects"), limits.length > 0);
  show(byId("effects-head"), limits.length > 0);
  setText(byId("explain-note"), `from the prices inside the plans, since ${explain.first_day}`);
  const most = Math.max(3600, ...limits.flatMap((limit) => limit.day_bound_s));
  const rows = limits.map((limit) => ({ ...limit, days, currency, most: Math.min(most, LONGEST_S) }));
  keyed(byId("effects"), rows, (limit) => limit.where, createEffect, updateEffect);
  keyed(byId("explain-said"), sentences, (sentence) => sentence, (sentence) => ({ node: h("li", {}, sentence) }), () => {});
}

function createEffect() {
  const cell = (label) => {
    const value = h("b", { class: "num" });
    return { value, node: h("span", { class: "effect-cell" }, h("small", {}, label), value) };
  };
  const part = {
    title: h("b"),
    phases: h("span", { class: "row-sub" }),
    bars: s("svg", { viewBox: `0 0 ${BARS.width} ${BARS.height}`, class: "effect-bars", role: "img" }),
    held: cell("held cars back, 7 days"),
    cost: cell("that cost about"),
    more: cell("more would have saved"),
  };
  part.node = h("li", { class: "effect" }, h("div", { class: "row-main" }, part.title, part.phases), part.bars, part.held.node, part.cost.node, part.more.node);
  return part;
}

function updateEffect(part, limit) {
  const { week } = limit;
  setText(part.title, limit.name);
  setText(part.phases, limit.phases.length ? `on ${limit.phases.join(", ")}` : "");
  setText(part.held.value, duration(week.bound_s));
  const money7 = limit.where === "peak" ? "–" : money(week.cost, limit.currency);
  setText(part.cost.value, money7);
  setText(part.more.value, limit.where === "peak" ? "–" : `${number(limit.more)}${GAP}${limit.unit}: ${money(week.saved_by_more, limit.currency)}`);
  setData(part.node, "short", week.short_s >= 60);
  part.node.title = limit.sentence;
  drawBars(part.bars, limit);
}

// One bar a day, the height is how long the limit held cars back.
function drawBars(svg, limit) {
  const values = limit.day_bound_s;
  const key = `${limit.days.at(-1)}|${limit.most}|${values.join()}`;
  if (svg.drawn === key) return;
  svg.drawn = key;
  const step = BARS.width / values.length;
  const bars = values.map((seconds, index) => {
    const height = Math.max(seconds > 0 ? 2 : 1, (BARS.height * Math.min(seconds, limit.most)) / limit.most);
    const bar = s("rect", { x: index * step, y: BARS.height - height, width: step - BARS.gap, height, rx: 1.5, class: seconds > 0 ? "effect-bar" : "effect-none" });
    bar.append(s("title", {}, `${limit.days[index]}: ${duration(seconds)}`));
    return bar;
  });
  svg.replaceChildren(...bars);
  const said = values.map((seconds, index) => (seconds >= 60 ? `${limit.days[index]} ${duration(seconds)}` : "")).filter(Boolean);
  svg.setAttribute("aria-label", `Held cars back per day, last ${values.length} days: ${said.join(", ") || "never"}`);
}
