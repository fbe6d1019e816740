"""`python -m talkinghead` is the command `talkinghead`."""

from talkinghead.cli.main import main

main()
