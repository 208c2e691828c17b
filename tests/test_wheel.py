"""The built wheel, installed into an environment of its own outside the checkout, searches."""

import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_the_wheel_searches(tmp_path: Path) -> None:
    build = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "-q",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        str(tmp_path),
        str(ROOT),
    ]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("resift-*.whl")
    assert wheel.stat().st_size < 100_000_000
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "env")], check=True)
    python = tmp_path / "env" / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "-q", "--no-index", "--no-deps", str(wheel)], check=True)
    # The dependencies come from this environment: a path line behind the new one's own packages.
    own = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])"],
        check=True,
        capture_output=True,
        text=True,
    )
    (Path(own.stdout.strip()) / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    (tmp_path / "notes.md").write_text("# Lamp\n\nThe keeper lit a paraffin lamp.\n\n# Bread\n\nBake it dark.\n")
    command = [str(tmp_path / "env" / "bin" / "resift"), "search", "who lit the lamp", "notes.md", "--json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "paraffin" in done.stdout and '"maxsim"' in done.stdout
    code = (
        "from resift.engine.native import encoder_library, maxsim_library;"
        "print(maxsim_library.kernel() is not None and encoder_library.LIBRARY.exists())"
    )
    kernel = subprocess.run([python, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert kernel.stdout.strip() == str(any(map(shutil.which, ("cc", "gcc", "clang")))), kernel.stderr
    where = subprocess.run(
        [python, "-c", "import resift; print(resift.__file__)"], cwd=tmp_path, capture_output=True, text=True
    )
    assert str(tmp_path) in where.stdout
