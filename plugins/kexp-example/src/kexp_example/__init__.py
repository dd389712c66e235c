"""One kexp component of each common group.

Each module here has the factories of one group: small functions whose signature is the component's config and whose
docstring is its help. They import Keras when they are called, so that listing and showing them stays quick. What they
make is in `parts/`.
"""
