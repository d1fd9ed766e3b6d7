"""The encoder-decoders among the published families, each with what makes it differ."""

from __future__ import annotations

from functools import partial

from published_folders import Toy, byte_level, pieces

BART = {
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 3,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 40,
    "decoder_ffn_dim": 48,
    "max_position_embeddings": 64,
    "bos_token_id": 0,
    "pad_token_id": 1,
    "eos_token_id": 2,
    "decoder_start_token_id": 2,
    "forced_eos_token_id": None,
}
T5 = {
    "d_model": 32,
    "d_kv": 8,
    "d_ff": 48,
    "num_layers": 3,
    "num_decoder_layers": 2,
    "num_heads": 4,
    "pad_token_id": 0,
    "eos_token_id": 1,
    "decoder_start_token_id": 0,
}
GATED = {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False, "d_kv": 12}
# blocks 1 and 4 of the encoder have experts, and the decoder's second;
# the encoder drops tokens of the longest source, and no target is as long
SWITCH = {
    **T5,
    "num_layers": 5,
    "num_decoder_layers": 3,
    "num_sparse_encoder_layers": 1,
    "num_sparse_decoder_layers": 1,
    "num_experts": 4,
    "expert_capacity": 12,
    "router_jitter_noise": 0.02,
}
MARKS = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
of_bart = partial(byte_level, MARKS, "<s> $A </s>", "<s> $A </s> </s> $B </s>")
of_t5 = partial(pieces, ("<pad>", "</s>", "<unk>"), "$A </s>", "$A </s> $B </s>")
LANGUAGES = (*MARKS[:4], "de_DE", "en_XX", "zh_CN")
of_mbart = partial(pieces, LANGUAGES, "$A </s> en_XX", "$A $B </s> en_XX")
of_mbart50 = partial(pieces, LANGUAGES, "en_XX $A </s>", "en_XX $A $B </s>")
of_m2m = partial(
    pieces, (*MARKS[:4], "__de__", "__en__", "__zh__"), "__en__ $A </s>", "__en__ $A $B </s>"
)
of_nllb = partial(
    pieces,
    (*MARKS[:4], "deu_Latn", "eng_Latn", "zho_Hant"),
    "eng_Latn $A </s>",
    "eng_Latn $A $B </s>",
)
MARIAN = {**BART, "pad_token_id": 1, "eos_token_id": 0, "decoder_start_token_id": 1}
of_marian = partial(pieces, ("</s>", "<pad>", "<unk>"), "$A </s>", "$A </s> $B </s>")

TOYS: dict[str, Toy] = {
    "bart": Toy("BartForConditionalGeneration", BART, of_bart),
    "bart that begins with <s>": Toy(
        "BartForConditionalGeneration", {**BART, "forced_bos_token_id": 0}, of_bart
    ),
    "mbart": Toy("MBartForConditionalGeneration", {**BART, "decoder_start_token_id": 4}, of_mbart),
    "mbart-50": Toy("MBartForConditionalGeneration", BART, of_mbart50),
    "pegasus": Toy(
        "PegasusForConditionalGeneration",
        {**BART, "pad_token_id": 0, "eos_token_id": 1, "decoder_start_token_id": 0},
        of_t5,
    ),
    "marian": Toy("MarianMTModel", {**MARIAN, "scale_embedding": True}, of_marian),
    "m2m100": Toy("M2M100ForConditionalGeneration", BART, of_m2m),
    "nllb": Toy("M2M100ForConditionalGeneration", BART, of_nllb),
    "blenderbot": Toy("BlenderbotForConditionalGeneration", BART, of_bart),
    "t5": Toy("T5ForConditionalGeneration", T5, of_t5),
    "t5 1.1": Toy("T5ForConditionalGeneration", {**T5, **GATED}, of_t5),
    "switch": Toy("SwitchTransformersForConditionalGeneration", SWITCH, of_t5),
    "mt5": Toy("MT5ForConditionalGeneration", {**T5, **GATED}, of_t5),
}
TO = {"mbart": "de", "mbart-50": "de", "m2m100": "de", "nllb": "deu_Latn"}
