"""The curves of one metric of several jobs over their steps, each with a mark of its own.

Draws what it is given; which metric is shown is the dialog's affair.
"""

from __future__ import annotations

from collections.abc import Sequence

from textual_plotext import PlotextPlot

from cro_tui.present.amounts import clean

MARKS = "ox+*#%"  # readable without colour


class Curves(PlotextPlot):
    """Lines of (step, value) points under a title, with a legend."""

    def draw_curves(self, title: str, curves: Sequence[tuple[str, Sequence[tuple[float, float]]]]) -> None:
        """Show these, in the order of their marks; each comes with its label."""
        self.plt.clear_figure()
        for mark, (label, curve) in zip(MARKS, curves, strict=False):
            steps, values = [at for at, _ in curve], [value for _, value in curve]
            self.plt.plot(steps, values, marker=mark, label=clean(label, 24))
        self.plt.title(clean(title, 40))
        self.refresh()
