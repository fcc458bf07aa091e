"""Every view in a real browser: it stands, says what the run folder holds, and can be used by everybody."""

import json
import re
from collections.abc import Callable
from importlib import resources
from pathlib import Path

import pytest
from browsing import Site, Tab

from shogi_env import Board
from shogi_env.arena.rating import rate
from shogi_env.arena.records import read_games

OpenTab = Callable[..., Tab]
ROUTES = {
    "runs": "runs",
    "training": "training/first",
    "compare": "training/first,second",
    "live": "live/first",
    "games": "games/first",
    "game": "game/first/3?ply=9",
    "strength": "strength/first",
    "play": "play",
    "analysis": "analysis",
}


def serious_findings(tab: Tab) -> list[str]:
    """What axe-core finds that keeps people from using the page."""
    axe = resources.files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8")
    tab.page.evaluate(axe)
    found = tab.page.evaluate("() => axe.run(document)")
    return [
        f"{one['id']}: {one['help']}: {node['html'][:120]}"
        for one in found["violations"]
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"][:3]
    ]


@pytest.mark.parametrize("name", ROUTES)
@pytest.mark.parametrize(
    ("dark", "width", "locale"),
    [(False, 1280, "en-US"), pytest.param(True, 390, "ja-JP", marks=pytest.mark.slow)],
)
def test_a_view(site: Site, open_tab: OpenTab, name: str, dark: bool, width: int, locale: str) -> None:
    pytest.importorskip("axe_playwright_python")
    tab = open_tab(dark=dark, width=width, height=844 if width < 500 else 900, locale=locale)
    asked: list[str] = []
    tab.page.on("request", lambda request: asked.append(request.url))
    page = tab.go(site.address, ROUTES[name])
    page.wait_for_timeout(700)
    assert {url for url in asked if not url.startswith(site.address)} == {"about:blank"} & set(asked)
    assert page.evaluate("document.documentElement.lang") == locale[:2]
    assert page.evaluate("document.documentElement.dataset.theme") == ("dark" if dark else "light")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), (
        "the page is wider than the screen"
    )
    tab.shoot(f"{name}-{'dark-phone' if dark else 'light'}")
    assert serious_findings(tab) == []


def number(text: str) -> float:
    return float(text.replace(",", ""))


def test_the_list_says_what_the_folder_holds(site: Site, open_tab: OpenTab) -> None:
    page = open_tab().go(site.address, "runs")
    for name in ("first", "second"):
        card = page.locator(f'[data-run="{name}"]')
        results = json.loads((site.root / name / "results.json").read_text())
        assert card.locator("[data-state]").get_attribute("data-state") == "finished"
        shown = card.locator('[data-fact="decisions"] dd').inner_text()
        assert shown == f"{results['num_timesteps']:,} of {results['num_timesteps']:,}"
        seconds = int(results["seconds"])
        assert card.locator('[data-fact="time"] dd').inner_text() == f"{seconds // 60}:{seconds % 60:02d}"
        assert card.locator('[data-fact="left"] dd').inner_text() == "–"
        path = site.root / name / "evaluations.jsonl"
        lines = card.locator(".evaluation li").all_inner_texts()
        if not path.exists():
            assert lines == ["–"]
            continue
        last = max(map(json.loads, path.read_text().splitlines()), key=lambda line: line["steps"])
        for line, result in zip(lines, last["results"], strict=False):
            ends = f"({100 * result['low']:.1f} % … {100 * result['high']:.1f} %)"
            assert line == f"against {result['opponent']}: {100 * result['score']:.1f} % {ends}"
        assert lines[-1].startswith("Rating: ")


