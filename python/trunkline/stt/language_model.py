"""A small language model that hears a grammar's words anywhere, and other words too.

A grammar forces whatever was said into one of its sentences. This model is the second opinion: it prefers the grammar's word pairs but
lets a sentence wander off into everyday words, which is what speech from outside the grammar does.
"""

import math
from collections import Counter, defaultdict

from trunkline.stt.grammar import Grammar

_EVERYDAY_WORDS = tuple(
    """
    a about after again all also am an and any as at back be because been before big bring but by call came can car come could day did
    do does dog done down eat every few find first food for friend from get give go going gone good got great had has have he her here
    him his house how i if into is it its just keep know last leave let like little long look made make man many me money more morning
    most mother much music must my name need never new next night no not now number of off old on once one only open or order other
    our out over own people place play please price put read right room said same saw say school see sell she should show sister small
    so some soon still story table take talk than that the their them then there these they thing think this those three time to today
    told too train tree turn two under until up us use very want was water way we week well went were what when where which while
    white who why will with woman word work world would write year yes yesterday yet you your
    """.split()  # noqa: SIM905
)
_EVERYDAY_SHARE = 0.4
_BACK_OFF = 0.3
_END = 1 / 8
_NEVER = "-99"


def vocabulary(grammar: Grammar) -> frozenset[str]:
    """Every word the model of a grammar can hear."""
    return frozenset([*grammar.words, *_EVERYDAY_WORDS])


def arpa(grammar: Grammar) -> str:
    """The model of a grammar in the ARPA format for bigrams: base-10 logarithms, back-off weights after the words."""
    pairs: defaultdict[str, Counter[str]] = defaultdict(Counter)
    spoken: Counter[str] = Counter()
    for sentence in grammar.sentences:
        words = sentence.split()
        spoken.update(words)
        for first, second in zip(["<s>", *words], [*words, "</s>"], strict=True):
            pairs[first][second] += 1
    unigrams = [f"{_NEVER} <s> {_log(_BACK_OFF)}", f"{_log(_END)} </s> 0"]
    for word, probability in _unigrams(spoken).items():
        unigrams.append(f"{_log(probability * (1 - _END))} {word} {_log(_BACK_OFF) if word in pairs else 0}")
    bigrams = [
        f"{_log((1 - _BACK_OFF) * count / seconds.total())} {first} {second}"
        for first, seconds in sorted(pairs.items())
        for second, count in sorted(seconds.items())
    ]
    head = ["\\data\\", f"ngram 1={len(unigrams)}", f"ngram 2={len(bigrams)}"]
    return "\n".join([*head, "", "\\1-grams:", *unigrams, "", "\\2-grams:", *bigrams, "", "\\end\\", ""])


def _unigrams(spoken: Counter[str]) -> dict[str, float]:
    everyday = _EVERYDAY_SHARE / len(_EVERYDAY_WORDS)
    shares = {word: (1 - _EVERYDAY_SHARE) * count / spoken.total() for word, count in spoken.items()}
    for word in _EVERYDAY_WORDS:
        shares[word] = shares.get(word, 0.0) + everyday
    return dict(sorted(shares.items()))


def _log(probability: float) -> str:
    return f"{math.log10(probability):.4f}"
