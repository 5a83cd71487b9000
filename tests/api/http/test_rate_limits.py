from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from api.app import create_app
from api.http import rate_limits
from api.http.rate_limits import TokenBuckets
from core.settings import Settings
from tests.api.conftest import KEY, STRANGERS_KEY, bearer


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_bucket_is_emptied_by_asking_and_filled_by_time() -> None:
    clock = Clock()
    buckets = TokenBuckets(2.0, 3.0, clock)
    assert [buckets.take("a") for _ in range(4)] == [True, True, True, False]
    assert buckets.take("b")
    assert buckets.refusal("a").retry_seconds == 1
    clock.now = 0.5
    assert [buckets.take("a"), buckets.take("a")] == [True, False]
    clock.now = 100.0
    quota = buckets.quota("a")
    assert quota is not None
    assert (quota.limit, quota.remaining, quota.reset_seconds) == (3, 3, 0)


def test_of_many_callers_the_oldest_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limits, "MAX_CALLERS", 2)
    buckets = TokenBuckets(0.001, 1.0, Clock())
    assert all(buckets.take(caller) for caller in "abc")
    assert not buckets.take("c")
    assert buckets.take("a")


def test_without_a_limit_nothing_is_counted() -> None:
    buckets = TokenBuckets(0, 0)
    assert all(buckets.take("a") for _ in range(1000))
    assert buckets.quota("a") is None


def test_a_key_that_asks_too_often_is_told_when_to_come_back_and_others_are_not_kept(
    settings: Settings, engine: Engine
) -> None:
    setup = settings.model_copy(update={"requests_per_second": 0.1})
    with TestClient(create_app(setup)) as client:
        first = client.get("/v1/jobs", headers=bearer(KEY))
        assert (first.headers["RateLimit-Limit"], first.headers["RateLimit-Remaining"]) == (
            "1",
            "0",
        )
        refused = client.get("/v1/jobs", headers=bearer(KEY))
        assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
        assert 1 <= int(refused.headers["Retry-After"]) <= 10
        assert refused.headers["RateLimit-Remaining"] == "0"
        assert client.get("/v1/jobs", headers=bearer(STRANGERS_KEY)).status_code == 200
        assert client.get("/healthz").status_code == 200


def test_an_address_that_guesses_keys_is_not_heard_any_more_even_if_it_guesses_right(
    settings: Settings, engine: Engine
) -> None:
    with TestClient(create_app(settings)) as client:
        codes = [
            client.get("/v1/jobs", headers=bearer(f"dk_guess_{number}")).json()["code"]
            for number in range(25)
        ]
        assert codes == ["unauthenticated"] * 20 + ["rate_limited"] * 5
        right = client.get("/v1/jobs", headers=bearer(KEY))
        assert (right.status_code, right.headers["RateLimit-Limit"]) == (429, "20")
        assert int(right.headers["Retry-After"]) <= 3


def test_who_sends_no_key_at_all_guesses_nothing(anonymous: TestClient) -> None:
    assert {anonymous.get("/v1/jobs").status_code for _ in range(30)} == {401}


def test_the_limits_are_off_at_0(settings: Settings, engine: Engine) -> None:
    setup: Any = settings.model_copy(
        update={"requests_per_second": 0, "failed_logins_per_minute": 0}
    )
    with TestClient(create_app(setup)) as client:
        assert {
            client.get("/v1/jobs", headers=bearer("dk_wrong")).status_code for _ in range(30)
        } == {401}
        answer = client.get("/v1/jobs", headers=bearer(KEY))
    assert (answer.status_code, "RateLimit-Limit" in answer.headers) == (200, False)
