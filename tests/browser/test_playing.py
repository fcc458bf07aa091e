"""Games that are played on the page, by mouse and by keys."""

from collections.abc import Callable
from typing import Any

from browsing import Site, Tab
from playwright.sync_api import Page

from keisei_agent.game import OpenGame
from shogi_env import Board, Move
from shogi_env.arena.players import make_player

OpenTab = Callable[..., Tab]
LETTERS = "PLNSBRGK"


def state(page: Page, site: Site) -> dict[str, Any]:
    """The game as the server has it."""
    table = page.evaluate("sessionStorage.getItem('keisei-table')")
    return dict(site.get(f"/api/tables/{table}"))


def cell(text: str) -> str:
    return f'.hit[data-cell="{9 * (int(text[0]) - 1) + ord(text[1]) - 97}"]'


def origin(usi: str) -> str:
    """What is clicked first for a move."""
    return f'.hit[data-drop="{LETTERS.index(usi[0]) + 1}"]' if usi[1] == "*" else cell(usi[:2])


def make_move(page: Page, usi: str, legal: list[str], *, how: str = "click") -> None:
    """Play a move; where the piece may promote or not, the page asks."""
    begin, end = page.locator(origin(usi)), page.locator(cell(usi[2:4]))
    if how == "drag":
        source, target = begin.bounding_box(), end.bounding_box()
        assert source and target
        page.mouse.move(source["x"] + source["width"] / 3, source["y"] + source["height"] / 2)
        page.mouse.down()
        page.mouse.move(target["x"] + 5, target["y"] + 5, steps=5)
        page.mouse.move(target["x"] + target["width"] / 2, target["y"] + target["height"] / 2)
        page.mouse.up()
    elif how == "keys":
        begin.focus()
        page.keyboard.press("Enter")
        page.locator(cell(usi[2:4])).focus()
        page.keyboard.press("Enter")
    else:
        begin.click()
        end.click()
    if {usi[:4], f"{usi[:4]}+"} <= set(legal):
        choice = "yes" if usi.endswith("+") else "no"
        page.locator(f'[data-promote="{choice}"]').click()


def wait_for(page: Page, site: Site, plies: int) -> dict[str, Any]:
    """Wait until the page shows that so many plies were played, or that the game is over."""
    page.wait_for_function(
        "(plies) => document.querySelectorAll('.moves li').length >= plies"
        " || document.querySelector('.status').dataset.end",
        arg=plies,
    )
    return state(page, site)


def choose_players(page: Page, black: str, white: str) -> None:
    """Seat players by a part of what the page calls them, and begin."""
    for k, text in enumerate((black, white)):
        chooser = page.locator(".chooser").nth(k).locator("select").first
        label = next(t for t in chooser.locator("option").all_inner_texts() if text in t)
        chooser.select_option(label=label)
    page.locator('[data-act="begin"]').click()
    page.wait_for_function("() => document.querySelector('.seat.black').innerText")


def test_a_whole_game_against_a_checkpoint(site: Site, open_tab: OpenTab) -> None:
    tab = open_tab()
    page = tab.go(site.address, "play")
    choose_players(page, "Person", "first/latest")
    done = {"drop": 0, "promotion": 0, "declined": 0, "drag": 0, "keys": 0}
    mine = make_player("minimax:2")
    game = OpenGame()
    for turn in range(200):
        now = state(page, site)
        if now["end"]:
            break
        assert now["turn"] == "black"
        while game.board.ply < len(now["moves"]):
            game.push(Move.from_usi(now["moves"][game.board.ply]))
        usi = str(game.ask(mine))
        wanted = {
            "declined": [m for m in now["legal"] if f"{m}+" in now["legal"]],
            "drop": [m for m in now["legal"] if m[1] == "*"],
            "promotion": [m for m in now["legal"] if m.endswith("+")],
        }
        missing = next((kind for kind, moves in wanted.items() if moves and not done[kind]), None)
        usi = wanted[missing][0] if missing else usi
        how = ("click", "drag", "keys")[turn % 3] if turn < 6 else "click"
        done["drop"] += usi[1] == "*"
        done["promotion"] += usi.endswith("+")
        done["declined"] += f"{usi}+" in now["legal"]
        done["drag"] += how == "drag"
        done["keys"] += how == "keys"
        make_move(page, usi, now["legal"], how=how)
        after = wait_for(page, site, len(now["moves"]) + 2)
        assert after["moves"][len(now["moves"])] == usi
        if turn == 12:
            tab.shoot("playing")
    tab.shoot("played")
    final = state(page, site)
    assert final["end"], "the game did not end"
    assert all(done.values()), done
    shown = page.locator(".moves li").all_inner_texts()
    assert shown == final["moves"]
    words = {"black": "Black won", "white": "White won", None: "draw"}
    assert page.locator(".status").inner_text().startswith(words[final["winner"]])
    with page.expect_download() as download:
        page.get_by_role("link", name="USI").click()
    board = Board()
    for move in final["moves"]:
        board.push_usi(move)
    assert download.value.path() is not None
    assert board.sfen() == final["sfen"]


def test_taking_back_hints_and_resigning(site: Site, open_tab: OpenTab) -> None:
    tab = open_tab()
    page = tab.go(site.address, "play")
    choose_players(page, "Person", "greedy")
    make_move(page, "7g7f", state(page, site)["legal"])
    wait_for(page, site, 2)
    page.locator('[data-act="hint"]').click()
    page.locator(".hint line").wait_for(state="attached")
    assert page.locator(".status").inner_text().startswith("Hint: ")
    page.locator('[data-act="take-back"]').click()
    page.wait_for_function("() => document.querySelectorAll('.moves li').length === 0")
    page.locator('[data-act="flip"]').click()
    upper = page.locator(cell("7g")).bounding_box()
    lower = page.locator(cell("7c")).bounding_box()
    assert upper and lower and upper["y"] < lower["y"]
    make_move(page, "7g7f", state(page, site)["legal"])
    wait_for(page, site, 2)
    page.reload()  # the game stays
    page.wait_for_function("() => document.querySelectorAll('.moves li').length === 2")
    page.locator('[data-act="resign"]').click()
    page.get_by_text("White won (resignation)").wait_for()


def test_two_people_and_a_handicap(site: Site, open_tab: OpenTab) -> None:
    page = open_tab(width=390, height=844).go(site.address, "play")
    page.locator("#handicap").select_option("rook")
    choose_players(page, "Person", "Person")
    assert state(page, site)["turn"] == "white"  # who gives the rook begins
    make_move(page, "3c3d", state(page, site)["legal"])
    wait_for(page, site, 1)
    make_move(page, "7g7f", state(page, site)["legal"])
    found = wait_for(page, site, 2)
    assert found["moves"] == ["3c3d", "7g7f"]
    page.locator(cell("2b")).click()
    page.locator(".target").first.wait_for(state="attached")
    shown = page.locator(".target").count()
    assert shown == len({move[2:4] for move in found["legal"] if move.startswith("2b")})


def test_two_players(site: Site, open_tab: OpenTab) -> None:
    page = open_tab().go(site.address, "play")
    choose_players(page, "first/latest", "greedy")
    wait_for(page, site, 6)
    page.locator('[data-act="pause"]').click()
    page.get_by_role("button", name="Go on").wait_for()
    page.wait_for_timeout(1200)
    before = len(state(page, site)["moves"])
    page.wait_for_timeout(1200)
    assert len(state(page, site)["moves"]) == before
    assert state(page, site)["labels"] == {"black": "first/latest", "white": "greedy"}
