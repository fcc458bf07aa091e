// One game, to be replayed.

import { get, post, runPath } from "../api.js";
import { Chooser, loadPlayers } from "../chooser.js";
import { button, h, say } from "../dom.js";
import { moveText, resultText, t } from "../i18n.js";
import { Replayer } from "../replayer.js";

const SWINGS = 5;

export async function open(place, { rest, current, query }) {
  const [run, numberText] = rest;
  const [game] = await Promise.all([get(`${runPath(run)}/games/${numberText}`), loadPlayers()]);
  if (!current()) return null;
  const replayer = new Replayer({ onply: () => { say(value, replayer.valueText()); link(); } });
  const value = h("dd", { "data-fact": "value" }, "–");
  const problem = h("p", { class: "alarm", role: "alert", hidden: true });
  const swings = h("div", { class: "row", "data-part": "swings" });
  const networks = new Chooser(t("value_by"), { person: false, simple: false });
  networks.search.hidden = networks.searchLabel.hidden = true;
  const here = h("a", { class: "button" }, t("analyse_here"));
  const link = () => {
    here.href = `#/analysis?${new URLSearchParams({ start: game.start, moves: game.moves.slice(0, replayer.ply).join(" ") })}`;
  };
  const compute = button(t("compute"), async () => {
    compute.disabled = true;
    problem.hidden = true;
    try {
      const { values } = await post("/api/values", { start: game.start, moves: game.moves, player: networks.value() });
      if (!current()) return;
      replayer.setValues(values);
      say(value, replayer.valueText());
      const jumps = values.slice(1).map((after, k) => [after === null || values[k] === null ? 0 : Math.abs(after - values[k]), k + 1]).sort((a, b) => b[0] - a[0]).slice(0, SWINGS).filter(([size]) => size > 0);
      swings.replaceChildren(h("span", { class: "muted" }, t("swings")), ...jumps.map(([size, ply]) => button(`${ply}. ${moveText(game.moves[ply - 1], game.texts[ply - 1])} (${size.toFixed(2)})`, () => replayer.go(ply), { class: "small" })));
    } catch (error) {
      problem.hidden = false;
      say(problem, error.message);
    }
    compute.disabled = false;
  }, { "data-act": "compute" });
  const download = (format) => h("a", { class: "button small", href: `${runPath(run)}/games/${numberText}.${format}`, download: `${run}-${numberText}.${format}` }, format.toUpperCase());
  place.append(
    h("div", { class: "head" }, h("h1", {}, `${game.black} – ${game.white}`), h("a", { href: `#/games/${encodeURIComponent(run)}` }, t("games"))),
    h("div", { class: "stage" },
      h("div", { class: "board-side" }, replayer.board.element, replayer.controls, h("p", { class: "muted" }, t("keys_help"))),
      h("div", { class: "card info" },
        h("dl", { class: "facts" }, ...[["black", game.black], ["white", game.white], ["result", resultText(game.result, game.reason)], ["plies", String(game.moves.length)]].map(([name, text]) => h("div", { "data-fact": name }, h("dt", {}, t(name)), h("dd", {}, text))), h("div", {}, h("dt", {}, t("value")), value)),
        networks.element, h("div", { class: "row" }, compute, here), problem, swings, replayer.chart.element,
        h("div", { class: "row" }, h("span", { class: "muted" }, t("download")), ["csa", "kif", "usi"].map(download)), replayer.list)));
  replayer.set(game, []);
  replayer.go(Number(query.get("ply") ?? 0));
  return { close: () => replayer.close(), repaint: () => replayer.chart.repaint() };
}
