"use strict";
/* What the page says, in both languages. */
const WORDS = {
  en: {
    switch: "繁體中文", warning: "Attention weight, not proof: it shows where the model looked, not why it chose a word.",
    source: "Source", target: "Output", answer: "Answer", score: "Log-probability", kind: "Attention", layer: "Layer", head: "Head",
    mean: "mean", cross: "output to source", encoder: "source to source", decoder: "output to earlier output",
    download: "Save picture (SVG)", hint: "Point at a cell, or at a word of the output, to read its weights.", weight: "weight",
    probability: "probability", most: "0 to {0} in this view.", pieces: "pieces", row: "rows: {0}, columns: {1}", p: "p",
    flow: "Point at a token to see what it looks at; click keeps it. Keyboard: Tab, then the arrow keys, Enter, Escape.",
    flow_name: "Tokens of the text; lines show what one looks at", looks: "{0} looks at", window: "Part {0} of {1} of a long text",
    beside: "Attention received beside gradient × input", received: "Attention received", gradient: "Gradient × input",
    norm: "Length of the gradient", token: "Token", numbers: "All numbers",
    of_label: "of log p({0}) = {1}", of_value: "of the answer {1}", of_tree: "of the tree: log p of each word's head, added up, = {1}",
    of_answer: "of the answer: log p of the likeliest span here, “{0}”, = {1}",
    of_tags: "of the tags: log p of each word's likeliest tag, added up, = {1}",
    of_entity_tags: "of the tags: log p of the likeliest tag of each word that is not O, added up, = {1}",
    of_filling: "of the filling: log p({0}) = {1}",
    sign: "Blue speaks for it, orange and underlined against it; full colour is the largest value of the text, special tokens may exceed it.",
    cause: "Neither is proof of cause. A token that gets much attention need not matter; gradient × input is a first-order estimate, "
      + "and its values need not add up to the score.",
    received_hint: "mean over the tokens that look, layer and head as chosen above",
    note_no_attention: "Nothing to show: this model has no attention. One vector, the encoder's last states, carries the whole sentence to every step.",
    note_means_only: "The sequence is long: only the mean over layers and heads is in this file.",
    note_head_means_only: "The sequence is long: of each layer only the mean over heads is in this file.",
    note_cut: "The output was cut at its maximum length.",
    note_not_shown: "What the model wrote does not fit its context together with the text, so only the text is shown.",
    note_unread: "The text is longer than the context: before it wrote, the model read only the end of it.",
    note_source_cut: "The source is longer than the run reads at once: its end was not read.",
    note_answer_here: "The answer stands in this part.",
    causal: "token to itself and earlier tokens", written: "Written",
    mask: "Hatched: later tokens. The mask hides them, so no token can look at them; every weight there is 0.",
    surprise: "Surprise of each token", surprise_hint: "The stronger its colour, the less the model expected a token; dotted underline: written by the model itself. "
      + "Click a token to see below what the model expected after it.",
    nats_scale: "{0} nats or more", surprise_name: "Tokens of the text, coloured by their surprise",
    total: "{0}: {1} tokens, {2} bytes, {3} nats · {4} bits per byte · perplexity {5}", given: "The text", own: "What the model wrote",
    with_end: " · with the end of the text after it {0} nats", end_own: " · with its end {0} nats", after: "What may come after {0}",
    actual: "this one came", nats: "nats", next: "Likeliest next token", next_p: "its probability",
  },
  "zh-Hant": {
    switch: "English", warning: "這是注意力權重，不是證據：它顯示模型看向哪裡，並不說明為何選用某個詞。",
    source: "原文", target: "輸出", answer: "答案", score: "對數機率", kind: "注意力", layer: "層", head: "注意力頭",
    mean: "平均", cross: "輸出看原文", encoder: "原文看原文", decoder: "輸出看先前輸出",
    download: "儲存圖片（SVG）", hint: "將游標移到方格，或移到輸出的詞上，即可讀取權重。", weight: "權重",
    probability: "機率", most: "本圖範圍 0 至 {0}。", pieces: "子詞", row: "列：{0}，欄：{1}", p: "機率",
    flow: "將游標移到詞元上，即可看到它看向哪裡；點一下可固定。鍵盤：Tab 進入，方向鍵移動，Enter 固定，Esc 取消。",
    flow_name: "本文的詞元；連線表示某個詞元看向哪裡", looks: "{0} 看向", window: "長文的第 {0} 段，共 {1} 段",
    beside: "所受注意力與梯度 × 輸入", received: "所受注意力", gradient: "梯度 × 輸入",
    norm: "梯度長度", token: "詞元", numbers: "全部數值",
    of_label: "對象：log p({0}) = {1}", of_value: "對象：答案 {1}", of_tree: "對象：依存樹，各詞中心語的 log p 總和 = {1}",
    of_answer: "對象：答案，此處最可能的片段「{0}」，log p = {1}",
    of_tags: "對象：標籤，各詞最可能標籤的 log p 總和 = {1}",
    of_entity_tags: "對象：標籤，非 O 各詞最可能標籤的 log p 總和 = {1}",
    of_filling: "對象：填入的詞，log p({0}) = {1}",
    sign: "藍色為支持，橘色加底線為反對；最深的顏色為本文中的最大值，特殊詞元可能更大。",
    cause: "兩者都不是因果的證明。受到許多注意力的詞元未必重要；梯度 × 輸入只是一階估計，各值相加不一定等於分數。",
    received_hint: "對所有觀看的詞元取平均，層與頭依上方選擇",
    note_no_attention: "無可顯示：此模型沒有注意力。整個句子只由編碼器最後狀態的一個向量傳給每一步。",
    note_means_only: "序列過長：檔案中只保留各層、各頭的平均。",
    note_head_means_only: "序列過長：檔案中各層只保留各頭的平均。",
    note_cut: "輸出達到最大長度而被截斷。",
    note_not_shown: "模型寫出的內容與本文合計超過上下文長度，因此只顯示本文。",
    note_unread: "本文超過上下文長度：模型在續寫之前只讀了結尾部分。",
    note_source_cut: "原文超過模型一次能讀的長度：結尾部分沒有讀到。",
    note_answer_here: "答案在這一段。",
    causal: "詞元看自己與先前的詞元", written: "續寫",
    mask: "斜線區：之後的詞元。遮罩把它們蓋住，任何詞元都看不到，該處權重一律為 0。",
    surprise: "每個詞元的意外程度", surprise_hint: "顏色越深，模型越沒有料到；點狀底線：模型自己寫出的詞元。點選詞元，下方即顯示模型預期接下來是什麼。",
    nats_scale: "{0} 奈特以上", surprise_name: "本文的詞元，依意外程度著色",
    total: "{0}：{1} 個詞元，{2} 位元組，{3} 奈特 · 每位元組 {4} 位元 · 困惑度 {5}", given: "本文", own: "模型寫出的內容",
    with_end: " · 連同其後的文章結尾 {0} 奈特", end_own: " · 連同結尾 {0} 奈特", after: "{0} 之後可能出現",
    actual: "實際出現", nats: "奈特", next: "最可能的下一個詞元", next_p: "其機率",
  },
};
let language = document.documentElement.lang;

const say = (key, ...values) => WORDS[language][key].replace(/\{(\d)\}/g, (place, number) => values[number] ?? place);
const short = (value) => (value >= 0.995 ? "1.00" : value.toFixed(value < 0.0995 ? 3 : 2));
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
/** A token's background for a share from 0 to 1; never so strong that its letters are hard to read. */
const tint = (share, name = "--heat") => `color-mix(in srgb, var(${name}) calc(${share.toFixed(3)} * var(--strongest)), transparent)`;

function make(parent, tag, attributes = {}, text = null) {
  const isDrawing = tag === "svg" || parent.namespaceURI === "http://www.w3.org/2000/svg";
  const element = isDrawing ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text !== null) element.textContent = text;
  parent.append(element);
  return element;
}
