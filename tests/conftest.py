"""For every test: properties are judged by what they find, not by how fast the machine happens to be.

Programs that tests start keep what they compiled, as everywhere: without, each compiles all it imports.
They hear Ctrl+C even where the tests themselves do not, as in the background of a script.
"""

from __future__ import annotations

import os
import signal

from hypothesis import HealthCheck, settings

os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("steady", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("steady")
