"""What a call would cost, in place of the call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from gateway.config import ModelEntry
from gateway.ledger.cost import expected
from gateway.record import Cost, Used
from providers.base.contract import MediaRequest
from providers.base.price import Price


@dataclass
class Quoted(Exception):
    """Raised where a call that only asks for its price would have been made."""

    model: str
    provider: str
    cost: Cost | None
    price: Price | None
    used: Used

    def answer(self) -> Mapping[str, Any]:
        """The answer's body. An unknown cost is ``null``."""
        usd, certainty = (None, "unknown") if self.cost is None else (self.cost.usd, "expected")
        return {
            "object": "dry_run",
            "model": self.model,
            "provider": self.provider,
            "cost": {"usd": usd, "certainty": certainty, "price": _shown(self.price)},
            "used": {name: value for name, value in asdict(self.used).items() if value},
        }


def quoted(entry: ModelEntry, price: Price | None, requests: Sequence[MediaRequest]) -> Quoted:
    """To be raised for a call of ``requests`` to a deployment."""
    used, cost = expected(price, requests)
    return Quoted(entry.model_name, entry.vendor, cost, price, used)


def _shown(price: Price | None) -> Mapping[str, Any] | None:
    """What is set of a price; its options are in its rates."""
    if price is None:
        return None
    shown = {name: value for name, value in asdict(price).items() if name not in ("options", "rates", "exact")}
    rates = [{"usd": rate.usd, "where": dict(rate.where)} for rate in price.rates]
    set_ = {name: value for name, value in shown.items() if value or (value == 0 and name.startswith("per_"))}
    return {**set_, **({"rates": rates} if rates else {}), "exact": price.exact}
