"""``gradstudy`` in a Python that has nothing but what ``pip install typer pydantic`` brings: run as a program."""

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec

LIGHT = {
    *sys.stdlib_module_names,
    *("gradstudy", "typer", "pydantic"),
    *("annotated_doc", "shellingham", "rich", "markdown_it", "mdurl", "pygments"),  # of typer
    *("annotated_types", "pydantic_core", "typing_extensions", "typing_inspection"),  # of pydantic
}


class NothingHeavy(MetaPathFinder):
    """Finds nothing of what is not light, though it is installed."""

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: object = None) -> ModuleSpec | None:
        if fullname.partition(".")[0] not in LIGHT and not fullname.startswith("_"):  # parts of Python itself
            raise ModuleNotFoundError(f"{fullname} is not there on a laptop", name=fullname)
        return None


if __name__ == "__main__":
    sys.meta_path.insert(0, NothingHeavy())
    from gradstudy.scripts.main import main

    try:
        main()
    finally:
        assert not {"torch", "sqlalchemy", "optuna", "pandas", "numpy"} & set(sys.modules)
