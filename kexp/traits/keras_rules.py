"""The traits of Keras' losses and metrics, by rules on their names."""

from __future__ import annotations

from kexp.traits.declaring import Traits

__all__ = [
    "rules_of_loss",
    "rules_of_metric",
]

# Losses that are exceptions to the rules.
_LOSSES = {
    # A "categorical" loss that nevertheless gathers the probability of a class index.
    "categorical_generalized_cross_entropy": Traits("class_index", task="classification"),
    # Compares embeddings of bounded length; without a bound it does not train. No class comes out.
    "circle": Traits("class_index", task="classification"),
    # Aligns a sequence of outputs with a row of labels.
    "ctc": Traits("labels"),
    # A margin of 1 between scores, which probabilities only reach where they are saturated.
    "categorical_hinge": Traits("one_hot", output="linear", task="classification"),
    # Overlaps of regions: shares in [0, 1].
    "dice": Traits("one_hot", task="classification"),
    "tversky": Traits("one_hot", task="classification"),
    # Both take the prediction's logarithm, which a linear output may put below zero, and mean counts or magnitudes.
    "poisson": Traits("dense", "non_negative", regression_output="softplus"),
    "mean_squared_logarithmic_error": Traits("dense", "non_negative", regression_output="softplus"),
}


def rules_of_loss(name: str) -> Traits:
    """Return the traits of a Keras loss by its name.

    sparse_*: class indices. *categorical*, kullback* and kl_*: one-hot rows, or shares of classes. binary_*: 0/1
    against sigmoid. *hinge: 0/1, of which Keras makes -1/1, against linear scores, for tanh saturates on the wrong side
    and stays there (measured on digits: accuracy 0.54 against 0.98); one-hot even for two classes, because Keras'
    accuracy of a single column cuts at 0.5, and a score's cut is 0. All others compare numbers: classes as one-hot rows
    against softmax, where squared, absolute, logarithmic and Poisson errors are all least if the right class has all.
    """
    if name in _LOSSES:
        return _LOSSES[name]
    if name.startswith("sparse_"):
        return Traits("class_index", task="classification")
    if "categorical" in name or name.startswith(("kullback", "kl_")):
        return Traits("one_hot", "shares", regression_output="softmax", task="classification")
    if name.startswith("binary_"):
        return Traits("binary", "binary", output="sigmoid", regression_output="sigmoid")
    if name.endswith("hinge"):
        return Traits("one_hot", "signed", output="linear")
    return Traits("dense")


# Metrics that are exceptions to the rules.
_METRICS = {
    "accuracy": Traits("any", task="classification"),
    "io_u": Traits("class_index", task="classification"),
    "mean_io_u": Traits("class_index", task="classification"),
    "hinge": Traits("signed"),
    "squared_hinge": Traits("signed"),
}

# These count predictions at a threshold and need 0/1 targets, in any number of columns.
_COUNTING = frozenset(
    {
        "auc",
        "f1_score",
        "f_beta_score",
        "false_negatives",
        "false_positives",
        "precision",
        "precision_at_recall",
        "recall",
        "recall_at_precision",
        "sensitivity_at_specificity",
        "specificity_at_sensitivity",
        "true_negatives",
        "true_positives",
    }
)


def rules_of_metric(name: str) -> Traits:
    """Return the traits of a Keras metric by its name: 0/1 targets if it has a threshold, else as for a loss."""
    if name in _METRICS:
        return _METRICS[name]
    if name in _COUNTING:
        return Traits("binary")
    if name.startswith("one_hot_"):
        return Traits("one_hot", task="classification")
    return rules_of_loss(name)
