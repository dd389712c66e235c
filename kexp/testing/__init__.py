"""The contract suite for components, which a plugin's tests inherit.

    import pytest
    from kexp.testing import ComponentContract

    class TestLookahead(ComponentContract):
        @pytest.fixture
        def component(self):
            return "optimizer", "lookahead", {"k": 3}

Only tests import this package: it needs pytest.
"""

import pytest

pytest.register_assert_rewrite("kexp.testing.contract")

from kexp.testing.contract import ComponentContract  # noqa: E402 - after pytest knows to explain its assertions

__all__ = ["ComponentContract"]
