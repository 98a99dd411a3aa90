#!/usr/bin/env python3
"""Makes the values that our significance tests must equal.

    python3 -m venv venv && venv/bin/pip install numpy==2.4.6 scipy==1.17.1 && venv/bin/python make.py

Writes expected.tsv beside itself: data set, figure, value. Each data set is a list of paired differences, which
are in its first line (figure "differences").

"sakai": scores of two systems on 20 topics, from the worked example of T. Sakai, "Laboratory Experiments in Information
Retrieval" (Springer, 2018), whose t is 2.116 and p 0.048.
"""

import pathlib

import numpy
import scipy.stats

X = [7, 3, 2, 6, 4, 4, 0, 7, 1, 3, 5, 4, 0, 6, 5, 3, 1, 5, 2, 1]
Y = [5, 1, 0, 2, 4, 3, 0, 5, 3, 3, 4, 4, 1, 4, 2, 1, 1, 6, 3, 2]


def figures(differences):
    d = numpy.array(differences)
    t = scipy.stats.ttest_1samp(d, 0.0)
    yield "t", t.statistic
    yield "t_p", t.pvalue
    yield "effect_size", d.mean() / d.std(ddof=1)
    # scipy counts ties out by permutation only, of up to 13 differences here; its normal approximation is for many.
    w = scipy.stats.wilcoxon(d, method="approx" if len(d) > 50 else scipy.stats.PermutationMethod(numpy.inf))
    yield "wilcoxon_w", w.statistic
    yield "wilcoxon_p", w.pvalue
    # Rounded sums: ties must count as ties. All 2^n sign flips when there are at most 20 differences.
    exact = {"n_resamples": numpy.inf} if len(d) <= 20 else {"n_resamples": 200_000, "rng": 1}
    test = scipy.stats.permutation_test(
        (d,), lambda x, axis: numpy.round(x.sum(axis), 9), permutation_type="samples", vectorized=True, **exact
    )
    yield "randomisation_p", test.pvalue
    interval = scipy.stats.bootstrap((d,), numpy.mean, n_resamples=200_000, batch=1000, method="percentile", rng=1)
    yield "ci_low", interval.confidence_interval.low
    yield "ci_high", interval.confidence_interval.high


def main():
    rng = numpy.random.default_rng(7)
    sets = {
        "sakai": [(x - y) / 10 for x, y in zip(X, Y)],
        "small": [0.5, -0.1, 0.2, 0.2, 0.0, 0.3],
        "normal": [round(float(value), 6) for value in rng.normal(0.03, 0.2, 100)],
        "tied": [float(value) for value in rng.integers(-3, 6, 80) / 8],
    }
    with open(pathlib.Path(__file__).parent / "expected.tsv", "w") as out:
        for name, differences in sets.items():
            out.write(f"{name}\tdifferences\t{' '.join(map(repr, differences))}\n")
            for figure, value in figures(differences):
                out.write(f"{name}\t{figure}\t{float(value)!r}\n")


if __name__ == "__main__":
    main()
