"""The event loops that deliverers are tested on."""

import pytest

# The loop of the standard library and the one that the server runs on.
LOOPS = [
    pytest.param(("asyncio", {"use_uvloop": uvloop}), id=name)
    for name, uvloop in (("asyncio", False), ("uvloop", True))
]
