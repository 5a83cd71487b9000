"""What ``core.figures`` imports."""

import subprocess
import sys


def test_figures_need_no_torch() -> None:
    code = "import sys, core.figures; print('torch' in sys.modules)"
    command = [sys.executable, "-c", code]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert output == "False\n"
