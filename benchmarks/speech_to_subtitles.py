"""Delay of subtitles that are translated while the sound is still being written down.

    python benchmarks/speech_to_subtitles.py HEARS TRANSLATES --clips FOLDER [--most N]
        [--decoding.beams ...] [--json FILE]

Joins the WAV files of FOLDER to one talk, and pipes `triptych transcribe HEARS talk.wav --srt` into
`triptych translate TRANSLATES --srt -`. The delay of a cue runs from when its empty line leaves the
first program to when that of its translation leaves the second: a cue may wait for those before it.
Both programs are loaded before the first cue. Times must be the same on both sides.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import IO

import numpy as np

CUE = "1\n00:00:00,000 --> 00:00:01,000\nA dog runs.\n\n"  # loads the translator


def talk_of(folder: Path, most: int | None, path: Path) -> float:
    """Write the clips of a folder as one sound, half a second apart, and return its seconds."""
    import soundfile

    from triptych.data.features.audio import RATE, read_audio

    parts = []
    for one in sorted(folder.glob("*.wav"))[:most]:
        parts += [read_audio(one), np.zeros(RATE // 2, np.float32)]
    whole = np.concatenate(parts)
    soundfile.write(path, whole, RATE)
    return len(whole) / RATE


def cues_of(stream: IO[str]) -> list[str]:
    """Read the lines of the next cue; none at the end of the stream."""
    lines = list[str]()
    for line in stream:
        lines.append(line)
        if not line.strip():
            break
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("hears")
    parser.add_argument("translates")
    parser.add_argument("--clips", type=Path, required=True)
    parser.add_argument("--most", type=int)
    parser.add_argument("--json", type=Path)
    arguments, more = parser.parse_known_args()
    verb = [sys.executable, "-m", "triptych"]
    with tempfile.TemporaryDirectory() as folder:
        talk = Path(folder) / "talk.wav"
        seconds = talk_of(arguments.clips, arguments.most, talk)
        pipe = subprocess.PIPE
        translator = subprocess.Popen(
            [*verb, "translate", arguments.translates, "--srt", "-", *more],
            stdin=pipe,
            stdout=pipe,
            text=True,
        )
        assert translator.stdin and translator.stdout, "both are pipes"
        translator.stdin.write(CUE)
        translator.stdin.flush()
        cues_of(translator.stdout)
        given, got = list[tuple[float, str]](), list[tuple[float, str]]()

        def collect() -> None:
            assert translator.stdout, "it is a pipe"
            while lines := cues_of(translator.stdout):
                got.append((time.perf_counter(), lines[1].strip()))

        reader = threading.Thread(target=collect)
        reader.start()
        began = time.perf_counter()
        hearer = subprocess.Popen(
            [*verb, "transcribe", arguments.hears, str(talk), "--srt"], stdout=pipe, text=True
        )
        assert hearer.stdout, "it is a pipe"
        while lines := cues_of(hearer.stdout):
            given.append((time.perf_counter(), lines[1].strip()))
            translator.stdin.write("".join(lines))
            translator.stdin.flush()
        translator.stdin.close()
        reader.join()
        wall = time.perf_counter() - began
        if hearer.wait() or translator.wait():
            raise SystemExit("a program failed")
    assert [times for _, times in given] == [times for _, times in got], "times are kept"
    delays = [after - before for (before, _), (after, _) in zip(given, got, strict=True)]
    found = {
        "seconds_of_sound": round(seconds, 1),
        "wall_seconds": round(wall, 1),
        "cues": len(delays),
        "first_cue_seconds": round(given[0][0] - began, 2),
        **{f"delay_p{share}": round(float(np.percentile(delays, share)), 3) for share in (50, 95)},
        "delay_most": round(max(delays), 3),
    }
    print(json.dumps(found))
    if arguments.json:
        arguments.json.write_text(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
