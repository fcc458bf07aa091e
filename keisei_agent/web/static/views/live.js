// The game that a run plays now, as it was recorded.

import { get, listen, runPath } from "../api.js";
import { DASH, clock, h, number, percent, say, table } from "../dom.js";
import { resultText, t } from "../i18n.js";
import { Replayer } from "../replayer.js";
import { apply } from "../sfen.js";
import { badge, bar } from "./runs.js";

export async function open(place, { rest, lost, current }) {
  const run = rest[0];
  const first = await get(runPath(run));
  if (!current()) return null;
  const top = h("div", { class: "card run-head", "data-run": run });
  const note = h("p", { class: "empty", hidden: true, role: "status" });
  const fields = Object.fromEntries(["ply", "value", "decisions", "speed", "left", "last_seen"].map((name) => [name, h("dd", { "data-fact": name }, DASH)]));
  const policy = h("div", { "data-part": "policy" });
  const ended = h("div", { "data-part": "ended" });
  const heat = h("input", { type: "checkbox", checked: true, onchange: () => draw() });
  const follow = h("input", { type: "checkbox", checked: true, onchange: () => { if (follow.checked) replayer.go(Infinity); } });
  let frame = null, clockNow = null, board = null, moving = false;
  const replayer = new Replayer({ onply: (ply) => { if (!moving) follow.checked = ply >= replayer.game.moves.length; draw(); } });
  const stage = h("div", { class: "stage" },
    h("div", { class: "board-side" }, replayer.board.element, replayer.controls, h("div", { class: "row" }, h("label", { class: "check" }, follow, t("follow")), h("label", { class: "check" }, heat, t("heat")))),
    h("div", { class: "card info" },
      h("dl", { class: "facts" }, Object.entries(fields).map(([name, element]) => h("div", {}, h("dt", {}, t(name)), element))),
      h("h2", {}, t("likeliest")), policy, h("h2", {}, t("value_over_time")), replayer.chart.element, replayer.list));
  place.append(h("div", { class: "head" }, h("h1", {}, `${t("live")} · ${run}`)), top, note, stage, h("section", { class: "card" }, h("h2", {}, t("ended_games")), ended));

  function draw() {
    const shown = frame?.policy?.ply === replayer.ply ? frame.policy : null; // only where it was recorded
    replayer.draw({ heat: heat.checked && shown ? shown.heat : null });
    say(fields.ply, frame?.game ? `${replayer.ply} / ${replayer.game.moves.length}` : DASH);
    say(fields.value, replayer.valueText());
    const rows = shown?.best ?? [];
    const seal = JSON.stringify(rows);
    if (policy.dataset.seal === seal) return;
    policy.dataset.seal = seal;
    policy.replaceChildren(rows.length ? h("ul", { class: "shares" }, rows.map(([move, share]) => h("li", { "data-move": move }, h("span", { class: "usi" }, move), h("meter", { min: 0, max: 1, value: share, "aria-label": move }), h("span", { class: "amount" }, percent(share))))) : h("p", { class: "muted" }, DASH));
  }

  function take(live) {
    frame = live;
    clockNow = live?.time ?? null;
    note.hidden = !!live?.game;
    stage.hidden = !live?.game;
    if (!live) say(note, t("no_live"));
    else if (!live.game) say(note, t("no_live_yet"));
    else {
      const { start, moves, values } = live.game;
      const grown = board && board.start === start && board.moves.every((move, k) => move === moves[k]);
      if (!grown) board = { start, moves: [], sfens: [start] };
      const sfens = [...board.sfens];
      for (const move of moves.slice(board.moves.length)) sfens.push(apply(sfens.at(-1), move));
      board = { start, moves, sfens };
      const graph = new Array(sfens.length).fill(null);
      for (const [ply, value] of values) graph[ply] = value;
      if (live.policy && live.policy.ply < graph.length) graph[live.policy.ply] = live.policy.value;
      replayer.set(board, graph);
      moving = true;
      if (follow.checked) replayer.go(Infinity);
      else replayer.go(replayer.ply);
      moving = false;
      draw();
    }
    say(fields.decisions, number(live?.steps));
    say(fields.speed, number(live?.speed));
    say(fields.left, clock(live?.left));
    const rows = (live?.ended ?? []).toReversed();
    const seal = JSON.stringify(rows);
    if (ended.dataset.seal !== seal) {
      ended.dataset.seal = seal;
      ended.replaceChildren(rows.length ? table(t("ended_games"), [t("result"), t("plies"), t("decisions")], rows.map((game) => [resultText(game.result, game.reason), number(game.plies), number(game.steps)])) : h("p", { class: "muted" }, DASH));
    }
    age();
  }

  const age = () => say(fields.last_seen, clockNow === null ? DASH : `${number(Math.max(0, Date.now() / 1000 - clockNow))} ${t("ago")}`);
  const head = (summary) => top.replaceChildren(h("div", { class: "row spread" }, h("span", {}, summary.state === "running" ? "" : t("training_gone")), badge(summary)), bar(summary));
  head(first.summary);
  take(null);
  note.hidden = true;
  const timer = setInterval(age, 1000);
  const end = listen(run, (news) => {
    if (news.gone) return say(note, t("gone"));
    head(news.summary);
    take(news.live);
  }, lost);
  return { close: () => { clearInterval(timer); end(); replayer.close(); }, repaint: () => replayer.chart.repaint() };
}
