"""Real clients, each in an environment of its own, against a gateway on a socket: ``make acceptance``."""
