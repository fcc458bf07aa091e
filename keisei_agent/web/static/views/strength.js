// Ratings of a run's games.

import { get, listen, runPath } from "../api.js";
import { Chart } from "../chart.js";
import { DASH, h, number, percent, table } from "../dom.js";
import { t } from "../i18n.js";

export async function open(place, { rest, lost, current }) {
  const run = rest[0];
  const body = h("div", {});
  const chart = new Chart({ label: t("rating_over_training"), height: 240, x: t("decisions"), points: true });
  place.append(h("div", { class: "head" }, h("h1", {}, `${t("strength")} · ${run}`)), body);
  let drawn = "";

  const draw = async () => {
    const found = await get(`${runPath(run)}/strength`);
    const seal = JSON.stringify(found);
    if (!current() || seal === drawn) return;
    drawn = seal;
    const rated = found.curve.filter((point) => point.rating && point.rating[0] !== null);
    const end = (value) => (value === null ? "…" : number(value));
    const range = (rating) => (rating ? `${end(rating[1])} … ${rating[2] === null ? "" : number(rating[2])}` : DASH);
    const players = found.players.map((player, k) => [String(k + 1), player.name, player.rating ? number(player.rating[0]) : DASH, player.name === found.anchor ? "0" : range(player.rating), number(player.games), `${player.wins} – ${player.draws} – ${player.losses}`, percent(player.score), player.note]);
    const cross = found.cross.map((row, k) => [`${k + 1} ${found.players[k].name}`, ...row.map((cell, j) => (j === k ? "·" : cell ? `${cell[0]}/${cell[1]}` : DASH))]);
    const own = Math.max(...rated.map((point) => point.rating[0]), -Infinity);
    const ladder = [...found.known.map((player) => ({ ...player, own: false })), ...(Number.isFinite(own) ? [{ name: run, value: rated.at(-1).rating[0], low: rated.at(-1).rating[1], high: rated.at(-1).rating[2], own: true }] : [])].sort((a, b) => b.value - a.value);
    body.replaceChildren(
      found.players.length ? "" : h("p", { class: "empty" }, found.problem || t("no_strength")),
      h("section", { class: "card", hidden: !rated.length }, h("h2", {}, t("rating_over_training")), chart.element, h("p", { class: "about" }, `${t("evaluation_rating")}; ${t("interval")}`)),
      found.players.length ? h("section", { class: "card" }, h("h2", {}, t("rating")), h("p", { class: "muted" }, `${t("elo")}: ${t("anchor")} ${found.anchor}; ${t("interval")}; ${number(found.games)} ${t("games_count")}`), table(t("rating"), ["#", t("player"), t("elo"), t("interval"), t("games_count"), `${t("won")} – ${t("draws")} – ${t("lost_game")}`, t("score"), ""], players), found.notes.map((note) => h("p", { class: "muted" }, note))) : "",
      found.players.length ? h("section", { class: "card" }, h("h2", {}, t("cross_table")), table(t("cross_table"), ["", ...found.players.map((_, k) => String(k + 1))], cross)) : "",
      h("section", { class: "card", "data-part": "ladder" }, h("h2", {}, t("ladder")), h("ol", { class: "ladder" }, ladder.map((player) => h("li", { class: player.own ? "own" : "", "data-player": player.name }, h("span", { class: "name" }, player.name), h("meter", { min: 0, max: 6000, value: Math.max(0, player.value), "aria-label": player.name }), h("span", { class: "amount" }, `${number(player.value)} (${end(player.low)} … ${player.high === null ? "" : number(player.high)})`))))));
    if (rated.length) {
      const column = (k) => rated.map((point) => point.rating[k]);
      chart.set([{ label: t("rating"), x: rated.map((point) => point.steps), y: column(0), low: column(1), high: column(2) }]);
    }
  };
  await draw();
  if (!current()) return null;
  let seen = null;
  const end = listen(run, (news) => {
    const seal = JSON.stringify([news.versions?.games, news.versions?.evaluations]);
    if (seen !== null && seen !== seal) draw().catch(() => {});
    seen = seal;
  }, lost);
  return { close: () => { end(); chart.destroy(); }, repaint: () => chart.repaint() };
}
