"""The RNN encoder-decoder that the Transformer replaced, with the same methods.

It has a bidirectional GRU encoder and a GRU decoder with additive attention over all encoder states
(Bahdanau et al. 2015, appendix A), or without attention, where the last states represent the
sentence (Cho et al. 2014). Unlike in the paper,
- the reset gate acts after the recurrent product (see `recurrence.py`);
- the readout reads the new state s_i, as in equation 4, not s_{i-1} as in appendix A.2.2;
- matrices and embeddings start larger (see `initialize`);
- a vocabulary shared by source and target has one embedding.
Recurrences always run in fp32: their products are small, and a state rounded to bf16 at every step
drifts. `precision` is that of the products over all steps: input projections, keys, readout,
vocabulary.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from ...errors import UsageError
from ..cache import CrossKeys, Memory, length_bias
from ..config import RecurrentConfig
from ..embeddings import TokenEmbedding
from ..layout import PackedLayout
from ..linear import Linear
from ..ops.dropout import DropoutRng, dropout
from .recurrence import TimeMajor, attend_recur, gate, recur, take
from .state import RecurrentState


class GRUCell(nn.Module):
    """Hold the weights of a gated recurrent unit, with rows in the order reset, update, new."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.input = Linear(inputs, 3 * width)
        self.recurrent = Linear(width, 3 * width, bias=False)


class RecurrentEncoder(nn.Module):
    """Read in both directions (2015, appendix A.2.1)."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.forward_cell = GRUCell(inputs, width)
        self.backward_cell = GRUCell(inputs, width)

    def forward(self, x: Tensor, rows: PackedLayout) -> Tensor:
        """Map packed (N, inputs) -> the states from the left and from the right (N, 2W), fp32."""
        time = TimeMajor(rows)
        first, second = self.forward_cell, self.backward_cell
        # (2, N, 3W)
        gates = torch.stack(
            (first.input(take(x, time.rows)), second.input(take(x, time.reversed_rows)))
        ).float()
        weight = torch.stack((first.recurrent.matrix(), second.recurrent.matrix())).float()
        # (2, N, W)
        states = recur(gates, weight, gates.new_zeros(2, rows.count, weight.shape[2]), time.steps)
        back = torch.empty_like(time.back)
        back[time.reversed_rows] = torch.arange(rows.total, device=back.device)
        return torch.cat((take(states[0], time.back), take(states[1], back)), -1)


class AdditiveAttention(nn.Module):
    """Compute score . tanh(W s + U h) (2015, section 3.1 and appendix A.1.2)."""

    def __init__(self, width: int, memory_width: int, inner_width: int) -> None:
        super().__init__()
        self.query = Linear(width, inner_width, bias=False)
        self.key = Linear(memory_width, inner_width)
        self.score = nn.Parameter(torch.zeros(inner_width))

    def step(self, hidden: Tensor, keys: Tensor, bias: Tensor | None) -> Tensor:
        """Map hidden (R, beams, W), keys (R, 1, S, A), bias (R, 1, S) -> weights (R, beams, S)."""
        scores = torch.tanh(self.query(hidden).unsqueeze(2) + keys) @ self.score.to(hidden.dtype)
        return torch.softmax(scores if bias is None else scores + bias, -1)


class RecurrentDecoder(nn.Module):
    """Run a GRU on the previous token and a context, with a maxout readout (appendix A.2.2)."""

    def __init__(self, config: RecurrentConfig) -> None:
        super().__init__()
        width = config.width
        self.initial = Linear(width, width)
        self.cell = GRUCell(config.embedding_width, width)
        self.context = Linear(2 * width, 3 * width, bias=False)
        self.attention = (
            AdditiveAttention(width, 2 * width, config.attention_width)
            if config.attention
            else None
        )
        self.maxout = Linear(width + config.embedding_width + 2 * width, 2 * config.readout_width)

    def start(self, memory: Tensor, rows: PackedLayout) -> Tensor:
        """Return tanh(W h) (B, W) of the right-to-left state at the first token."""
        return torch.tanh(self.initial(memory[rows.starts, memory.shape[1] // 2 :]))

    def summary(self, memory: Tensor, rows: PackedLayout) -> Tensor:
        """Return the last states of both directions (B, 2W), for a decoder without attention."""
        half = memory.shape[1] // 2
        return torch.cat(
            (memory[rows.starts + rows.lengths - 1, :half], memory[rows.starts, half:]), -1
        )

    def run(
        self,
        x: Tensor,
        memory: Tensor,
        memory_rows: PackedLayout,
        time: TimeMajor,
        precision: torch.dtype,
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Run all steps: time-major x (N, E), packed memory (M, 2W).

        Returns states (N, W), contexts (N, 2W) and weights (B, T, S).
        """
        gates = self.cell.input(x).float()
        initial = self.start(memory, memory_rows)[time.order]
        recurrent, attention = self.cell.recurrent.matrix().float(), self.attention
        if attention is None:
            summary, sequence = self.summary(memory, memory_rows), time.sequence
            gates = gates + functional.embedding(
                sequence, self.context(summary.to(precision)).float()
            )
            states = recur(gates[None], recurrent[None], initial[None], time.steps)[0]
            return states, functional.embedding(sequence, summary), None
        cells = time.rank[memory_rows.sequence] * memory_rows.longest + memory_rows.positions
        table = (memory_rows.count, memory_rows.longest)

        def padded(rows: Tensor) -> Tensor:  # (M, .) -> (B sorted, S, .)
            return (
                rows.new_zeros(table[0] * table[1], rows.shape[1])
                .index_copy(0, cells, rows)
                .view(*table, -1)
            )

        low = memory.to(precision)
        weight = torch.cat((attention.query.matrix().float(), recurrent))
        hidden = length_bias(memory_rows.lengths[time.order], memory_rows.longest, torch.float32)
        hidden = None if hidden is None else hidden[:, 0, 0, 0]  # (B, S)
        keys, values = padded(attention.key(low).float()), padded(self.context(low).float())
        states, weights = attend_recur(
            gates, weight, initial, keys, values, attention.score.float(), hidden, time.steps
        )
        contexts = torch.bmm(weights.to(precision), padded(low)).flatten(0, 1)
        return states, take(contexts, time.cells), weights

    def read(self, states: Tensor, x: Tensor, contexts: Tensor) -> Tensor:
        """Map (..., W), (..., E), (..., 2W) -> maxout units (..., R) in x's dtype."""
        first, second = self.maxout(
            torch.cat((states.to(x.dtype), x, contexts.to(x.dtype)), -1)
        ).chunk(2, -1)
        return torch.maximum(first, second)


