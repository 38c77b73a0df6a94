"""What is the grader's own fault, and so never a mark."""


class Fault(Exception):
    """No grade can be given; the message says what was seen, expected and to be done."""
