// The board: the drawing of `Board.svg()`, with pieces that can be moved.

import { h, s } from "./dom.js";
import { t } from "./i18n.js";
import { get } from "./api.js";
import { letterOf, nameOf, parse, readMove } from "./sfen.js";

let parts = null; // what the server draws with
const DRAG = 6; // pixels from which on a press is a drag
const RANKS = "一二三四五六七八九";

/** Load the drawing once. */
export async function loadDrawing() {
  if (parts) return parts;
  parts = await get("/api/drawing");
  const defs = s("defs");
  for (const [name, path] of Object.entries(parts.outlines)) defs.append(s("path", { id: idOf(name), d: path }));
  for (const [number, shapes] of Object.entries(parts.pieces)) {
    defs.append(s("g", { id: `piece-${number}` }, shapes.map(draw)));
  }
  document.getElementById("outlines").replaceChildren(defs);
  return parts;
}

const idOf = (name) => `shogi-${name.length > 1 ? name : name.codePointAt(0).toString(16)}`;

/** A shape of the server's list as an element. */
function draw([outline, x, y, width, height, fill, opacity]) {
  const attributes = { href: `#${idOf(outline)}`, fill, transform: `matrix(${width / 1000} 0 0 ${height / 1000} ${x} ${y})` };
  return s("use", opacity === 1 ? attributes : { ...attributes, "fill-opacity": opacity });
}

/** A shape as it lies when the board is turned: numbers stay upright. */
function turned([outline, x, y, width, height, fill, opacity]) {
  const { width: w, height: hgt } = parts.layout;
  if (/^\d$/.test(outline)) return [outline, w + 1 - x, y, width, height, fill, opacity];
  if (RANKS.includes(outline)) return [outline, x, hgt + 1 - y, width, height, fill, opacity];
  if (outline === "piece") return [outline, w - x, hgt - y, -width, -height, fill, opacity];
  return [outline, x, y, width, height, fill, opacity];
}

/**
 * A board in an element of its own (`element`).
 * `show({sfen, last, legal, flip, heat, hint})` draws a position; with `legal`, moves can be made, and
 * `onmove(usi)` is called with them.
 */
export class Board {
  constructor({ onmove = null, label = "" } = {}) {
    const { width, height } = parts.layout;
    this.onmove = onmove;
    this.layers = Object.fromEntries(["furniture", "marks", "pieces", "hands", "targets", "hits"].map((name) => [name, s("g", { class: name })]));
    this.svg = s("svg", { viewBox: `0 0 ${width} ${height}`, class: "board", role: onmove ? "group" : "img", "aria-label": label || t("board") }, Object.values(this.layers));
    this.element = h("div", { class: "board-frame" }, this.svg);
    this.shown = {};
    this.selected = null;
    this.focus = 40;
    if (onmove) this.listen();
  }

  show(state) {
    const before = this.shown;
    this.shown = { legal: [], flip: false, last: null, heat: null, hint: null, ...state };
    this.position = parse(this.shown.sfen);
    this.moves = this.shown.legal.map((usi) => ({ usi, ...readMove(usi) }));
    if (before.flip !== this.shown.flip) {
      const shapes = this.shown.flip ? parts.furniture.map(turned) : parts.furniture;
      this.layers.furniture.replaceChildren(...shapes.map(draw));
    }
    if (before.sfen !== this.shown.sfen) this.selected = null;
    this.drawMarks();
    this.drawPieces();
    this.drawHands();
    this.drawTargets();
    if (this.onmove) this.drawHits();
    else this.svg.setAttribute("aria-label", `${t("board")}: ${this.shown.sfen}`);
  }

  /** The middle of a cell on the screen's board. */
  center(cell) {
    const { cell: [w, hgt], grid: [left, top], width, height } = parts.layout;
    const x = left + w * (8.5 - Math.floor(cell / 9)) + 0.5, y = top + hgt * ((cell % 9) + 0.5) + 0.5;
    return this.shown.flip ? [width + 1 - x, height + 1 - y] : [x, y];
  }

