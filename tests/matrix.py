"""Run the tests on every supported Airflow, with the newest and the lowest dependencies."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

ROOT = Path(__file__).resolve().parents[1]

# What Airflow itself no longer works with, although its own bounds allow it.
HELD_BACK: dict[str, tuple[str, ...]] = {
    "3.0": ("fastapi<0.118",),  # 0.165 answers 422 to the task SDK, 0.117 does not
    # 3.1.0 looks for connections in another way outside of a task, which is where tests do.
    "3.1": ("apache-airflow>=3.1.8", "fastapi<0.118"),
    # pydantic 2.14 refuses a discriminator, 2.11 lacks a method; ``dags test`` fails on 3.2.2, which needs starlette 1
    "3.2": ("fastapi<0.137", "pydantic>=2.12,<2.14", "starlette<1"),
    "3.3": ("pydantic>=2.12",),  # the same method
}
TESTS = ("tests/provider", "tests/system", "tests/test_demo.py")  # what depends on Airflow
SHORT_TESTS = (  # of these, what needs no scheduler and little time, and one DAG from end to end
    "tests/provider/test_http.py",
    "tests/provider/test_hook.py",
    "tests/provider/test_tutorial.py",
    "tests/test_demo.py::test_a_second_demo_sends_no_write",
)


@dataclass(frozen=True)
class Combination:
    airflow: str
    dependencies: str
    python: str

    def __str__(self) -> str:
        return f"{self.airflow}-{self.dependencies}-{self.python}"


SHORT = [Combination("3.0", "lowest", "3.11")]  # the newest is what make test installs
WHOLE = [Combination(a, d, "3.11") for a in HELD_BACK for d in ("lowest", "newest")] + [
    Combination("3.3", d, p) for p in ("3.12", "3.13") for d in ("lowest", "newest")
]


def interpreter(version: str) -> str:
    """One that pyenv has, else the version, for which uv looks on the PATH."""
    root = Path(os.environ.get("PYENV_ROOT") or "~/.pyenv").expanduser()
    found = sorted(root.glob(f"versions/{version}.*/bin/python"))
    return str(found[-1]) if found else version


def build(venv: Path, of: Combination) -> None:
    """Install the provider with everything it needs; raises ``CalledProcessError``."""
    held = venv.with_suffix(".txt")
    held.write_text("\n".join(HELD_BACK[of.airflow]))
    uv = [sys.executable, "-m", "uv", "--quiet"]
    trusting = {"UV_SYSTEM_CERTS": "true", **os.environ}  # the certificates that this machine trusts, as pip does
    subprocess.run([*uv, "venv", "--clear", "--python", interpreter(of.python), str(venv)], env=trusting, check=True)
    resolution = "lowest-direct" if of.dependencies == "lowest" else "highest"
    install = [*uv, "pip", "install", "--python", str(venv), "--resolution", resolution, "-c", str(held)]
    install += ["--only-binary", "duckdb", "--only-binary", "pyarrow"]  # long to build; later ones have wheels
    subprocess.run(
        [
            *install,
            f"apache-airflow=={of.airflow}.*",
            "-e",
            f"{ROOT}/data_prep",
            "-e",
            f"{ROOT}/emulator",
            "-e",
            f"{ROOT}[emulator,dev]",
        ],
        env=trusting,
        check=True,
    )


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--short", action="store_true", help="the lowest of all, and its quick tests: for CI")
    p.add_argument("--only", metavar="TEXT", default="", help="combinations whose name has this, such as 3.1 or lowest")
    p.add_argument("--venvs", type=Path, default=ROOT / ".venv-matrix", metavar="DIR", help="where they are built")
    p.add_argument("pytest", nargs="*", metavar="ARGUMENT", help="for pytest, after -- (default: the Airflow tests)")
    a = p.parse_args()
    a.venvs.mkdir(parents=True, exist_ok=True)
    rows: list[tuple[str, str, float, float]] = []
    for of in [c for c in (SHORT if a.short else WHOLE) if a.only in str(c)]:
        print(f"== {of}", flush=True)
        venv, start = (a.venvs / str(of)).resolve(), monotonic()
        try:
            build(venv, of)
        except subprocess.CalledProcessError:
            rows.append((str(of), "not built", monotonic() - start, 0.0))
            continue
        built = monotonic()
        command = [
            str(venv / "bin" / "python"),
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            *(a.pytest or (SHORT_TESTS if a.short else TESTS)),
        ]
        code = subprocess.run(command, cwd=ROOT).returncode
        rows.append((str(of), "passed" if code == 0 else f"failed ({code})", built - start, monotonic() - built))
    print(f"\n{'Airflow, dependencies, Python':32}{'result':14}{'build':>8}{'tests':>8}")
    for name, result, build_seconds, test_seconds in rows:
        print(f"{name:32}{result:14}{build_seconds:6.0f} s{test_seconds:6.0f} s")
    sys.exit(not rows or any(result != "passed" for _, result, *_ in rows))


if __name__ == "__main__":
    main()
