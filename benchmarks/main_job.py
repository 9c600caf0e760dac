"""What the main job costs: `minicnn train` and `import minicnn`, each in processes of their own.

    python -m benchmarks.main_job

Prints medians over the runs; they are of this machine, at this moment, and no promise. Unix only
(os.wait4 tells the peak memory).
"""

import os
import platform
import subprocess
import sys
import tempfile
import time

RUNS = 3


def measured(code, *arguments):
    """(seconds from process start to end, peak memory in MB) of a Python process."""
    start = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-c", code, *arguments], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    if status:
        sys.exit(f"main_job: the process failed with status {status}.")
    return seconds, usage.ru_maxrss / 1024  # kilobytes on Linux


def main():
    """Prints one line a case."""
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, "
          f"Python {platform.python_version()}, median of {RUNS} runs")
    cases = {"import minicnn": "import minicnn",
             "minicnn train": "import sys, minicnn.cli as c; sys.exit(c.main(sys.argv[1:]))"}
    for title, code in cases.items():
        runs = []
        for _ in range(RUNS):
            with tempfile.TemporaryDirectory() as folder:
                arguments = ["train", "--output", f"{folder}/run"] if "train" in title else []
                runs.append(measured(code, *arguments))
        seconds, memory = (sorted(values)[RUNS // 2] for values in zip(*runs, strict=True))
        print(f"{title:<16} {seconds:7.2f} s {memory:7.0f} MB")


if __name__ == "__main__":
    main()
