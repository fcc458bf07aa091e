"""A program that speaks USI, to be told how to misbehave; run as a script."""

import argparse
import os
import signal
import sys
import time
from pathlib import Path

OPTIONS = """\
option name Skill Level type spin default 20 min -20 max 20
option name Style type combo default solid var solid var very wild
option name Ponder type check default false
option name Clear Hash type button
option name EvalFile type filename default <empty>"""


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument(
        "--answers", nargs="+", default=["7g7f"], help="in turn; the last one again and again"
    )
    parser.add_argument(
        "--says", nargs="*", default=["depth 1 score cp 12 pv 7g7f"], help="info lines before each answer"
    )
    parser.add_argument("--log", type=Path, help="folder: what is read goes to PID.txt")
    parser.add_argument("--hang", choices=["usi", "isready", "go"], help="never answer this")
    parser.add_argument("--crash", choices=["usi", "isready", "go"], help="die of this")
    parser.add_argument("--once", type=Path, help="hang or crash only while this file is there; remove it")
    parser.add_argument("--stubborn", action="store_true", help="outlive quit, SIGTERM and the end of input")
    return parser.parse_args()


def misbehaves(args, how, word):
    """Whether to hang or crash at this word, now."""
    if getattr(args, how) != word or (args.once and not args.once.exists()):
        return False
    if args.once:
        args.once.unlink()
    return True


def main():
    args = arguments()
    log = (args.log / f"{os.getpid()}.txt").open("w", encoding="utf-8") if args.log else None
    if args.stubborn:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    answers = list(args.answers)
    for line in sys.stdin:
        if log:
            log.write(line)
            log.flush()
        word = (line.split() or [""])[0]
        if misbehaves(args, "crash", word):
            print("first trouble", "盤", "out of pieces", sep="\n", file=sys.stderr)
            sys.exit(3)
        if misbehaves(args, "hang", word):
            print("thinking hard", file=sys.stderr, flush=True)
            continue
        if word == "usi":
            print(f"id name Fake 1.0\nid author Nobody Known\n\n{OPTIONS}\nusiok", flush=True)
        elif word == "isready":
            print("readyok", flush=True)
        elif word == "go":
            print(*(f"info {text}" for text in args.says), sep="\n")
            print("bestmove", answers.pop(0) if len(answers) > 1 else answers[0], "ponder 3c3d", flush=True)
        elif word == "quit" and not args.stubborn:
            break
    if log:
        log.write("ended\n")
        log.flush()
    while args.stubborn:
        time.sleep(0.1)


if __name__ == "__main__":
    main()
