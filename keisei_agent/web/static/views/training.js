// A run's curves, settings and log; several runs side by side.

import { get, listen, runPath } from "../api.js";
import { Chart } from "../chart.js";
import { button, h, say, short, DASH } from "../dom.js";
import { language, t } from "../i18n.js";
import { badge, bar, evaluationLines, facts } from "./runs.js";

const GROUPS = ["train", "value", "games", "evaluation", "league", "speed", "alarms", "layers", "pretrain", "other"];
const HOME = { termination: "games", boards: "games", random: "evaluation", mates: "evaluation", memory: "speed", time: "speed" };
const REFETCH = 2000; // ms between two readings of the curves while they grow

/** Charts that show several keys of one run. */
const TOGETHER = [
  { name: "results_by_color", group: "games", keys: ["games/black_wins", "games/white_wins", "games/draws"], labels: ["black_wins", "white_wins", "draws"] },
  { name: "lengths", group: "games", keys: ["games/plies", "games/plies_shortest", "games/plies_longest"], labels: ["mean", "shortest", "longest"] },
  { name: "reasons", group: "games", match: /^termination\// },
  { name: "shares", group: "speed", keys: ["speed/acting", "speed/environment", "speed/callbacks", "speed/learning", "speed/other"] },
];
const EVALUATION = /^evaluation\/(.+)\/(score|value|low|high)$/;

/** What charts there are for some keys: {id, title, keys, group, about}; of an interval, {middle, low, high}. */
export function plan(keys, several, explain) {
  const left = new Set(keys), charts = [];
  if (!several) {
    for (const { name, group, keys: wanted, labels, match } of TOGETHER) {
      const found = wanted ? wanted.filter((key) => left.has(key)) : [...left].filter((key) => match.test(key));
      if (found.length < 2) continue;
      found.forEach((key) => left.delete(key));
      charts.push({ id: name, title: t(name), group, lines: found.map((key) => ({ key, label: labels ? t(labels[wanted.indexOf(key)]) : t(key.split("/").at(-1)) })), about: found.map((key) => `${key}: ${explain(key)}`) });
    }
  }
  for (const key of [...left].sort((a, b) => explain.place(a) - explain.place(b) || (a < b ? -1 : 1))) {
    const found = EVALUATION.exec(key);
    if (found && (found[2] === "score" || found[2] === "value")) {
      const base = `evaluation/${found[1]}`, rated = found[2] === "value";
      const [low, high] = [`${base}/low`, `${base}/high`].map((each) => (left.has(each) ? each : null));
      charts.push({ id: key, title: rated ? t("evaluation_rating") : `${t("score_against")} ${found[1]}`, group: "evaluation", lines: [{ key, low, high }], about: [`${key}: ${explain(key)}`, t("interval")] });
    } else if (!found) {
      const head = key.split("/")[0], home = HOME[head] ?? head;
      charts.push({ id: key, title: key, group: GROUPS.includes(home) ? home : "other", lines: [{ key }], about: [explain(key)] });
    }
  }
  return charts;
}

export async function open(place, { rest, lost, current }) {
  const names = (rest[0] ?? "").split(",").filter(Boolean);
  const about = await get(`/static/metrics-${language}.json`);
  const order = Object.keys(about);
  const explain = (key) => about[key] ?? about[general(key)] ?? DASH;
  explain.place = (key) => order.findIndex((each) => each === key || each === general(key)); // as METRICS.md has them
  const details = await Promise.all(names.map((name) => get(runPath(name))));
  if (!current()) return null;
  const charts = new Map(), data = new Map();
  const options = { weight: 0, log: new Set() };
  const several = names.length > 1;

  const heads = names.map((name) => h("div", { class: "card run-head", "data-run": name }));
  const sections = h("div", {});
  const smoothing = h("input", { id: "smoothing", type: "range", min: 0, max: 0.98, step: 0.02, value: 0, oninput: () => { options.weight = Number(smoothing.value); say(amount, smoothing.value === "0" ? t("none") : Number(smoothing.value).toFixed(2)); fillCharts(); } });
  const amount = h("output", { for: "smoothing" }, t("none"));
  place.append(
    h("div", { class: "head" }, h("h1", {}, names.join(" · "))), ...heads,
    h("div", { class: "controls card" }, h("label", { for: "smoothing" }, t("smoothing")), smoothing, amount,
      button(t("reset_zoom"), () => charts.forEach(({ chart }) => { chart.zoomed = false; chart.repaint(); })), h("span", { class: "muted" }, t("zoom_help"))),
    sections, h("div", { class: "below" }));
  const below = place.querySelector(".below");

  const drawHead = (k, summary) => heads[k].replaceChildren(
    h("div", { class: "row spread" }, several ? h("h2", {}, names[k]) : h("span"), badge(summary)), bar(summary),
    h("dl", { class: "facts" }, facts(summary).map(([name, value]) => h("div", { "data-fact": name }, h("dt", {}, t(name)), h("dd", {}, value)))),
    h("ul", { class: "plain" }, evaluationLines(summary.evaluation).map((line) => h("li", {}, line))),
    summary.alarms.length ? h("p", { class: "alarm" }, `${t("alarms")}: ${summary.alarms.join(", ")}`) : "",
    summary.crash ? h("p", { class: "alarm" }, `${summary.crash.type}: ${summary.crash.text}`) : "",
    summary.complete ? "" : h("p", { class: "muted" }, t("reading")));

  const drawBelow = () => below.replaceChildren(...details.map((detail, k) => h("section", { class: "card" },
    several ? h("h2", {}, names[k]) : null,
    detail.alarms.length ? h("details", { open: true }, h("summary", {}, t("alarms")), h("ul", {}, detail.alarms.map(([step, text]) => h("li", {}, `${step}: ${text}`)))) : null,
    h("details", { "data-part": "log", open: true }, h("summary", {}, t("log")), h("pre", { class: "log", tabindex: 0 }, detail.log.join("\n") || DASH)),
    h("details", { "data-part": "config" }, h("summary", {}, t("settings")), h("pre", { tabindex: 0 }, detail.config ?? DASH)))));

  const drawSections = () => {
    const keys = new Set([...data.values()].flatMap((found) => Object.keys(found)));
    const wanted = plan([...keys], several, explain);
    const seal = wanted.map((chart) => chart.id + chart.lines.length).join();
    if (sections.dataset.seal === seal) return fillCharts();
    sections.dataset.seal = seal;
    charts.forEach(({ chart }) => chart.destroy());
    charts.clear();
    sections.replaceChildren(...GROUPS.filter((group) => wanted.some((chart) => chart.group === group)).map((group) => {
      const inside = wanted.filter((chart) => chart.group === group);
      return h("section", { "data-group": group }, h("h2", {}, t(`group_${group}`)), h("div", { class: "charts" }, inside.map((one) => cardOf(one))));
    }));
    if (!keys.size) sections.replaceChildren(h("p", { class: "empty" }, t("no_curves")));
    fillCharts();
  };

  const cardOf = (one) => {
    const chart = new Chart({ label: one.title, sync: "training", x: t("decisions") });
    const log = h("input", { type: "checkbox", onchange: () => { log.checked ? options.log.add(one.id) : options.log.delete(one.id); fillCharts(); } });
    log.checked = options.log.has(one.id);
    const latest = h("span", { class: "latest" });
    charts.set(one.id, { chart, one, latest });
    return h("article", { class: "card chart-card", "data-chart": one.id },
      h("div", { class: "row spread" }, h("h3", {}, one.title), latest, h("label", { class: "check small" }, log, t("log_scale"))), chart.element,
      h("p", { class: "about" }, one.about.length > 2 ? h("details", {}, h("summary", {}, "?"), one.about.map((text) => h("span", { class: "line" }, text))) : one.about.join(" · ")));
  };

  const fillCharts = () => charts.forEach(({ chart, one, latest }) => {
    const lines = names.flatMap((name, k) => one.lines.map((line, j) => {
      const found = data.get(name)?.[line.key];
      if (!found) return null;
      const side = (key) => (key && data.get(name)[key] ? align(found.steps, data.get(name)[key]) : null);
      const [low, high] = [side(line.low), side(line.high)];
      return { label: several ? name : line.label ?? line.key.split("/").at(-1), x: found.steps, y: found.values, color: several ? k : j, ...(low && high ? { low, high } : {}) };
    }).filter(Boolean));
    say(latest, lines.length === 1 ? short(lines[0].y.at(-1)) : "");
    chart.set(lines, { log: options.log.has(one.id), weight: options.weight });
  });

  const fetched = new Map();
  const fetchCurves = async (name) => {
    fetched.set(name, Date.now());
    data.set(name, await get(`${runPath(name)}/curves`));
    if (current()) drawSections();
  };
  const later = new Map();
  const refetch = (k, everything) => {
    const name = names[k];
    clearTimeout(later.get(name));
    later.set(name, setTimeout(async () => {
      try {
        if (everything) details[k] = await get(runPath(name));
        if (!current()) return;
        if (everything) refreshLog(k);
        await fetchCurves(name);
      } catch {
        // the banner says that the server is silent; the next news try again
      }
    }, Math.max(0, (fetched.get(name) ?? 0) + REFETCH - Date.now())));
  };
  const refreshLog = (k) => {
    const log = below.children[k]?.querySelector(".log");
    if (!log) return;
    const atEnd = log.scrollTop + log.clientHeight >= log.scrollHeight - 8;
    say(log, details[k].log.join("\n") || DASH);
    if (atEnd) log.scrollTop = log.scrollHeight;
  };

  details.forEach((detail, k) => drawHead(k, detail.summary));
  drawBelow();
  await Promise.all(names.map(fetchCurves));
  if (!current()) return null;
  for (const log of below.querySelectorAll(".log")) log.scrollTop = log.scrollHeight;
  const seen = names.map(() => null);
  const ends = names.map((name, k) => listen(name, (news) => {
    if (news.gone) return heads[k].replaceChildren(h("p", { class: "alarm" }, t("gone")));
    drawHead(k, news.summary);
    const seal = JSON.stringify(news.versions);
    if (seen[k] !== null && seen[k] !== seal || !news.summary.complete) refetch(k, true);
    seen[k] = seal;
  }, lost));
  return {
    close() {
      ends.forEach((end) => end());
      later.forEach(clearTimeout);
      charts.forEach(({ chart }) => chart.destroy());
    },
    repaint: () => charts.forEach(({ chart }) => chart.repaint()),
  };
}

/** The key of the explanation that stands for many: evaluation/<opponent>/score. */
function general(key) {
  const [head, , tail] = key.split("/");
  return { evaluation: `evaluation/<opponent>/${tail}`, league: `league/<player>/${tail}`, layers: "layers/<weight>" }[head];
}

/** Values of a curve at the steps of another; null where it has none. */
function align(steps, curve) {
  const known = new Map(curve.steps.map((step, k) => [step, curve.values[k]]));
  return steps.map((step) => known.get(step) ?? null);
}
