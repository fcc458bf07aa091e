// Playing: people and players, in any seats.

import { get, post } from "../api.js";
import { Board, loadDrawing } from "../board.js";
import { Chooser, loadPlayers } from "../chooser.js";
import { button, h, say, select } from "../dom.js";
import { language, moveText, resultText, t } from "../i18n.js";

const KEY = "keisei-table";
const PAUSE = 350; // ms between moves of two players

export async function open(place, { current }) {
  const [, drawing] = await Promise.all([loadPlayers(), loadDrawing()]);
  if (!current()) return null;
  let game = null, flip = false, busy = false, paused = false, closed = false;
  const board = new Board({ onmove: (usi) => act("move", { move: usi }) });
  const black = new Chooser(t("black")), white = new Chooser(t("white"), { initial: { kind: "level", name: "1" } });
  const handicap = select({ id: "handicap" }, Object.entries(drawing.handicaps).map(([japanese, name]) => [name, language === "ja" ? japanese : name === "even" ? t("even") : name]), "even");
  const start = button(t("begin"), begin, { class: "primary", "data-act": "begin" });
  const status = h("p", { class: "status", role: "status", "aria-live": "polite" });
  const problem = h("p", { class: "alarm", role: "alert", hidden: true });
  const hinter = new Chooser(`${t("hint")}:`, { person: false, initial: { kind: "level", name: "3" } });
  const actions = {
    take_back: button(t("take_back"), () => act("take-back"), { "data-act": "take-back" }),
    hint: button(t("hint"), hint, { "data-act": "hint" }),
    declare: button(t("declare"), () => act("declare"), { "data-act": "declare" }),
    resign: button(t("resign"), () => act("resign", { color: resigner() }), { "data-act": "resign", class: "danger" }),
    pause: button(t("pause"), () => { paused = !paused; draw(); next(); }, { "data-act": "pause" }),
    flip: button(t("flip"), () => { flip = !flip; draw(); }, { "data-act": "flip" }),
  };
  const list = h("ol", { class: "moves", tabindex: 0, "aria-label": t("moves") });
  const saves = h("div", { class: "row", hidden: true });
  const names = [1, 0].map((color) => h("p", { class: `seat ${color ? "white" : "black"}` }));
  place.append(h("div", { class: "head" }, h("h1", {}, t("play"))),
    h("div", { class: "stage" },
      h("div", { class: "board-side" }, names[0], board.element, names[1], status, problem, h("div", { class: "row actions" }, Object.values(actions))),
      h("div", { class: "card info" }, black.element, white.element, h("div", { class: "chooser" }, h("label", { for: "handicap" }, t("handicap")), handicap), h("div", { class: "row" }, start), hinter.element, h("p", { class: "muted" }, t("you_can")), saves, list)));

  const isPerson = (color) => game.sides[color].kind === "person";
  const resigner = () => (isPerson(game.turn) ? game.turn : game.turn === "black" ? "white" : "black");

  async function begin() {
    const sides = { black: black.value(), white: white.value() };
    flip = sides.black.kind !== "person" && sides.white.kind === "person";
    paused = false;
    list.replaceChildren();
    await ask("/api/tables", { ...sides, start: handicap.value });
    next();
  }

  async function act(what, body = {}) {
    if (!game || busy) return;
    await ask(`/api/tables/${game.id}/${what}`, body);
    next();
  }

  async function ask(path, body) {
    busy = true;
    problem.hidden = true;
    draw();
    try {
      const found = await post(path, body);
      if (!closed) take(found);
    } catch (error) {
      problem.hidden = false;
      say(problem, error.message);
      if (error.status === 404) forget();
    }
    busy = false;
    if (!closed) draw();
  }

  function take(found) {
    game = found;
    sessionStorage.setItem(KEY, game.id);
    board.hint = null;
  }

  function forget() {
    game = null;
    sessionStorage.removeItem(KEY);
  }

  /** Let players play until a person is to move. */
  async function next() {
    while (game && !closed && !game.end && !paused && !busy && !isPerson(game.turn)) {
      const ply = game.moves.length;
      await ask(`/api/tables/${game.id}/think`, { ply });
      if (!problem.hidden || !game || game.moves.length === ply && !game.end) return;
      if (!isPerson("black") && !isPerson("white")) await new Promise((resolve) => setTimeout(resolve, PAUSE));
    }
  }

  async function hint() {
    if (!game || busy) return;
    busy = true;
    draw();
    try {
      const { hint: found } = await post(`/api/tables/${game.id}/hint`, { player: hinter.value() });
      busy = false;
      board.hint = found?.move ?? null;
      draw();
      say(status, found ? `${t("hint")}: ${moveText(found.move, found.text)}` : t("would_resign"));
    } catch (error) {
      busy = false;
      problem.hidden = false;
      say(problem, error.message);
      draw();
    }
  }

  function draw() {
    const people = game ? ["black", "white"].filter(isPerson).length : 0;
    const mine = game && !game.end && !busy && isPerson(game.turn);
    board.show({ sfen: game?.sfen ?? "lnsgkgsnl/1r5b1/ppppppppp/9/9/9/PPPPPPPPP/1B5R1/LNSGKGSNL b - 1", legal: mine ? game.legal : [], last: game?.moves.at(-1) ?? null, flip, hint: mine ? board.hint : null });
    actions.take_back.disabled = !game || busy || !people || !game.moves.length;
    actions.hint.disabled = !mine;
    actions.declare.disabled = !mine || !game.can_declare;
    actions.resign.disabled = !game || !!game.end || busy || !people;
    actions.pause.hidden = !game || people > 0 || !!game.end;
    say(actions.pause, paused ? t("go_on") : t("pause"));
    start.disabled = busy;
    ["white", "black"].forEach((color, k) => say(names[flip ? 1 - k : k], game ? `${color === "black" ? "☗" : "☖"} ${label(color)}` : ""));
    if (game) {
      const grown = list.children.length <= game.moves.length;
      if (!grown) list.replaceChildren();
      list.append(...game.moves.slice(list.children.length).map((move, k) => h("li", {}, moveText(move, game.texts[list.children.length + k]))));
      list.scrollTop = list.scrollHeight;
      say(status, game.end ? resultText(game.winner, game.end) : busy && !isPerson(game.turn) ? t("thinking") : `${game.check ? `${t("check")}. ` : ""}${mine && people === 1 ? t("your_turn") : `${t(game.turn)} ${t("to_move")}`}`);
      status.dataset.end = game.end ?? "";
    } else say(status, "");
    saves.hidden = !game?.moves.length;
    if (game && saves.dataset.id !== game.id) {
      saves.dataset.id = game.id;
      saves.replaceChildren(h("span", { class: "muted" }, t("save_as")), ...["csa", "kif", "usi"].map((format) => h("a", { class: "button small", href: `/api/tables/${game.id}/record.${format}`, download: `game.${format}` }, format.toUpperCase())));
    }
  }

  function label(color) {
    return isPerson(color) ? t("person") : game.labels[color];
  }

  draw();
  const known = sessionStorage.getItem(KEY);
  if (known) {
    try {
      take(await get(`/api/tables/${known}`));
      flip = !isPerson("black") && isPerson("white");
      draw();
      next();
    } catch {
      forget();
    }
  }
  return { close: () => { closed = true; } };
}
