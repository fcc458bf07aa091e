// All runs of the folder.

import { get, listen } from "../api.js";
import { button, clock, DASH, h, number, percent } from "../dom.js";
import { t } from "../i18n.js";

/** "52 (-73 … 178)", or a dash. */
export function ratingText(rating) {
  if (!rating) return DASH;
  const [value, low, high] = rating;
  const range = `${low === null ? "…" : number(low)} … ${high === null ? "" : number(high)}`.trim();
  return value === null ? `(${range})` : `${number(value)} (${range})`;
}

/** What an evaluation found, line by line. */
export function evaluationLines(evaluation) {
  if (!evaluation) return [DASH];
  const lines = evaluation.results.map((result) => `${t("against")} ${result.opponent}: ${percent(result.score)} (${percent(result.low)} … ${percent(result.high)})`);
  return [...lines, `${t("rating")}: ${ratingText(evaluation.rating)}`];
}

/** A run's state as a badge. */
export function badge(run) {
  const doing = run.state === "running" && run.doing ? `: ${t(`doing_${run.doing}`)}` : "";
  return h("span", { class: `badge ${run.state}`, "data-state": run.state }, `${t(run.state)}${doing}`);
}

/** Facts of a run, as name and value. */
export function facts(run) {
  return [
    ["decisions", `${number(run.steps)}${run.target ? ` ${t("of")} ${number(run.target)}` : ""}`],
    ["time", `${clock(run.seconds)}${run.max_time ? ` ${t("of")} ${clock(run.max_time)}` : ""}`],
    ["left", clock(run.left)],
    ["speed", number(run.speed)],
  ];
}

export const bar = (run) => h("div", { class: "bar", role: "progressbar", "aria-label": `${t("progress")} ${run.name}`, "aria-valuemin": 0, "aria-valuemax": 100, "aria-valuenow": run.done === null ? null : Math.round(100 * run.done) },
  h("progress", { max: 1, value: run.done ?? 0, "aria-hidden": "true" }));

export async function open(place, { lost, current }) {
  const chosen = new Set();
  const list = h("div", { class: "runs-list" });
  const compare = button(t("compare_selected"), () => { location.hash = `#/training/${[...chosen].map(encodeURIComponent).join(",")}`; }, { disabled: true });
  place.append(h("div", { class: "head" }, h("h1", {}, t("runs")), compare), list);
  const cards = new Map();

  const draw = ({ runs }) => {
    if (!runs.length) list.replaceChildren(h("p", { class: "empty" }, t("no_runs")));
    else if (!cards.size) list.replaceChildren();
    const names = new Set(runs.map((run) => run.name));
    for (const [name, entry] of cards) if (!names.has(name)) { entry.element.remove(); cards.delete(name); }
    for (const run of runs) {
      const seal = JSON.stringify(run);
      const known = cards.get(run.name);
      if (known?.seal === seal) continue;
      const element = card(run, chosen, () => { compare.disabled = chosen.size < 2; });
      if (known) {
        const focused = known.element.contains(document.activeElement) ? document.activeElement.dataset.focus : null;
        known.element.replaceWith(element);
        if (focused) element.querySelector(`[data-focus="${focused}"]`)?.focus();
      } else list.append(element);
      cards.set(run.name, { seal, element });
    }
  };
  draw(await get("/api/runs"));
  if (!current()) return null;
  return { close: listen("", draw, lost) };
}

function card(run, chosen, changed) {
  const path = encodeURIComponent(run.name);
  const check = h("input", { type: "checkbox", "data-focus": "check", checked: chosen.has(run.name), onchange: (event) => { event.target.checked ? chosen.add(run.name) : chosen.delete(run.name); changed(); } });
  return h("article", { class: "card run", "data-run": run.name },
    h("div", { class: "row spread" }, h("h2", {}, h("a", { href: `#/training/${path}`, "data-focus": "name" }, run.name)), badge(run)),
    bar(run),
    h("dl", { class: "facts" }, facts(run).map(([name, value]) => h("div", { "data-fact": name }, h("dt", {}, t(name)), h("dd", {}, value)))),
    h("div", { class: "evaluation" }, h("h3", {}, t("last_evaluation")), h("ul", {}, evaluationLines(run.evaluation).map((line) => h("li", {}, line)))),
    run.alarms.length ? h("p", { class: "alarm" }, `${t("alarms")}: ${run.alarms.join(", ")}`) : null,
    run.crash ? h("p", { class: "alarm" }, `${run.crash.type}: ${run.crash.text}`) : null,
    h("div", { class: "row links" }, ["training", "live", "games", "strength"].map((name) => h("a", { href: `#/${name}/${path}`, "data-focus": name }, t(name))),
      h("label", { class: "check" }, check, t("compare"))));
}
