"""Lists by results and words, on both databases, as few and as many rows match."""

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Engine

from core.errors import Invalid
from core.reportspec.result_columns import ResultBound, ResultColumn, parse_bounds, parse_column
from core.store import jobs
from core.store.database.engine import read_session
from core.store.database.tables import DEFAULT_PROJECT
from core.store.jobs import JobFilters
from core.store.registry import model_lists
from core.store.registry.model_lists import ModelFilters
from core.store.results import lists
from tests.builders import create_job
from tests.measured_jobs import IMAGES, PGD, accuracy, finish_evaluation, finish_job, number

KEYS = (PGD, f"best:{PGD}")


@pytest.fixture(params=["few", "many"])
def plan(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Lists of few matches are ids_by_count of their ids, of many in the list's order."""
    if request.param == "many":
        monkeypatch.setattr(lists, "MAX_FEW", 0)
        monkeypatch.setattr(lists, "MAX_PROBED", 0)
        monkeypatch.setattr(lists, "MAX_WALK", 2)
    return str(request.param)


def pages(engine: Engine, *, limit: int = 2, **arguments: Any) -> Iterator[str]:
    """Yield the ids of all jobs on all pages."""
    after: str | None = None
    filters = JobFilters(
        **{name: arguments.pop(name) for name in list(arguments) if name != "sort"}
    )
    while True:
        with read_session(engine) as session:
            rows, after = jobs.list_jobs(
                session, DEFAULT_PROJECT, filters, after=after, limit=limit, **arguments
            )
        yield from (row.id for row in rows)
        if after is None:
            return


def bound(column: str, text: str) -> tuple[ResultBound, ...]:
    return tuple(parse_bounds(parse_column(column), text))


@pytest.mark.parametrize("column", KEYS)
def test_jobs_without_the_result_come_last(column: str, engine: Engine, plan: str) -> None:
    first = create_job(engine).id
    low, high, middle, equal = (
        finish_job(engine, accuracy(PGD, range(count))).id for count in (10, 300, 20, 20)
    )
    last = create_job(engine).id
    missing = [last, first]
    for limit in (1, 2, 3, 50):
        descending = list(pages(engine, sort=f"-{column}", limit=limit))
        assert descending == [high, equal, middle, low, *missing]
        ascending = list(pages(engine, sort=column, limit=limit))
        assert ascending == [low, middle, equal, high, *missing]


def test_filters_and_sort_go_together(engine: Engine, plan: str) -> None:
    ids_by_count = {
        count: finish_job(
            engine,
            accuracy(PGD, range(count)),
            method={"name": "trades" if count % 2 else "pgd_at"},
            metadata={"team": "vision" if count < 4 else "audio"},
        ).id
        for count in range(1, 7)
    }
    waiting = create_job(engine, metadata={"team": "vision"}).id
    assert list(pages(engine, sort=f"-{PGD}", method="trades")) == [
        ids_by_count[5],
        ids_by_count[3],
        ids_by_count[1],
        waiting,
    ]
    assert list(pages(engine, sort=PGD, labels={"team": "vision"})) == [
        ids_by_count[1],
        ids_by_count[2],
        ids_by_count[3],
        waiting,
    ]
    assert list(pages(engine, sort=PGD, statuses=("queued",))) == [waiting]
    at_least = bound(PGD, f">={3 / IMAGES}")
    assert list(pages(engine, sort=f"-{PGD}", bounds=at_least, method="trades")) == [
        ids_by_count[5],
        ids_by_count[3],
    ]


def test_bounds_are_on_one_network(engine: Engine, plan: str) -> None:
    job = finish_job(engine, accuracy(PGD, range(100)), accuracy(PGD, range(50), network="last")).id
    other = finish_job(engine, accuracy(PGD, range(60))).id
    create_job(engine)
    assert list(pages(engine, bounds=bound(PGD, ">=0.1"))) == [other, job]
    assert list(pages(engine, bounds=bound(f"last:{PGD}", ">=0.1"))) == [job]
    assert list(pages(engine, bounds=bound(PGD, f">{60 / IMAGES},<=1"))) == [job]
    assert list(pages(engine, bounds=bound(PGD, f"<{60 / IMAGES}"))) == []
    assert list(pages(engine, bounds=bound(f"model:{PGD}", ">=0"))) == []
    assert list(pages(engine, bounds=bound("cw-30@linf:0.1", ">=0"))) == []
    with read_session(engine) as session:
        filters = JobFilters(bounds=bound(PGD, ">=0.1"))
        assert jobs.count(session, DEFAULT_PROJECT, filters) == 2


def test_words_begin_as_those_of_the_query(engine: Engine, plan: str) -> None:
    named = create_job(engine, name="Night run: MobileNet-V2").id
    labeled = create_job(engine, metadata={"team": "Computer_Vision", "ticket": "ABC-123"}).id
    for text, expected in (
        ("night", [named]),
        ("mobile NIGHT", [named]),
        ("v2", [named]),
        ("vision", [labeled]),
        ("abc 12", [labeled]),
        ("ision", []),
        ("night vision", []),
        ("---", []),
        (named, [named]),
        (named[-7:], [named]),
        (labeled[-10:], [labeled]),
        ("100%", []),
        ("'; DROP TABLE jobs", []),
    ):
        assert list(pages(engine, text=text)) == expected, text
    assert list(pages(engine, text="night", sort=f"-{PGD}")) == [named]


def test_models_are_listed_by_their_current_results(engine: Engine, plan: str) -> None:
    first = finish_job(engine, accuracy(PGD, range(100)), name="alpha")
    second = finish_job(engine, accuracy(PGD, range(50)), name="beta")
    third = finish_job(engine, accuracy("clean", range(50)), name="gamma")
    finish_evaluation(engine, str(second.model_id), accuracy(PGD, range(200), network="model"))

    def models(**arguments: Any) -> list[str]:
        sort = arguments.pop("sort", "-created_at")
        ids: list[str] = []
        after: str | None = None
        while True:
            with read_session(engine) as session:
                rows, after = model_lists.list_models(
                    session,
                    DEFAULT_PROJECT,
                    ModelFilters(**arguments),
                    sort=sort,
                    after=after,
                    limit=1,
                )
            ids += [row.id for row in rows]
            if after is None:
                return ids

    assert models(sort=f"-{PGD}") == [second.model_id, first.model_id, third.model_id]
    assert models(sort=PGD) == [first.model_id, second.model_id, third.model_id]
    assert models(bounds=bound(PGD, ">0.5")) == [second.model_id]
    assert models(text="alp") == [first.model_id]
    assert models(sort="created_at") == [first.model_id, second.model_id, third.model_id]
    assert models(sort=f"-{PGD}", series="gamma") == [third.model_id]
    for arguments in ({"sort": f"last:{PGD}"}, {"bounds": bound(f"best:{PGD}", ">0")}):
        with pytest.raises(Invalid, match="one network"):
            models(**arguments)


def test_cursors_of_other_lists_are_refused(engine: Engine) -> None:
    for count in range(3):
        finish_job(engine, accuracy(PGD, range(count)))
    with read_session(engine) as session:
        _, by_time = jobs.list_jobs(session, DEFAULT_PROJECT, limit=1)
        _, by_result = jobs.list_jobs(session, DEFAULT_PROJECT, sort=PGD, limit=1)
        for sort, cursor in ((PGD, by_time), ("created_at", by_result), (PGD, "x"), (PGD, "W10")):
            with pytest.raises(Invalid):
                jobs.list_jobs(session, DEFAULT_PROJECT, sort=sort, after=cursor)


def test_pages_by_result_do_not_shift(engine: Engine) -> None:
    ids = [finish_job(engine, accuracy(PGD, range(count))).id for count in (30, 20, 10)]
    with read_session(engine) as session:
        rows, after = jobs.list_jobs(session, DEFAULT_PROJECT, sort=f"-{PGD}", limit=2)
    finish_job(engine, accuracy(PGD, range(100)))
    with read_session(engine) as session:
        more, _ = jobs.list_jobs(session, DEFAULT_PROJECT, sort=f"-{PGD}", after=after, limit=2)
    assert [row.id for row in (*rows, *more)] == ids


def test_numbers_other_than_accuracies_sort_too(engine: Engine) -> None:
    column = "training_seconds_per_epoch"
    ids = [finish_job(engine, number(column, seconds)).id for seconds in (2.5, 0.1, 300.0)]
    assert list(pages(engine, sort=f"-{column}")) == [ids[2], ids[0], ids[1]]


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ("clean", ResultColumn("clean")),
        ("pgd-20@linf:0.0313725", ResultColumn("pgd-20@linf:8/255")),
        ("last:autoattack@l2:0.5", ResultColumn("autoattack@l2:0.5", "last")),
        (
            "best:autoattack:stages=apgd-ce square@linf:8/255",
            ResultColumn("autoattack:stages=apgd-ce+square@linf:8/255", "best"),
        ),
        ("pgd-20@linf:8/255#2", ResultColumn("pgd-20@linf:8/255#2")),
        ("ece", ResultColumn("ece")),
    ],
)
def test_columns_are_written_as_keys_are(text: str, column: ResultColumn) -> None:
    assert parse_column(text) == column


@pytest.mark.parametrize(
    "text",
    [
        "",
        "name",
        "pgd@linf:8/255",
        "pgd-20",
        "autoattack@linf:x",
        "best:",
        "clean' OR 1=1",
        "x" * 999,
    ],
)
def test_what_is_no_column_is_refused_in_words(text: str) -> None:
    with pytest.raises(ValueError, match="key of a result|lacks its"):
        parse_column(text)


@pytest.mark.parametrize("text", ["0.5", "=0.5", ">=", ">=nan", ">= 1e999", ">=0.5;", "=>1"])
def test_bounds_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no bound"):
        list(parse_bounds(ResultColumn("clean"), text))
