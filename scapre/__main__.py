"""`python -m scapre`."""

import sys

from .cli import main
from .cli.console import unwind_when_terminated

unwind_when_terminated()
sys.exit(main())