def test_the_charts_show_the_curves(site: Site, open_tab: OpenTab) -> None:
    page = open_tab().go(site.address, "training/first")
    page.wait_for_selector("[data-chart]")
    curves = site.get("/api/runs/first/curves")  # compared with the event files by a test of the server
    shown = page.evaluate(
        "() => Object.fromEntries([...document.querySelectorAll('[data-chart]')].map((card) =>"
        " [card.dataset.chart, card.querySelector('.chart').getAttribute('aria-label')]))"
    )
    drawn = " ".join(shown.values())
    for key, curve in curves.items():
        if key in shown:
            last = next(value for value in reversed(curve["values"]) if value is not None)  # type: ignore[index]
            told = number(shown[key].rpartition(" ")[2])
            assert told == pytest.approx(last, rel=1e-3, abs=1e-6), key
        elif not re.match(r"evaluation/.*/(low|high)", key):
            assert key.split("/")[0] in ("games", "termination", "speed"), f"{key} is on no chart: {drawn}"
    explained = json.loads(
        (Path(__file__).parents[2] / "keisei_agent/web/static/metrics-en.json").read_text("utf-8")
    )
    about = page.locator('[data-chart="train/loss"] .about').inner_text()
    assert about == explained["train/loss"]
    assert page.locator('[data-part="log"] pre').inner_text() == (
        site.root / "first/log.txt"
    ).read_text().rstrip("\n")
    page.locator('[data-part="config"] summary').click()
    assert "total_timesteps: 2048" in page.locator('[data-part="config"] pre').inner_text()


def test_smoothing_log_scale_and_zoom(site: Site, open_tab: OpenTab) -> None:
    page = open_tab().go(site.address, "training/first")
    card = page.locator('[data-chart="train/value_loss"]')
    card.locator("canvas").wait_for()
    page.locator("#smoothing").fill("0.5")
    assert page.locator("output").inner_text() == "0.50"
    assert card.locator(".u-series").count() == 3  # the steps, the mean, and what was recorded
    card.locator("input[type=checkbox]").check()
    card.scroll_into_view_if_needed()
    box = card.locator(".u-over").bounding_box()
    assert box
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + 40, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + 140, middle, steps=4)
    page.mouse.up()
    page.mouse.move(box["x"] + 60, middle)
    page.wait_for_function(
        "() => /\\d/.test(document.querySelector('[data-chart=\"train/value_loss\"] .u-legend').innerText)"
    )
    page.get_by_role("button", name="Reset zoom").click()


def test_the_games_are_those_of_the_log(site: Site, open_tab: OpenTab) -> None:
    records = read_games(site.root / "first/games.jsonl")
    page = open_tab().go(site.address, "games/first")
    rows = page.locator("tbody tr")
    rows.first.wait_for()
    assert rows.count() == min(50, len(records))
    for row in rows.all()[:8]:
        cells = row.locator("th, td").all_inner_texts()
        record = records[int(cells[0])]
        assert cells[1:3] == [record.black.name, record.white.name]
        assert cells[4] == str(len(record.moves))
    page.locator('[data-filter="player"]').select_option("greedy")
    page.wait_for_url("**player=greedy**")
    page.wait_for_selector("main[data-ready]")
    greedy = sum("greedy" in (game.black.name, game.white.name) for game in records)
    page.wait_for_function(
        f"() => document.querySelector('[role=status].muted')?.innerText.startsWith('{greedy} of')"
    )


def test_the_ratings_are_those_of_the_games(site: Site, open_tab: OpenTab) -> None:
    ratings = rate(read_games(site.root / "first/games.jsonl"), "random")
    page = open_tab().go(site.address, "strength/first")
    rows = page.locator(".scroll table").first.locator("tbody tr")
    rows.first.wait_for()
    for row, player in zip(rows.all(), ratings.players, strict=True):
        cells = row.locator("th, td").all_inner_texts()
        assert cells[1] == player.name
        assert cells[2] == (
            "–" if player.rating is None else f"{player.rating.value:,.0f}".replace("-0", "0")
        )
        assert number(cells[4]) == player.games
    names = page.locator('[data-part="ladder"] [data-player]').evaluate_all(
        "all => all.map((one) => one.dataset.player)"
    )
    assert {"gps", "minimax:3", "level:1", "random"} <= set(names)


