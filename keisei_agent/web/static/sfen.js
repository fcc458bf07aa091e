// SFEN and USI, as far as a board needs them.

const LETTERS = "PLNSBRGK";

/** {board: 81 numbers by cell (9 * file + rank), hands: [[7], [7]], turn: 0 | 1, number} of an SFEN. */
export function parse(sfen) {
  const [ranks, turn, hands, number] = sfen.split(" ");
  const board = new Array(81).fill(0);
  ranks.split("/").forEach((text, rank) => {
    let file = 8;
    for (const part of text.match(/\+?[A-Za-z]|\d/g)) {
      if (/\d/.test(part)) {
        file -= Number(part);
        continue;
      }
      board[9 * file-- + rank] = piece(part);
    }
  });
  const held = [new Array(7).fill(0), new Array(7).fill(0)];
  for (const [, count, letter] of hands === "-" ? [] : hands.matchAll(/(\d*)([A-Za-z])/g)) {
    const number = piece(letter);
    held[number > 16 ? 1 : 0][(number % 16) - 1] = Number(count || 1);
  }
  return { board, hands: held, turn: turn === "b" ? 0 : 1, number: Number(number || 1) };
}

function piece(text) {
  const letter = text.at(-1);
  const upper = letter.toUpperCase();
  return LETTERS.indexOf(upper) + 1 + (text.length > 1 ? 8 : 0) + (letter === upper ? 0 : 16);
}

/** {from: cell | null, drop: kind | null, to: cell, promotes} of a move in USI. */
export function readMove(usi) {
  const to = cellOf(usi.slice(2, 4));
  if (usi[1] === "*") return { from: null, drop: LETTERS.indexOf(usi[0]) + 1, to, promotes: false };
  return { from: cellOf(usi.slice(0, 2)), drop: null, to, promotes: usi.endsWith("+") };
}

export const cellOf = (text) => 9 * (Number(text[0]) - 1) + text.charCodeAt(1) - 97;
export const nameOf = (cell) => `${Math.floor(cell / 9) + 1}${"abcdefghi"[cell % 9]}`;
export const letterOf = (kind) => LETTERS[kind - 1];

/** The SFEN after a move that is known to be legal. */
export function apply(sfen, usi) {
  const { board, hands, turn, number } = parse(sfen);
  const { from, drop, to, promotes } = readMove(usi);
  const own = 16 * turn;
  if (drop !== null) {
    hands[turn][drop - 1] -= 1;
    board[to] = drop + own;
  } else {
    const taken = board[to] % 16;
    if (taken) hands[turn][(taken > 8 ? taken - 8 : taken) - 1] += 1;
    board[to] = board[from] + (promotes ? 8 : 0);
    board[from] = 0;
  }
  return format({ board, hands, turn: 1 - turn, number: number + 1 });
}

function format({ board, hands, turn, number }) {
  const ranks = [];
  for (let rank = 0; rank < 9; rank++) {
    let text = "", empty = 0;
    for (let file = 8; file >= 0; file--) {
      const found = board[9 * file + rank];
      if (!found) {
        empty += 1;
        continue;
      }
      text += (empty || "") + write(found);
      empty = 0;
    }
    ranks.push(text + (empty || ""));
  }
  const held = [0, 1].flatMap((color) => [6, 5, 7, 4, 3, 2, 1].map((kind) => {
    const count = hands[color][kind - 1];
    return count ? (count > 1 ? count : "") + write(kind + 16 * color) : "";
  })).join("");
  return `${ranks.join("/")} ${turn ? "w" : "b"} ${held || "-"} ${number}`;
}

function write(piece) {
  const kind = piece % 16;
  const letter = LETTERS[(kind > 8 ? kind - 8 : kind) - 1];
  return (kind > 8 ? "+" : "") + (piece > 16 ? letter.toLowerCase() : letter);
}
