// What the page says, in English and in Chinese.
const STRINGS = {
  en: {
    skip: "Skip to the content", sections: "Sections", language: "Language",
    tabSpeak: "Speak", tabTrain: "Make an anchor", tabLive: "Live",
    anchor: "Anchor", voice: "Voice", text: "Text to speak",
    orRecording: "or a recording (audio or video), dropped here or chosen", more: "More settings",
    intensity: "Movement of the mouth (1 is the person's own)", visibleLabel: "Label in the picture",
    visibleLabelExample: "AI-generated", ownVoice: "The recording is the anchor's own voice",
    makeVideo: "Make the video", hear: "Hear the voice", videos: "Videos", trainings: "Trainings",
    noVideos: "Nothing made yet. Type a sentence, and make the first one.",
    noTrainings: "No anchor in the making. Drop a clip of somebody who agreed to it.",
    dropClip: "A clip of one person talking to the camera, half a minute or more: drop it here or choose it",
    anchorName: "Name of the anchor", minutes: "Minutes of training at most",
    consent: "Who agreed to be animated, when and where?", consentExample: "Jane Doe, in writing, 3 March 2026",
    consentHint: "It is kept in the anchor. Animate nobody who has not agreed to it.",
    startTraining: "Start the training", connect: "Connect", disconnect: "Disconnect", interrupt: "Interrupt",
    sayThis: "Say this", say: "Say it", microphone: "Microphone", playFile: "Play a file…",
    compare: "Two takes on one clock", compareWith: "Compare", play: "Play", pause: "Pause", close: "Close", position: "Position",
    uploading: "Uploading", chosen: "ready", remove: "Remove", stop: "Stop", resume: "Go on", download: "Download",
    noSound: "without sound", seconds: "s",
    waiting: "waiting", running: "in work", interrupted: "interrupted", failed: "failed", done: "done",
    preparing: "Preparing", tracking: "Following the face", speech: "Listening to the clip",
    cropping: "Reading the clip", training: "Training", rough: "rough", usable: "usable", good: "good",
    frames: "frames", left: "left", about: "about",
    connecting: "Connecting…", idle: "listening", speaking: "speaking", over: "The session has ended.",
    noConnection: "No connection. In another network than the server's, a TURN server may be needed (--ice-server).",
    firstPicture: "first picture after", spoken: "heard until", trueAbove: "Columns: see the caption in the picture.",
    passedThrough: "frames kept their old mouth", footer:
      "Videos made here say in their metadata that they are AI-generated. Show nobody speaking who has not agreed to it.",
    unreachable: "The server does not answer. Does it still run?",
    checking: "Checking the clip: half a minute for a minute of video…", fit: "It is fit to make an anchor of.",
    fitWithRemarks: "An anchor can be made of it; what is marked would make it better.",
    unfit: "It is not fit to make an anchor of.", despiteProblems: "Train all the same",
    aspect: "Crop to", asClip: "as the clip", size: "Size", quality: "Quality", draft: "draft (quick)", standard: "standard",
    high: "high (for editing)", leadIn: "Seconds at rest before", leadOut: "Seconds at rest after",
    clipRange: "Stretch of the clip", speed: "Speed of speech", pauseMs: "Pause between sentences (ms)",
    batch: "Many videos of one table", dropBatch: "A table (CSV) and its recordings, together",
    batchHint: "One row a video: an anchor of the list above, and a text (with a voice, if you like) or the name of a recording that is dropped with the table. Further columns: intensity, aspect, size, quality, lead_in, lead_out, clip_range, visible_label.",
    startBatch: "Make these videos", noTable: "Choose a table: a file whose name ends in .csv, .tsv or .txt.",
    tables: "One table at a time, please.", ofThem: "of", limitedBy: "What limits it",
    record: "Record", push: "Broadcast", hls: "Address for viewers (HLS)", recordings: "Recordings",
    noRecordings: "Nothing recorded yet.", missed: "frames were missed", pushFailed: "The broadcast has failed",
    inTheMaking: "The video as it is being made", stopRest: "Stop the rest",
  },
  zh: {
    skip: "跳到内容", sections: "栏目", language: "语言",
    tabSpeak: "播报", tabTrain: "制作主播", tabLive: "直播",
    anchor: "主播", voice: "语音", text: "要说的文字",
    orRecording: "或一段录音(音频或视频):拖到这里,或选择文件", more: "更多设置",
    intensity: "口型幅度(1 为本人幅度)", visibleLabel: "画面标注", visibleLabelExample: "AI 生成",
    ownVoice: "录音是主播本人的声音", makeVideo: "生成视频", hear: "试听语音", videos: "视频", trainings: "训练",
    noVideos: "还没有视频。输入一句话,生成第一段。",
    noTrainings: "没有正在制作的主播。请拖入一段本人已同意的片段。",
    dropClip: "一个人面对镜头说话的片段,半分钟以上:拖到这里,或选择文件",
    anchorName: "主播名称", minutes: "训练时间上限(分钟)",
    consent: "谁、何时、何地同意被制作?", consentExample: "张三,2026 年 3 月 3 日书面同意",
    consentHint: "此说明保存在主播文件中。请勿制作未经本人同意的主播。",
    startTraining: "开始训练", connect: "连接", disconnect: "断开", interrupt: "打断",
    sayThis: "说这段话", say: "说", microphone: "麦克风", playFile: "播放文件…",
    compare: "两个版本同步对比", compareWith: "对比", play: "播放", pause: "暂停", close: "关闭", position: "位置",
    uploading: "正在上传", chosen: "就绪", remove: "移除", stop: "停止", resume: "继续", download: "下载",
    noSound: "无声音", seconds: "秒",
    waiting: "等待中", running: "进行中", interrupted: "已中断", failed: "失败", done: "完成",
    preparing: "准备中", tracking: "跟踪面部", speech: "分析语音", cropping: "读取片段", training: "训练中", rough: "粗糙", usable: "可用", good: "良好",
    frames: "帧", left: "剩余", about: "约",
    connecting: "正在连接…", idle: "聆听中", speaking: "说话中", over: "会话已结束。",
    noConnection: "无法连接。若与服务器不在同一网络,可能需要 TURN 服务器(--ice-server)。",
    firstPicture: "首帧用时", spoken: "已播放到", trueAbove: "各列含义见图中说明。",
    passedThrough: "帧保留原口型",
    footer: "这里生成的视频在元数据中注明为 AI 生成。请勿展示未经本人同意的人物。",
    unreachable: "服务器没有应答,是否仍在运行?",
    checking: "正在检查片段:一分钟视频约需半分钟…", fit: "适合用来制作主播。",
    fitWithRemarks: "可以制作主播;改进标出的各项会更好。",
    unfit: "不适合用来制作主播。", despiteProblems: "仍然训练",
    aspect: "裁剪为", asClip: "与片段相同", size: "尺寸", quality: "画质", draft: "草稿(快)", standard: "标准",
    high: "高(供后期编辑)", leadIn: "开头静止秒数", leadOut: "结尾静止秒数",
    clipRange: "使用片段的哪一段", speed: "语速", pauseMs: "句间停顿(毫秒)",
    batch: "用一张表生成多段视频", dropBatch: "一张表格(CSV)和其中的录音,一起放入",
    batchHint: "每行一段视频:上方列表中的一个主播,加上文字(可指定语音),或与表格一起放入的录音文件名。其他列:intensity、aspect、size、quality、lead_in、lead_out、clip_range、visible_label。",
    startBatch: "生成这些视频", noTable: "请选择表格:文件名以 .csv、.tsv 或 .txt 结尾。",
    tables: "一次只能用一张表格。", ofThem: "/", limitedBy: "限制因素",
    record: "录制", push: "推流", hls: "观看地址(HLS)", recordings: "录像",
    noRecordings: "还没有录像。", missed: "帧未能录下", pushFailed: "推流失败",
    inTheMaking: "正在生成的视频", stopRest: "停止其余",
  },
};

let language = localStorage.getItem("language") || (navigator.language.startsWith("zh") ? "zh" : "en");

export const say = (key) => STRINGS[language][key] ?? key;
export const currentLanguage = () => language;

export function setLanguage(chosen) {
  language = chosen in STRINGS ? chosen : "en";
  localStorage.setItem("language", language);
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  for (const one of document.querySelectorAll("[data-text]")) one.textContent = say(one.dataset.text);
  for (const one of document.querySelectorAll("[data-label]")) one.setAttribute("aria-label", say(one.dataset.label));
  for (const one of document.querySelectorAll("[data-placeholder]")) one.placeholder = say(one.dataset.placeholder);
}
