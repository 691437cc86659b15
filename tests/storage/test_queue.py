from one_trial import begin_trial, claim_trial

from gradstudy.storage.claims import Claim, give_back
from gradstudy.storage.database import Database
from gradstudy.storage.progress import REMAINING, count_outcomes
from gradstudy.storage.queue import SettingRow, enqueue_chosen, enqueue_trials
from gradstudy.storage.studies import StudyRecord, Versions, create_study
from gradstudy.storage.workers import register_worker

VERSIONS = Versions(gradstudy="0.1", optuna="5.0.0", torch="2.9")
ROW = SettingRow(cell="gru", strategy="norm", threshold=0.5, learning_rate=2.0, factors={})
OTHER = SettingRow(cell="lstm", strategy="none", threshold=None, learning_rate=0.1, factors={})


def study_of(db: Database, budget: int = 12) -> tuple[StudyRecord, list[int]]:
    """A study and two workers."""
    study = create_study(db, "replicates", {"task": "copy"}, budget, VERSIONS)
    return study, [register_worker(db.engine, "here", pid, "cpu") for pid in (1, 2)]


def claim(db: Database, study: StudyRecord, worker: int, replicates: int = 3) -> Claim | None:
    return claim_trial(db.engine, study, worker, int, replicates=replicates)


def begin(db: Database, study: StudyRecord, claimed: Claim, setting: SettingRow) -> Claim:
    others = {claimed.ordinal + place: 100 + place for place in (1, 2)}
    return begin_trial(db.engine, claimed, setting, others)


def test_a_worker_that_claims_before_a_setting_is_known_gets_the_next_setting(db: Database) -> None:
    study, (one, two) = study_of(db)
    first, next_ = claim(db, study, one), claim(db, study, two)
    assert first is not None
    assert next_ is not None
    assert (first.ordinal, next_.ordinal) == (0, 3)
    assert first.setting is next_.setting is None
    begin(db, study, first, ROW)
    sibling = claim(db, study, two)
    assert sibling is not None
    assert (sibling.ordinal, sibling.setting, sibling.seed, sibling.trial_id) == (1, ROW, 101, None)
    assert sibling.attempt == 1


def test_a_setting_that_nobody_gave_is_asked_for_by_who_claims_it_next(db: Database) -> None:
    study, (one, two) = study_of(db)
    first = claim(db, study, one)
    assert first is not None
    give_back(db.engine, first)
    again = claim(db, study, two)
    assert again is not None
    assert (again.ordinal, again.setting) == (0, None)


def test_attaching_twice_enqueues_once(db: Database) -> None:
    study, (one, _) = study_of(db)
    first = claim(db, study, one)
    assert first is not None
    begun = begin(db, study, first, ROW)
    assert begun.trial_id is not None
    begin_trial(db.engine, first, ROW, {1: 101, 2: 102})  # the answer to the first was lost
    ordinals = []
    while claimed := claim(db, study, one):
        ordinals.append(claimed.ordinal)
    assert ordinals == [1, 2, 3, 6, 9]


def test_a_study_grows_by_chosen_settings_once(db: Database) -> None:
    study, (one, _) = study_of(db, 1)
    assert claim(db, study, one, 1) is not None
    assert enqueue_trials(db.engine, study, [(ROW, 7), (OTHER, 8)])
    assert not enqueue_trials(db.engine, study, [(ROW, 9)])
    assert count_outcomes(db.engine, study)[REMAINING] == 2
    claims = [claim(db, study, one, 1) for _ in range(3)]
    assert [made and (made.ordinal, made.setting, made.seed) for made in claims] == [(1, ROW, 7), (2, OTHER, 8), None]


def test_chosen_settings_come_next_and_take_no_place_of_the_sampler(db: Database) -> None:
    varied = SettingRow(cell="lstm", strategy="norm", threshold=0.1, learning_rate=0.3, factors={"hidden_size": 32})
    study, (one, _) = study_of(db, 4)

    def put_in(*settings: SettingRow) -> list[SettingRow]:
        return enqueue_chosen(db.engine, study, settings, lambda ordinal: 100 + ordinal, places=4, replicates=2)

    def claim_next() -> tuple[int, SettingRow | None, int] | None:
        made = claim_trial(db.engine, study, one, int, replicates=2, places=4)
        return made and (made.ordinal, made.setting, made.seed)

    assert claim_next() == (0, None, 0)
    assert put_in(varied, ROW, varied) == [varied, ROW]
    assert put_in(ROW) == []
    assert put_in(OTHER, varied) == [OTHER]
    assert count_outcomes(db.engine, study)[REMAINING] == 9
    claims = [claim_next() for _ in range(8)]
    chosen = [(4, varied, 104), (5, varied, 105), (6, ROW, 106), (7, ROW, 107), (8, OTHER, 108), (9, OTHER, 109)]
    assert claims == [*chosen, (2, None, 2), None]
