"""What a study is scaled to: which hidden sizes it trains, and what is refused."""

import pytest

from gradstudy.study.errors import SpecError
from gradstudy.study.spec.study_spec import StudySpec, parse_spec
from gradstudy.study.spec.variations import variations


def scaled(factors=None, hidden=64, **scale_to):
    space = {"scale_to": scale_to or {"hidden_size": 512}, **({} if factors is None else {"factors": factors})}
    return parse_spec({"name": "s", "model": {"hidden_size": hidden}, "space": space})


def test_a_quarter_a_half_and_all_of_the_hidden_size_are_trained():
    assert scaled().space.factors == {"hidden_size": (16, 32, 64)}
    assert scaled(hidden=128).space.factors == {"hidden_size": (32, 64, 128)}
    assert scaled({"layers": [1, 2]}).space.factors == {"layers": (1, 2), "hidden_size": (16, 32, 64)}


def test_hidden_sizes_that_are_given_stay_and_so_does_a_study_without():
    assert scaled({"hidden_size": ["40", "80"]}).space.factors == {"hidden_size": (40, 80)}
    assert StudySpec(name="s").space.factors == {}


def test_points_are_spread_evenly_unless_a_sampler_is_given():
    assert scaled().sampler == "qmc"
    assert StudySpec(name="s").sampler == "auto"
    given = parse_spec({"name": "s", "sampler": "auto", "space": {"scale_to": {"hidden_size": 512}}})
    assert given.sampler == "auto"


def test_each_trial_has_one_of_the_hidden_sizes_and_is_scaled_to_nothing():
    found = variations(scaled())
    assert [one.model.hidden_size for one in found] == [16, 32, 64]
    assert all(not one.space.scale_to and not one.space.factors for one in found)


def test_a_spec_is_read_as_it_was_written():
    spec = scaled()
    assert parse_spec(spec.model_dump(mode="json")) == spec


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"hidden_size": 64}, "more than the largest value that is trained"),
        ({"hidden_size": 2000}, "at most 16 times it, beyond which nothing is known, but got 2000"),
        ({"layers": 8}, "predicted from several smaller values, such as --vary layers=32,64,128"),
        ({"hidden_size": 128, "layers": 8}, "takes one name, but got hidden_size, layers"),
        ({"hidden_size": "wide"}, "hidden_size"),
    ],
)
def test_what_cannot_be_predicted_is_refused(given, said):
    with pytest.raises(SpecError, match=said):
        scaled(**given)


def test_an_option_of_a_model_of_ones_own_can_be_scaled():
    space = {"scale_to": {"width": 512}, "factors": {"width": [32, 64]}}
    spec = parse_spec({"name": "s", "task": "module:some.where:make", "space": space})
    assert spec.space.scale_to == {"width": 512}
    with pytest.raises(SpecError, match="such as --vary width=32,64,128, but the study varies none"):
        parse_spec({"name": "s", "task": "module:some.where:make", "space": {"scale_to": {"width": 512}}})
