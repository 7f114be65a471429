"""For every test: properties are judged by what they find, not by how fast the machine happens to be.

Programs that tests start keep what they compiled, as everywhere: without, each compiles all it imports.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

settings.register_profile("steady", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("steady")
