"""Where the tests find Prometheus, promtool, Alertmanager and amtool: in .peers, or in the folder that ART58_PEERS names."""

import os
from pathlib import Path

ROOT = Path(__file__).parents[1]
PEERS = ROOT / os.environ.get("ART58_PEERS", ".peers") / "bin"
