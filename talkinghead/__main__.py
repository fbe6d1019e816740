"""The command `talkinghead`, also run as `python -m talkinghead`."""

from talkinghead.cli.main import main
from talkinghead.processes.ending import run_alone


def run() -> None:
    """Run the command line as a process of its own."""
    run_alone(main)


if __name__ == "__main__":
    run()
