"""The contract suite for components. A plugin's tests inherit it.

    import pytest
    from kexp.testing import ComponentContract

    class TestLookahead(ComponentContract):
        @pytest.fixture
        def component(self):
            return "optimizer", "lookahead", {"k": 3}

This package needs pytest, so only tests import it.
"""

import pytest

pytest.register_assert_rewrite("kexp.testing.contract")

from kexp.testing.contract import ComponentContract  # noqa: E402 - must come after register_assert_rewrite

__all__ = ["ComponentContract"]
