"""Options of commands: fields of a dataclass that describe themselves, and the command group that shows errors."""
