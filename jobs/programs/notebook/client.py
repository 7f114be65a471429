"""One kernel and its cells: nbclient, with the outputs told as they come and a stop that saves.

Loaded by a notebook's own process alone.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbclient
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient.exceptions import CellExecutionError, DeadKernelError

from jobs.kinds.notebook import failure

if TYPE_CHECKING:
    from jobs.programs.notebook.run import NotebookRun

FAILED = 1
STOPPED = 128 + signal.SIGTERM


class NotebookClient(nbclient.NotebookClient):  # type: ignore[misc]
    """Executes a notebook once."""

    def __init__(self, notebook: Any, folder: Path, run: NotebookRun) -> None:
        super().__init__(notebook, resources={"metadata": {"path": str(Path.cwd())}})
        self._folder = folder
        self._run = run
        self._stopped = False
        self._number = 0
        self.on_cell_execute = self._begins
        self.on_cell_executed = self._done

    async def run(self) -> int:
        """The exit code. What has run is saved, whatever happens."""
        try:
            await self.async_execute()
        except CellExecutionError as error:
            print(failure(self._number, error.ename, error.evalue), file=sys.stderr, flush=True)
            return STOPPED if self._stopped else FAILED
        except DeadKernelError:
            if not self._stopped:
                print(f"cell {self._number}: the kernel died", file=sys.stderr, flush=True)
            return STOPPED if self._stopped else FAILED
        finally:
            self._run.ends()
        return STOPPED if self._stopped else 0

    def create_kernel_manager(self) -> AsyncKernelManager:
        """A kernel of this very Python, on sockets that are files."""
        self.km = AsyncKernelManager(
            kernel_name="python3",
            transport="ipc",
            connection_file=str(self._folder / "kernel.json"),
            kernel_spec_manager=KernelSpecManager(kernel_dirs=[]),
        )
        return self.km

    async def async_start_new_kernel_client(self, **kwargs: Any) -> Any:
        made = await super().async_start_new_kernel_client(**kwargs)
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self._stop)
        return made

    def output(self, outs: Any, msg: Any, display_id: str, cell_index: int) -> Any:
        """Tell what a cell says, and keep it in the notebook."""
        content, kind = msg["content"], msg["msg_type"]
        if kind == "stream":
            stream = sys.stderr if content.get("name") == "stderr" else sys.stdout
            print(content.get("text", ""), end="", file=stream, flush=True)
        elif kind == "error":
            print("\n".join(content.get("traceback", ())), file=sys.stderr, flush=True)
        elif text := content.get("data", {}).get("text/plain"):
            print(text, flush=True)
        return super().output(outs, msg, display_id, cell_index)

    def _begins(self, cell: Any, cell_index: int, **_: Any) -> None:
        self._number = cell_index + 1
        self._run.begins(cell_index)

    def _done(self, cell: Any, cell_index: int, **_: Any) -> None:
        self._run.done()

    def _stop(self) -> None:
        """Asked to stop: the kernel ends, the cell that runs fails with it, and what there is is saved."""
        self._stopped = True
        self._ending = asyncio.ensure_future(self.km.shutdown_kernel(now=True))
