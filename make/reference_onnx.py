#!/usr/bin/env python3
"""Embeds texts with fastembed, or times ONNX Runtime's MatMul alone, which no model can be faster than.

Runs in the environment of `make parity-onnx`. Prints one JSON object: for fastembed the tokens, padding not counted, and
the seconds of the work itself; for MatMul, of the shapes in all-MiniLM-L6-v2, the billions of operations a second.
"""
import argparse
import concurrent.futures
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import tempfile
import time

import numpy as np
import onnx
import onnxruntime

CPU = ["CPUExecutionProvider"]
# Hidden and inner width of all-MiniLM-L6-v2, and the tokens in a batch of `embed`.
HIDDEN, INNER, TOKENS = 384, 1536, 512


def fastembed(options):
    # fastembed reads this when it is imported.
    os.environ["HF_HUB_OFFLINE"] = "1"
    from fastembed import TextEmbedding
    from fastembed.common.model_description import ModelSource, PoolingType

    texts = [json.loads(line)["text"] for line in open(options.input, encoding="utf-8")]
    with tempfile.TemporaryDirectory() as folder:
        directory = pathlib.Path(folder, "model")
        shutil.copytree(options.model, directory)
        # fastembed cuts texts at the length in tokenizer_config.json, embed at that in sentence_bert_config.json.
        limit = json.loads(pathlib.Path(directory, "sentence_bert_config.json").read_text())["max_seq_length"]
        config = directory / "tokenizer_config.json"
        config.write_text(json.dumps({**json.loads(config.read_text()), "model_max_length": limit}))
        subprocess.run([options.st2onnx, directory], check=True, stderr=subprocess.DEVNULL)
        TextEmbedding.add_custom_model(
            model="same", pooling=PoolingType.MEAN, normalization=True, sources=ModelSource(hf="of/nobody"),
            dim=HIDDEN, model_file="model.onnx",
        )
        model = TextEmbedding("same", specific_model_path=str(directory), providers=CPU, threads=options.threads)
        tokens = sum(sum(encoding.attention_mask) for encoding in model.model.tokenizer.encode_batch(texts))
        start = time.perf_counter()
        count = sum(1 for _ in model.embed(texts, batch_size=32))
        seconds = time.perf_counter() - start
    assert count == len(texts)
    return {"tokens": tokens, "seconds": seconds}


def matmul_session(rows, inner, columns):
    """A session of one thread that multiplies an input `[rows, inner]` by weights `[inner, columns]`, and the input."""
    random = np.random.default_rng(1)
    weights = onnx.numpy_helper.from_array(random.standard_normal((inner, columns), np.float32), "w")
    node = onnx.helper.make_node("MatMul", ["x", "w"], ["y"])
    x, y = (
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [rows, width])
        for name, width in (("x", inner), ("y", columns))
    )
    graph = onnx.helper.make_graph([node], "matmul", [x], [y], [weights])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=9)
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), settings, providers=CPU)
    return session, {"x": random.standard_normal((rows, inner), np.float32)}


def matmul(options):
    """Every thread has its own sessions, as in `embed`; the median of rounds in which all of them work."""
    shapes = [(TOKENS, HIDDEN, HIDDEN)] * 4 + [(TOKENS, HIDDEN, INNER), (TOKENS, INNER, HIDDEN)]
    sessions = [[matmul_session(*shape) for shape in shapes] for _ in range(options.threads)]

    def work(sessions, times=20):
        for _ in range(times):
            for session, feed in sessions:
                session.run(None, feed)

    operations = options.threads * 20 * sum(2 * a * b * c for a, b, c in shapes)
    with concurrent.futures.ThreadPoolExecutor(options.threads) as pool:
        def seconds():
            start = time.perf_counter()
            list(pool.map(work, sessions))
            return time.perf_counter() - start
        seconds()
        return {"gflops": operations / statistics.median(seconds() for _ in range(7)) / 1e9}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", choices=["fastembed", "matmul"])
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--model", help="for fastembed")
    parser.add_argument("--input", help="texts for fastembed, as JSON Lines")
    parser.add_argument("--st2onnx", help="the filter that writes fastembed's model.onnx")
    options = parser.parse_args()
    print(json.dumps({"fastembed": fastembed, "matmul": matmul}[options.work](options)))


if __name__ == "__main__":
    main()
