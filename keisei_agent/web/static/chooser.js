// Choosing a player or a network.

import { get } from "./api.js";
import { h, number, select } from "./dom.js";
import { t } from "./i18n.js";

let known = null;

export async function loadPlayers() {
  known = await get("/api/players");
  return known;
}

const rated = ({ rating }) => (rating ? `${t("rated")} ${number(rating.value)} (${number(rating.low)} … ${number(rating.high)})` : t("not_measured"));
const SEARCHES = [0, 16, 64, 200, 800];

/** A fieldset in which a player is chosen; `value()` is the choice for the server. */
export class Chooser {
  constructor(label, { person = true, simple = true, initial = null, onchange = () => {} } = {}) {
    const id = `chooser-${Math.random().toString(36).slice(2)}`;
    const networks = known.checkpoints.map(({ run, networks }) => ({ label: `${t("networks_of")} ${run}`, options: networks.map((name) => [JSON.stringify({ kind: "checkpoint", run, name }), `${run}/${name}`]) }));
    const options = [
      ...(person ? [[JSON.stringify({ kind: "person" }), t("person")]] : []),
      { label: t("levels"), options: known.levels.map((level) => [JSON.stringify({ kind: "level", name: level.name }), `${t("level")} ${level.name} — ${rated(level)}`]) },
      ...(simple ? [{ label: t("built_in"), options: known.simple.map((player) => [JSON.stringify({ kind: "simple", name: player.name }), `${player.name} — ${rated(player)}`]) }] : []),
      ...networks,
    ];
    this.who = select({ id, onchange: () => { this.update(); onchange(); } }, options, initial && JSON.stringify(initial));
    this.search = select({ id: `${id}-search`, onchange }, SEARCHES.map((count) => [String(count), count ? String(count) : t("no_search")]), "0");
    this.searchLabel = h("label", { for: `${id}-search` }, t("simulations"));
    this.element = h("div", { class: "chooser" }, h("label", { for: id }, label), this.who, this.searchLabel, this.search);
    this.update();
  }

  update() {
    const { kind } = JSON.parse(this.who.value);
    const searches = kind === "level" || kind === "checkpoint";
    this.search.hidden = this.searchLabel.hidden = !searches;
  }

  value() {
    const choice = JSON.parse(this.who.value);
    return this.search.hidden ? choice : { ...choice, simulations: Number(this.search.value) };
  }
}
