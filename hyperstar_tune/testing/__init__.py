"""Contract suites for parts that others write: subclass one in your own tests, and pytest runs all of it.

Needs pytest, which the library itself does not.
"""

import pytest

pytest.register_assert_rewrite("hyperstar_tune.testing.searcher_contract")

from hyperstar_tune.testing.searcher_contract import SearcherContract  # noqa: E402

__all__ = ["SearcherContract"]
