"""The lowest versions that pyproject.toml allows, as constraints for pip: what `make test-oldest` installs."""

import re
import tomllib
from pathlib import Path


def lowest(project: dict) -> list[str]:
    """What a project needs, with and without its extras, in the lowest version of each: "dask==2024.1"."""
    groups = (project["dependencies"], *project["optional-dependencies"].values())
    # Constraints have no extras.
    return [re.sub(r"\[.*?\]", "", need).replace(">=", "==", 1) for needed in groups for need in needed]


if __name__ == "__main__":
    pyproject = Path(__file__).resolve().parents[1] / "pyproject.toml"
    print(*lowest(tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]), sep="\n")
