"""Group `proof`: what a group of runs costs to prove itself before it trains as stacks, beside one run of the same.

Its processes time themselves, after the checks that come before.
"""

from cases import PROCESSES, TRAIN, Case, Figure, Group

PROVE = str(PROCESSES / "prove.py")

PROOF = Group(
    cases={
        "one run, sum": Case((TRAIN,)),
        "proof, sum": Case((PROVE,), self_timed=True),
        "one run, post": Case((TRAIN, "experiment=post")),
        "proof, post": Case((PROVE, "experiment=post"), self_timed=True),
    },
    figures={
        f"proof / one run, {work}": Figure(
            lambda t, work=work: 100 * t[f"proof, {work}"] / t[f"one run, {work}"], "%", 5.0
        )
        for work in ("sum", "post")
    },
)
