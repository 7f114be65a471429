"""The program inside a notebook's job; `model` is pure, nobody but that process loads the rest."""
