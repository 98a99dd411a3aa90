#!/usr/bin/env python3
"""The anchors of training pairs as queries, so that they can be embedded: pairs JSONL in (FILE), queries JSONL out."""

import json
import sys

with open(sys.argv[1], encoding="utf-8") as pairs:
    for line in pairs:
        pair = json.loads(line)
        print(json.dumps({"_id": pair["anchor_id"], "text": pair["anchor"]}, ensure_ascii=False))
