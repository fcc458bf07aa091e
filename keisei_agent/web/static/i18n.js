// English and Japanese.

const WORDS = {
  skip: ["Skip to content", "本文へ"],
  runs: ["Runs", "学習一覧"], training: ["Training", "学習"], live: ["Live", "ライブ"], games: ["Games", "対局"],
  analysis: ["Analysis", "解析"], play: ["Play", "対局する"], strength: ["Strength", "強さ"],
  theme_dark: ["Dark", "暗い"], theme_light: ["Light", "明るい"], language: ["日本語", "English"],
  lost: ["No word from the server. Trying again…", "サーバーから応答がありません。再接続しています…"],
  run: ["Run", "学習"], state: ["State", "状態"], progress: ["Progress", "進み"], decisions: ["Decisions", "決定数"],
  left: ["Time left", "残り時間"], time: ["Time", "経過時間"], speed: ["Decisions a second", "毎秒の決定数"],
  last_evaluation: ["Last evaluation", "最新の評価"], alarms: ["Alarms", "警告"], rating: ["Rating", "レーティング"],
  running: ["running", "実行中"], finished: ["finished", "終了"], stopped: ["stopped", "停止"], failed: ["failed", "失敗"], died: ["died", "異常終了"],
  doing_starting: ["starting", "開始"], doing_playing: ["playing", "対局中"], doing_learning: ["learning", "学習中"], doing_finishing: ["finishing", "終了処理"], doing_done: ["done", "完了"], doing_stopped: ["stopped", "停止"],
  no_runs: ["No runs here yet. keisei-train makes one.", "学習がまだありません。keisei-train で始まります。"],
  compare: ["Compare", "比べる"], compare_selected: ["Compare selected", "選んだものを比べる"], against: ["against", "対"],
  smoothing: ["Smoothing", "平滑化"], log_scale: ["Log scale", "対数"], reset_zoom: ["Reset zoom", "拡大を戻す"], none: ["none", "なし"],
  zoom_help: ["Drag in a chart to zoom, double-click to go back.", "図をドラッグすると拡大、ダブルクリックで戻ります。"],
  settings: ["Settings", "設定"], log: ["Log", "ログ"], no_curves: ["Nothing was recorded yet.", "まだ記録がありません。"],
  reading: ["A long history is being read…", "長い記録を読み込んでいます…"],
  results_by_color: ["Results by colour", "先後別の結果"], reasons: ["Reasons for endings", "終局の理由"], lengths: ["Length of games, plies", "手数"], shares: ["Where the time goes", "時間の内訳"],
  black_wins: ["Black wins", "先手勝ち"], white_wins: ["White wins", "後手勝ち"], draws: ["Draws", "引き分け"], mean: ["mean", "平均"], shortest: ["shortest", "最短"], longest: ["longest", "最長"],
  score_against: ["Score against", "成績 対"], interval: ["95 % interval", "95%信頼区間"], evaluation_rating: ["Rating above random", "ランダムからのレーティング"],
  no_live: ["This run writes no live game. keisei-train --web does.", "この学習はライブ対局を記録していません。keisei-train --web で記録されます。"],
  no_live_yet: ["No game has been written yet.", "まだ対局が記録されていません。"],
  last_seen: ["Written", "記録"], ago: ["s ago", "秒前"], moves: ["Moves", "指し手"], ply: ["Ply", "手数"], value: ["Value", "評価値"],
  likeliest: ["Likeliest moves", "有力な手"], heat: ["Heat map", "確率地図"], at_ply: ["recorded at ply", "記録した手数"],
  value_over_time: ["Value over the game", "評価値の推移"], black_view: ["Black's view", "先手から"], white_view: ["White's view", "後手から"],
  ended_games: ["Games that ended", "終わった対局"], result: ["Result", "結果"], reason: ["Reason", "理由"], plies: ["Plies", "手数"],
  follow: ["Follow", "追う"], black: ["Black", "先手"], white: ["White", "後手"], draw: ["draw", "引き分け"], void: ["void", "無効"],
  black_won: ["Black won", "先手の勝ち"], white_won: ["White won", "後手の勝ち"], nobody_won: ["nobody won", "勝者なし"],
  training_gone: ["Training is not running any more.", "学習は実行されていません。"],
  player: ["Player", "対局者"], all: ["all", "すべて"], won: ["won", "勝ち"], lost_game: ["lost", "負け"], any_result: ["any result", "すべての結果"], any_reason: ["any reason", "すべての理由"], any_player: ["any player", "すべての対局者"],
  no_games: ["No games were logged.", "対局の記録がありません。"], of: ["of", "／"], newer: ["Newer", "新しい"], older: ["Older", "古い"],
  game: ["Game", "対局"], first: ["First", "最初"], previous: ["Back", "戻る"], next: ["Next", "次へ"], last: ["Last", "最後"], flip: ["Flip board", "盤を反転"],
  value_by: ["Values by", "評価に使う網"], compute: ["Compute values", "評価値を計算"], swings: ["Largest swings", "大きな変動"], download: ["Download", "保存"],
  analyse_here: ["Analyse this position", "この局面を解析"], keys_help: ["Arrow keys move through the game.", "矢印キーで手を進めます。"],
  network: ["Network", "ネットワーク"], simulations: ["Simulations", "探索回数"], no_search: ["no search", "探索なし"], analyse: ["Analyse", "解析する"], sfen: ["Position (SFEN)", "局面（SFEN）"], set: ["Set", "設定"],
  open_record: ["Open a record", "棋譜を開く"], search: ["Search", "探索"], policy: ["Policy", "方策"], move: ["Move", "手"], share: ["Share", "確率"], visits: ["Visits", "訪問"], line: ["Line", "読み筋"], mate_in: ["mate in", "詰み"], undo: ["Undo", "戻す"], start_position: ["Start position", "初期局面"], thinking: ["Thinking…", "考えています…"], over: ["The game is over here.", "終局しています。"],
  person: ["Person", "人"], levels: ["Levels", "レベル"], level: ["Level", "レベル"], built_in: ["Built-in players", "組み込み"], networks_of: ["Networks of", "学習:"], not_measured: ["not measured", "未測定"],
  handicap: ["Handicap", "手合割"], even: ["even", "平手"], begin: ["New game", "対局開始"], take_back: ["Take back", "待った"], hint: ["Hint", "ヒント"], resign: ["Resign", "投了"], declare: ["Declare win", "入玉宣言"], your_turn: ["Your turn", "あなたの番です"], check: ["Check", "王手"], pause: ["Pause", "一時停止"], go_on: ["Go on", "再開"], save_as: ["Save as", "保存"],
  to_move: ["to move", "の番"], wins: ["wins", "の勝ち"], you_can: ["Click or drag a piece; arrow keys and Enter work too.", "駒をクリックかドラッグします。矢印キーとEnterも使えます。"], would_resign: ["It would resign.", "投了します。"], rated: ["rated", "レート"],
  promote_question: ["Promote?", "成りますか？"], promote: ["Promote", "成る"], keep: ["Do not promote", "成らない"], board: ["Shogi board", "将棋盤"], in_hand: ["in hand", "持駒"], promoted: ["promoted", "成"],
  piece_P: ["pawn", "歩"], piece_L: ["lance", "香"], piece_N: ["knight", "桂"], piece_S: ["silver", "銀"], piece_B: ["bishop", "角"], piece_R: ["rook", "飛"], piece_G: ["gold", "金"], piece_K: ["king", "玉"],
  elo: ["Elo", "Elo"], games_count: ["Games", "対局数"], score: ["Score", "得点率"], cross_table: ["Cross table", "対戦表"], rating_over_training: ["Rating against training", "学習とレーティング"], ladder: ["Measured players and engines", "測定済みの対局者とエンジン"], no_strength: ["No games to rate yet. keisei-train --eval-freq plays them.", "評価対局がまだありません。keisei-train --eval-freq で行われます。"], anchor: ["points above", "基準:"], steps: ["Decisions", "決定数"],
  gone: ["This run is not in the folder any more.", "この学習はもうありません。"], choose_run: ["Run", "学習"],
  group_train: ["Learning", "学習"], group_value: ["Values", "評価値"], group_games: ["Games", "対局"], group_evaluation: ["Strength", "強さ"], group_league: ["Pool of opponents", "相手の集まり"], group_speed: ["Time and memory", "時間とメモリ"], group_alarms: ["Alarms", "警告"], group_layers: ["Layers", "層"], group_pretrain: ["Supervised learning", "教師あり学習"], group_other: ["Other", "その他"],
  "resignation": ["resignation", "投了"], "checkmate": ["checkmate", "詰み"], "timeout": ["timeout", "時間切れ"], "illegal move": ["illegal move", "反則"], "illegal_move": ["illegal move", "反則"], "declaration": ["declaration", "入玉宣言"], "repetition": ["repetition", "千日手"], "max plies": ["ply limit", "手数制限"], "max_plies": ["ply limit", "手数制限"], "no_legal_moves": ["no legal move", "合法手なし"], "perpetual_check": ["perpetual check", "連続王手"], "interrupted": ["interrupted", "中断"], "error": ["error", "エラー"],
};

export let language = localStorage.getItem("keisei-language") ?? (navigator.language.startsWith("ja") ? "ja" : "en");

/** The word for a key; the key itself where there is none. */
export const t = (key) => WORDS[key]?.[language === "ja" ? 1 : 0] ?? key;

export function setLanguage(value) {
  language = value;
  localStorage.setItem("keisei-language", value);
  document.documentElement.lang = value;
}

/** A move as people of the language write it: USI, or Japanese. */
export const moveText = (usi, text) => (language === "ja" ? text ?? usi : usi);

/** How a game ended, in words. */
export function resultText(winner, reason) {
  const who = winner === "black" ? t("black_won") : winner === "white" ? t("white_won") : winner === "void" ? t("void") : t("draw");
  return reason ? `${who} (${t(reason)})` : who;
}
