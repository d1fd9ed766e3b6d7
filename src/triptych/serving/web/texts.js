/* The page's own texts in three languages; those of the pictures are in the viewer. */
import { CLOSER } from "/static/texts_closer.js";
import { MEASURED } from "/static/texts_measured.js";
import { setLanguage as setViewer } from "/static/viewer.js";

export const TEXTS = {
  en: {
    skip: "Skip to the content", language: "Language", theme: "Colours", theme_system: "as the system", theme_light: "light", theme_dark: "dark",
    learn: "Learn", look: "Try a run", curves: "Training curves",
    run: "Run", beside: "Beside it", nothing: "(none)", text: "Your text", to: "Into", go: "Answer and look inside", stop: "Stop", beams: "Beams",
    answer: "Answer", waiting: "The model is computing …", failed: "It did not work: {0}", empty: "Write a text first.",
    example: "Examples", key: "Key of this server", key_hint: "This server asks for a key. It stays in this tab.", enter: "Use it",
    about: "{0} · {1} · encoder {2} · decoder {3}", stack: "{0} layers of {1} heads", none: "none", recurrent: "recurrent",
    encoder: "encoder", decoder: "decoder", "encoder-decoder": "encoder-decoder",
    colon: "{0}: ", split_train: "train {0}", split_validation: "validation {0}", steps_axis: "steps", tasks: {},
    masks: "The masks", masks_hint: "A filled cell: the row may look at the column. These are the masks that this answer was computed with.",
    mask_encoder: "Encoder: every token sees every token", mask_decoder: "Decoder: a token sees itself and those before it", mask_cross: "Encoder-decoder: the answer sees the whole source",
    mask_layers: "layers {0}", row_sees: "“{0}” sees {1} of {2}",
    steps: "Step by step", steps_hint: "The decoder writes one token after another. Move through the steps; choose another token to see how the answer would have gone on.",
    step: "Step {0} of {1}", before: "Written before", nothing_yet: "(the begin token)", previous: "Previous", next: "Next", play: "Play", pause: "Pause",
    chosen: "was written", branch: "Go on with “{0}” instead", branched: "From step {0} on you chose: {1}", original: "Back to the model's own answer",
    tree: "The beam search", tree_hint: "{0} hypotheses are kept at each step. Numbers: log-probability from the beginning. Bold: the answer.",
    attention: "Attention", table: "Numbers as a table", save_svg: "Save SVG", save_png: "Save PNG", save_csv: "Save CSV",
    labels: "Labels", entities: "What was marked", of_run: "Curves of {0}", no_curves: "This run keeps no curves.", loss: "loss", live: "Follow a run that trains",
    guide_title: "One calculation, every number",
    guide_hint: "Three words as vectors of two numbers. Go through the steps; point at a number (or move to it with the Tab key) to see where it comes from; change the blue numbers.",
    guide_1: "1. Each word is a vector. These are the encoder's input.",
    guide_2: "2. Scores: how well does each word (row) fit each word (column)? The dot product, divided by √2, because the vectors have two numbers.",
    guide_3: "3. Softmax turns the scores of a row into weights that add up to 1.",
    guide_4: "4. The encoder's output: for each word the mean of all vectors by these weights. It still has one vector for each word, but each now knows of the others.",
    guide_5: "5. The decoder begins with its begin token, here [0, 0]. Its scores against the encoder's outputs are all 0 …",
    guide_6: "6. … so all weights are the same, and what it reads is the plain mean of the encoder's outputs.",
    guide_7: "7. From this vector the decoder chooses the first word of the answer; the chosen word is its next input, and steps 5 and 6 are repeated until it writes the end token.",
    words_of: "words", input_of: "input x", score_of: "scores", weight_of: "weights", output_of: "outputs z", begin: "begin", context_of: "context c", sum: "sum",
    why_input: "{0} is given: the word's vector. Change it.",
    why_score: "({0}·{1} + {2}·{3}) / √2 = {4}", why_weight: "exp({0}) / ({1}) = {2}", why_output: "{0} = {1}", why_begin: "The begin token's vector. Change it.",
    real_title: "The same in a trained model",
    real_hint: "Now choose a run, write a sentence, and look at the same masks, weights and steps in a model that has learnt them.", real_go: "Try a run",
    chat_hint: "A message; the model answers it.", trace_fail: "The answer could not be traced: {0}",
  },
};
TEXTS["zh-Hant"] = {
  colon: "{0}：", split_train: "訓練 {0}", split_validation: "驗證 {0}", steps_axis: "步數",
  tasks: {
    translation: "翻譯", summarization: "摘要", "text-to-text": "文字到文字", "generative-answering": "寫出答案", "question-generation": "出題", "span-corruption": "填補片段",
    classification: "分類", tagging: "標記", parsing: "依存剖析", "question-answering": "從文件找答案", "masked-words": "遮蔽詞", embedding: "句向量",
    "language-modelling": "語言模型", chat: "對話", preference: "偏好", transcription: "語音轉文字",
  },
  skip: "跳到內容", language: "語言", theme: "配色", theme_system: "依系統設定", theme_light: "淺色", theme_dark: "深色",
  learn: "學習", look: "試用模型", curves: "訓練曲線",
  run: "模型", beside: "並列比較", nothing: "（無）", text: "你的文字", to: "譯成", go: "回答並看看內部", stop: "停止", beams: "束寬",
  answer: "答案", waiting: "模型計算中……", failed: "沒有成功：{0}", empty: "請先寫一段文字。",
  example: "例句", key: "此伺服器的金鑰", key_hint: "此伺服器需要金鑰。金鑰只留在這個分頁。", enter: "使用",
  about: "{0} · {1} · 編碼器 {2} · 解碼器 {3}", stack: "{0} 層、每層 {1} 個頭", none: "無", recurrent: "循環網路",
  encoder: "編碼器模型", decoder: "解碼器模型", "encoder-decoder": "編碼器—解碼器模型",
  masks: "遮罩", masks_hint: "填滿的方格表示該列可以看該欄。這些就是計算這個答案時實際使用的遮罩。",
  mask_encoder: "編碼器：每個詞元看得到所有詞元", mask_decoder: "解碼器：詞元只看得到自己與之前的詞元", mask_cross: "編碼器—解碼器：答案看得到整段原文",
  mask_layers: "第 {0} 層", row_sees: "「{0}」看得到 {2} 個中的 {1} 個",
  steps: "逐步產生", steps_hint: "解碼器一次寫一個詞元。逐步移動；改選另一個詞元，即可看到答案會如何接下去。",
  step: "第 {0} 步，共 {1} 步", before: "先前已寫", nothing_yet: "（起始詞元）", previous: "上一步", next: "下一步", play: "播放", pause: "暫停",
  chosen: "實際寫出", branch: "改用「{0}」繼續", branched: "從第 {0} 步起，你選了：{1}", original: "回到模型自己的答案",
  tree: "束搜尋", tree_hint: "每一步保留 {0} 個假設。數字：從開頭算起的對數機率。粗體：答案。",
  attention: "注意力", table: "以表格顯示數值", save_svg: "儲存 SVG", save_png: "儲存 PNG", save_csv: "儲存 CSV",
  labels: "標籤", entities: "標記結果", of_run: "{0} 的曲線", no_curves: "此模型沒有保存曲線。", loss: "損失", live: "追蹤訓練中的模型",
  guide_title: "一次計算，看見每個數字",
  guide_hint: "三個詞，各是兩個數字的向量。依步驟往下看；把游標移到數字上（或用 Tab 鍵移過去），就會看到它怎麼算出來；藍色的數字可以修改。",
  guide_1: "1. 每個詞是一個向量，這就是編碼器的輸入。",
  guide_2: "2. 分數：每個詞（列）與每個詞（欄）有多相合？取內積，再除以 √2，因為向量有兩個數字。",
  guide_3: "3. softmax 把一列的分數變成總和為 1 的權重。",
  guide_4: "4. 編碼器的輸出：每個詞都是所有向量依權重的平均。仍是一個詞一個向量，但每個向量現在都知道其他詞。",
  guide_5: "5. 解碼器從起始詞元開始，這裡是 [0, 0]。它對編碼器各輸出的分數都是 0……",
  guide_6: "6. ……所以權重全都相同，它讀到的就是編碼器輸出的平均。",
  guide_7: "7. 解碼器由這個向量選出答案的第一個詞；選出的詞成為下一步的輸入，重複第 5、6 步，直到寫出結束詞元。",
  words_of: "詞", input_of: "輸入 x", score_of: "分數", weight_of: "權重", output_of: "輸出 z", begin: "起始", context_of: "上下文 c", sum: "總和",
  why_input: "{0} 是給定的：這個詞的向量。可以修改。",
  why_score: "({0}·{1} + {2}·{3}) / √2 = {4}", why_weight: "exp({0}) / ({1}) = {2}", why_output: "{0} = {1}", why_begin: "起始詞元的向量。可以修改。",
  real_title: "在訓練好的模型裡也一樣",
  real_hint: "現在選一個模型，寫一句話，看看學會了這一切的模型裡同樣的遮罩、權重與步驟。", real_go: "試用模型",
  chat_hint: "寫一則訊息，模型會回答。", trace_fail: "無法追蹤這個答案：{0}",
};
TEXTS["zh-Hans"] = {
  colon: "{0}：", split_train: "训练 {0}", split_validation: "验证 {0}", steps_axis: "步数",
  tasks: {
    translation: "翻译", summarization: "摘要", "text-to-text": "文字到文字", "generative-answering": "写出答案", "question-generation": "出题", "span-corruption": "填补片段",
    classification: "分类", tagging: "标注", parsing: "依存分析", "question-answering": "从文档找答案", "masked-words": "遮蔽词", embedding: "句向量",
    "language-modelling": "语言模型", chat: "对话", preference: "偏好", transcription: "语音转文字",
  },
  skip: "跳到内容", language: "语言", theme: "配色", theme_system: "跟随系统", theme_light: "浅色", theme_dark: "深色",
  learn: "学习", look: "试用模型", curves: "训练曲线",
  run: "模型", beside: "并排比较", nothing: "（无）", text: "你的文字", to: "译成", go: "回答并看看内部", stop: "停止", beams: "束宽",
  answer: "答案", waiting: "模型计算中……", failed: "没有成功：{0}", empty: "请先写一段文字。",
  example: "例句", key: "此服务器的密钥", key_hint: "此服务器需要密钥。密钥只留在这个标签页。", enter: "使用",
  about: "{0} · {1} · 编码器 {2} · 解码器 {3}", stack: "{0} 层、每层 {1} 个头", none: "无", recurrent: "循环网络",
  encoder: "编码器模型", decoder: "解码器模型", "encoder-decoder": "编码器—解码器模型",
  masks: "掩码", masks_hint: "填满的方格表示该行可以看该列。这些就是计算这个答案时实际使用的掩码。",
  mask_encoder: "编码器：每个词元看得到所有词元", mask_decoder: "解码器：词元只看得到自己与之前的词元", mask_cross: "编码器—解码器：答案看得到整段原文",
  mask_layers: "第 {0} 层", row_sees: "“{0}”看得到 {2} 个中的 {1} 个",
  steps: "逐步产生", steps_hint: "解码器一次写一个词元。逐步移动；改选另一个词元，即可看到答案会如何接下去。",
  step: "第 {0} 步，共 {1} 步", before: "先前已写", nothing_yet: "（起始词元）", previous: "上一步", next: "下一步", play: "播放", pause: "暂停",
  chosen: "实际写出", branch: "改用“{0}”继续", branched: "从第 {0} 步起，你选了：{1}", original: "回到模型自己的答案",
  tree: "束搜索", tree_hint: "每一步保留 {0} 个假设。数字：从开头算起的对数概率。粗体：答案。",
  attention: "注意力", table: "以表格显示数值", save_svg: "保存 SVG", save_png: "保存 PNG", save_csv: "保存 CSV",
  labels: "标签", entities: "标记结果", of_run: "{0} 的曲线", no_curves: "此模型没有保存曲线。", loss: "损失", live: "跟踪训练中的模型",
  guide_title: "一次计算，看见每个数字",
  guide_hint: "三个词，各是两个数字的向量。依步骤往下看；把光标移到数字上（或用 Tab 键移过去），就会看到它怎么算出来；蓝色的数字可以修改。",
  guide_1: "1. 每个词是一个向量，这就是编码器的输入。",
  guide_2: "2. 分数：每个词（行）与每个词（列）有多相合？取内积，再除以 √2，因为向量有两个数字。",
  guide_3: "3. softmax 把一行的分数变成总和为 1 的权重。",
  guide_4: "4. 编码器的输出：每个词都是所有向量依权重的平均。仍是一个词一个向量，但每个向量现在都知道其他词。",
  guide_5: "5. 解码器从起始词元开始，这里是 [0, 0]。它对编码器各输出的分数都是 0……",
  guide_6: "6. ……所以权重全都相同，它读到的就是编码器输出的平均。",
  guide_7: "7. 解码器由这个向量选出答案的第一个词；选出的词成为下一步的输入，重复第 5、6 步，直到写出结束词元。",
  words_of: "词", input_of: "输入 x", score_of: "分数", weight_of: "权重", output_of: "输出 z", begin: "起始", context_of: "上下文 c", sum: "总和",
  why_input: "{0} 是给定的：这个词的向量。可以修改。",
  why_score: "({0}·{1} + {2}·{3}) / √2 = {4}", why_weight: "exp({0}) / ({1}) = {2}", why_output: "{0} = {1}", why_begin: "起始词元的向量。可以修改。",
  real_title: "在训练好的模型里也一样",
  real_hint: "现在选一个模型，写一句话，看看学会了这一切的模型里同样的掩码、权重与步骤。", real_go: "试用模型",
  chat_hint: "写一则消息，模型会回答。", trace_fail: "无法跟踪这个答案：{0}",
};

for (const added of [CLOSER, MEASURED]) for (const [name, texts] of Object.entries(added)) Object.assign(TEXTS[name], texts);

let current = "en";

/** Return a text of the chosen language, its {0} … filled. */
export const say = (key, ...values) => TEXTS[current][key].replace(/\{(\d)\}/g, (place, number) => values[number] ?? place);

export function setLanguage(name) {
  current = name in TEXTS ? name : "en";
  document.documentElement.lang = current;
  setViewer(current);
  for (const element of document.querySelectorAll("[data-say]")) element.textContent = say(element.dataset.say);
}

/** Return the language that the browser asks for. */
export function preferred() {
  const asked = (navigator.language || "en").toLowerCase();
  if (!asked.startsWith("zh")) return "en";
  return /hans|cn|sg/.test(asked) ? "zh-Hans" : "zh-Hant";
}
