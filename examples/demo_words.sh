# What demo.sh says, in the language of the locale: 繁體中文 for zh_TW and zh_HK, 简体中文 for other Chinese locales, else English.
case "${TRIPTYCH_LANG:-${LC_ALL:-${LC_MESSAGES:-${LANG:-}}}}" in
zh*TW* | zh*HK* | zh*Hant*)
    TRAINING="用內建的會話手冊訓練英文→中文；正在測量需要多久"
    export FORECAST="     {steps:,} 次更新在這台電腦上約需 {minutes:.1f} 分鐘" FORECAST_BUSY="；以目前其他程式占用的程度，約需 {busy:.1f} 分鐘"
    TRAINED="$RUN 已經訓練過；想看它重新訓練，請刪除該資料夾"
    EVALUATING="評估：這些句子裡的詞組合，訓練時從未一起出現過"
    TRANSLATING="翻譯兩個沒有放進訓練資料的句子"
    DRAWING="畫出其中一句翻譯的注意力"
    DONE="完成，共 %s：訓練 %s，評估 %s。"
    WHERE="模型在 $RUN；用瀏覽器打開 $RUN/attention.html，看它翻譯時看了哪些詞。"
    NEXT="接下來可以在這個資料夾裡輸入（先執行：source .venv/bin/activate）："
    OWN="用自己的檔案：一行一句，兩個檔案行數相同："
    LOOK="想看模型內部怎麼運作：先執行 make page，再用瀏覽器打開（右上角可選繁體中文）"
    MINUTES="%d 分 %d 秒" ;;
zh*)
    TRAINING="用内置的会话手册训练英文→中文；正在测量需要多久"
    export FORECAST="     {steps:,} 次更新在这台电脑上约需 {minutes:.1f} 分钟" FORECAST_BUSY="；以目前其他程序占用的程度，约需 {busy:.1f} 分钟"
    TRAINED="$RUN 已经训练过；想看它重新训练，请删除该文件夹"
    EVALUATING="评估：这些句子里的词组合，训练时从未一起出现过"
    TRANSLATING="翻译两个没有放进训练数据的句子"
    DRAWING="画出其中一句翻译的注意力"
    DONE="完成，共 %s：训练 %s，评估 %s。"
    WHERE="模型在 $RUN；用浏览器打开 $RUN/attention.html，看它翻译时看了哪些词。"
    NEXT="接下来可以在这个文件夹里输入（先运行：source .venv/bin/activate）："
    OWN="用自己的文件：一行一句，两个文件行数相同："
    LOOK="想看模型内部怎么运作：先运行 make page，再用浏览器打开（右上角可选简体中文）"
    MINUTES="%d 分 %d 秒" ;;
*)
    TRAINING="Training English -> Chinese on the embedded phrasebook; how long it takes is being measured"
    export FORECAST="     {steps:,} updates take about {minutes:.1f} minutes on this machine" FORECAST_BUSY="; as busy as other programs keep it now, about {busy:.1f}"
    TRAINED="$RUN is trained already; delete that folder to see it trained anew"
    EVALUATING="Evaluating sentences whose word pairs were never seen together"
    TRANSLATING="Translating two sentences that were kept out of training"
    DRAWING="Drawing the attention of one translation"
    DONE="Done in %s: training %s, evaluation %s."
    WHERE="The model is in $RUN; open $RUN/attention.html in a browser to see which words it looked at."
    NEXT="What to type next, in this folder (after: source .venv/bin/activate):"
    OWN="With your own files, one sentence a line, the same number of lines in both:"
    LOOK="Look inside while it works: make page, and open"
    MINUTES="%d min %d s" ;;
esac
