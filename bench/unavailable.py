"""Why a figure cannot be measured here."""


class Unavailable(Exception):
    """Something that a measurement needs is not on this machine; the message says how to get it."""
