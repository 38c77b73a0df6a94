"""What is never a mark: the grader's own fault, and a command that cannot be carried out."""


class Fault(Exception):
    """No grade can be given; the message says what was seen, expected and to be done."""


class UsageError(Exception):
    """The command cannot be carried out as it was given."""
