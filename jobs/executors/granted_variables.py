"""What a started job finds in its environment because of what it was granted.

Pure. The thread limits match the granted cores: numeric libraries would otherwise start one thread for each
core of the machine and turn every reservation into fiction.
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Sequence

from jobs.core.jobs import Grant, JobSpec, Needs
from jobs.core.machine import Device

THREAD_LIMITS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "LOKY_MAX_CPU_COUNT",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
    "CRO_CPUS",
)


GRANTED = "CRO_GPUS"  # the identities of what was granted, whoever made it


def grant_environment(needs: Needs, grant: Grant, devices: Sequence[Device] = ()) -> dict[str, str]:
    """The variables that keep an attempt within its cores and on its devices.

    Devices are named by UUID, in the order in which the job will number them; a job that asked for none
    sees none, so that a framework cannot take a whole GPU in passing. `devices` are all of the machine.
    """
    environ = dict.fromkeys(THREAD_LIMITS, str(max(1, math.floor(needs.cpus))))
    environ["PYTHONUNBUFFERED"] = "1"  # a log that can be followed
    known = {device.uuid: device for device in devices}
    granted = [known.get(uuid) or Device(uuid, 0, "", 0) for uuid in grant.device_uuids]
    environ[GRANTED] = ",".join(grant.device_uuids)
    environ["CUDA_VISIBLE_DEVICES"] = ",".join(each.uuid for each in granted if each.vendor == "nvidia")
    if any(device.vendor == "amd" for device in known.values()):
        environ |= _rocm([each for each in granted if each.vendor == "amd"])
    if grant.device_uuids:
        environ["TF_FORCE_GPU_ALLOW_GROWTH"] = "true"
    return environ


def _rocm(granted: Sequence[Device]) -> dict[str, str]:
    """ROCr, below all else, takes names, and of an empty one shows nothing. HIP and OpenCL number what that
    left, from 0; what the user had set for them would choose from it once more."""
    numbers = ",".join(map(str, range(len(granted))))
    return {
        "ROCR_VISIBLE_DEVICES": ",".join(device.alias or device.uuid for device in granted),
        "HIP_VISIBLE_DEVICES": numbers,
        "GPU_DEVICE_ORDINAL": numbers,
    }


def recipe_environment(spec: JobSpec) -> dict[str, str]:
    """What it was asked for, for those who read no flags: the parameters as JSON, and a seed.

    The seed is the parameter of that name, or else a number that the same command always gets.
    """
    params = dict(spec.params)
    seed = params.get("seed")
    if isinstance(seed, bool) or not isinstance(seed, int):
        seed = zlib.crc32("\0".join(spec.argv).encode("utf-8", "surrogateescape"))
    return {"CRO_PARAMS": json.dumps(params), "CRO_SEED": str(seed)}
