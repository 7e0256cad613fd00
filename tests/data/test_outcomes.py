"""The report of a preparation: counts, and the recordings that were left out."""

from __future__ import annotations

from i2md.data.outcomes import Report, SkippedRecording, reason_kind


def test_reports_of_parts_add_up_to_the_report_of_all() -> None:
    outcomes = [
        SkippedRecording(f"{n}.txt", f"{n}.txt: fault {'abcdefgh'[n % 8] * (n % 60 + 1)}", True) for n in range(5000)
    ]
    whole, parts = Report(), Report()
    for report, step in ((whole, 5000), (parts, 333)):
        for start in range(0, 5000, step):
            part = Report()
            part.add(outcomes[start : start + step])
            report.add_note(part.to_note())
    assert whole.to_dict() == parts.to_dict()
    assert list(whole.to_dict()["left_out_reasons"]) == list(parts.to_dict()["left_out_reasons"])
    assert whole.recordings == sum(count for count, _ in whole.reasons.values()) == 5000
    assert len(whole.left_out) == 1000


def test_reasons_that_differ_in_file_and_number_alone_are_one() -> None:
    assert reason_kind("a.txt: line 6: 13 fields, not 12") == reason_kind("b.txt: line 17: 11 fields, not 12")
    assert reason_kind("a.txt: line 6: 'x' is not a count") != reason_kind("a.txt: line 6: it is cut short")
