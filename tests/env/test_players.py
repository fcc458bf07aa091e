"""What players are made from, and what is refused."""

from pathlib import Path

import pytest

from shogi_env.arena.match import Pairing, play
from shogi_env.arena.openings import Opening
from shogi_env.arena.players import LISTS, make_player, parse_spec, read_specs


@pytest.mark.parametrize(
    ("text", "name", "kind", "argument", "settings"),
    [
        ("random", None, "random", "", {}),
        ("me=minimax:2", "me", "minimax", "2", {}),
        (r"checkpoint:C:\x;temperature=1", None, "checkpoint", r"C:\x", {"temperature": "1"}),
        (
            "fs-10=usi:a -b;go=depth 1;option.Skill Level=-10",
            "fs-10",
            "usi",
            "a -b",
            {"go": "depth 1", "option.Skill Level": "-10"},
        ),
        ("usi:a --b=c;go=x", None, "usi", "a --b=c", {"go": "x"}),
    ],
)
def test_specs(text: str, name: str | None, kind: str, argument: str, settings: dict[str, str]) -> None:
    found, spec = parse_spec(text)
    assert (found, spec.kind, spec.argument, spec.settings) == (name, kind, argument, settings)
    assert spec.text == text.removeprefix(f"{name}=")


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("radnom", "no player is called 'radnom', did you mean 'random'"),
        ("", "no player is called ''"),
        ("random:2", "random takes no argument"),
        ("random;seed=2", "random has no setting 'seed' .it has none"),
        ("minimax", "write minimax:DEPTH"),
        ("minimax:0", "write minimax:DEPTH"),
        ("minimax:x", "write minimax:DEPTH"),
        ("python:function", "write python:MODULE.FUNCTION"),
        ("python:no_such_module.f", "No module named"),
        ("python:math.no_such", "no attribute 'no_such'"),
        ("policy:math.pi", "a float cannot be called"),
        ("usi:x;og=depth 1", "no setting 'og', did you mean 'go'"),
        ("usi:x;processes=two", "processes = 'two' is no int"),
        ("usi:x;go", "'go' is not key=value"),
        ("usi:x;go=a;go=b", "'go=b' is given twice"),
        ("usi:no-such-program-here", "no-such-program-here"),
        ("usi:", "command"),
        ("gnushogi:1;depth=2", "gnushogi has no setting 'depth'"),
    ],
)
def test_a_wrong_spec_is_refused_with_the_reason(spec: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make_player(spec)


def test_names_and_seats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_players.py").write_text(
        "__version__ = '7'\n"
        "def first(positions, idx): return positions.masks(where=idx).argmax(1)\n"
        "def policy(observations, masks): return masks.argmax(1)\n",
        encoding="utf-8",
    )
    monkeypatch.syspath_prepend(tmp_path)
    own = make_player("python:my_players.first")
    assert own.name == own.spec == "python:my_players.first"
    assert own.version == "7"
    assert len(own.digest) == 16
    named = make_player("me=policy:my_players.policy")
    assert (named.name, named.spec) == ("me", "policy:my_players.policy")
    assert make_player("a=random", name="b").name == "b"
    pairings = [Pairing("0.0", own, named, Opening(), 1), Pairing("0.1", named, own, Opening(), 2)]
    assert len({game.moves for game in play(pairings, max_plies=20)}) == 1  # both play the first legal move
    with make_player("random") as again:
        assert again.seat == make_player("random").seat


@pytest.mark.parametrize("name", LISTS)
def test_bundled_lists_parse(name: str) -> None:
    parsed = [parse_spec(text) for text in read_specs(name)]
    names = [found or spec.text for found, spec in parsed]
    assert len(set(names)) == len(names)
