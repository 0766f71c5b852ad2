"""The hierarchy decides the exit status, and an unknown name is answered with a known one."""

import pytest

from alignment import errors

RAISED = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.AccordError)]


def test_the_drawing_at_the_top_shows_every_error() -> None:
    drawn = (errors.__doc__ or "").split()
    assert all(kind.__name__ in drawn for kind in RAISED)
    assert len(RAISED) == sum(word.endswith("Error") for word in drawn)


@pytest.mark.parametrize("kind", RAISED)
def test_an_error_is_a_request_that_cannot_be_met_or_work_that_failed(kind: type) -> None:
    assert kind is errors.AccordError or issubclass(kind, errors.RequestError) != issubclass(kind, errors.WorkError)


def test_a_near_name_is_suggested_and_a_far_one_gets_the_list() -> None:
    choices = ["mutual_knn", "cka"]
    assert str(errors.UnknownNameError("metric", "mutual_nn", choices)) == (
        "there is no metric 'mutual_nn'; did you mean 'mutual_knn'?"
    )
    assert str(errors.UnknownNameError("metric", "zzz", choices)) == (
        "there is no metric 'zzz'; choose from: mutual_knn, cka"
    )
    assert str(errors.UnknownNameError("metric", "zzz", [])) == "there is no metric 'zzz'; choose from: (none)"
