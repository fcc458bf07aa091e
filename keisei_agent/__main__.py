"""``python -m keisei_agent train ...``: the same as ``keisei train ...``; for torchrun and the like."""

import sys

from keisei_agent.commands.keisei import main

if __name__ == "__main__":
    sys.exit(main())
