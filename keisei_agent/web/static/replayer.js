// Positions of a game on one board, with buttons, keys, a list of moves and the value graph.

import { Board } from "./board.js";
import { Chart } from "./chart.js";
import { button, DASH, h, say } from "./dom.js";
import { moveText, t } from "./i18n.js";

/**
 * Shows {sfens, moves, texts} ply by ply; `values` are Black's, one for each position, null where unknown.
 * `onply(ply)` is told which position is shown.
 */
export class Replayer {
  constructor({ onply = () => {} } = {}) {
    this.onply = onply;
    this.game = { sfens: [], moves: [], texts: [] };
    this.values = [];
    this.ply = 0;
    this.flip = false;
    this.board = new Board();
    this.chart = new Chart({ label: t("value_over_time"), height: 150, x: t("ply"), range: () => [-1.05, 1.05], onclick: (ply) => this.go(ply) });
    this.place = h("span", { class: "ply", "aria-live": "polite" });
    this.list = h("ol", { class: "moves", tabindex: 0, "aria-label": t("moves") });
    this.list.addEventListener("click", (event) => {
      const item = event.target.closest("li");
      if (item) this.go(Number(item.dataset.ply));
    });
    const control = (sign, name, act) => button(sign, act, { "aria-label": t(name), title: t(name), "data-go": name });
    this.controls = h("div", { class: "row controls-row" },
      control("|◀", "first", () => this.go(0)), control("◀", "previous", () => this.go(this.ply - 1)), this.place,
      control("▶", "next", () => this.go(this.ply + 1)), control("▶|", "last", () => this.go(Infinity)),
      button("⇅", () => { this.flip = !this.flip; this.draw(); }, { "aria-label": t("flip"), title: t("flip"), "data-go": "flip" }));
    this.key = (event) => {
      if (event.target.closest("input, select, textarea, dialog") || event.altKey || event.ctrlKey || event.metaKey) return;
      const go = { ArrowLeft: this.ply - 1, ArrowRight: this.ply + 1, Home: 0, End: Infinity }[event.key];
      if (go === undefined) return;
      event.preventDefault();
      this.go(go);
    };
    document.addEventListener("keydown", this.key);
  }

  /** Take a game; the position shown stays, or becomes the last one if it was. */
  set(game, values = this.values) {
    const follow = this.ply >= this.game.moves.length;
    const grown = game.moves.length >= this.game.moves.length && this.game.moves.every((move, k) => move === game.moves[k]) && game.start === this.game.start;
    const drawn = grown ? this.game.moves.length : 0;
    this.game = game;
    this.values = values;
    if (!grown) this.list.replaceChildren();
    this.list.append(...game.moves.slice(drawn).map((move, k) => h("li", { "data-ply": drawn + k + 1 }, moveText(move, game.texts?.[drawn + k]))));
    this.drawChart();
    if (!grown) this.ply = Math.min(this.ply, game.moves.length);
    return follow;
  }

  setValues(values) {
    this.values = values;
    this.drawChart();
    this.draw();
  }

  drawChart() {
    const x = this.values.map((_, k) => k);
    const mirrored = this.values.map((value) => (value === null ? null : -value));
    const known = this.values.some((value) => value !== null);
    this.chart.set(known ? [{ label: t("black_view"), x, y: this.values }, { label: t("white_view"), x, y: mirrored }] : []);
    this.chart.element.hidden = !known;
  }

  go(ply) {
    const next = Math.max(0, Math.min(ply, this.game.sfens.length - 1));
    this.ply = next;
    this.draw();
    this.onply(next);
  }

  draw(extra = {}) {
    const { sfens, moves, texts } = this.game;
    if (!sfens.length) return;
    this.board.show({ sfen: sfens[this.ply], last: this.ply ? moves[this.ply - 1] : null, flip: this.flip, ...extra });
    const move = this.ply ? moveText(moves[this.ply - 1], texts?.[this.ply - 1]) : t("start_position");
    say(this.place, `${this.ply} / ${sfens.length - 1}: ${move}`);
    this.list.querySelector(".now")?.classList.remove("now");
    const now = this.list.children[this.ply - 1];
    if (now) {
      now.classList.add("now");
      this.list.scrollTop = now.offsetTop - this.list.clientHeight / 2;
    }
    if (this.values.length) this.chart.mark(this.ply);
  }

  valueText(ply = this.ply) {
    const value = this.values[ply];
    return value === null || value === undefined ? DASH : `${value >= 0 ? "+" : ""}${value.toFixed(3)}`;
  }

  close() {
    document.removeEventListener("keydown", this.key);
    this.chart.destroy();
  }
}
