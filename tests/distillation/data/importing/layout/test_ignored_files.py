"""What a report says of the files that are ignored."""

from core.distillation.data.importing.layout.ignored_files import IgnoredFiles


def ignored_files(**counts: int) -> IgnoredFiles:
    ignored = IgnoredFiles()
    for reason, count in counts.items():
        for number in range(count):
            ignored.add(f"{reason}{number}", reason)
    return ignored


def test_all_files_are_counted_and_twenty_named() -> None:
    ignored = ignored_files(hidden=30)
    assert len(ignored) == 30
    assert ignored.as_json() == [
        {"reason": "hidden", "files": 30, "first": [f"hidden{number}" for number in range(20)]}
    ]


def test_no_reason_hides_another() -> None:
    groups = ignored_files(many=1000, two=2, some=9).as_json()
    assert [(group["reason"], group["files"], len(group["first"])) for group in groups] == [
        ("many", 1000, 9),
        ("two", 2, 2),
        ("some", 9, 9),
    ]
    assert groups[1]["first"] == ["two0", "two1"]


def test_nothing_ignored_is_nothing_to_say() -> None:
    ignored = IgnoredFiles()
    assert (len(ignored), ignored.as_json(), ignored.summary()) == (0, [], "")


def test_names_are_printable_and_not_too_long() -> None:
    ignored = IgnoredFiles()
    ignored.add("\x1b[31m" + "x" * 1000, "hidden")
    assert ignored.as_json()[0]["first"] == ["\ufffd[31m" + "x" * 195]


def test_summary_is_a_sentence_for_refusals() -> None:
    assert ignored_files(hidden=2, empty=1).summary() == (
        ' Ignored: 2 hidden (such as "hidden0"); 1 empty (such as "empty0").'
    )