def test_a_replay(site: Site, open_tab: OpenTab) -> None:
    record = read_games(site.root / "first/games.jsonl")[3]
    tab = open_tab()
    page = tab.go(site.address, "game/first/3")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert page.locator(".ply").inner_text().startswith(f"2 / {len(record.moves)}: {record.moves[1]}")
    page.keyboard.press("End")
    assert page.locator(".ply").inner_text().startswith(f"{len(record.moves)} / ")
    board = Board(record.start, max_plies=None)
    for move in record.moves:
        board.push_usi(move)
    assert page.locator(".board").get_attribute("aria-label") == f"Shogi board: {board.sfen()}"
    page.keyboard.press("Home")
    page.locator('.moves li[data-ply="5"]').click()
    assert page.locator(".ply").inner_text().startswith("5 / ")
    page.locator('[data-act="compute"]').click()
    page.locator('[data-part="swings"] button').first.wait_for()
    page.locator('[data-part="swings"] button').first.click()
    assert re.fullmatch(r"[+-]\d\.\d{3}", page.locator('[data-fact="value"]').inner_text())
    tab.shoot("replay-values")
    with page.expect_download() as download:
        page.get_by_role("link", name="KIF").click()
    assert "手合割" in Path(download.value.path()).read_text("utf-8")


def test_the_board_is_the_drawing(site: Site, open_tab: OpenTab) -> None:
    record = read_games(site.root / "first/games.jsonl")[3]
    page = open_tab().go(site.address, "game/first/3")
    page.keyboard.press("End")
    board = Board(record.start, max_plies=None)
    for move in record.moves:
        board.push_usi(move)
    wanted = re.findall(
        r'<use xlink:href="#([^"]+)" fill="([^"]+)"[^>]* transform="matrix\(([^)]*)\)"', board.svg()
    )
    found = page.evaluate(
        """() => [...document.querySelectorAll('svg.board use')].flatMap((use) => {
            const numbers = (one) => one.getAttribute('transform').match(/-?\\d[\\d.e-]*/g).map(Number);
            const of = (one, dx, dy, scale) => {
                const [width, , , height, x, y] = numbers(one);
                const name = one.getAttribute('href').slice(1);
                return [name, one.getAttribute('fill'), width * scale, height * scale,
                        x * scale + dx, y * scale + dy];
            };
            const id = use.getAttribute('href').slice(1);
            if (!id.startsWith('piece-')) return [of(use, 0, 0, 1)];
            const [x, y, scale = 1] = numbers(use);
            return [...document.getElementById(id).children].map((one) => of(one, x, y, scale));
        })"""
    )

    def rounded(name: str, fill: str, *numbers: float) -> tuple[object, ...]:
        return (name, fill, *(round(value, 1) + 0.0 for value in numbers))

    drawn = sorted(rounded(name, fill, *numbers[2:]) for name, fill, *numbers in found)
    right = sorted(
        rounded(name, fill, *[float(matrix.split()[k]) for k in (4, 5)]) for name, fill, matrix in wanted
    )
    assert len(drawn) == len(right)
    for one, other in zip(drawn, right, strict=True):
        assert one[:2] == other[:2] and one[2:] == pytest.approx(other[2:], abs=1.0)  # type: ignore[comparison-overlap]


def test_an_analysis(site: Site, open_tab: OpenTab) -> None:
    tab = open_tab()
    page = tab.go(site.address, "analysis")
    page.locator("#sfen").fill("4k4/9/4P4/9/9/9/9/9/4K4 b G 1")
    page.get_by_role("button", name="Set").click()
    page.wait_for_function(
        "() => document.querySelectorAll('.shares li').length > 0"
        " && document.querySelector('#sfen').value.startsWith('4k4')"
    )
    page.locator(".chooser select").nth(1).select_option("64")
    page.get_by_text("mate in 1").wait_for()
    tab.shoot("analysis-mate")
    page.locator("#sfen").fill("nonsense")
    page.get_by_role("button", name="Set").click()
    page.wait_for_function("() => document.querySelector('[role=status].muted').innerText.length > 10")
    tab.complaints.clear()  # the browser notes that the server refused


def test_language_and_colors_stay(site: Site, open_tab: OpenTab) -> None:
    page = open_tab().go(site.address, "runs")
    page.get_by_role("button", name="日本語").click()
    page.get_by_role("heading", name="学習一覧").wait_for()
    page.get_by_role("button", name="暗い").click()
    page.reload()
    page.get_by_role("heading", name="学習一覧").wait_for()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
