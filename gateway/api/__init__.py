"""The web face: the only place, with ``gateway.app``, that knows HTTP."""
