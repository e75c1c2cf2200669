# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Every way in which texts can tell a set of wildcard patterns apart, with one text for each way.

All patterns run at once, as one automaton whose states are sets of positions, and those are bits of an integer. From a
state only the letters that some pattern waits for lead to places of their own; one letter more stands for all others.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ansible_collections.hokusai.platform.plugins.module_utils.routing import STAR, tokens

MAX_STATES = 20000
VISIBLE = "".join(map(chr, range(0x21, 0x7F)))


class TooManyError(Exception):
    """The requests differ in more ways than can be gone through in reasonable time."""


@dataclass(frozen=True)
class Alphabet:
    """Which texts there are: of which letters, how they begin, and whether the empty one is among them.

    Letters of `inner` are neither the first nor the last of a text. There may be texts of other letters too: a pattern
    that asks for such a letter is not `within` the alphabet, and what meets it cannot be told.
    """

    letters: str
    begin: str = ""
    empty: bool = False
    inner: str = ""

    def within(self, pattern: str) -> bool:
        """Whether a pattern asks for nothing but letters of the alphabet, in places where they may be."""
        places = tokens(pattern)
        asked = {letter for letter, is_wild in places if not is_wild}
        ends = {letter for letter, is_wild in places[:1] + places[-1:] if not is_wild}
        return asked <= {*self.letters, *self.inner} and not ends & set(self.inner)


LOWER = "".join(letter for letter in VISIBLE if letter == letter.lower())
HOSTS = Alphabet("".join(letter for letter in LOWER if letter not in "/?#@:\\"))
PATHS = Alphabet("".join(letter for letter in VISIBLE if letter not in "?#"), begin="/")
HEADERS = Alphabet(LOWER, empty=True, inner=" ")
"""White space around the value of a header is not part of it, and is taken off where it arrives (RFC 9110, 5.5)."""
KEYS = Alphabet("".join(letter for letter in LOWER if letter not in "&=#"), empty=True)
VALUES = Alphabet("".join(letter for letter in LOWER if letter not in "&#"), empty=True)
LONE_VALUES = Alphabet(KEYS.letters)


class Automaton:
    """Patterns as bits: pattern 0's positions first, each position one bit, the last of each that of acceptance."""

    def __init__(self, patterns: Sequence[str]) -> None:
        self.start = self.stars = self.ones = 0
        self.literals: dict[str, int] = {}
        self.accepting: dict[int, int] = {}
        """The pattern that a place accepts, each as a bit."""
        self._ways: dict[int, int] = {}
        place = 0
        for number, pattern in enumerate(patterns):
            self.start |= 1 << place
            for letter, is_wild in tokens(pattern):
                self._add(letter, is_wild, 1 << place)
                place += 1
            self.accepting[1 << place] = 1 << number
            place += 1
        self.start = self._spread(self.start)
        self._ends = sum(self.accepting)

    def _add(self, letter: str, is_wild: bool, bit: int) -> None:
        if not is_wild:
            self.literals[letter] = self.literals.get(letter, 0) | bit
        elif letter == STAR:
            self.stars |= bit
        else:
            self.ones |= bit

    def _spread(self, state: int) -> int:
        """A star may stand for nothing; two never follow each other, so once is enough."""
        return state | (state & self.stars) << 1

    def after(self, state: int, letter: str) -> int:
        moved = state & (self.literals.get(letter, 0) | self.ones)
        return self._spread(moved << 1 | state & self.stars)

    def accepted(self, state: int) -> int:
        """The patterns that the text so far matches, as bits by their number."""
        ends = state & self._ends
        if ends not in self._ways:
            self._ways[ends] = sum(number for place, number in self.accepting.items() if place & ends)
        return self._ways[ends]


def distinctions(patterns: Sequence[str], alphabet: Alphabet) -> dict[int, str]:
    """A shortest text for each set of patterns (bits by their number) that some text matches, and no other pattern.

    Raises `TooManyError` beyond `MAX_STATES` states.
    """
    automaton = Automaton(patterns)
    usual = "".join(letter for letter in automaton.literals if letter in alphabet.letters + alphabet.inner)
    other = next((letter for letter in _by_looks(alphabet.letters) if letter not in automaton.literals), "")
    state, text = automaton.start, ""
    for letter in alphabet.begin:
        state, text = automaton.after(state, letter), text + letter
    found: dict[int, str] = {}
    if alphabet.begin or alphabet.empty:
        found[automaton.accepted(state)] = text
    texts: dict[int, str] = {}
    waiting = deque([(state, text)])
    while waiting:
        state, text = waiting.popleft()
        for letter in _letters(automaton, state, usual, other):
            is_inner = letter in alphabet.inner
            if is_inner and not text:
                continue
            new = automaton.after(state, letter)
            if not is_inner:
                found.setdefault(automaton.accepted(new), text + letter)
            if new not in texts:
                texts[new] = text + letter
                waiting.append((new, text + letter))
        if len(texts) > MAX_STATES:
            raise TooManyError(f"the patterns {', '.join(patterns[:3])} ... have more than {MAX_STATES} ways to match")
    return found


def _letters(automaton: Automaton, state: int, usual: str, other: str) -> Iterator[str]:
    yield from other
    yield from (letter for letter in usual if not other or automaton.literals[letter] & state)


def _by_looks(letters: str) -> list[str]:
    """Letters first, then digits: the texts are shown to people."""
    return sorted(letters, key=lambda letter: (not letter.islower(), not letter.isalnum(), letter != "x", letter))
