"""The client titles results as the service's reports do."""

import pytest

from core.reportspec import measures as service
from core.reportspec.table import TableCell
from distill_client import measures as client

MEASURES = [*service.TITLES, *service.NUMBERS, "pgd_2", "radius_sweep", "unknown_measure"]


@pytest.mark.parametrize("measure", MEASURES)
def test_measure_is_titled_as_by_the_service(measure: str) -> None:
    assert client.is_accuracy(measure) == service.is_accuracy(measure)
    assert client.measure_title(measure) == service.measure_title(measure)
    assert client.column_heading(measure) == service.column_heading(measure)
    assert client.find_unit(measure).format(0.1234567) == service.find_unit(measure).text(0.1234567)


@pytest.mark.parametrize("sd", [0.0456789, None])
@pytest.mark.parametrize("measure", MEASURES)
def test_mean_is_printed_as_by_the_service(measure: str, sd: float | None) -> None:
    cell = TableCell(mean=0.1234567, sd=sd, n=2)
    assert client.format_mean(measure, cell.mean, cell.sd) == cell.text(measure)
