# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""All requests there can be, in as many classes as a set of conditions can tell apart, each with a request as witness.

A dimension is what conditions look at apart from all others: host, path, method, source address, one header, the query.
In a dimension with one value (host, path, method, address) every way to meet and not to meet the conditions is found.
A header, and a parameter of a query, may be there several times: any ways to meet conditions go together. Of those it
is enough to look at requests that carry what `winners` rules need. Who compares which rule answers in so many sets of
rules loses nothing: from a request that they answer differently, leave out all that the answering rules do not need,
and the same rules answer, as no condition is ever met by something that is not there.

What a regular expression matches is left open: the classes have requests that meet it and requests that do not, be
there such or not. The same goes for a pattern with letters that requests are not known to have (a tab in a header, a
letter outside ASCII), and for a dimension with too many ways to be gone through.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, reduce
from operator import or_
from typing import Any

from ansible_collections.hokusai.platform.plugins.module_utils import request_patterns as patterns
from ansible_collections.hokusai.platform.plugins.module_utils.elb_condition import Condition, Conditions
from ansible_collections.hokusai.platform.plugins.module_utils.errors import BadInput
from ansible_collections.hokusai.platform.plugins.module_utils.request_patterns import Alphabet, TooManyError
from ansible_collections.hokusai.platform.plugins.module_utils.routing import (
    SOMEWHERE,
    Request,
    contains,
    holds,
    key_and_value,
    network,
)

MAX_CLASSES = 200000
MAX_LOOKS = 3000000
METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS")
ADDRESSES = (SOMEWHERE, "203.0.113.9", "2001:db8::1")
GLOBS = {"host-header": ("host", patterns.HOSTS), "path-pattern": ("path", patterns.PATHS)}
ALPHABETS = {"http-header": patterns.HEADERS, **{name: alphabet for name, (_field, alphabet) in GLOBS.items()}}
ELSEWHERE = "elsewhere.test"

Part = tuple[str, Any]
"""What a witness has: the name of a field of `Request`, and the value; or "open" and a condition it is to meet."""
Parts = tuple[Part, ...]
Choices = Iterable[tuple[int, Parts]]


def bits(number: int) -> Iterator[int]:
    """The places of the ones, lowest first."""
    while number:
        low = number & -number
        yield low.bit_length() - 1
        number ^= low


@dataclass(frozen=True)
class One:
    """A dimension with one value. `ways` are the sets of rules that a value suits, as bits, and the value."""

    ways: Sequence[tuple[int, Parts]]

    def choices(self, _alive: int) -> Choices:
        return self.ways


@dataclass(frozen=True)
class Many:
    """A dimension with any number of values, of which `limit` are enough.

    `needs` are the conditions, as bits, that each rule has here; `values` the sets of conditions that a value meets.
    """

    needs: Sequence[int]
    values: Sequence[tuple[int, Part]]
    limit: int

    def choices(self, alive: int) -> Choices:
        asking = [rule for rule in bits(alive) if self.needs[rule]]
        by_one: dict[int, int] = {}
        picky = []
        for rule in asking:
            if self.needs[rule].bit_count() == 1:
                place = self.needs[rule].bit_length() - 1
                by_one[place] = by_one.get(place, 0) | 1 << rule
            else:
                picky.append(rule)
        indifferent = alive & ~sum(1 << rule for rule in asking)
        for met, parts in self._unions(reduce(or_, (self.needs[rule] for rule in asking), 0)).items():
            suited = indifferent
            for place in bits(met):
                suited |= by_one.get(place, 0)
            for rule in picky:
                suited |= (not self.needs[rule] & ~met) << rule
            yield suited, parts

    def _unions(self, asked: int) -> dict[int, Parts]:
        """Which of the conditions asked for are met by up to `limit` values together, and those values.

        Values are added in their order. Where two sets of values meet the same, the smaller or earlier one goes on:
        what the other would come to with one value more, it comes to as well.
        """
        values = list({met & asked: part for met, part in reversed(self.values) if met & asked}.items())
        found: dict[int, tuple[int, Parts]] = {0: (0, ())}
        latest = found
        for _count in range(self.limit):
            grown: dict[int, tuple[int, Parts]] = {}
            for met, (first, parts) in latest.items():
                for place in range(first, len(values)):
                    more, part = values[place]
                    grown.setdefault(met | more, (place + 1, (*parts, part)))
            latest = {met: grown[met] for met in grown if met not in found}
            found.update(latest)
            if len(found) > MAX_CLASSES:
                raise TooManyError(f"conditions on headers or the query can be met in more than {MAX_CLASSES} ways")
        return {met: parts for met, (_first, parts) in found.items()}


