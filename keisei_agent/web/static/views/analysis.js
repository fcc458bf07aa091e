// Any position: what a network and a search think of it.

import { post } from "../api.js";
import { Board } from "../board.js";
import { Chooser, loadPlayers } from "../chooser.js";
import { DASH, button, h, number, percent, say, table } from "../dom.js";
import { moveText, resultText, t } from "../i18n.js";

const LARGEST = 512 * 1024; // bytes of a record that the server takes

export async function open(place, { query, current }) {
  await loadPlayers();
  if (!current()) return null;
  let start = query.get("start"), moves = (query.get("moves") ?? "").split(" ").filter(Boolean), answer = 0, shown = null, record = null;
  const board = new Board({ onmove: (usi) => go([...moves, usi]) });
  let flip = false;
  const network = new Chooser(t("network"), { person: false, simple: false, initial: { kind: "level", name: "3" }, onchange: () => look() });
  const heat = h("input", { type: "checkbox", checked: true, onchange: () => draw() });
  const text = h("input", { id: "sfen", type: "text", spellcheck: "false", autocomplete: "off" });
  const set = h("form", { class: "row", onsubmit: (event) => { event.preventDefault(); start = text.value.trim() || null; record = null; games.hidden = true; go([]); } }, h("label", { for: "sfen" }, t("sfen")), text, h("button", { type: "submit" }, t("set")));
  const file = h("input", { id: "record", type: "file", accept: ".csa,.kif,.kifu,.ki2,.ki2u,.usi,.sfen", onchange: () => upload() });
  const games = h("div", { class: "row", hidden: true });
  const status = h("p", { role: "status", class: "muted" });
  const out = h("div", { "data-part": "analysis" });
  const steps = h("div", { class: "row controls-row" },
    button(`◀ ${t("undo")}`, () => moves.length && go(moves.slice(0, -1)), { "data-go": "previous" }),
    button(`${t("next")} ▶`, () => record && moves.length < record.moves.length && go(record.moves.slice(0, moves.length + 1)), { "data-go": "next" }),
    button("⇅", () => { flip = !flip; draw(); }, { "aria-label": t("flip"), title: t("flip") }),
    button(t("start_position"), () => { start = null; record = null; games.hidden = true; go([]); }),
    h("label", { class: "check" }, heat, t("heat")));
  place.append(h("div", { class: "head" }, h("h1", {}, t("analysis"))),
    h("div", { class: "stage" }, h("div", { class: "board-side" }, board.element, steps),
      h("div", { class: "card info" }, network.element, set, h("div", { class: "row" }, h("label", { for: "record" }, t("open_record")), file), games, status, out)));

  async function upload() {
    const chosen = file.files[0];
    if (!chosen) return;
    try {
      if (chosen.size > LARGEST) throw new Error(`> ${LARGEST / 1024} KiB`);
      const found = await post("/api/records", chosen.slice(0, chosen.size));
      if (!current()) return;
      const pick = (game) => { record = game; start = game.start; go(game.moves.slice(0, 0)); };
      games.replaceChildren(...found.games.map((game, k) => button(`${k + 1}: ${game.headers.black ?? DASH} – ${game.headers.white ?? DASH} (${game.moves.length})`, () => pick(game), { class: "small" })));
      games.hidden = found.games.length < 2;
      pick(found.games[0]);
    } catch (error) {
      say(status, error.message);
    }
  }

  function go(next) {
    moves = next;
    return look();
  }

  async function look() {
    const mine = ++answer;
    say(status, t("thinking"));
    try {
      const found = await post("/api/analysis", { start, moves, player: network.value() });
      if (mine !== answer || !current()) return;
      shown = found;
      say(status, found.end ? `${t("over")} ${resultText(found.winner, found.end)}` : found.check ? t("check") : "");
      text.value = found.sfen;
      draw();
    } catch (error) {
      if (mine !== answer) return;
      if (shown && error.status === 400) moves = moves.slice(0, -1);
      say(status, error.message);
    }
  }

  function draw() {
    if (!shown) return;
    board.show({ sfen: shown.sfen, legal: shown.legal, last: moves.at(-1) ?? null, flip, heat: heat.checked ? shown.heat : null, hint: shown.search?.moves[0]?.move ?? null });
    const signed = (value) => (value === null ? DASH : `${value >= 0 ? "+" : ""}${value.toFixed(3)}`);
    out.replaceChildren(
      h("dl", { class: "facts" }, h("div", {}, h("dt", {}, `${t("value")} (${t("black_view")})`), h("dd", { "data-fact": "value" }, signed(shown.value))),
        h("div", {}, h("dt", {}, `${t("search")} (${t("black_view")})`), h("dd", { "data-fact": "search" }, shown.search ? `${signed(shown.search.value)} · ${number(shown.search.visits)}` : DASH))),
      h("h2", {}, t("policy")),
      shown.policy.length ? h("ul", { class: "shares" }, shown.policy.map((entry) => h("li", { "data-move": entry.move }, button(moveText(entry.move, entry.text), () => go([...moves, entry.move]), { class: "link usi" }), h("meter", { min: 0, max: 1, value: entry.share, "aria-label": entry.move }), h("span", { class: "amount" }, percent(entry.share))))) : h("p", {}, DASH),
      ...(shown.search ? [h("h2", {}, t("search")), table(t("search"), [t("move"), t("visits"), t("value"), t("line")], shown.search.moves.map((entry) => [
        button(moveText(entry.move, entry.text), () => go([...moves, entry.move]), { class: "link usi" }), number(entry.visits), entry.mate ? `${t("mate_in")} ${entry.mate}` : signed(entry.value), h("span", { class: "line" }, entry.line.join(" ")),
      ]))] : []));
  }

  await look();
  return {};
}
