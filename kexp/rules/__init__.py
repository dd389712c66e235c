"""The rules for values of a config: types and ranges, with a sentence for each violation.

An annotation is the rule: `epochs: Annotated[int, Range(ge=1)]`. Keras does not annotate its parameters, so their rule
is the type of the default and, for names with one meaning everywhere in Keras, the range in `KERAS_RANGES`.
pydantic checks annotations too, but its import takes 0.07 s, a third of `kexp --cfg job`, and its errors name neither
the config key nor the rule in one sentence.
"""

from kexp.rules.bounds import Count, Fraction, NonNegative, Positive, Range, Rule, Whole, rules_of
from kexp.rules.checking import check_parameter, check_value, rule_of
from kexp.rules.keras_names import KERAS_RANGES

__all__ = [
    "KERAS_RANGES",
    "Count",
    "Fraction",
    "NonNegative",
    "Positive",
    "Range",
    "Rule",
    "Whole",
    "check_parameter",
    "check_value",
    "rule_of",
    "rules_of",
]
