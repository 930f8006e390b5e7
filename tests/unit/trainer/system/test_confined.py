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