class RecurrentTranslator(nn.Module):
    """Translate with RNNsearch (attention) or RNNencdec (none); states have `readout_width`."""

    def __init__(self, config: RecurrentConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = TokenEmbedding(config.vocabulary_size, config.embedding_width)
        separate = config.source_vocabulary_size
        self.source_embedding = (
            None if separate is None else TokenEmbedding(separate, config.embedding_width)
        )
        self.encoder = RecurrentEncoder(config.embedding_width, config.width)
        self.decoder = RecurrentDecoder(config)
        self.output = Linear(config.readout_width, config.vocabulary_size)
        self.precision = torch.float32
        self.rng = DropoutRng()
        self.logit_softcap: float | None = None
        self.initialize()

    @torch.no_grad()
    def initialize(self) -> None:
        """Make recurrent blocks orthogonal, and attention score and biases zero (appendix B).

        The paper's N(0, 0.01^2) for all other matrices, made for a week of Adadelta, is too small
        for short runs: after 220 AdamW updates of 64 Multi30k pairs, width 192, one seed, the
        development loss is 3.71, against 2.86 with Xavier and embeddings N(0, 0.5^2) (with a random
        score, deviation 0.01: 3.23, 0.1: 3.01, 0.3: 2.87, 0.5: 2.88, 1: 2.85).
        """
        for name, parameter in self.named_parameters():
            if "recurrent" in name:
                for block in parameter.chunk(3):
                    nn.init.orthogonal_(block)
            elif "embedding" in name:
                nn.init.normal_(parameter, std=0.5)
            elif parameter.ndim == 2:
                nn.init.xavier_uniform_(parameter)

    def reseed(self, seed: int) -> None:
        """Let all dropout until the next call draw from `seed`."""
        self.rng.seed(seed)

    def _embed(self, table: TokenEmbedding, ids: Tensor) -> Tensor:
        return dropout(
            table(ids).to(self.precision),
            self.config.dropout,
            self.rng if self.training else None,
        )

    def _encode(self, source: Tensor, rows: PackedLayout) -> Tensor:
        return self.encoder(self._embed(self.source_embedding or self.embedding, source), rows)

    def forward(
        self, source: Tensor, source_lengths: Tensor, target: Tensor, target_lengths: Tensor
    ) -> Tensor:
        """Map packed source ids (M,) and target ids (N,) -> readout states (N, R)."""
        return self._run(source, source_lengths, target, target_lengths)[0]

    def _run(self, source: Tensor, source_lengths: Tensor, target: Tensor, target_lengths: Tensor,
             ) -> tuple[Tensor, Tensor | None, TimeMajor]:  # fmt: skip
        memory_rows, time = PackedLayout(source_lengths), TimeMajor(PackedLayout(target_lengths))
        memory = self._encode(source, memory_rows)
        x = self._embed(self.embedding, target[time.rows])  # (N, E) time-major from here on
        states, contexts, weights = self.decoder.run(x, memory, memory_rows, time, self.precision)
        read = self.decoder.read(states, x, contexts)
        return (
            take(
                dropout(read, self.config.dropout, self.rng if self.training else None),
                time.back,
            ),
            weights,
            time,
        )

    def output_projection(self) -> tuple[Tensor, Tensor | None]:
        """Return weight (V, R) and bias (V,) of the vocabulary projection."""
        return self.output.matrix(), self.output.bias

    def to_output(self, states: Tensor) -> Tensor:
        """Return states (..., R), which the vocabulary projection multiplies as they are."""
        return states

    def project(self, states: Tensor) -> Tensor:
        """Map (..., R) -> logits (..., V)."""
        return self.output(states)

    # Decoding -------------------------------------------------------------------------------------

    def encode(self, inputs: dict[str, Tensor]) -> Memory:
        """Map packed "source" (M,) and "source_lengths" (B,) to the encoder's output."""
        rows = PackedLayout(inputs["source_lengths"])
        return Memory(self._encode(inputs["source"], rows), rows)

    def start(self, memory: Memory | None, rows: Tensor | int) -> RecurrentState:
        """Return the state before the first token; rows (B,) int64 index the memory."""
        assert memory is not None, "an RNN decoder always reads a memory"
        sources = (
            torch.arange(rows, device=memory.lengths.device) if isinstance(rows, int) else rows
        )
        hidden = self.decoder.start(memory.states, memory.rows)[sources]
        lengths = torch.zeros_like(sources)
        state = RecurrentState(
            hidden, lengths, [hidden], lengths, self._cross_keys(memory), sources, 0
        )
        # `select` finds the grouping of rows by source.
        return state.select(torch.arange(sources.numel(), device=sources.device))

    def _cross_keys(self, memory: Memory) -> CrossKeys:
        """Return keys (R, 1, S, A) and values (R, 1, S, 5W): gate products, then the memory.

        Without attention S is 1.
        """
        decoder, attention, rows = self.decoder, self.decoder.attention, memory.rows
        seen = memory.states if attention is not None else decoder.summary(memory.states, rows)
        low = seen.to(self.precision)
        values = torch.cat((decoder.context(low).float(), seen.float()), -1)
        if attention is None:
            return CrossKeys(
                [values.new_zeros(rows.count, 1, 1, 1)], [values[:, None, None]], rows.lengths, None
            )
        bias = length_bias(rows.lengths, rows.longest, torch.float32)
        return CrossKeys(
            [rows.pad(attention.key(low).float())[:, None]],
            [rows.pad(values)[:, None]],
            rows.lengths,
            bias,
        )

    def step(self, tokens: Tensor, state: RecurrentState) -> tuple[Tensor, RecurrentState]:
        """Map each row's next tokens (B, T) -> logits (B, T, V) and the new state."""
        x = self._embed(self.embedding, tokens)  # (B, T, E)
        gates = self.decoder.cell.input(x).float()
        recent, contexts = [state.hidden], list[Tensor]()
        for t in range(tokens.shape[1]):
            hidden, context = self._step(gates[:, t], recent[-1], state)
            recent.append(hidden)
            contexts.append(context)
        # (B, T, R)
        read = self.decoder.read(torch.stack(recent[1:], 1), x, torch.stack(contexts, 1))
        after = RecurrentState(
            recent[-1],
            state.lengths + tokens.shape[1],
            recent,
            state.lengths,
            state.cross,
            state.sources,
            state.beams,
        )
        return self.project(read), after

    def _step(self, gates: Tensor, hidden: Tensor, state: RecurrentState) -> tuple[Tensor, Tensor]:
        """Map gates (B, 3W), hidden (B, W) -> the next hidden state and the context (B, 2W)."""
        attention, cross, beams = self.decoder.attention, state.cross, state.beams
        keys, values, bias = cross.keys[0], cross.values[0], cross.bias
        if not beams:  # rows in no order: each gets its own copy
            keys, values, beams = (
                keys.index_select(0, state.sources),
                values.index_select(0, state.sources),
                1,
            )
            bias = None if bias is None else bias.index_select(0, state.sources)
        if attention is None:
            mixed = values[:, 0].expand(-1, beams, -1)
        else:
            weights = attention.step(
                hidden.view(-1, beams, hidden.shape[1]),
                keys,
                None if bias is None else bias[:, 0, 0],
            )
            mixed = torch.bmm(weights, values[:, 0])  # (R, beams, 5W)
        mixed = mixed.reshape(hidden.shape[0], -1)
        recurrent = self.decoder.cell.recurrent(hidden)
        width = 3 * hidden.shape[1]
        return gate(gates + mixed[:, :width], recurrent, hidden), mixed[:, width:]

    # Looking inside -------------------------------------------------------------------------------

    @torch.no_grad()
    def attention_weights(
        self,
        kind: str = "cross",
        layers: list[int] | None = None,
        *,
        source: Tensor | None = None,
        source_lengths: Tensor | None = None,
        target: Tensor | None = None,
        target_lengths: Tensor | None = None,
    ) -> Tensor:
        """Return the attention weights (1, B, 1, T, S); raise UsageError without attention."""
        if self.decoder.attention is None:
            raise UsageError(
                "This RNN was built with model.attention = false: one vector represents the whole "
                "sentence, so there is no attention to show. Inspect a run with attention instead."
            )
        if kind != "cross":
            raise UsageError(f"An RNN has no attention of kind '{kind}'. Allowed: cross.")
        assert (
            source is not None
            and source_lengths is not None
            and target is not None
            and target_lengths is not None
        )
        was_training = self.training
        self.eval()
        _, weights, time = self._run(source, source_lengths, target, target_lengths)
        self.train(was_training)
        assert weights is not None
        return weights[time.rank][None, :, None]
