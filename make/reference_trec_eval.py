#!/usr/bin/env python3
"""Runs trec_eval's own code, which pytrec_eval's wheel contains, as `trec_eval -c -m all_trec QRELS RUN` would.

Its time, without Python's start, is written to stderr. The structures are those of trec_eval 9's trec_eval.h.
"""
import argparse
import ctypes
import importlib.util
import sys
import time
from ctypes import POINTER, Structure, c_char_p, c_double, c_int, c_long, c_void_p


class Settings(Structure):
    _fields_ = [("query", c_long), ("summary", c_long), ("debug", c_long), ("debug_query", c_char_p),
                ("relation", c_long), ("complete", c_long), ("judged_only", c_long), ("documents", c_long),
                ("level", c_long), ("most", c_long), ("qrels_format", c_char_p), ("run_format", c_char_p),
                ("zscore", c_long), ("arguments", c_void_p)]


class Value(Structure):
    _fields_ = [("name", c_char_p), ("value", c_double)]


class Figures(Structure):
    _fields_ = [("query", c_char_p), ("queries", c_long), ("values", POINTER(Value)), ("count", c_long), ("room", c_long)]


class Judged(Structure):
    _fields_ = [("query", c_char_p), ("format", c_char_p), ("documents", c_void_p)]


class Found(Structure):
    _fields_ = [("query", c_char_p), ("run", c_char_p), ("format", c_char_p), ("documents", c_void_p)]


def table(row):
    return type("Table", (Structure,), {"_fields_": [("count", c_long), ("room", c_long), ("rows", POINTER(row))]})


STEP = ctypes.CFUNCTYPE(c_int, *[c_void_p] * 5)


class Measure(Structure):
    _fields_ = [("name", c_char_p), ("explanation", c_char_p), ("init", STEP), ("calculate", STEP), ("add", STEP),
                ("average", STEP), ("print_one", STEP), ("print_final", STEP), ("parameters", c_void_p), ("index", c_long)]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("qrels")
    parser.add_argument("run")
    options = parser.parse_args()
    library = ctypes.CDLL(importlib.util.find_spec("pytrec_eval_ext").origin)
    start = time.perf_counter()
    settings = Settings(0, 1, 0, None, 1, 1, 0, 0, 1, sys.maxsize, b"qrels", b"trec_results", 0, None)
    judged, found = table(Judged)(), table(Found)()
    refer = ctypes.byref
    assert library.te_get_qrels(refer(settings), options.qrels.encode(), refer(judged)) >= 0
    assert library.te_get_trec_results(refer(settings), options.run.encode(), refer(found)) >= 0

    count = c_int.in_dll(library, "te_num_trec_measures").value
    measures = [row.contents for row in (POINTER(Measure) * count).in_dll(library, "te_trec_measures")]
    # Measures of preferences and of several judges need other files.
    measures = [m for m in measures if not m.name.startswith(b"prefs") and not m.name.endswith(b"avgjg")]
    total = Figures(b"all", 0, None, 0, 0)
    for measure in measures:
        measure.index = -2  # requests the measure
        assert measure.init(ctypes.addressof(settings), ctypes.addressof(measure), ctypes.addressof(total), 0, 0) >= 0
    one = Figures(None, 1, (Value * total.count)(), total.count, total.count)
    ctypes.memmove(one.values, total.values, ctypes.sizeof(Value) * total.count)

    where = ctypes.addressof
    rows = {judged.rows[row].query: where(judged.rows[row]) for row in range(judged.count)}
    for row in range(found.count):
        answer = found.rows[row]
        if answer.query not in rows:
            continue
        one.query = answer.query
        for index in range(one.count):
            one.values[index].value = 0.0
        for measure in measures:
            measure.calculate(where(settings), rows[answer.query], where(answer), where(measure), where(one))
            measure.add(where(settings), where(measure), where(one), where(total), 0)
        total.queries += 1
    for measure in measures:
        measure.average(where(settings), where(measure), where(judged), where(total), 0)
        measure.print_final(where(settings), where(measure), where(total), 0, 0)
    print(f"alone {time.perf_counter() - start:.4f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
