"""The distribution: complete, and no trouble for somebody's own ``models/``."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = ("models", "scripts", "storage", "study")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder)]
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options, str(ROOT)], check=True)
    return next(folder.glob("*.whl"))


def test_the_wheel_holds_every_module_of_every_room_and_nothing_at_top_level(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    modules = {f"gradstudy/{path.relative_to(ROOT)}" for room in ROOMS for path in (ROOT / room).rglob("*.py")}
    assert modules <= names
    assert {f"gradstudy/{room}/py.typed" for room in ROOMS} <= names
    folders = (ROOT / "study" / "report" / "templates", ROOT / "scripts" / "web" / "pages" / "templates")
    templates = {f"gradstudy/{path.relative_to(ROOT)}" for folder in folders for path in folder.glob("*.*")}
    assert {Path(name).suffix for name in templates} == {".html", ".css", ".js"}
    assert templates <= names
    assert "gradstudy/models/tasks/sunspots.csv" in names
    top_level = {name.partition("/")[0] for name in names}
    assert {name for name in top_level if not name.endswith(".dist-info")} == {"gradstudy"}


def test_an_installed_wheel_lives_beside_somebodys_own_models_package(wheel, tmp_path):
    site, work = tmp_path / "site", tmp_path / "work"
    options = ["--quiet", "--no-deps", "--no-index", "--target", str(site)]
    subprocess.run([sys.executable, "-m", "pip", "install", *options, str(wheel)], check=True)
    (work / "models").mkdir(parents=True)
    (work / "models" / "__init__.py").write_text("OWNER = 'the user'\n")
    code = (
        "import models, gradstudy.models.clipping as clipping, gradstudy.storage.migrations as migrations\n"
        "print(models.OWNER, clipping.__file__, migrations.__file__, sep='\\n')"
    )
    environment = {"PYTHONPATH": f"{work}:{site}", "PATH": ""}
    command = [sys.executable, "-c", code]
    shown = subprocess.run(command, cwd=work, env=environment, check=True, capture_output=True, text=True)
    owner, clipping, migrations = shown.stdout.splitlines()
    assert owner == "the user"
    assert Path(clipping).is_relative_to(site)
    assert Path(migrations).is_relative_to(site)
