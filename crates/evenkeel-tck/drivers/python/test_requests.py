"""The driver gives back what comes after a cancel: `python3 test_requests.py`."""
import asyncio
from fractions import Fraction
from types import SimpleNamespace

import evenkeel_tck as tck

given = []


class Limiter:
    """Grants after 1 s, also to a request that is cancelled meanwhile."""

    async def acquire(self, permits):
        try:
            await asyncio.sleep(1)
        except asyncio.CancelledError:
            pass
        return lambda: given.append(permits)


def play(rule, until, *messages):
    rule.play({"at": rule.now, "until": until, "messages": list(messages)})
    events, rule.events = rule.events, []
    return [f"{event['event']} {event['id']}{' cancelled' * event.get('cancelled', False)}" for event in events]


def ask(id):
    return {"do": "acquire", "id": id, "limiter": 1, "permits": id}, {"do": "start", "id": id}


rule = tck.Rule(SimpleNamespace(limiter=lambda settings: Limiter()), 0)
assert play(rule, 0, {"do": "begin"}, {"do": "limiter", "id": 1, "settings": {}}) == ["configured 1"]
assert play(rule, tck.NANO // 2, *ask(2), *ask(3)) == []
assert play(rule, tck.NANO // 2, {"do": "cancel", "id": 3}) == ["end 3 cancelled"]
assert given == [3]
assert play(rule, 2 * tck.NANO) == ["granted 2"]
# A request that is cancelled when it has been granted, and one that was never made.
assert play(rule, tck.NANO, {"do": "cancel", "id": 2}) == []
assert given == [3, 2]
assert play(rule, tck.NANO, ask(4)[0], {"do": "cancel", "id": 4}) == ["end 4 cancelled"]
assert play(rule, tck.NANO, {"do": "end"}) == []


# A library refuses settings by any error of its own; an adapter that divides by zero has not asked it.
def configured(limiter):
    rule = tck.Rule(SimpleNamespace(limiter=limiter), 0)
    rule.play({"at": 0, "until": 0, "messages": [{"do": "begin"}, {"do": "limiter", "id": 1, "settings": {"permits": 0}}]})
    return rule.events


def refuses(_settings):
    raise ValueError("no rate")


faults = {
    "ZeroDivisionError: division by zero": lambda settings: 1 / settings.permits,
    "KeyError: 0": lambda settings: {}[settings.permits],
}
for says, limiter in faults.items():
    assert configured(limiter) == [{"event": "broken", "says": f"the adapter fails at these settings: {says}"}], says
refusals = {"ValueError: no rate": refuses, "ZeroDivisionError: Fraction(1, 0)": lambda settings: Fraction(1, settings.permits)}
for says, limiter in refusals.items():
    assert configured(limiter) == [{"event": "refused", "id": 1, "says": says}], says
print("permits come back", file=tck._lines)
