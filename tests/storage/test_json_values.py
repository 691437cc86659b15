import json
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from gradstudy.storage.json_values import json_value


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (float("nan"), None),
        (float("-inf"), None),
        (np.float32(0.5), 0.5),
        (np.float64("inf"), None),
        (np.int64(2**40), 2**40),
        (np.bool_(True), True),
        (Decimal("1.5"), 1.5),
        (Decimal("NaN"), None),
        (b"\x00\xff", "00ff"),
        (memoryview(b"a"), "61"),
        ({1: (np.nan, {"b": [np.float64(2)]})}, {"1": [None, {"b": [2.0]}]}),
        (["ä", None, True, 3], ["ä", None, True, 3]),
    ],
)
def test_a_value_is_one_that_json_has(value: Any, expected: Any) -> None:
    found = json_value(value)
    assert found == expected
    assert type(found) is type(expected)
    assert json.loads(json.dumps(found, allow_nan=False)) == expected
