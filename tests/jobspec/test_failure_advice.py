"""Every failure of a job has advice."""

import pytest

from core.jobspec.failure_advice import ADVICE, advice_for
from tests.test_errors import documented_codes


def test_every_code_has_advice_and_every_advice_a_code() -> None:
    codes = documented_codes()
    assert ADVICE.keys() == codes["JobFailed"] | codes["Refused"]


@pytest.mark.parametrize("advice", sorted(set(ADVICE.values())))
def test_advice_is_a_sentence(advice: str) -> None:
    assert advice[0].isupper()
    assert advice.endswith(".")


def test_unknown_code_has_none() -> None:
    assert advice_for("of_another_program") is None
