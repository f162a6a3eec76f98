"""How work on the zoo ends when it is asked to stop."""


class Interrupted(Exception):
    """Asked to stop; what was done is on disk, and the message says how to go on."""
