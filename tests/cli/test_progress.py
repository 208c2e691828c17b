"""What is told of a long run's pace."""

from resift.cli.progress import Pace


def test_the_time_left_follows_the_share_done() -> None:
    pace = Pace()
    pace.at(0.0, 0, 0.0)
    assert pace.at(10.0, 500, 0.25) == "50/s, 25%, about 30 s left"


def test_what_an_earlier_run_had_done_is_forgotten_after_half_a_minute() -> None:
    pace = Pace()
    pace.at(0.0, 0, 0.0)
    pace.at(0.1, 5000, 0.5)  # taken over in no time
    for second in range(1, 41):
        said = pace.at(float(second), 5000 + 10 * second, 0.5 + second / 1000)
    assert said == "10/s, 54%, about 8 min left"


def test_no_time_is_told_where_the_share_is_unknown() -> None:
    pace = Pace()
    pace.at(0.0, 0, 0.0)
    assert pace.at(2.0, 10, 0.0) == "5/s"
