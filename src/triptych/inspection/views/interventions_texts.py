"""Hold the words of the pictures of interventions, in English and 繁體中文."""

from __future__ import annotations

from ..html import Language

TITLES: dict[str, dict[Language, str]] = {
    "without": {"en": "Switched off", "zh-Hant": "已關閉"},
    "without_mean": {"en": "Replaced by the mean", "zh-Hant": "已換成平均值"},
    "lens": {"en": "Lens: {0}", "zh-Hant": "透鏡：{0}"},
    "ablation": {"en": "Ablation map: {0}", "zh-Hant": "消融圖：{0}"},
    "patching": {"en": "Patching: {0}", "zh-Hant": "換入另一句的狀態：{0}"},
    "contributions": {"en": "Contributions: {0} − {1}", "zh-Hant": "貢獻：{0} − {1}"},
    "attributions": {"en": "Attributions of log p({0})", "zh-Hant": "log p({0}) 的歸因"},
    "deletion": {
        "en": "Deletion curves over {0} development sentences",
        "zh-Hant": "{0} 個驗證句的刪除曲線",
    },
    "arcs": {
        "en": "Heads against the gold arcs of {0} sentences",
        "zh-Hant": "注意力頭與 {0} 句標準依存弧的比較",
    },
    "checkpoints": {"en": "{0} at each checkpoint", "zh-Hant": "各檢查點的 {0}"},
}
METHODS: dict[str, dict[Language, str]] = {
    "encoder": {"en": "encoder", "zh-Hant": "編碼器"},
    "decoder": {"en": "decoder", "zh-Hant": "解碼器"},
    "attention": {"en": "attention", "zh-Hant": "注意力"},
    "rollout": {"en": "rollout", "zh-Hant": "注意力展開"},
    "gradient_times_input": {"en": "gradient × input", "zh-Hant": "梯度 × 輸入"},
    "integrated_gradients": {"en": "integrated gradients", "zh-Hant": "積分梯度"},
    "occlusion": {"en": "occlusion", "zh-Hant": "遮蔽"},
    "random": {"en": "random order", "zh-Hant": "隨機順序"},
}
LEGENDS: dict[str, dict[Language, str]] = {
    "without": {
        "en": "These parts give zero in everything on this page, the answer included.",
        "zh-Hant": "本頁的一切（包括答案）都是在這些部分輸出為零的情況下得到的。",
    },
    "without_mean": {
        "en": "These parts give their mean over development sentences in everything on this page, "
        "the answer included.",
        "zh-Hant": "本頁的一切（包括答案）都是在這些部分一律輸出驗證句平均值的情況下得到的。",
    },
    "lens": {
        "en": "What the model would answer if it ended after each part, from below: its vocabulary "
        "projection or head reads the states as they are. The darker, the more probable; bold: the "
        "final answer. Point at a cell for more answers and the rank of the final one.",
        "zh-Hant": "由下往上：若模型在各部分之後就結束，會怎麼回答。詞彙投影（或任務頭）直接讀取"
        "當時的狀態。顏色越深，機率越高；粗體為最後的答案。將游標移到方格上，可看到其他答案與最後答案的名次。",
    },
    "lens_norm": {
        "en": "What the model would answer if it ended after each part, from below: the final norm "
        "and then the vocabulary projection or head read the states. The darker, the more "
        "probable; bold: the final answer. Point at a cell for more answers and the rank of the "
        "final one.",
        "zh-Hant": "由下往上：若模型在各部分之後就結束，會怎麼回答。當時的狀態先經過最後的正規化，"
        "再由詞彙投影（或任務頭）讀取。顏色越深，機率越高；粗體為最後的答案。將游標移到方格上，"
        "可看到其他答案與最後答案的名次。",
    },
    "ablation": {
        "en": "How the number changes when one head (column) of a part (row) gives zero, or a "
        "feed-forward adds nothing. With everything on it is {base}. Parts that stand in for one "
        "another may all look unimportant.",
        "zh-Hant": "某部分（列）的一個注意力頭（欄）輸出為零，或前饋網路不加任何值時，數值的變化。"
        "全部開啟時為 {base}。彼此能替代的部分，可能看起來都不重要。",
    },
    "ablation_mean": {
        "en": "How the number changes when one head (column) of a part (row), or a feed-forward, "
        "gives its mean over development sentences. With everything on it is {base}. Parts that "
        "stand in for one another may all look unimportant.",
        "zh-Hant": "某部分（列）的一個注意力頭（欄）或前饋網路改為輸出驗證句的平均值時，"
        "數值的變化。全部開啟時為 {base}。彼此能替代的部分，可能看起來都不重要。",
    },
    "patching": {
        "en": "How the logit of “{chosen}” minus that of “{rival}” changes when one state (column: "
        "position; row: after which block) comes from the other sentence. It is {base} for this "
        "sentence and {other} for the other one.",
        "zh-Hant": "把一個狀態（欄：位置；列：在第幾個區塊之後）換成另一句的狀態時，「{chosen}」減"
        "「{rival}」的 logit 如何變化。本句為 {base}，另一句為 {other}。",
    },
    "contributions": {
        "en": "What each part added to the logit of “{chosen}” minus that of “{rival}”, "
        "{difference}. The norms on the way keep the scale that they had, so the bars add up to "
        "it exactly. "
        "“biases” are those of layers and norms, “rest” what a head or a softcap bends.",
        "zh-Hant": "各部分對「{chosen}」減「{rival}」的 logit（{difference}）加了多少。途中的正規化"
        "保持當時的尺度，因此各條相加恰好等於該差。「biases」是各層與正規化的偏差，「rest」是任務頭"
        "或 softcap 的非線性部分。",
    },
    "attributions": {
        "en": "How much each token matters for the score, {value}, in five ways. Each row has its "
        "own scale. None of them proves a cause; the deletion curves measure which is the most "
        "faithful to this model.",
        "zh-Hant": "以多種方法計算每個詞元對分數（{value}）的重要性。每列各有自己的尺度。這些都不是"
        "因果的證明；刪除曲線衡量哪一種對此模型最忠實。",
    },
    "deletion": {
        "en": "Tokens are taken away in the order of each attribution, the largest first: how far "
        "the score (nats) falls, over the share of tokens that are gone. The faster it falls, the "
        "more faithful the method; the number is the mean of its curve, the most faithful is bold.",
        "zh-Hant": "依各歸因方法的順序，從最重要的詞元開始拿掉：橫軸為已拿掉的比例，縱軸為分數"
        "（奈特）下降多少。下降得越快，該方法越忠實；數字為曲線的平均，最忠實的以粗體表示。",
    },
    "arcs": {
        "en": "Of how many words is the word that a head attends to the most the gold head? Always "
        "looking one word back finds {back}, one word ahead {ahead}. A row for each layer, a "
        "column for each head; below, the best head of each relation beside the better offset.",
        "zh-Hant": "有多少詞，其注意力頭最注意的詞正是標準的中心語？一律看前一個詞可找到 {back}，"
        "看後一個詞可找到 {ahead}。每列一層，每欄一個頭；下方為各關係最好的頭，旁邊是較好的位移。",
    },
    "checkpoints": {
        "en": "The log-probability of the same answer by each checkpoint, and how it changes "
        "without this part.",
        "zh-Hant": "各檢查點對同一個答案的對數機率，以及少了這個部分時的變化。",
    },
}
ARCS: dict[str, dict[Language, str]] = {
    "relation": {"en": "relation", "zh-Hant": "關係"},
    "words": {"en": "words", "zh-Hant": "詞數"},
    "head": {"en": "best head", "zh-Hant": "最好的頭"},
    "found": {"en": "found", "zh-Hant": "找到"},
    "offset": {"en": "better offset", "zh-Hant": "較好的位移"},
    "score": {"en": "score", "zh-Hant": "分數"},
    "change": {"en": "change", "zh-Hant": "變化"},
    "loss": {"en": "loss", "zh-Hant": "損失"},
    "loss_change": {"en": "its change", "zh-Hant": "其變化"},
    "final": {"en": "final", "zh-Hant": "最終"},
}
