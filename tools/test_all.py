"""Run all tests on each interpreter of 3.11 to 3.14 that this machine has, and say which it has not."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VERSIONS = ("3.11", "3.12", "3.13", "3.14")


def main() -> int:
    results = {version: test(version) for version in VERSIONS}
    print()
    for version, result in results.items():
        print(f"Python {version}: {result}")
    return "FAILED" in results.values() or "passed" not in results.values()


def test(version: str) -> str:
    python = next((path for path in candidates(version) if runs(path, version)), None)
    if python is None:
        return "not found on this machine, not tested"
    print(f"\n== Python {version}: {python}", flush=True)
    venv = f".venv-{version}"
    steps = (
        [ROOT / "tools/setup", venv, "--python", python, "test"],
        [ROOT / venv / "bin/pytest", "--installed", *sys.argv[1:]],
    )
    for step in steps:
        if subprocess.run([str(word) for word in step], cwd=ROOT, check=False).returncode:
            return "FAILED"
    return "passed"


def candidates(version: str) -> Iterator[Path]:
    """PATH first, then where pyenv and uv keep theirs."""
    for folder in os.get_exec_path():
        if found := shutil.which(f"python{version}", path=folder):
            yield Path(found)
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    yield from sorted(pyenv.glob(f"versions/{version}.*/bin/python{version}"), reverse=True)
    managed = Path(os.environ.get("UV_PYTHON_INSTALL_DIR", Path.home() / ".local/share/uv/python"))
    yield from sorted(managed.glob(f"cpython-{version}.*/bin/python{version}"), reverse=True)


def runs(python: Path, version: str) -> bool:
    """A name on PATH may be a pyenv shim for a version that is not active."""
    program = "import sys; print('%d.%d' % sys.version_info[:2])"
    done = subprocess.run([str(python), "-c", program], capture_output=True, text=True, check=False)
    return done.returncode == 0 and done.stdout.strip() == version


if __name__ == "__main__":
    sys.exit(main())