@dataclass(frozen=True)
class Space:
    """The classes for the given sets of conditions ("rules" here, by their place in `rules`).

    Raises `TooManyError`, when first asked, if there are more than `MAX_CLASSES`.
    """

    rules: Sequence[Conditions]
    winners: int = 3
    open: set[Condition] = field(default_factory=set)
    """Conditions that were left open."""

    @cached_property
    def classes(self) -> tuple[tuple[int, Parts], ...]:
        """The rules that the requests of each class meet, as bits, and what the witness has."""
        found: dict[int, Parts] = {(1 << len(self.rules)) - 1: ()}
        for dimension in self._dimensions():
            before, found, looks = found, {}, 0
            for alive, parts in before.items():
                for suited, more in dimension.choices(alive):
                    found.setdefault(alive & suited, parts + more)
                    looks += 1
                if len(found) > MAX_CLASSES or looks > MAX_LOOKS:
                    raise TooManyError(f"the rules tell more than {min(looks, MAX_CLASSES)} kinds of requests apart")
        return tuple(found.items())

    @cached_property
    def meeting(self) -> tuple[int, ...]:
        """The classes, as bits, that meet each rule."""
        marks = [bytearray(len(self.classes) // 8 + 1) for _rule in self.rules]
        for number, (met, _parts) in enumerate(self.classes):
            for rule in bits(met):
                marks[rule][number >> 3] |= 1 << (number & 7)
        return tuple(int.from_bytes(each, "little") for each in marks)

    @property
    def all(self) -> int:
        return (1 << len(self.classes)) - 1

    def witness(self, number: int) -> Request:
        """A request of a class, as far as one can be told: see `is_certain`."""
        parts = self.classes[number][1]
        given: dict[str, Any] = {"host": ELSEWHERE, **{n: value for n, value in parts if n not in ("headers", "query")}}
        given.pop("open", None)
        headers = tuple(value for name, value in parts if name == "headers")
        query = "&".join(value for name, value in parts if name == "query")
        return Request(**given, headers=headers, query=query)

    def is_certain(self, number: int) -> bool:
        """Whether the witness meets exactly the rules that its class does: it may not, once something is left open."""
        met, request = self.classes[number][0], self.witness(number)
        try:
            found = (all(holds(each, request) for each in rule) for rule in self.rules)
            return all(is_met == bool(met >> place & 1) for place, is_met in enumerate(found))
        except BadInput:
            return False

    def _dimensions(self) -> Iterator[One | Many]:
        conditions = list(dict.fromkeys(each for rule in self.rules for each in sorted(rule)))
        subjects = dict.fromkeys((each.field, each.header) for each in conditions)
        for name, header in sorted(subjects):
            here = [each for each in conditions if (each.field, each.header) == (name, header)]
            yield from self._dimension(name, here)

    def _dimension(self, name: str, here: list[Condition]) -> Iterator[One | Many]:
        closed = [each for each in here if is_readable(each)]
        others = [each for each in here if each not in closed]
        if name == "http-header":
            yield self._many(here, [*self._headers(closed), *self._left_open(others)])
        elif name == "query-string":
            yield self._many(here, [*self._parameters(closed), *self._left_open(others)])
        elif name in GLOBS:
            yield from self._texts(name, closed)
            yield from self._opened(others)
        else:
            yield self._values(name, here)

    # --- dimensions with one value

    def _one(self, here: Sequence[Condition], met: dict[frozenset[Condition], Part]) -> One:
        """`met` has a value for each set of conditions that one can meet."""
        concerned = [rule & set(here) for rule in self.rules]
        suited = (
            (sum(1 << number for number, needs in enumerate(concerned) if needs <= conditions), (part,))
            for conditions, part in met.items()
        )
        return One(list(dict(suited).items()))

    def _texts(self, name: str, here: list[Condition]) -> Iterator[One | Many]:
        field_name, alphabet = GLOBS[name]
        try:
            ways = texts_meeting(here, alphabet)
        except TooManyError:
            yield from self._opened(here)
            return
        yield self._one(here, {met: (field_name, text) for met, text in ways.items()})

    def _values(self, name: str, here: list[Condition]) -> One:
        is_method = name == "http-request-method"
        part = "method" if is_method else "source_ip"
        met: dict[frozenset[Condition], Part] = {}
        for value in methods(here) if is_method else addresses(here):
            meeting = (each for each in here if _has(each, value, is_method))
            met.setdefault(frozenset(meeting), (part, value))
        return self._one(here, met)

    # --- dimensions with many

    def _many(self, here: Sequence[Condition], values: Iterable[tuple[frozenset[Condition], Part]]) -> Many:
        places = {each: 1 << number for number, each in enumerate(here)}
        needs = [sum(places[each] for each in rule if each in places) for rule in self.rules]
        most = max(need.bit_count() for need in needs)
        found = [(sum(places[each] for each in met), part) for met, part in values]
        return Many(needs, found, self.winners * most)

    def _left_open(self, some: list[Condition]) -> Iterator[tuple[frozenset[Condition], Part]]:
        self.open.update(some)
        return ((frozenset([each]), ("open", each)) for each in some)

    def _opened(self, some: list[Condition]) -> Iterator[Many]:
        """Conditions of which nothing is said but that they are met or not."""
        if some:
            yield self._many(some, self._left_open(some))

    def _headers(self, here: list[Condition]) -> Iterator[tuple[frozenset[Condition], Part]]:
        if here:
            for met, text in texts_meeting(here, patterns.HEADERS).items():
                yield met, ("headers", (here[0].header, text))

    def _parameters(self, here: list[Condition]) -> Iterator[tuple[frozenset[Condition], Part]]:
        """Every kind of parameter: by its key, which may be missing, and its value."""
        pairs = {text: key_and_value(text) for each in here for text in each.values}
        keys = list(dict.fromkeys(key for key, _value in pairs.values() if key is not None))
        wanted = list(dict.fromkeys(value for _key, value in pairs.values()))
        value_ways = patterns.distinctions(wanted, patterns.VALUES).items()
        ways = [
            (met_keys, met_values, f"{key}={value}")
            for met_keys, key in patterns.distinctions(keys, patterns.KEYS).items()
            for met_values, value in value_ways
        ]
        lone = patterns.distinctions(wanted, patterns.LONE_VALUES).items()
        for met_keys, met_values, text in [*((0, met, value) for met, value in lone), *ways]:
            sent = {
                each
                for each, (key, value) in pairs.items()
                if met_values >> wanted.index(value) & 1 and (key is None or met_keys >> keys.index(key) & 1)
            }
            yield frozenset(each for each in here if sent & set(each.values)), ("query", text)


def is_readable(each: Condition) -> bool:
    """Whether it can be told what meets a condition: by patterns alone, of letters that requests are known to have."""
    if each.field == "query-string":
        pairs = map(key_and_value, each.values)
        return all(patterns.KEYS.within(key or "") and patterns.VALUES.within(value) for key, value in pairs)
    alphabet = ALPHABETS.get(each.field)
    return not each.regexes and (alphabet is None or all(map(alphabet.within, each.values)))


def texts_meeting(here: Sequence[Condition], alphabet: Alphabet) -> dict[frozenset[Condition], str]:
    """A text for each set of conditions that one can meet, by their patterns."""
    globs = list(dict.fromkeys(text for each in here for text in each.values))
    among = {each: sum(1 << globs.index(text) for text in each.values) for each in here}
    ways = patterns.distinctions(globs, alphabet)
    found: dict[frozenset[Condition], str] = {}
    for met, text in ways.items():
        found.setdefault(frozenset(each for each in here if among[each] & met), text)
    return found


def methods(here: Sequence[Condition]) -> list[str]:
    named = [value for each in here for value in each.values]
    return [*METHODS, *named, "X" * (1 + max(map(len, [*METHODS, *named])))]


def addresses(here: Sequence[Condition]) -> list[str]:
    """Addresses on either side of every border of a block: between two borders all are alike."""
    blocks = [block for each in here for text in each.values if (block := network(text)) is not None]
    first = {str(block.network_address) for block in blocks}
    beyond = {
        str(block.broadcast_address + 1)
        for block in blocks
        if int(block.broadcast_address) + 1 < 1 << block.max_prefixlen
    }
    lowest = [str(kind(0)) for kind in (ipaddress.IPv4Address, ipaddress.IPv6Address)]
    return [*ADDRESSES, *sorted(first | beyond), *lowest]


def _has(condition: Condition, value: str, is_method: bool) -> bool:
    found: Callable[[str], bool] = (lambda text: text == value) if is_method else (lambda text: contains(text, value))
    return any(found(text) for text in condition.values)
