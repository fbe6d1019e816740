"""The command line; `talkinghead.cli.main` is the program."""
