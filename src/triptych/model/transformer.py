"""The Transformer: embeddings -> encoder? -> decoder? -> states.

The three architectures differ only by their stacks. Training runs `forward` over packed rows;
decoding runs `encode`, `start` and `step`, as with the RNN encoder-decoder.
"""

from __future__ import annotations

from collections.abc import MutableSequence
from typing import Any, Unpack

import torch
from torch import Tensor, nn
from torch.nn import functional

from .attention import Attention, Context
from .attention_weights import attention_weights
from .block import Stack
from .cache import CrossKeys, Memory, TransformerState
from .config import ModelConfig
from .embeddings import InputEmbedding, TokenEmbedding
from .experts import Routed
from .global_attention import global_counter
from .interface import HeadInputs, Inputs
from .layout import PackedLayout
from .linear import Linear
from .ops.cross_entropy import softcapped
from .ops.dropout import DropoutRng
from .ops.onednn import PrepackedLinear
from .stem import Stem

# up to this size of the vocabulary, logits are computed in fp32
EXACT_LOGITS_MAX_VOCABULARY = 1024


class Transformer(nn.Module):
    """Map token ids to states (Vaswani et al. 2017); `precision` is that of activations."""

    def __init__(self, config: ModelConfig, attention: type[Attention] = Attention) -> None:
        super().__init__()
        self.config = config
        encoder, decoder = config.encoder, config.decoder
        last = decoder or encoder
        assert last is not None, "a Transformer needs an encoder, a decoder or both"
        width, of_tokens = config.embedding_width, config.embedding_projection == "tokens"
        self.embedding = TokenEmbedding(config.vocabulary_size, width or last.width)
        self.source_embedding: TokenEmbedding | None = None
        if encoder and decoder and config.source_vocabulary_size is not None:
            self.source_embedding = TokenEmbedding(
                config.source_vocabulary_size, width or encoder.width
            )
        if encoder:
            self.encoder_entrance = InputEmbedding(
                encoder, config.embedding_scale, width, of_tokens
            )
            self.encoder = Stack(encoder, is_causal=False, attention=attention)
        self.stem = Stem(encoder) if encoder and encoder.stem else None
        self.count_globals = global_counter(encoder)
        if decoder:
            self.decoder_entrance = InputEmbedding(
                decoder, config.embedding_scale, width, of_tokens
            )
            self.decoder = Stack(decoder, True, encoder.width if encoder else None, attention)
        self.output: Linear | None = None
        if not config.tied_embeddings:
            self.output = Linear(last.width, config.vocabulary_size, bias=False)
        # maps states to the width of the embedding that is the output projection
        self.output_reduction: Linear | None = None
        if width is not None and config.tied_embeddings and decoder:
            self.output_reduction = Linear(last.width, width, bias=False)
        self.output_bias: nn.Parameter | None = None
        if config.output_bias:
            self.output_bias = nn.Parameter(torch.zeros(config.vocabulary_size))
        self.output_scale, self.logit_softcap = config.output_scale, config.logit_softcap
        self.precision = torch.float32
        self.prepacked_output: PrepackedLinear | None = None
        self.compiled: Any = None  # runs a whole step as one program (decoding/compiled.py)
        self.rng = DropoutRng()
        # a list here collects what the routers of `forward` hand back (model/experts.py)
        self.routed: MutableSequence[Routed] | None = None
        # a list here collects the encoder's output of `forward`, for a head that reads it too
        self.memories: list[Memory] | None = None
        self.initialize()

    @torch.no_grad()
    def initialize(self) -> None:
        """Initialise matrices Xavier-uniform (Glorot & Bengio 2010), embeddings N(0, 1/D)."""
        for name, parameter in self.named_parameters():
            if "embedding" in name:
                nn.init.normal_(parameter, std=parameter.shape[1] ** -0.5)
            elif "entrance" in name and "projection" not in name and parameter.ndim == 2:
                nn.init.normal_(parameter, std=0.02)
            elif parameter.ndim == 2:
                nn.init.xavier_uniform_(parameter)

    def reseed(self, seed: int) -> None:
        """Let all dropout until the next call draw from `seed`."""
        self.rng.seed(seed)

    def forward(
        self,
        source: Tensor | None = None,
        source_lengths: Tensor | None = None,
        target: Tensor | None = None,
        target_lengths: Tensor | None = None,
        segments: Tensor | None = None,
        selected_rows: Tensor | None = None,
        **of_heads: Unpack[HeadInputs],
    ) -> Tensor:
        """Map packed source ids (M,) and target ids (N,) -> states of the last stack (M or N, D).

        A model with a stem reads features (M, C) as its source.
        segments (M,) number the texts of an input. selected_rows (K,) int64, rising, are the only
        source rows to compute in the last block of a model without a decoder -> (K, D). Arrays
        that only heads read are ignored; any other name is a TypeError.
        """
        if unknown := sorted(of_heads.keys() - HeadInputs.__annotations__.keys()):
            raise TypeError(f"The model has no input {unknown[0]!r}.")
        context = Context(rng=self.rng if self.training else None, routed=self.routed)
        if source is not None:
            assert source_lengths is not None, "source needs source_lengths"
            x = self.enter(True, source, source_lengths, context, segments)
            context.memory = memory = self.encoder(x, context, selected_rows)
            context.memory_layout = context.layout
            if self.memories is not None and context.layout is not None:
                self.memories.append(Memory(memory, context.layout))
        if target is None:
            assert context.memory is not None, "forward needs a source or a target"
            return context.memory
        assert target_lengths is not None, "target needs target_lengths"
        x = self.enter(False, target, target_lengths, context)
        return self.decoder(x, context)

    def enter(
        self,
        is_source: bool,
        ids: Tensor,
        lengths: Tensor,
        context: Context,
        segments: Tensor | None = None,
    ) -> Tensor:
        """Map ids (N,) of one side -> vectors (N, D), and put their layout into the context.

        A stem maps features (N, C) to fewer vectors, of which the layout is.
        """
        stack = self.encoder if is_source else self.decoder
        enter = self.encoder_entrance if is_source else self.decoder_entrance
        table = (self.source_embedding if is_source else None) or self.embedding
        vectors: Tensor | None = None
        if is_source and self.stem is not None:
            vectors, lengths = self.stem(ids, lengths)
        context.layout = layout = PackedLayout(lengths)
        own = layout.lengths[layout.sequence] if stack.needs_lengths else None  # (N,)
        context.angles = stack.angles(layout.positions, own)
        if is_source and self.count_globals is not None:
            layout.global_counts = self.count_globals(ids, layout, segments)
        vectors = table(ids) if vectors is None else vectors
        return enter(vectors, layout.positions, self.precision, context.rng, segments)

    def output_projection(self) -> tuple[Tensor, Tensor | None]:
        """Return weight (V, D) and bias (V,) or None of the vocabulary projection."""
        weight = self.embedding.weight if self.output is None else self.output.matrix()
        return weight, self.output_bias

    def to_output(self, states: Tensor) -> Tensor:
        """Map states (..., D) to what the vocabulary projection multiplies."""
        if self.output_reduction is not None:
            states = self.output_reduction(states)
        return states if self.output_scale is None else states * self.output_scale

    def prepack(self) -> None:
        if self.output is not None:
            self.output.is_spare = True
        weight, offset = self.output_projection()
        if weight.shape[0] < EXACT_LOGITS_MAX_VOCABULARY:
            weight, offset = weight.float(), None if offset is None else offset.float()
        self.prepacked_output = PrepackedLinear([weight], [offset])

    def project(self, states: Tensor) -> Tensor:
        """Map states (..., D) -> logits (..., V), in fp32 if the vocabulary is small."""
        if self.config.vocabulary_size < EXACT_LOGITS_MAX_VOCABULARY:
            states = states.float()
        return softcapped(self._products(self.to_output(states)), self.logit_softcap)

    def _products(self, states: Tensor) -> Tensor:
        if self.prepacked_output is not None and self.prepacked_output.fits(states):
            return self.prepacked_output(states)
        if self.output is not None and self.output_bias is None:
            return self.output(states)
        weight, offset = self.output_projection()
        return functional.linear(
            states, weight.to(states.dtype), None if offset is None else offset.to(states.dtype)
        )

    def encode(self, inputs: dict[str, Tensor]) -> Memory:
        """Map packed "source" (M,) and "source_lengths" (B,) -> the encoder's output."""
        context = Context(rng=self.rng if self.training else None)
        source, lengths = inputs["source"], inputs["source_lengths"]
        x = self.enter(True, source, lengths, context, inputs.get("segments"))
        states = self.encoder(x, context)
        assert context.layout is not None, "the source has a layout"
        return Memory(states, context.layout)

    def start(self, memory: Memory | None, rows: Tensor | int) -> TransformerState:
        """Return the state before the first token; rows (B,) index the memory, or give B."""
        assert self.config.decoder is not None, "only a model with a decoder can write"
        device, blocks = self.embedding.weight.device, self.decoder.each
        count, cross = int(rows) if memory is None else memory.lengths.numel(), None
        if memory is not None:
            projected = (block.memory_keys(memory.states) for block in blocks)
            cross = CrossKeys.of(memory, projected, self.precision)
        attentions = [block.self_attention for block in blocks]
        state = TransformerState.empty(attentions, count, cross, self.precision, device)
        if memory is None:
            return state
        return state.select(torch.arange(rows, device=device) if isinstance(rows, int) else rows)

    def step(self, tokens: Tensor, state: TransformerState) -> tuple[Tensor, TransformerState]:
        """Map each row's next tokens (B, T) -> logits (B, T, V), and extend the state in place."""
        count, steps = tokens.shape
        x, context = self._enter_step(tokens, state)
        done = None if self.compiled is None else self.compiled(x, context, state)
        x, logits = self.decode_layers(x, context) if done is None else done
        state.advance(steps)
        state.last = None if logits.dtype == torch.float32 else x
        return logits.view(count, steps, -1), state

    def read_on(self, tokens: Tensor, state: TransformerState) -> Tensor:
        """Map each row's next tokens (B, T) -> states (B, T, D), and extend the state in place."""
        x, context = self._enter_step(tokens, state)
        x = self.decoder(x, context)
        state.advance(tokens.shape[1])
        state.last = None
        return x.view(*tokens.shape, -1)

    def _enter_step(self, tokens: Tensor, state: TransformerState) -> tuple[Tensor, Context]:
        """Map next tokens (B, T) -> vectors (B * T, D) and their context; make room for them."""
        (count, steps), decoder, positions = tokens.shape, self.decoder, state.lengths
        if steps > 1:
            new = torch.arange(steps, device=tokens.device)
            positions = (positions[:, None] + new).reshape(-1)
        vectors = self.embedding(tokens.reshape(-1))  # (BT, D)
        x = self.decoder_entrance(vectors, positions, self.precision, None)
        own = (state.lengths + steps).repeat_interleave(steps) if decoder.needs_lengths else None
        hidden = state.extend(steps)
        context = Context(angles=decoder.angles(positions, own), cache=state, shape=(count, steps))
        if decoder.is_recurrent:
            context.cells = state.cells()
        else:
            masks, bias = decoder.masks, decoder.position_bias
            context.slot_biases = state.biases(hidden, steps, masks, bias)
        return x, context

    def decode_layers(self, x: Tensor, context: Context) -> tuple[Tensor, Tensor]:
        """Map new tokens (B * T, D) -> last states of the decoder (B * T, D), logits (B * T, V)."""
        x = self.decoder(x, context)
        return x, self.project(x)

    def exact_logits(self, states: Tensor, tokens: Tensor) -> Tensor:
        """Map states (B, D) and a few token ids each (B, C) -> their logits (B, C) in fp32."""
        weight, offset = self.output_projection()
        states = self.to_output(states).float()
        found = torch.bmm(weight[tokens].float(), states[:, :, None])[:, :, 0]
        found = found if offset is None else found + offset[tokens].float()
        return softcapped(found, self.logit_softcap)

    def attention_weights(
        self, kind: str = "cross", layers: list[int] | None = None, **inputs: Unpack[Inputs]
    ) -> Tensor:
        """Return exact attention weights (L, B, H, T, S) of "encoder", "decoder" or "cross"."""
        if unknown := sorted(inputs.keys() - Inputs.__annotations__.keys()):
            raise TypeError(f"The model has no input {unknown[0]!r}.")
        return attention_weights(self, kind, layers, inputs)
