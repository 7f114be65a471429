"""What is read in a job's records and last words, with a wary eye."""

from __future__ import annotations

import pytest

from jobs.records.exits import says_out_of_gpu_memory


@pytest.mark.parametrize(
    "words",
    [
        "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has",
        "ResourceExhaustedError: OOM when allocating tensor with shape[4096,4096] and type float on "
        "/job:localhost/replica:0/task:0/device:GPU:0 by allocator GPU_0_bfc",
        "jaxlib.xla_extension.XlaRuntimeError: RESOURCE_EXHAUSTED: Out of memory while trying to allocate",
        "failed to allocate 2.00G: CUDA_ERROR_OUT_OF_MEMORY: out of memory",
    ],
)
def test_the_frameworks_words_for_a_full_gpu_are_known(words: str) -> None:
    assert says_out_of_gpu_memory(f"epoch 3\n{words}\nand more\n")


@pytest.mark.parametrize(
    "words",
    ["", "MemoryError", "OOM when allocating tensor with shape[9] on /device:CPU:0 by allocator cpu"],
)
def test_other_failures_are_not_taken_for_one(words: str) -> None:
    assert not says_out_of_gpu_memory(words)
