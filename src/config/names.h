#pragma once
#include <array>
#include <string_view>

#include "lomo/config/choices.h"
#include "lomo/config/config.h"

/// The names that configs use besides those of choices.h.
namespace lomo {

inline constexpr std::array<std::string_view, 12> kTasks{"boolq",  "cb",   "copa", "multirc",
                                                         "record", "rte",  "wic",  "wsc",
                                                         "jsonl",  "chat", "text", "ids"};

/// One of the eight tasks whose prompts and metrics are built in.
inline bool is_superglue(std::string_view task) {
  return task != "jsonl" && task != "chat" && task != "text" && task != "ids";
}

inline const Names<Subset> kSubsets = {
    {"published", Subset::published}, {"seeded", Subset::seeded}, {"first", Subset::first}};
inline const Names<TooLong> kTooLong = {
    {"error", TooLong::error}, {"skip", TooLong::skip}, {"cut", TooLong::cut}};
inline const Names<ChatFormat> kChatFormats = {{"auto", ChatFormat::automatic},
                                               {"messages", ChatFormat::messages},
                                               {"sharegpt", ChatFormat::sharegpt},
                                               {"alpaca", ChatFormat::alpaca},
                                               {"completion", ChatFormat::completion}};
inline const Names<Recompute> kRecomputes = {{"none", Recompute::none},
                                             {"block", Recompute::block}};
inline const Names<OptimizerKind> kOptimizers = {{"lomo", OptimizerKind::lomo},
                                                 {"adalomo", OptimizerKind::adalomo},
                                                 {"sgd", OptimizerKind::sgd},
                                                 {"adamw", OptimizerKind::adamw}};
inline const Names<Rounding> kRoundings = {{"nearest", Rounding::nearest},
                                           {"stochastic", Rounding::stochastic}};
inline const Names<ScheduleKind> kSchedules = {{"constant", ScheduleKind::constant},
                                               {"linear", ScheduleKind::linear},
                                               {"cosine", ScheduleKind::cosine}};
inline const Names<SpikeAction> kSpikeActions = {{"off", SpikeAction::off},
                                                 {"warn", SpikeAction::warn},
                                                 {"skip", SpikeAction::skip},
                                                 {"cut_lr", SpikeAction::cut_lr},
                                                 {"stop", SpikeAction::stop}};
inline const Names<GradientCheck> kGradientChecks = {{"auto", GradientCheck::automatic},
                                                     {"step", GradientCheck::step},
                                                     {"tile", GradientCheck::tile}};
inline const Names<ClipStrategy> kClipStrategies = {{"auto", ClipStrategy::automatic},
                                                    {"one_pass", ClipStrategy::one_pass},
                                                    {"two_pass", ClipStrategy::two_pass}};
inline const Names<FinalModel> kFinalModels = {
    {"last", FinalModel::last}, {"best", FinalModel::best}, {"none", FinalModel::none}};
inline const Names<DType> kStorageTypes = {
    {"f32", DType::f32}, {"bf16", DType::bf16}, {"f16", DType::f16}};
inline const Names<DType> kCommDtypes = {{"bf16", DType::bf16}, {"f32", DType::f32}};
inline const Names<Score> kScores = {{"sum", Score::sum}, {"mean", Score::mean}};

/// Keys of model.shape, as Hugging Face names them.
inline constexpr std::array<std::string_view, 8> kShapeCounts{
    "hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads",
    "head_dim",    "intermediate_size", "vocab_size",          "max_position_embeddings"};
inline constexpr std::array<std::string_view, 2> kShapeNumbers{"rms_norm_eps", "rope_theta"};
inline constexpr std::array<std::string_view, 4> kShapeFlags{
    "tie_word_embeddings", "attention_bias", "mlp_bias", "use_sliding_window"};
/// And its family (model_type), and a window, which may be null.
inline constexpr std::string_view kShapeFamily = "model_type", kShapeWindow = "sliding_window";

}  // namespace lomo
