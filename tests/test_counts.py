"""Numbers with labels, added up and sent elsewhere."""

import json
from collections import Counter, defaultdict

from greensock.counts import LONGEST_REASON, MOST_REASONS, Counts


def counts(active=(), **numbers):
    """Of one model: names with a number, or with numbers by reason."""
    keys = defaultdict(int)
    for name, value in numbers.items():
        if isinstance(value, dict):
            keys.update({(name, "greenlet", reason): each for reason, each in value.items()})
        else:
            keys[name, "greenlet"] = value
    return Counts(keys, Counter(active))


def there_and_back(counts):
    return Counts.from_json(json.loads(json.dumps(counts.as_json())))


def test_a_sum_has_all_that_its_parts_have():
    one = counts(opened=3, closed={"failed": 1}, active={"greenlet": 2})
    other = counts(opened=4, closed={"failed": 1, "finished": 3}, active={"thread": 1})
    whole = Counts.sum([one, other])
    assert 7 == whole.total("opened")
    assert [(("greenlet", "failed"), 2), (("greenlet", "finished"), 3)] == [*whole.of("closed")]
    assert {"greenlet": 2, "thread": 1} == whole.active
    assert 3 == one.total("opened")


def test_a_sum_of_nothing_is_nothing():
    assert (0, {}) == (Counts.sum([]).total("opened"), Counts.sum([]).active)


def test_json_says_it_all():
    whole = there_and_back(counts(opened=3, closed={"ü": 1}, seconds=0.1, active={"thread": 1}))
    assert (3, 0.1, {"thread": 1}) == (whole.total("opened"), whole.total("seconds"), whole.active)
    assert [(("greenlet", "ü"), 1)] == [*whole.of("closed")]


def test_however_many_reasons_there_are_they_take_little_room():
    """And whoever was told apart once stays so."""
    reasons = {f"{number} {'ü' * 1000}": 1 for number in range(5 * MOST_REASONS)}
    few = counts(closed=dict([*reasons.items()][:3]), opened=1)
    many = counts(closed=reasons, opened=1)
    found = dict(there_and_back(many).of("closed"))
    assert (MOST_REASONS + 1, len(reasons)) == (len(found), sum(found.values()))
    assert dict(there_and_back(few).of("closed")).items() <= found.items()
    assert LONGEST_REASON == max(len(reason) for _, reason in found)
    assert 4 * MOST_REASONS == found["greenlet", "other"]
    assert 1 == there_and_back(many).total("opened")