  stand(color) {
    const { stands, marks, width, height } = parts.layout;
    const name = color ? "white" : "black";
    const place = ([x, y]) => (this.shown.flip ? [width - x, height - y] : [x, y]);
    return { center: place(stands[name]), mark: place(marks[name]) };
  }

  drawMarks() {
    const { cell: [w, hgt], stand: [sw, sh], colors } = parts.layout;
    const shapes = [];
    const box = (cell, fill, opacity) => shapes.push(["box", ...this.center(cell), w - 1, hgt - 1, fill, opacity]);
    if (this.shown.last) {
      const { from, to } = readMove(this.shown.last);
      box(to, from === null ? colors.destination : colors.destination, 0.7);
      if (from !== null) box(from, colors.origin, 0.7);
    }
    const { center: [x, y], mark } = this.stand(this.position.turn);
    shapes.push(["box", x, y, sw, sh, colors.to_move, 1], ["box", x, y, sw - 4, sh - 4, colors.stand, 1]);
    shapes.push(["disc", mark[0] - 34, mark[1], 14, 14, colors.to_move, 1]);
    const heat = (this.shown.heat ?? []).map((share, cell) => [share, cell]).filter(([share]) => share >= 0.005);
    this.layers.marks.replaceChildren(...shapes.map(draw), ...heat.map(([share, cell]) => {
      const [cx, cy] = this.center(cell);
      return s("rect", { class: "heat", x: cx - w / 2 + 1, y: cy - hgt / 2 + 1, width: w - 2, height: hgt - 2, "fill-opacity": (0.12 + 0.68 * Math.sqrt(share)).toFixed(3) },
        s("title", {}, `${nameOf(cell)} ${(100 * share).toFixed(1)} %`));
    }));
  }

  piece(number, x, y, scale = 1) {
    const transform = `translate(${x} ${y})${this.shown.flip ? " rotate(180)" : ""}${scale === 1 ? "" : ` scale(${scale})`}`;
    return s("use", { href: `#piece-${number}`, transform });
  }

  drawPieces() {
    const found = [];
    this.position.board.forEach((number, cell) => {
      if (!number) return;
      const element = this.piece(number, ...this.center(cell));
      if (this.selected?.cell === cell) element.classList.add("lifted");
      found.push(element);
    });
    this.layers.pieces.replaceChildren(...found);
  }

  /** What lies on a stand: {kind, count, x, y} from the top. */
  held(color) {
    const { hand_order: order, slot, stand: [, sh] } = parts.layout;
    const [x, y] = this.stand(color).center;
    return order.map((kind) => ({ kind, count: this.position.hands[color][kind - 1] })).filter(({ count }) => count)
      .map((entry, k) => ({ ...entry, x: x - 22, y: y - sh / 2 + 6 + slot * (k + 0.5), right: x + 24 }));
  }

  drawHands() {
    const { hand_scale: scale, digit: [size, step], colors } = parts.layout;
    const found = [];
    for (const color of [0, 1]) {
      for (const { kind, count, x, y, right } of this.held(color)) {
        const element = this.piece(kind + 16 * color, x, y, scale);
        if (this.selected?.drop === kind && color === this.position.turn) element.classList.add("lifted");
        found.push(element);
        [...String(count)].forEach((digit, k, all) => {
          found.push(draw([digit, right - (step * (all.length - 1)) / 2 + step * k, y, size, size, colors.ink, 1]));
        });
      }
    }
    this.layers.hands.replaceChildren(...found);
  }

  drawTargets() {
    const found = [];
    if (this.selected) {
      for (const cell of new Set(this.reachable().map((move) => move.to))) {
        const [x, y] = this.center(cell);
        found.push(this.position.board[cell]
          ? s("rect", { class: "target ring", x: x - 22, y: y - 24, width: 44, height: 48, rx: 8 })
          : s("circle", { class: "target", cx: x, cy: y, r: 8 }));
      }
    }
    if (this.shown.hint) found.push(this.arrow(this.shown.hint));
    this.layers.targets.replaceChildren(...found);
  }

