"""A module that is run confined."""

import os
import subprocess
import sys
from pathlib import Path

from trainer.system import landlock


def test_it_has_its_words_and_cannot_read_credentials(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.mkdir()
    (keys / "credentials").write_text("s3cr3t")
    (tmp_path / "module.py").write_text(
        "import sys\nfrom pathlib import Path\ntry:\n    print(Path(sys.argv[1]).read_text(), __name__)\n"
        "except OSError as error:\n    print(type(error).__name__, __name__)\n"
    )
    path = os.pathsep.join([str(tmp_path), *sys.path])
    environ = {**os.environ, "PYTHONPATH": path, "OCRFLEET_UNREADABLE": f"{tmp_path / 'gone'}::{keys}"}
    command = [sys.executable, "-m", "trainer.system.confined", "module", str(keys / "credentials")]
    said = subprocess.run(command, env=environ, capture_output=True, text=True, check=True).stdout
    assert said == ("PermissionError __main__\n" if landlock.available() else "s3cr3t __main__\n")


def test_what_it_starts_can_be_confined_again(tmp_path: Path) -> None:
    """`predict` is confined, and so are the processes that decode for it."""
    (tmp_path / "keys").write_text("s3cr3t")
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "inner.py").write_text(
        "from pathlib import Path\ntry:\n    print(Path('keys').read_text())\n"
        "except OSError as error:\n    print(type(error).__name__)\n"
    )
    (tmp_path / "code" / "outer.py").write_text(
        "import subprocess, sys\n"
        "subprocess.run([sys.executable, '-m', 'trainer.system.confined', 'inner'], check=True)\n"
    )
    path = os.pathsep.join([str(tmp_path / "code"), *sys.path])
    environ = {**os.environ, "PYTHONPATH": path, "OCRFLEET_UNREADABLE": str(tmp_path / "keys")}
    command = [sys.executable, "-m", "trainer.system.confined", "outer"]
    done = subprocess.run(command, env=environ, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == ("PermissionError\n" if landlock.available() else "s3cr3t\n")
