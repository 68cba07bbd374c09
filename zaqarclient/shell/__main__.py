"""``python -m zaqarclient.shell`` is ``zaqar``."""

import sys

from zaqarclient.shell import main

sys.exit(main())
