import pytest

pytest.register_assert_rewrite("zaqarserver.storage.testing")
