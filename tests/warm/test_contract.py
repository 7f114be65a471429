"""A warm start is a faithful `python script.py`: the same scripts cold and warm, compared."""

from __future__ import annotations

import asyncio

import pytest

from tests.warm.bench import Bench, Ran
from tests.warm.scripts import SCRIPTS

BESIDE = ("bundle", "jobs", "tree", "supervisor", "shelf", "recipes")


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Ran, Ran]]:
    """What each script did, cold and warm."""
    folder = tmp_path_factory.mktemp("warm")

    async def both(bench: Bench, text: str) -> tuple[Ran, Ran]:
        files = {f"{name}.py": f"x = {name!r}\n" for name in BESIDE} if "import bundle" in text else {}
        return await bench.run(text, None, files=files), await bench.run(text, "sklearn", files=files)

    async def everything() -> dict[str, tuple[Ran, Ran]]:
        bench = Bench(folder)
        bench.warm("sklearn")
        try:
            found = await asyncio.gather(*(both(bench, text) for text in SCRIPTS.values()))
            return dict(zip(SCRIPTS, found, strict=True))
        finally:
            await bench.executor.close()

    return asyncio.run(everything())


@pytest.mark.parametrize("name", SCRIPTS)
def test_cold_and_warm_are_the_same(ran: dict[str, tuple[Ran, Ran]], name: str) -> None:
    cold, warm = ran[name]
    assert not cold.warm
    assert warm.warm, warm.why_cold
    assert warm.output == cold.output
    assert warm[:4] == cold[:4]
