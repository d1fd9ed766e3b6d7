"""Handle and display pieces that are bytes: `<0xE8>`, or GPT-2's character for each byte."""

from __future__ import annotations

BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
BYTE_VALUE = {token: byte for byte, token in enumerate(BYTES)}
CONTINUED = ""  # displayed for a piece whose character is displayed by the piece before


def show_bytes(values: list[int]) -> list[str]:
    """Return a string for each byte: the character at its first byte, invalid bytes as `<0xE8>`."""
    shown: list[str] = []
    while len(shown) < len(values):
        rest = bytes(values[len(shown) : len(shown) + 4])
        for size in range(1, 5):
            try:
                shown += [rest[:size].decode(), *[CONTINUED] * (size - 1)]
                break
            except UnicodeDecodeError:
                continue
        else:
            shown.append(BYTES[rest[0]])
    return shown


def _byte_values() -> dict[str, int]:
    """Map the character for each byte in a byte-level piece to the byte.

    A visible character stands for itself (Radford et al. 2019, section 2.2).
    """
    seen = [
        *range(ord("!"), ord("~") + 1),
        *range(ord("¡"), ord("¬") + 1),
        *range(ord("®"), ord("ÿ") + 1),
    ]
    others = [byte for byte in range(256) if byte not in seen]
    return {chr(byte): byte for byte in seen} | {
        chr(256 + place): byte for place, byte in enumerate(others)
    }


SEEN = _byte_values()


def spelt(token: str) -> str:
    """Decode a byte-level piece; bytes that are only part of a character become `<0xE8>`."""
    if any(character not in SEEN for character in token):
        return token
    data = bytes(SEEN[character] for character in token)
    try:
        return data.decode()
    except UnicodeDecodeError:
        return "".join(f"<0x{byte:02X}>" for byte in data)
