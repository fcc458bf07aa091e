"""`python trains.py OPTIONS`: a training as the options of keisei-train say, without a page of its own."""

import sys

from keisei_agent.commands.options import build_parser, read_options, read_settings
from keisei_agent.config import load_config
from keisei_agent.runs.training import train

if __name__ == "__main__":
    parser = build_parser()
    options = read_options(parser, sys.argv[1:])
    train(load_config(preset=options.preset, settings=read_settings(parser, options)), options.run_dir)
