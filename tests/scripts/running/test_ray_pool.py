"""Workers on a real Ray cluster of two nodes, one of which is killed."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
from storm import assert_nothing_is_lost

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


@pytest.mark.filterwarnings("default")  # Ray's own
def test_a_study_survives_the_loss_of_a_node(cluster: Any, sqlite_url: str) -> None:
    node = cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    spec = StudySpec.model_validate(
        {
            "name": "cluster",
            "task": "copy",
            "task_options": {"max_length": 4, "examples": 200},
            "model": {"hidden_size": 4},
            "steps": 40,
            "batch_size": 4,
            "trials": 40,
            "space": {"strategies": ["none", "norm", "value"], "learning_rate": [0.001, 300]},
        }
    )
    end = time.monotonic() + 180

    def workers_that_ended_a_trial() -> int:
        assert time.monotonic() < end
        with database.engine.connect() as connection:
            query = "SELECT COUNT(DISTINCT worker_id) FROM gradstudy_trial WHERE outcome IS NOT NULL"
            return int(connection.exec_driver_sql(query).scalar_one())

    def is_done() -> bool:
        assert time.monotonic() < end
        counts = count_outcomes(database.engine, record.study_id)
        return counts["remaining"] + counts["running"] == 0

    with Database.open(sqlite_url) as database:
        record = create_or_resume(database, spec)
        with RayPool(2, sqlite_url, spec.name, slots=2, device="cpu", placement=Placement()) as pool:
            pool.begin()
            while workers_that_ended_a_trial() < 2:
                time.sleep(0.05)
            assert count_outcomes(database.engine, record.study_id)["remaining"] > 0
            cluster.remove_node(node, allow_graceful=False)
            while not is_done():
                time.sleep(0.05)
    assert_nothing_is_lost(sqlite_url, spec)
