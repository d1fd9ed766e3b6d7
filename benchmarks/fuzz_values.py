"""What may stand in a damaged file where something else was expected."""

from __future__ import annotations

DEEP = 100_000  # nested brackets
RAW = "raw:{}:raw"  # stands in a tree for a JSON text that json.dumps would not write

# A JSON text each: what may stand at a path where something else was expected.
VALUES = (
    "null", "true", "false", "0", "-1", "1", "-0", "2", "7", "1.5", "-0.0", "1e400",
    "1e-400", "NaN", "Infinity", "-Infinity",
    "65536", "2147483648", "9223372036854775807", "9223372036854775808",
    "-9223372036854775809", "100000000000000000000",
    "1000000000", "1000000000000", "1" * 5000, "-" + "9" * 5000, "0." + "3" * 5000, '""',
    '" "', '"0"', '"1"', '"-1"', '"1.5"',
    '"none"', '"\\ud800"', '"a\\udfff"', '"\\u0000"', '"\\u001b]52;c;aGk=\\u0007"',
    '"\\ufeff"', '"\\u202e"', '"\\n"', '"\\r"',
    '"/"', '"../x"', '"' + "a" * 300 + '"', '"' + "a " * 30_000 + '"', "[]", "{}", "[[]]",
    "[{}]", "[null]", "[1]", '["a"]',
    '[["a", "b"], 1]', '{"a": 1}', '{"": null}', '{"text": 1}', '{"content": []}',
    '{"text": "a"}', '{"type": "Nothing"}',
    "[" * DEEP, "[" * DEEP + "]" * DEEP, '{"a":' * DEEP, "[" * 900 + "]" * 900,
    "[" + "0," * 5000 + "0]",
)  # fmt: skip
TEXTS = (  # what may stand in a cell, or anywhere in a text
    "", " ", "\t", "\t\t", "\n", "\r", "\r\n", "\n\n", "\x00", "\x1b[2J", "\x85", "\x7f",
    "\ufeff", "\u2028", "\u2029", "\u202e",
    "\u200d", "\ud800", "\U0010ffff", "é", "貓", "\"", "\"\"", "'", ",", ";", "|", "#",
    "# ", "# text = ", "_", "-", "O", "B-", "I-X",
    "B-PER", "0", "-1", "1", "2", "1.1", "0.1", "2-1", "1-2", "1-1", "0-0", "3-9",
    "1-99999999", "99999999999999999999",
    "1-99999999999999999999", "99999999999999999999-100000000000000000001", "9" * 5000,
    "1.5", "-1.5", "1e400", "nan", "inf", "٣", "²",
    "NaN", "{", "}", "[", "]", "{}", "[]", "{\"a\": 1}", "[\"a\"]", "null", "-->",
    "00:00:01,000 --> 00:00:00,000",
    "00:00:01.000-->00:00:02.000", "999:99:99,999 --> 0:0:0,0", "w1", "-DOCSTART-",
    "SpaceAfter=No", "a" * 300, "a" * 30_000,
    "a " * 20_000, "[" * DEEP, "<i>", "</i>", "{\\an8}", "http://a.b/c",
    "../../etc/passwd", "text", "label", "source", "target", "id",
)  # fmt: skip
NUMBERS = (  # what may stand in place of a number, {0}; {1} is the next
    "-1", "0", "{1}", "1.5", "1e9", "10" * 10, "1" + "0" * 20, "7" * 5000, "", "x",
    "{0}-{0}", "{0}-1",
    "1-{0}", "-{0}", "{0}.1", "{0}-99999999", "{0}-1" + "0" * 20, "٣", "0x10", "1_000",
    "00", "nan",
)  # fmt: skip
BYTES = (
    b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff", b"\x00", b"\r", b"\n", b"\r\n", b"\xff",
    b"\x80", b"\xc3", b"\xed\xa0\x80", b"\xc0\xaf",
    b"\xf4\x90\x80\x80", b"\x1b", b"\x85", b"\xc2\x85", b"\x1f\x8b\x08", b"PK\x03\x04",
    b"\t", b" ", b'"', b"\\", b"{", b"}", b"[", b"]",
)  # fmt: skip
