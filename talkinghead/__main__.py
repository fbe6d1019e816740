"""The command `talkinghead`, run as `python -m talkinghead`."""

from talkinghead.cli.main import main

main()
