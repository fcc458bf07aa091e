// The games of a run.

import { get, listen, runPath } from "../api.js";
import { button, h, number, say, select, table } from "../dom.js";
import { resultText, t } from "../i18n.js";

export async function open(place, { rest, query, lost, current }) {
  const run = rest[0];
  const asked = { player: query.get("player") ?? "", result: query.get("result") ?? "", reason: query.get("reason") ?? "", offset: Number(query.get("offset") ?? 0) };
  const count = h("p", { class: "muted", role: "status" });
  const filters = h("div", { class: "controls card" });
  const list = h("div", {});
  const pager = h("div", { class: "row" });
  place.append(h("div", { class: "head" }, h("h1", {}, `${t("games")} · ${run}`)), filters, count, list, pager);

  const go = (changes) => {
    const next = new URLSearchParams(Object.entries({ ...asked, offset: 0, ...changes }).filter(([, value]) => value));
    location.hash = `#/games/${encodeURIComponent(run)}${next.size ? `?${next}` : ""}`;
  };
  const filter = (name, first, options) => h("label", {}, h("span", { class: "hidden" }, first), select({ onchange: (event) => go({ [name]: event.target.value }), "data-filter": name }, [["", first], ...options], asked[name]));

  let drawn = "";
  const draw = async () => {
    const found = await get(`${runPath(run)}/games`, asked);
    if (!current()) return;
    const seal = JSON.stringify(found);
    if (seal === drawn) return;
    drawn = seal;
    const results = [["black", t("black_won")], ["white", t("white_won")], ["draw", t("draw")], ["void", t("void")], ...(asked.player ? [["won", `${asked.player} ${t("won")}`], ["lost", `${asked.player} ${t("lost_game")}`]] : [])];
    if (!filters.contains(document.activeElement)) {
      filters.replaceChildren(filter("player", t("any_player"), found.players.map((name) => [name, name])), filter("result", t("any_result"), results), filter("reason", t("any_reason"), found.reasons.map((name) => [name, t(name)])));
    }
    say(count, found.problem || (found.total ? `${number(found.found)} ${t("of")} ${number(found.total)}` : t("no_games")));
    list.replaceChildren(found.games.length ? table(t("games"), ["#", t("black"), t("white"), t("result"), t("plies")], found.games.map((game) => [
      h("a", { href: `#/game/${encodeURIComponent(run)}/${game.number}`, "aria-label": `${t("game")} ${game.number}` }, String(game.number)), game.black, game.white, resultText(game.result, game.reason), number(game.plies),
    ])) : "");
    const turn = (text, offset, possible) => button(text, () => go({ offset }), { disabled: !possible });
    pager.replaceChildren(...(found.found > found.page ? [turn(`← ${t("newer")}`, asked.offset - found.page, asked.offset > 0), turn(`${t("older")} →`, asked.offset + found.page, asked.offset + found.page < found.found)] : []));
  };
  await draw();
  if (!current()) return null;
  let games = null;
  return { close: listen(run, (news) => {
    const seal = JSON.stringify(news.versions?.games);
    if (games !== null && games !== seal) draw().catch(() => {});
    games = seal;
  }, lost) };
}
