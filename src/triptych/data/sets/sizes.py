"""List the bytes of each file of a public set, decompressed: a download may not be longer.

They were measured on the files whose SHA-256 the catalogue holds.
"""

from __future__ import annotations

BYTES: dict[str, dict[str, int]] = {  # set -> file -> bytes
    "multi30k": {
        "train.en": 1_801_238,
        "train.de": 2_110_398,
        "train.fr": 2_111_303,
        "train.cs": 1_755_283,
        "val.en": 63_297,
        "val.de": 75_981,
        "val.fr": 73_924,
        "val.cs": 60_213,
        "test_2016_flickr.en": 62_076,
        "test_2016_flickr.de": 70_649,
        "test_2016_flickr.fr": 72_261,
        "test_2016_flickr.cs": 62_364,
    },
    "tatoeba-en-zh": {"cmn.txt": 4_151_351},
    "tatoeba-en-de": {"deu.txt": 12_316_220},
    "ag-news": {"train10k.tsv": 2_030_410, "test.tsv": 1_530_104},
    "sst2": {"train.tsv": 3_806_081, "dev.tsv": 94_931, "test-labeled.tsv": 194_804},
    "sms-spam": {"SMSSpamCollection.tsv": 477_917},
    "banking77": {"train.csv": 839_073, "test.csv": 239_961},
    "chnsenticorp": {"train.tsv": 3_087_161, "dev.tsv": 382_617},
    "tnews": {"train.tsv": 4_101_723, "dev.tsv": 770_536},
    "stsb": {"sts-train.csv": 906_922, "sts-dev.csv": 255_680, "sts-test.csv": 282_419},
    "conll2003": {"train.txt": 3_283_420, "valid.txt": 827_443, "test.txt": 748_095},
    "wnut17": {"train.conll": 493_781, "dev.conll": 114_749, "test.conll": 192_425},
    "uner-english-ewt": {
        "train-preliminary.iob2": 3_963_291,
        "dev.iob2": 620_415,
        "test.iob2": 623_751,
    },
    "bc5cdr": {"train.tsv": 1_039_940, "devel.tsv": 1_031_781, "test.tsv": 1_080_717},
    "ncbi-disease": {"train.tsv": 1_137_445, "devel.tsv": 200_352, "test.tsv": 205_664},
    "clinc-oos": {"data_full.json": 2_495_390},
    "unfair-clauses": {"corpus.tar": 5_109_760},
    "ud-chinese-gsd": {"train.conllu": 3_281_947, "dev.conllu": 422_074, "test.conllu": 400_666},
    "ud-english-ewt": {
        "train.conllu": 14_203_025,
        "dev.conllu": 1_805_545,
        "test.conllu": 1_804_515,
    },
    "ud-chinese-gsd-v1": {
        "train.conllu": 3_281_947,
        "dev.conllu": 422_074,
        "test.conllu": 400_666,
    },
    "ud-chinese-gsdsimp": {"dev.conllu": 1_180_003, "test.conllu": 1_120_900},
    "xquad": {"xquad.en.json": 609_383, "xquad.de.json": 669_810, "xquad.zh.json": 808_652},
    "cmrc2018": {"dev.json": 3_299_139, "trial.json": 800_221},
    "jaquad": {"train.tar": 22_743_040, "dev.tar": 3_031_040},
    "war-and-peace": {"train.txt": 2_281_656, "valid.txt": 490_831, "test.txt": 504_362},
    "tinyshakespeare": {"input.txt": 1_115_394},
    "tinystories-sample": {"valid_sample.txt": 1_307_347},
    "wikitext-2": {"valid.txt": 1_121_681, "test.txt": 1_256_449},
    "dailydialog": {
        "train/dialogues_train.txt": 6_041_183,
        "validation/dialogues_validation.txt": 558_030,
        "test/dialogues_test.txt": 544_208,
    },
    "alpaca": {"alpaca_data.json": 22_773_992},
    "instruct-1100": {"instruction-data.json": 203_524},
    "samsum": {"train.json": 10_484_215, "val.json": 571_716, "test.json": 590_609},
    "scitldr": {"train.jsonl": 3_155_015, "dev.jsonl": 1_124_865, "test.jsonl": 1_204_107},
    "squad-qg": {
        "test.sentence.txt": 2_190_004,
        "test.question.txt": 748_180,
        "dev.sentence.txt": 2_046_431,
        "dev.question.txt": 657_712,
    },
}
