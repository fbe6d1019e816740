"""The command line, one file for each family of commands; the program is `talkinghead.cli.main`."""
