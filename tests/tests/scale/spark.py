#!/usr/bin/env python3
"""Pipes the lines of a file through a command on Spark: two executors of one core, with a JVM each.

    spark.py INPUT OUTPUT PARTITIONS COMMAND [ARGUMENT ...]

OUTPUT is a folder with a file for each partition, part-00000 and so on. Ends with 1 when a task has failed.
"""

import shlex
import sys

from pyspark import SparkConf, SparkContext


def main():
    source, output, partitions, *command = sys.argv[1:]
    conf = SparkConf().setMaster("local-cluster[2,1,1024]").setAppName("embtune")
    # A task that fails is tried again, on the other executor, too: twice is enough here.
    context = SparkContext(conf=conf.set("spark.ui.enabled", "false").set("spark.task.maxFailures", "2"))
    # With checkCode, an exit code other than 0 fails the task. PySpark gives the command an empty environment.
    context.textFile(source, int(partitions)).pipe(shlex.join(command), checkCode=True).saveAsTextFile(output)


if __name__ == "__main__":
    main()
