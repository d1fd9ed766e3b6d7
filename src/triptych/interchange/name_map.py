"""Apply rules for names and tensors (`rules.py`) to whole files, and certify each load.

Both ways are strict: tensors without a rule, missing tensors and wrong shapes or types are all
listed at once. Imports torch only to handle tensors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from ..errors import RunError
from ..runs.mapped import pieces
from .rules import (
    PLACEHOLDER,
    Ignore,
    Rename,
    Rule,
    Shape,
    Split,
    Tie,
    Withhold,
    pattern,
    put_together,
    taken_apart,
    their_shape,
)

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(kw_only=True)
class Certificate:
    """Record the result of a load.

    Names are theirs; `casts` holds the original dtype of each tensor that was not float32.
    `quantised` counts the tensors of each type that holds no floating point.
    """

    mapped: int = 0  # tensors of theirs
    filled: int = 0  # tensors of ours
    parameters: int = 0
    tied: dict[str, str] = field(default_factory=dict)
    ignored: dict[str, str] = field(default_factory=dict)  # name -> reason
    casts: dict[str, str] = field(default_factory=dict)
    source: str = ""
    model_type: str = ""
    files: dict[str, dict[str, int | str]] = field(default_factory=dict)  # name -> bytes, sha256
    quantised: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)  # on the tokenizer and on generation_config.json

    def to_json(self) -> dict[str, object]:
        later = ("quantised", "notes")  # written only if there are any
        return {key: value for key, value in asdict(self).items() if value or key not in later}

    def lines(self) -> list[str]:
        """Write the certificate as sentences."""
        found = [
            (
                f"{self.mapped:,} tensors of {self.source or 'the source'} fill {self.filled:,} "
                f"of ours: {self.parameters:,} parameters."
            )
        ]
        found += self.notes
        found += [f"Tied: {name} is {other}." for name, other in self.tied.items()]
        found += [f"Ignored: {name}, {reason}." for name, reason in self.ignored.items()]
        kinds: dict[str, int] = {}
        for kind in self.casts.values():
            kinds[kind] = kinds.get(kind, 0) + 1
        found += [
            f"Cast to float32: {count:,} tensors that were {kind}." for kind, count in kinds.items()
        ]
        found += [
            f"Dequantised to float32: {count:,} tensors of type {kind}."
            for kind, count in self.quantised.items()
        ]
        return found + [
            f"{name}: {mark['bytes']:,} bytes, SHA-256 {mark['sha256']}."
            for name, mark in self.files.items()
        ]


@dataclass(frozen=True)
class NameMap:
    """Apply rules as one reversible map."""

    rules: tuple[Rule, ...]

    def __post_init__(self) -> None:
        for rule in self.rules:
            if isinstance(rule, Withhold):
                continue
            others = (
                rule.parts
                if isinstance(rule, (Rename, Split))
                else (rule.same_as,)
                if isinstance(rule, Tie)
                else ()
            )
            for other in others:
                assert set(PLACEHOLDER.findall(rule.theirs)) == set(PLACEHOLDER.findall(other)), (
                    f"{rule}: placeholders differ"
                )

    def to_ours(
        self,
        tensors: Mapping[str, Tensor],
        wanted: Mapping[str, Shape],
        source: str = "The source",
        cast: bool = True,
    ) -> tuple[dict[str, Tensor], Certificate]:
        """Return their tensors under our names, and the certificate.

        Args:
            tensors: Theirs by name.
            wanted: The name and shape of each of ours.
            source: What they are of, for messages.
            cast: Return them in float32. Otherwise they keep their types and are views of theirs,
                which take no memory.

        Raises:
            RunError: Listing all that is missing, unexpected, or of a wrong shape or type.
        """
        import torch

        certificate = Certificate()
        named, problems = self._without_ties(tensors, certificate)
        ours: dict[str, Tensor] = {}
        met: set[str] = set()  # names of ours that have a tensor, right or wrong
        for name, tensor in named.items():
            rule, numbers = self._rule_for(name)
            if isinstance(rule, Ignore):
                certificate.ignored[name] = rule.reason
                continue
            parts = (
                [part.format(**numbers) for part in rule.parts]
                if isinstance(rule, (Rename, Split))
                else []
            )
            if not isinstance(rule, (Rename, Split)) or any(part not in wanted for part in parts):
                problems.append(f"'{name}' has no place in this model")
                continue
            met.update(parts)
            shapes = [wanted[part] for part in parts]
            problem = _misfit(name, tensor, their_shape(rule, shapes))
            if problem is not None:
                problems.append(problem)
                continue
            if tensor.dtype != torch.float32:
                certificate.casts[name] = _kind(tensor)
            certificate.mapped += 1
            held = taken_apart(rule, tensor.float() if cast else tensor, shapes, cast)
            ours |= dict(zip(parts, held, strict=True))
        constants = self._constants(wanted, met)
        met |= constants.keys()
        problems += [
            f"'{name}' is missing"
            for name in dict.fromkeys(self.their_name(one) for one in wanted if one not in met)
        ]
        _refuse(problems, f"{source} does not fit")
        certificate.filled = len(ours)
        certificate.parameters = sum(tensor.numel() for tensor in ours.values())
        ours |= constants
        return {name: ours[name] for name in wanted}, certificate

    def to_theirs(self, tensors: Mapping[str, Tensor], dtypes: Mapping[str, str] | None = None,
                  source: str = "The run") -> dict[str, Tensor]:  # fmt: skip
        """Return our tensors under their names.

        dtypes: {their name: "float16"}, a certificate's casts, which are undone.

        Raises RunError listing every tensor that has no name of theirs and every missing part of a
        fused one.
        """
        import torch

        groups: dict[str, tuple[Rename | Split, dict[str, str], dict[str, Tensor]]] = {}
        problems = []
        withheld = self.withheld(tensors)
        for name, tensor in tensors.items():
            found = self._rule_of_ours(name)
            if name in withheld:
                continue
            if found is None:
                problems.append(f"'{name}' has no name in the other library")
                continue
            rule, numbers = found
            groups.setdefault(rule.theirs.format(**numbers), (rule, numbers, {}))[2][name] = tensor
        theirs = {}
        for name, (rule, numbers, held) in groups.items():
            parts = [part.format(**numbers) for part in rule.parts]
            lacking = [part for part in parts if part not in held]
            problems += [f"'{part}' is missing, a part of '{name}'" for part in lacking]
            if not lacking:
                kind = getattr(torch, dtypes[name]) if dtypes and name in dtypes else None
                whole = put_together(rule, [held[part] for part in parts])
                theirs[name] = whole if kind is None else whole.to(kind)
        _refuse(problems, f"{source} cannot be written for another library")
        return theirs

    def refuse_nonfinite(
        self, tensors: Mapping[str, Tensor], source: str, after: Callable[[], None] = lambda: None
    ) -> None:
        """Raise RunError naming our tensors with NaN or infinity, which spoil every answer.

        `after` is called after each tensor.
        """
        own = self.withheld(tensors)  # a threshold may be infinite
        wrong: dict[str, int] = {}
        for name, one in tensors.items():
            if name not in own:
                count = sum(map(_count_nonfinite, pieces(one)))
                wrong |= {name: count} if count else {}
                after()
        if wrong:
            shown = ", ".join(
                f"{self.their_name(name)} ({count:,})" for name, count in list(wrong.items())[:3]
            )
            more = f" and {len(wrong) - 3:,} more" if len(wrong) > 3 else ""
            raise RunError(
                f"{source} holds weights that are NaN or infinite, in {shown}{more}: the file is "
                "damaged, or its training failed. Copy it again; to import it unchanged, add "
                "--allow-nonfinite."
            )

    def withheld(self, names: Iterable[str]) -> dict[str, str]:
        """Return our names that are not written, each with the reason."""
        rules = [rule for rule in self.rules if isinstance(rule, Withhold)]
        return {
            name: rule.reason
            for name in names
            for rule in rules
            if pattern(rule.ours).fullmatch(name)
        }

    def _constants(self, wanted: Mapping[str, Shape], met: set[str]) -> dict[str, Tensor]:
        """Return ours that theirs has no place for, as before any training."""
        import torch

        return {
            name: torch.full(shape, rule.value)
            for name, shape in wanted.items()
            if name not in met
            for rule in self.rules
            if isinstance(rule, Withhold)
            and rule.value is not None
            and pattern(rule.ours).fullmatch(name)
        }

    # Finding the rule -----------------------------------------------------------------------------

    def _rule_for(self, name: str) -> tuple[Rule | None, dict[str, str]]:
        """Return the one rule for a name of theirs, and the numbers in the name."""
        found = [
            (rule, match.groupdict())
            for rule in self.rules
            if not isinstance(rule, Withhold) and (match := pattern(rule.theirs).fullmatch(name))
        ]
        assert len(found) < 2, f"several rules match '{name}': {[rule for rule, _ in found]}"
        return found[0] if found else (None, {})

    def _rule_of_ours(self, name: str) -> tuple[Rename | Split, dict[str, str]] | None:
        found = [
            (rule, match.groupdict())
            for rule in self.rules
            if isinstance(rule, (Rename, Split))
            for part in rule.parts
            if (match := pattern(part).fullmatch(name))
        ]
        assert len(found) < 2, f"several rules fill '{name}': {[rule for rule, _ in found]}"
        return found[0] if found else None

    def their_name(self, ours: str) -> str:
        """Return their name of a tensor of ours."""
        found = self._rule_of_ours(ours)
        return (
            found[0].theirs.format(**found[1])
            if found
            else f"{ours} (our name, which no rule fills)"
        )

    def our_names(self, theirs: str) -> tuple[Rename | Split | None, list[str]]:
        """Return the rule of a tensor of theirs and the names of ours that it fills."""
        rule, numbers = self._rule_for(theirs)
        if not isinstance(rule, (Rename, Split)):
            return None, []
        return rule, [part.format(**numbers) for part in rule.parts]

    def their_names(self, ours: str) -> tuple[Rename | Split, str, list[str]]:
        """Return the rule of a tensor of ours, its name of theirs, and all that it is filled from.

        Raises RunError where theirs has no place for it.
        """
        found = self._rule_of_ours(ours)
        if found is None:
            raise RunError(f"'{ours}' has no name in the other library.")
        rule, numbers = found
        parts = [part.format(**numbers) for part in rule.parts]
        return rule, rule.theirs.format(**numbers), parts

    def _without_ties(
        self, tensors: Mapping[str, Tensor], certificate: Certificate
    ) -> tuple[dict[str, Tensor], list[str]]:
        """Remove second names; a tensor that has only a second name gets the first."""
        named, problems, second = {}, [], []
        for name, tensor in tensors.items():
            rule, numbers = self._rule_for(name)
            if isinstance(rule, Tie):
                second.append((name, rule.same_as.format(**numbers), tensor))
            else:
                named[name] = tensor
        for name, first, tensor in second:
            certificate.tied[name] = first
            if first not in named:
                named[first] = tensor
            elif not _same(named[first], tensor):
                problems.append(f"'{name}' differs from '{first}', but they should be tied")
        return named, problems


def _misfit(name: str, tensor: Tensor, shape: Shape) -> str | None:
    """Return why a tensor of theirs cannot be read, or None."""
    if tuple(tensor.shape) != shape:
        return f"'{name}' has shape {tuple(tensor.shape)} instead of {shape}"
    if not tensor.is_floating_point():
        return f"'{name}' is {_kind(tensor)}; expected a floating-point tensor"
    return None


def _count_nonfinite(piece: Tensor) -> int:
    """Count numbers that are NaN or infinite in float32."""
    import torch

    numbers = piece.float()
    # a finite sum has only finite parts, and takes a quarter of the time
    if numbers.sum().isfinite():
        return 0
    return int((~torch.isfinite(numbers)).sum())


def _same(one: Tensor, other: Tensor) -> bool:
    """Compare bit for bit, so that NaN equals itself."""
    import torch

    alike = one.dtype == other.dtype and one.shape == other.shape
    return alike and torch.equal(
        one.reshape(-1).view(torch.uint8), other.reshape(-1).view(torch.uint8)
    )


def _kind(tensor: Tensor | torch.dtype) -> str:
    return str(getattr(tensor, "dtype", tensor)).removeprefix("torch.")


def _refuse(problems: Sequence[str], what: str) -> None:
    if problems:
        raise RunError(f"{what}: {'; '.join(problems)}.")
