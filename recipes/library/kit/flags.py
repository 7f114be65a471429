"""The command-line flags that several recipes have, so that they mean the same in each."""

from __future__ import annotations

import argparse

from .data import DATA_HELP

TASKS = ("auto", "classification", "regression")


def number(
    parser: argparse.ArgumentParser,
    flag: str,
    default: float,
    bounds: tuple[float, float],
    help: str,
) -> None:
    """Add a flag for a number within bounds (included); a whole number if its default is one."""
    low, high = bounds

    def read(text: str) -> float:
        value = type(default)(text)
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{text} is not from {low} to {high}")
        return value

    read.__name__ = type(default).__name__
    parser.add_argument(flag, type=read, default=default, help=help)


def data_flags(
    parser: argparse.ArgumentParser, data: str = "digits", target_help: str = "the column to predict"
) -> None:
    """--data, --target, --test-share, --seed: what `load` and `split` take."""
    parser.add_argument("--data", default=data, help=DATA_HELP)
    parser.add_argument("--target", default="target", help=target_help)
    number(parser, "--test-share", 0.25, (0.05, 0.5), "fraction held out for testing")
    number(parser, "--seed", 0, (0, 2**32 - 1), "the same seed gives the same result")


def task_flag(parser: argparse.ArgumentParser) -> None:
    """--task."""
    parser.add_argument("--task", default="auto", choices=TASKS, help="auto: inferred from the target")


def text_flags(parser: argparse.ArgumentParser) -> None:
    """--text, and the flags of the data, which are sentences by default."""
    data_flags(parser, data="docstrings")
    parser.add_argument(
        "--text", default="auto", help="the column of texts; auto: the one with the longest"
    )
