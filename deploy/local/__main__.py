"""`python -m deploy.local run | demo | token`: RetainWise on this machine; see README.md."""

import sys

from deploy.local.interruption import INTERRUPTION

if __name__ == "__main__":
    INTERRUPTION.install("demo: FAILED interrupted" if "demo" in sys.argv[1:2] else "Interrupted.")

    from deploy.local.command import main  # takes a second, in which Ctrl-C must work already

    code = main()
    INTERRUPTION.finish()
    sys.exit(code)
