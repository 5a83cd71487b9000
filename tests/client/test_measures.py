"""The client reads the keys of results as the service does."""

import pytest

from core.reportspec import measures as service
from core.reportspec.table import TableCell
from distill_client import measures as client
from distill_client.errors import ClientError

THREATS = ["", "@linf:8/255", "@l2:0.5", "@linf:0.15#2", "@l1:3", "@linf:8/0"]
KEYS = [f"{name}{threat}" for name in (*service.TITLES, *service.NUMBERS) for threat in THREATS]
KEYS += [
    "pgd-20:restarts=5:step=1/255@linf:8/255",
    "autoattack:stages=apgd-ce+square:queries=10@l2:128/255",
    "unknown_measure",
    "a name of no form @ all",
]


@pytest.mark.parametrize("key", KEYS)
def test_key_is_read_as_by_the_service(key: str) -> None:
    expected = service.describe(key)
    measure = client.describe(key)
    assert measure.model_dump() == expected.model_dump()
    assert client.column_heading(key) == service.column_heading(key)
    assert client.format_value(key, 0.1234567) == service.format_value(key, 0.1234567)
    assert measure.is_test_robustness == expected.is_test_robustness


@pytest.mark.parametrize("sd", [0.0456789, None])
@pytest.mark.parametrize("key", ["pgd-20@linf:8/255", "ece", "masking_square_drop@linf:8/255"])
def test_mean_is_printed_as_by_the_service(key: str, sd: float | None) -> None:
    cell = TableCell(mean=0.1234567, sd=sd, n=2)
    assert client.format_mean(key, cell.mean, cell.sd) == cell.text(key)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("cw", "cw-30@linf:8/255"),
        ("pgd-20", "pgd-20@linf:8/255"),
        ("pgd-20@linf:8/255", "pgd-20@linf:8/255"),
        ("clean", "clean"),
        ("transfer", None),
    ],
)
def test_measure_is_found_by_key_or_by_name(text: str, key: str | None) -> None:
    keys = ["clean", "pgd-20@linf:8/255", "pgd-50@linf:8/255", "cw-30@linf:8/255"]
    assert client.find_key(keys, text) == key


def test_name_under_two_threat_models_is_refused() -> None:
    keys = ["autoattack@linf:8/255", "autoattack@l2:0.5"]
    with pytest.raises(ClientError, match=r"autoattack@linf:8/255, autoattack@l2:0\.5"):
        client.find_key(keys, "autoattack")
