"""Workers on a real Ray cluster of two nodes, one of which is killed."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from slow_data import SlowData
from storm import assert_nothing_is_lost
from waiting import PATIENCE_SECONDS, until

from gradstudy.scripts.running.ray_pool import Placement, RayPool
from gradstudy.storage.database import Database
from gradstudy.storage.progress import count_outcomes
from gradstudy.study.launch import create_or_resume
from gradstudy.study.spec.study_spec import StudySpec

ray = pytest.importorskip("ray")


@pytest.fixture
def cluster() -> Iterator[Any]:
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    ray.init(address=made.address, log_to_driver=False, logging_level="ERROR")
    yield made
    ray.shutdown()
    made.shutdown()


@pytest.mark.soak
@pytest.mark.filterwarnings("default")  # Ray's own
def test_a_study_survives_the_loss_of_a_node(cluster: Any, sqlite_url: str, tmp_path: Path) -> None:
    node = cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    held = SlowData(tmp_path, delay=PATIENCE_SECONDS)
    spec = StudySpec.model_validate(
        {
            "name": "cluster",
            "task": held.task,
            "task_folder": str(tmp_path),
            "task_options": held.options,
            "optimizer": "sgd",  # else the launch would try the function, which is held
            "steps": 40,
            "trials": 12,
            "space": {"cells": ["module"], "strategies": ["none", "norm", "value"], "learning_rate": [0.001, 0.1]},
        }
    )

    def workers_that_hold_a_trial() -> int:
        with database.engine.connect() as connection:
            query = "SELECT COUNT(DISTINCT worker_id) FROM gradstudy_trial WHERE trial_id IS NOT NULL"
            return int(connection.exec_driver_sql(query).scalar_one())

    def processes_of_workers() -> list[int]:
        with database.engine.connect() as connection:
            return list(connection.exec_driver_sql("SELECT pid FROM gradstudy_worker").scalars())

    def is_done() -> bool:
        counts = count_outcomes(database.engine, record)
        return counts["remaining"] + counts["running"] == 0

    with Database.open(sqlite_url) as database:
        record = create_or_resume(database, spec)
        with RayPool(
            2, sqlite_url, spec.name, slots=2, device="cpu", placement=Placement(), allowed=[str(tmp_path)]
        ) as pool:
            pool.begin()
            until(lambda: workers_that_hold_a_trial() == 2)
            pids = processes_of_workers()
            cluster.remove_node(node, allow_graceful=False)
            until(lambda: not all(map(psutil.pid_exists, pids)))  # it would end its trial if the gate opened before
            held.gate.touch()
            until(is_done)
        with database.engine.connect() as connection:
            retried = "SELECT COUNT(*) FROM gradstudy_trial WHERE attempt > 1"
            assert connection.exec_driver_sql(retried).scalar_one() > 0
    assert_nothing_is_lost(sqlite_url, spec)
