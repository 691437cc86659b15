import hashlib
import threading
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import optuna
import pytest
from waiting import PATIENCE_SECONDS

from gradstudy.models.tasks import TaskError
from gradstudy.storage.database import Database
from gradstudy.storage.errors import StudyExistsError
from gradstudy.storage.studies import list_studies
from gradstudy.study.errors import DeviceError, SpecChangedError, SpecError
from gradstudy.study.launch import create_or_resume, with_file
from gradstudy.study.spec.study_spec import StudySpec, parse_spec, stored_spec
from gradstudy.study.training.arrays import make_workspace
from gradstudy.study.training.data import load_data
from gradstudy.study.training.device import check_device, check_precision


def test_a_study_is_stored_with_its_spec_and_versions(db: Database, spec: StudySpec) -> None:
    record = create_or_resume(db, spec)
    assert stored_spec(record) == spec
    assert (record.name, record.budget) == ("s", 12)
    assert record.versions.torch == version("torch")


def test_the_same_spec_opens_the_same_study(db: Database, spec: StudySpec) -> None:
    assert create_or_resume(db, spec) == create_or_resume(db, spec)
    assert len(list_studies(db)) == 1


def test_a_changed_spec_is_refused_with_what_differs(db: Database, spec: StudySpec) -> None:
    create_or_resume(db, spec)
    with pytest.raises(SpecChangedError) as caught:
        create_or_resume(db, spec.model_copy(update={"steps": 99, "optimizer": "adam"}))
    assert str(caught.value) == (
        "the study 's' exists with another spec (stored -> given): optimizer: sgd -> adam; steps: 30 -> 99; "
        "run `gradstudy launch NAME` without options to resume it, or choose another name"
    )
    assert stored_spec(create_or_resume(db, spec)) == spec


def test_a_study_that_is_given_a_horizon_later_is_extended(db: Database, spec: StudySpec) -> None:
    create_or_resume(db, spec)
    with pytest.raises(SpecChangedError) as caught:
        create_or_resume(db, spec.model_copy(update={"horizon": 90}))
    assert str(caught.value) == (
        "the study 's' exists with another spec (stored -> given): horizon: None -> 90; "
        "`gradstudy extend s --steps 90` trains its best settings longer"
    )


def test_launches_at_the_same_moment_make_one_study(new_db: Callable[[], Database], spec: StudySpec) -> None:
    url = f"sqlite:///{new_db().path}"
    names = [f"s{number}" for number in range(8)]
    together = threading.Barrier(4, timeout=PATIENCE_SECONDS)
    made: list[list[int]] = []

    def launch_all() -> None:
        with Database.open(url) as db:
            ids = []
            for name in names:
                together.wait()
                ids.append(create_or_resume(db, spec.model_copy(update={"name": name})).study_id)
            made.append(ids)

    threads = [threading.Thread(target=launch_all) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 4
    assert made == [made[0]] * 4


def test_a_study_of_optunas_is_not_taken_over(db: Database, spec: StudySpec) -> None:
    optuna.create_study(study_name="s", storage=db.optuna_storage).ask()
    with pytest.raises(StudyExistsError, match="there is a study 's'"):
        create_or_resume(db, spec)


def test_a_batch_must_not_be_larger_than_the_data(spec: StudySpec) -> None:
    pairs = len(load_data(spec).train)
    assert len(load_data(spec.model_copy(update={"batch_size": pairs})).train) == pairs
    with pytest.raises(SpecError, match=f"at most the {pairs} pairs that task 'copy' has .* but got {pairs + 1}"):
        load_data(spec.model_copy(update={"batch_size": pairs + 1}))


@pytest.fixture
def own_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "words.tsv"
    path.write_text("".join(f"source {number}\ttarget {number}\n" for number in range(40)))
    return path


def of_file(**values: object) -> StudySpec:
    return with_file(parse_spec({"name": "s", "task": "pairs:words.tsv", "batch_size": 4} | values))


def test_a_file_is_stored_with_its_place_and_digest(db: Database, own_file: Path) -> None:
    spec = of_file(task_options={"tokens": "word"})
    assert spec.task == f"pairs:{own_file}"
    assert spec.file_digest == hashlib.blake2b(own_file.read_bytes(), digest_size=8).hexdigest()
    assert stored_spec(create_or_resume(db, spec)) == spec
    assert load_data(spec).file_digest == spec.file_digest


def test_a_file_that_has_changed_is_refused_by_workers_and_by_launches(db: Database, own_file: Path) -> None:
    spec = of_file()
    create_or_resume(db, spec)
    own_file.write_text(own_file.read_text() + "one\tmore\n")
    now = hashlib.blake2b(own_file.read_bytes(), digest_size=8).hexdigest()
    sentence = (
        f"the file of task 'pairs:{own_file}' has changed: the study was launched with one of digest "
        f"{spec.file_digest}, and now it is {now}; put the old file back, or launch a study of another name"
    )
    with pytest.raises(TaskError) as worker:
        load_data(spec)
    with pytest.raises(SpecChangedError) as launch:
        create_or_resume(db, of_file())
    assert str(worker.value) == str(launch.value) == sentence


def test_a_file_that_is_not_there_is_refused(own_file: Path) -> None:
    spec = of_file()
    own_file.unlink()
    with pytest.raises(TaskError, match=rf"^there is no file {own_file} on .*every machine .* needs it there$"):
        load_data(spec)


def test_a_device_that_is_not_there_is_refused() -> None:
    check_device("cpu")
    with pytest.raises(DeviceError, match=r"must be one of cpu.* on this machine, but got 'tpu'"):
        check_device("tpu")


def test_float16_is_refused_where_there_is_no_gpu_of_cuda() -> None:
    for spec in ({"precision": "float16"}, {"space": {"factors": {"precision": ["float32", "float16"]}}}):
        made = parse_spec({"name": "x", "task": "copy"} | spec)
        check_precision(made, "cuda:1")
        with pytest.raises(DeviceError, match=r"^precision float16 is for a GPU: .*, but got device 'cpu'$"):
            check_precision(made, "cpu")
        with pytest.raises(DeviceError, match="is for a GPU"):
            make_workspace(made, "cpu")
