"""`python -m minicnn …`: the command line, also where no script minicnn is installed."""

import sys

from .cli import main

sys.exit(main())
