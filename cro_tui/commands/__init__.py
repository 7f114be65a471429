"""The plain commands: the same words as the screen, for terminals, scripts and pipes. One module each."""