  /** An arrow for a move. */
  arrow(usi) {
    const { from, drop, to } = readMove(usi);
    const target = this.center(to);
    const hand = drop === null ? null : this.held(this.position.turn).find((entry) => entry.kind === drop);
    const [x, y] = from !== null ? this.center(from) : hand ? [hand.x, hand.y] : target;
    return s("g", { class: "hint" }, s("line", { x1: x, y1: y, x2: target[0], y2: target[1] }), s("circle", { cx: target[0], cy: target[1], r: 12 }));
  }

  /** Moves of what is selected. */
  reachable() {
    const { cell, drop } = this.selected;
    return this.moves.filter((move) => (drop ? move.drop === drop : move.from === cell));
  }

  drawHits() {
    const { cell: [w, hgt] } = parts.layout;
    const focused = this.layers.hits.contains(document.activeElement);
    const found = [];
    for (let cell = 0; cell < 81; cell++) {
      const [x, y] = this.center(cell);
      found.push(s("rect", { class: "hit", "data-cell": cell, x: x - w / 2, y: y - hgt / 2, width: w, height: hgt, role: "button", tabindex: cell === this.focus ? 0 : -1, "aria-label": this.describe(cell), "aria-pressed": this.selected?.cell === cell }));
    }
    for (const { kind, count, x, y } of this.held(this.position.turn)) {
      if (!this.moves.some((move) => move.drop === kind)) continue;
      found.push(s("rect", { class: "hit", "data-drop": kind, x: x - 26, y: y - 23, width: 96, height: 46, role: "button", tabindex: 0, "aria-label": `${t("in_hand")}: ${t(`piece_${letterOf(kind)}`)} ${count}`, "aria-pressed": this.selected?.drop === kind }));
    }
    this.layers.hits.replaceChildren(...found);
    if (focused) this.layers.hits.querySelector(`[data-cell="${this.focus}"]`).focus();
  }

  describe(cell) {
    const number = this.position.board[cell];
    if (!number) return nameOf(cell);
    const kind = number % 16;
    const promoted = kind > 8;
    const side = number > 16 ? t("white") : t("black");
    return `${nameOf(cell)}: ${side} ${promoted ? `${t("promoted")} ` : ""}${t(`piece_${letterOf(promoted ? kind - 8 : kind)}`)}`;
  }

  listen() {
    this.layers.hits.addEventListener("keydown", (event) => this.key(event));
    this.svg.addEventListener("pointerdown", (event) => this.press(event));
    this.svg.addEventListener("click", (event) => {
      if (event.detail === 0 && event.target.classList.contains("hit")) this.choose(hitOf(event.target)); // by a reader
    });
  }

