// The page: which view is shown, in which language and colours, and whether the server still answers.

import { Refusal } from "./api.js";
import { loadDrawing } from "./board.js";
import { button, h, say } from "./dom.js";
import { language, setLanguage, t } from "./i18n.js";

const VIEWS = ["runs", "training", "live", "games", "strength", "play", "analysis"];
const OF_RUNS = ["training", "live", "games", "strength"]; // those that are about a run
let view = null;
let turn = 0;

/** [view, ...rest] of the address, and its query. */
function route() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const [name, ...rest] = path.split("/").map(decodeURIComponent);
  return { name: VIEWS.includes(name) || name === "game" ? name : "runs", rest, query: new URLSearchParams(query) };
}

/** Say whether the server is silent. */
export function lost(silent) {
  const banner = document.getElementById("banner");
  if (banner.hidden === !silent) return;
  banner.hidden = !silent;
  say(banner, silent ? t("lost") : "");
}

async function show() {
  const mine = ++turn;
  const { name, rest, query } = route();
  view?.close?.();
  view = null;
  const main = document.getElementById("main");
  drawNav(name, rest[0]);
  document.title = `${t(name)}${rest[0] ? ` · ${rest[0]}` : ""} · Keisei`;
  try {
    const [{ open }] = await Promise.all([import(`./views/${name}.js`), loadDrawing()]);
    if (mine !== turn) return;
    const place = h("div", { class: `view ${name}` });
    main.replaceChildren(place);
    const opened = await open(place, { rest, query, lost, current: () => mine === turn });
    if (mine !== turn) opened?.close?.();
    else view = opened ?? null;
    main.dataset.ready = name;
  } catch (error) {
    if (mine !== turn) return;
    if (!(error instanceof Refusal)) lost(true);
    main.replaceChildren(h("div", { class: "card problem", role: "alert" }, h("p", {}, error instanceof Refusal && error.status === 404 ? t("gone") : error.message), button("↻", show, { "aria-label": "↻" })));
    if (!(error instanceof Refusal)) setTimeout(() => mine === turn && show(), 2000);
  }
}

function drawNav(name, run) {
  const known = OF_RUNS.includes(name) || name === "game" ? run?.split(",")[0] : null;
  if (known) sessionStorage.setItem("keisei-run", known);
  const last = known ?? sessionStorage.getItem("keisei-run");
  const active = name === "game" ? "games" : name;
  const links = VIEWS.filter((each) => !OF_RUNS.includes(each) || last).map((each) =>
    h("a", { href: OF_RUNS.includes(each) ? `#/${each}/${encodeURIComponent(last)}` : `#/${each}`, "aria-current": each === active ? "page" : null }, t(each)));
  document.getElementById("nav").replaceChildren(...links);
  document.getElementById("nav").setAttribute("aria-label", "Keisei");
  document.querySelector('#nav [aria-current="page"]')?.scrollIntoView({ block: "nearest", inline: "center" });
}

function drawTools() {
  const dark = document.documentElement.dataset.theme === "dark";
  document.documentElement.lang = language;
  say(document.getElementById("theme"), dark ? t("theme_light") : t("theme_dark"));
  say(document.getElementById("language"), t("language"));
  document.getElementById("language").lang = language === "ja" ? "en" : "ja";
  say(document.getElementById("skip"), t("skip"));
}

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  drawTools();
  view?.repaint?.();
}

const prefers = matchMedia("(prefers-color-scheme: dark)");
const wanted = () => localStorage.getItem("keisei-theme") ?? (prefers.matches ? "dark" : "light");
prefers.addEventListener("change", () => setTheme(wanted()));
document.getElementById("theme").addEventListener("click", () => {
  localStorage.setItem("keisei-theme", document.documentElement.dataset.theme === "dark" ? "light" : "dark");
  setTheme(wanted());
});
document.getElementById("language").addEventListener("click", () => {
  setLanguage(language === "ja" ? "en" : "ja");
  drawTools();
  show();
});
document.getElementById("skip").addEventListener("click", (event) => {
  event.preventDefault();
  document.getElementById("main").focus();
});
window.addEventListener("hashchange", show);
setTheme(wanted());
show();
