"""Describe the structure of the package in one table, the same way for every version of it.

    python benchmarks/structure.py [SRC_FOLDER] [--json OUT] [--beside OLD.json]
        [--strict] [--times] [--no-calls] [--details]

SRC_FOLDER is a package's folder, src/triptych of this tree where it is not given; name that of
another checkout to count an old tree by the rules of this one. Counted are sizes, import edges and
circles, calls of one forward and one decoding step, comparisons of task names, hand-written checks,
`Any`, and repeated lines; --strict adds the errors of pyright in strict mode and --times how long
the command and the import take to start. The rules stand at the functions that count, in
import_graph.py, structure_counts.py, structure_tasks.py, structure_runs.py and call_profile.py.

--json writes all values with the places behind them; --details prints the places too. --beside
prints a Markdown table of the values in OLD.json, written by --json before, and those of now.
The exit code is 1 where something could not be measured.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import structure_counts as counting
import structure_runs as running
import structure_tasks as tasks
from structure_counts import Counts

ROOT = Path(__file__).resolve().parents[1] / "src" / "triptych"


def measure(
    root: Path, with_calls: bool = True, strict: bool = False, times: bool = False
) -> Counts:
    """Count everything that is asked for, in the order of the table."""
    sources = counting.read(root)
    if not sources:
        raise SystemExit(f"{root} holds no Python files; give the folder of a package.")
    sections = [counting.sizes(sources), counting.imports(root)]
    sections += [running.calls(root)] if with_calls else []
    sections += [tasks.task_literals(sources), counting.hand_checks(sources)]
    sections += [counting.loose_types(sources), counting.repetition(sources)]
    sections += [running.strict_errors(root)] if strict else []
    sections += [running.starting_times(root)] if times else []
    whole = Counts()
    for one in sections:
        whole.rows |= one.rows
        whole.details |= one.details
    return whole


def plain_table(counts: Counts) -> str:
    """Return the values as two aligned columns, then the circles, chains and failures."""
    width = max(map(len, counts.rows))
    lines = [f"{label:<{width}}  {_shown(value):>8}" for label, value in counts.rows.items()]
    remarks = [
        f"{name}: {value}"
        for name, value in counts.details.items()
        if "deepest chain" in name or name.endswith(" failed")
    ]
    circles = counts.details.get("circles")
    for label, found in circles.items() if isinstance(circles, dict) else ():
        lines += ["", f"circles, {label}:", *(f"  {len(one)}: {' '.join(one)}" for one in found)]
    return "\n".join([*lines, "", *remarks])


def beside(old: dict[str, Any], new: dict[str, Any]) -> str:
    """Return a Markdown table of two sets of rows; a row that one lacks has a dash there."""
    lines = ["| measure | before | after |", "|---|---:|---:|"]
    for label in [*new, *(label for label in old if label not in new)]:
        before, after = (_shown(rows[label]) if label in rows else "–" for rows in (old, new))
        lines.append(f"| {label} | {before} | {after} |")
    return "\n".join(lines)


def _shown(value: float | int | str | None) -> str:
    if isinstance(value, float):
        return f"{value:,.3f}".rstrip("0").rstrip(".")
    return f"{value:,}" if isinstance(value, int) else str(value)


def main() -> int:
    """Parse the command line, measure, print and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("root", nargs="?", type=Path, default=ROOT, metavar="SRC_FOLDER")
    parser.add_argument("--json", type=Path, metavar="OUT")
    parser.add_argument("--beside", type=Path, metavar="OLD.json")
    parser.add_argument("--strict", action="store_true")
    parser.add_argument("--times", action="store_true")
    parser.add_argument("--no-calls", action="store_true")
    parser.add_argument("--details", action="store_true")
    options = parser.parse_args()
    counts = measure(options.root.resolve(), not options.no_calls, options.strict, options.times)
    if options.beside:
        old = json.loads(options.beside.read_text(encoding="utf-8"))["rows"]
        print(beside(old, counts.rows))
    else:
        print(plain_table(counts))
    if options.details:
        print(json.dumps(counts.details, indent=1, ensure_ascii=False))
    if options.json:
        values = {"rows": counts.rows, "details": counts.details}
        text = json.dumps(values, indent=1, ensure_ascii=False)
        options.json.write_text(f"{text}\n", encoding="utf-8")
    return int("failed" in counts.rows.values())


if __name__ == "__main__":
    sys.exit(main())