  key(event) {
    const steps = { ArrowLeft: 9, ArrowRight: -9, ArrowUp: -1, ArrowDown: 1 };
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      this.choose(hitOf(event.target));
    } else if (event.key === "Escape") {
      this.pick(null);
    } else if (event.key in steps && event.target.dataset.cell) {
      event.preventDefault();
      const next = Number(event.target.dataset.cell) + steps[event.key] * (this.shown.flip ? -1 : 1);
      const sameFile = Math.floor(next / 9) === Math.floor(event.target.dataset.cell / 9);
      if (next < 0 || next > 80 || (Math.abs(steps[event.key]) === 1 && !sameFile)) return;
      this.focus = next;
      this.drawHits();
      this.layers.hits.querySelector(`[data-cell="${next}"]`).focus();
    }
  }

  /** A press: a click chooses, a drag moves. */
  press(event) {
    if (!event.target.classList.contains("hit") || event.button) return;
    event.preventDefault();
    const begin = hitOf(event.target);
    const wasSelected = this.selected;
    const start = [event.clientX, event.clientY];
    let ghost = null;
    const move = (moved) => {
      if (!ghost && Math.hypot(moved.clientX - start[0], moved.clientY - start[1]) > DRAG && this.can(begin)) {
        this.pick(begin);
        const kind = begin.drop ? begin.drop + 16 * this.position.turn : this.position.board[begin.cell];
        ghost = this.piece(kind, 0, 0, 1.1);
        ghost.classList.add("ghost");
        this.svg.append(ghost);
      }
      if (ghost) {
        const [x, y] = this.place(moved);
        ghost.setAttribute("transform", `translate(${x} ${y})${this.shown.flip ? " rotate(180)" : ""} scale(1.1)`);
      }
    };
    const end = (ended) => {
      document.removeEventListener("pointermove", move);
      document.removeEventListener("pointerup", end);
      document.removeEventListener("pointercancel", end);
      ghost?.remove();
      const target = document.elementFromPoint(ended.clientX, ended.clientY);
      if (!ghost) {
        this.selected = wasSelected;
        this.choose(begin);
      } else {
        if (target?.classList.contains("hit") && this.svg.contains(target)) this.go(hitOf(target).cell);
        else this.pick(null);
      }
    };
    document.addEventListener("pointermove", move);
    document.addEventListener("pointerup", end);
    document.addEventListener("pointercancel", end);
  }

  /** A point of the screen in the drawing's units. */
  place(event) {
    const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(this.svg.getScreenCTM().inverse());
    return [point.x, point.y];
  }

  /** Whether a piece can move at all. */
  can({ cell, drop }) {
    return this.moves.some((move) => (drop ? move.drop === drop : move.from === cell));
  }

  /** Select a piece, or move what is selected. */
  choose(hit) {
    if (hit.cell !== undefined) this.focus = hit.cell;
    const same = this.selected && this.selected.cell === hit.cell && this.selected.drop === hit.drop;
    if (same) this.pick(null);
    else if (this.selected && hit.cell !== undefined && this.reachable().some((move) => move.to === hit.cell)) this.go(hit.cell);
    else this.pick(this.can(hit) ? hit : null);
  }

  pick(hit) {
    this.selected = hit;
    this.drawPieces();
    this.drawHands();
    this.drawTargets();
    this.drawHits();
  }

  /** Move what is selected to a cell; ask whether it promotes where it may. */
  async go(cell) {
    const moves = this.selected ? this.reachable().filter((move) => move.to === cell) : [];
    const from = this.selected;
    this.pick(null);
    if (!moves.length) return;
    let chosen = moves[0];
    if (moves.length > 1) {
      const promotes = await askPromotion(this.position.board[from.cell]);
      if (promotes === null) return;
      chosen = moves.find((move) => move.promotes === promotes);
    }
    this.onmove(chosen.usi);
  }
}

const hitOf = ({ dataset }) => (dataset.drop ? { drop: Number(dataset.drop) } : { cell: Number(dataset.cell) });

/** Ask whether a piece promotes: true, false, or null for neither. */
function askPromotion(number) {
  const kind = number % 16;
  return new Promise((resolve) => {
    const choice = (shown, text, value) => h("button", { type: "button", class: "piece-choice", "data-promote": value, onclick: () => dialog.close(value) },
      s("svg", { viewBox: "-26 -28 52 56", width: 72, height: 78, "aria-hidden": "true" }, s("use", { href: `#piece-${shown}` })), text);
    const dialog = h("dialog", { class: "promotion", "aria-label": t("promote_question") },
      h("p", {}, t("promote_question")), h("div", { class: "row" }, choice(kind + 8, t("promote"), "yes"), choice(kind, t("keep"), "no")));
    dialog.addEventListener("close", () => {
      const value = dialog.returnValue;
      dialog.remove();
      resolve(value === "yes" ? true : value === "no" ? false : null);
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}
