// tests/cli/model_config_test.cc: `heed pack` takes positions, norms, scale, softcap and window
// from options and from config.json, and refuses what it does not know of them.
#include <doctest/doctest.h>

#include "tests/cli/files.h"
#include "tests/cli/program.h"

namespace heed::test {
namespace {

constexpr uint32_t kHeads = 2, kHeadDim = 16;

// A layer without positions and norms.
AttentionConfig Plain() {
  AttentionConfig config = Shape(8, kHeads, false);
  config.head_dim = kHeadDim;
  return config;
}

AttentionConfig WithNorms(float eps) {
  AttentionConfig config = Plain();
  config.q_norm = config.k_norm = true;
  config.norm_eps = eps;
  return config;
}

// Heads of 16 and theta 10000: each frequency is the one before, divided by the square root of 10.
const std::vector<float>& PlainFrequencies() {
  static const std::vector<float> kFrequencies = {
      1.0f, 0.316227764f, 0.1f, 0.0316227749f, 0.01f, 0.00316227763f, 0.001f, 0.000316227757f};
  return kFrequencies;
}

LayerData Rotary(AttentionConfig config, RopeStyle style, const std::vector<float>& frequencies) {
  config.rope_style = style;
  config.rope_dims = static_cast<uint32_t>(2 * frequencies.size());
  Random random(91);
  LayerData layer = NormalLayer(config, random);
  layer.rope_frequencies = frequencies;
  return layer;
}

std::string PackedByLibrary(const LayerData& layer) {
  const AlignedBytes file = Pack(layer);
  return std::string(reinterpret_cast<const char*>(file.data()), file.size());
}

constexpr char kPrefix[] = "model.layers.5.self_attn.";

class Packer {
 public:
  explicit Packer(const std::string& prefix = kPrefix, Naming naming = Naming::kDecoder)
      : prefix_(prefix), naming_(naming) {}

  Words WordsFor(const LayerData& layer, const Words& options, const std::string& config,
                 const std::vector<SavedTensor>& more = {}) const {
    std::vector<SavedTensor> tensors = Saved(layer, naming_, prefix_);
    tensors.insert(tensors.end(), more.begin(), more.end());
    Words words = {"pack", folder_.Write("in.safetensors", Safetensors(tensors)),
                   folder_.Path("out")};
    if (!config.empty()) words = words + Words{"--config", folder_.Write("config.json", config)};
    return words + options;
  }
  // Packs the same bytes as the library does, and prints each of `notes`.
  void Packs(const LayerData& layer, const Words& options, const std::string& config,
             const Words& notes = {}, const std::vector<SavedTensor>& more = {}) const {
    CAPTURE(config);
    const std::string out = HeedOk(WordsFor(layer, options, config, more));
    for (const std::string& note : notes) {
      INFO(out);
      CHECK(out.find(note + "\n") != std::string::npos);
    }
    CHECK((folder_.Read("out") == PackedByLibrary(layer)));
  }
  void Refused(const Words& options, const std::string& config, const Words& words,
               const std::vector<SavedTensor>& more = {}, int exit_code = 1) const {
    Random random(92);
    CAPTURE(config);
    CheckRefused(folder_, WordsFor(NormalLayer(Plain(), random), options, config, more), exit_code,
                 words, "out");
  }

 private:
  Folder folder_;
  std::string prefix_;
  Naming naming_;
};

const Words kTwo = {"--heads", "2"};

SavedTensor Floats(const std::string& name, const Dims& shape, const std::vector<float>& values) {
  return {kPrefix + name, "F32", shape, BytesOf(values)};
}

std::string With(const std::string& keys) {
  return "{\"num_attention_heads\": 2" + (keys.empty() ? "" : ", " + keys) + "}";
}

TEST_CASE("--rope-theta gives a layer rotary positions, half for Hugging Face's names") {
  const Packer packer;
  const LayerData half = Rotary(Plain(), RopeStyle::kHalf, PlainFrequencies());
  const LayerData interleaved = Rotary(Plain(), RopeStyle::kInterleaved, PlainFrequencies());
  const Words theta = kTwo + Words{"--rope-theta", "10000"};
  packer.Packs(half, theta, "", {"positions: rotary, half, theta 10000, dims 16"});
  packer.Packs(interleaved, theta + Words{"--rope-style", "interleaved"}, "",
               {"positions: rotary, interleaved, theta 10000, dims 16"});
  Packer("layers.0.attention.", Naming::kMeta).Packs(interleaved, theta, "");
  Packer("transformer.h.11.attn.", Naming::kEncoder).Packs(interleaved, theta, "");
  Packer("transformer.h.attn.", Naming::kEncoder).Packs(half, theta, "");
  Packer("h.1.attn.", Naming::kEncoder).Packs(half, theta, With("\"model_type\": \"llama\""));
  const Packer seed("", Naming::kSeed);
  seed.Packs(half, theta + Words{"--rope-style", "half"}, "");
  seed.Refused(theta, "", {"--rope-style", "seed"});
}

TEST_CASE("a part of each head turns, with --rope-dims, rotary_dim or partial_rotary_factor") {
  const Packer packer;
  // theta^(-2i / 8) for theta = 10000
  const LayerData layer = Rotary(Plain(), RopeStyle::kHalf, {1.0f, 0.1f, 0.01f, 0.001f});
  packer.Packs(layer, kTwo + Words{"--rope-theta", "10000", "--rope-dims", "8"}, "");
  packer.Packs(layer, {}, With("\"rotary_dim\": 8"));
  packer.Packs(layer, {}, With("\"partial_rotary_factor\": 0.5, \"rope_theta\": 10000"));
  packer.Packs(layer, {}, With("\"partial_rotary_factor\": 0.55, \"rope_theta\": 1e4"));
  packer.Packs(layer, {"--rope-dims", "8"}, With("\"rotary_dim\": 4, \"rope_theta\": 1e4"));
  for (const std::string bad : {"0", "7", "18", "-2", "1048577"}) {
    packer.Refused(kTwo + Words{"--rope-theta", "10000", "--rope-dims", bad}, "",
                   {"--rope-dims", bad, "16"});
  }
  packer.Refused({}, With("\"rotary_dim\": 7"), {"config.json", "rotary_dim", "7"});
  packer.Refused({}, With("\"partial_rotary_factor\": 1.5"), {"partial_rotary_factor", "1.5"});
}

TEST_CASE("frequencies are scaled as Hugging Face scales them") {
  // Computed with 50 digits from the formulas of the papers, then rounded to float.
  const Packer packer;
  const auto packs = [&](const std::vector<float>& frequencies, double factor, const Words& options,
                         const std::string& rope) {
    AttentionConfig config = Plain();
    if (factor != 1.0) config.rope_factor = static_cast<float>(factor);
    const LayerData layer = Rotary(config, RopeStyle::kHalf, frequencies);
    if (!options.empty()) packer.Packs(layer, kTwo + options, "");
    if (rope.empty()) return;
    packer.Packs(layer, {}, With(rope));
  };
  packs({0.25f, 0.25f * 0.316227764f, 0.025f, 0.25f * 0.0316227749f, 0.0025f,
         0.25f * 0.00316227763f, 0.00025f, 0.25f * 0.000316227757f},
        1.0, {"--rope-theta", "10000", "--rope-scaling", "linear:4"},
        R"("rope_theta": 1e4, "rope_scaling": {"type": "linear", "factor": 4})");
  const std::vector<float> llama3 = {1.0f,           0.193922743f,    0.0376060307f,
                                     0.00729266461f, 0.000524846138f, 3.42810235e-05f,
                                     6.64786967e-06f, 1.28917316e-06f};
  packs(llama3, 1.0,
        {"--rope-theta", "500000", "--rope-scaling",
         "llama3:8,original_max_position_embeddings=8192"},
        R"("rope_theta": 500000, "rope_scaling": {"rope_type": "llama3", "factor": 8.0,
           "low_freq_factor": 1.0, "high_freq_factor": 4.0,
           "original_max_position_embeddings": 8192})");
  const std::vector<float> yarn = {1.0f,          0.177827939f,    0.0316227749f,
                                   0.00421755994f, 0.000500000024f, 4.44569851e-05f,
                                   7.90569447e-06f, 1.40585337e-06f};
  packs(yarn, 1.13862944,
        {"--rope-theta", "1e6", "--rope-scaling", "yarn:4,original_max_position_embeddings=32768"},
        R"("rope_theta": 1e6, "rope_scaling": {"type": "yarn", "rope_type": "yarn", "factor": 4.0,
           "original_max_position_embeddings": 32768}, "max_position_embeddings": 32768)");
  packs(yarn, 1.25, {},
        R"("rope_parameters": {"rope_theta": 1e6, "rope_type": "yarn", "attention_factor": 1.25,
           "original_max_position_embeddings": 32768}, "max_position_embeddings": 131072)");
  packs({1.0f, 0.177827939f, 0.0316227749f, 0.00551727042f, 0.000607407943f, 4.44569851e-05f,
         7.90569447e-06f, 1.40585337e-06f},
        1.13862944, {},
        R"("rope_theta": 1e6, "rope_scaling": {"type": "yarn", "factor": 4.0, "truncate": false},
           "max_position_embeddings": 32768)");
  packs({1.0f, 0.316227764f, 0.1f, 0.0316227749f, 0.00675000018f, 0.00110679714f, 2.5e-05f,
         7.90569447e-06f},
        1.15572202,
        {},
        R"("rope_theta": 1e4, "rope_scaling": {"type": "yarn", "factor": 40, "beta_fast": 16,
           "beta_slow": 2, "mscale": 1, "mscale_all_dim": 0.5,
           "original_max_position_embeddings": 4096})");
  packs({1.0f, 0.316227764f, 0.1f, 0.0316227749f, 0.00675000018f, 0.00110679714f, 2.5e-05f,
         7.90569447e-06f},
        1.5,
        {"--rope-theta", "1e4", "--rope-scaling",
         "yarn:factor=40,beta_fast=16,beta_slow=2,attention_factor=1.5,"
         "original_max_position_embeddings=4096"},
        "");
  packs(PlainFrequencies(), 1.0, {"--rope-theta", "1e4", "--rope-scaling", "default"},
        R"("rope_theta": 1e4, "rope_scaling": {"rope_type": "default",
           "original_max_position_embeddings": 5})");
}

TEST_CASE("a scaling that is not known, or lacks a number, is refused by name") {
  const Packer packer;
  const Words theta = kTwo + Words{"--rope-theta", "10000", "--rope-scaling"};
  for (const std::string bad :
       {"linear", "dynamic:2", "longrope:2", "linear:", "linear:x", "linear:2,", "linear:2,3",
        "linear:2,x=3", "linear:2,factor=2", "llama3:2,beta_fast=3", "yarn:2,factor", "linear:2 ",
        "default:1", "LINEAR:2", ":2"}) {
    packer.Refused(theta + Words{bad}, "", {"--rope-scaling", "expected"});
  }
  for (const std::string bad :
       {"linear:0", "linear:-1", "linear:nan", "linear:inf", "llama3:8", "yarn:8",
        "llama3:8,low_freq_factor=4,original_max_position_embeddings=9",
        "yarn:8,original_max_position_embeddings=9,beta_fast=1",
        "yarn:8,original_max_position_embeddings=9,attention_factor=0"}) {
    packer.Refused(theta + Words{bad}, "", {"--rope-scaling", "expected a"});
  }
  packer.Refused(kTwo + Words{"--rope-theta", "1", "--rope-scaling",
                              "yarn:2,original_max_position_embeddings=9"}, "", {"yarn"});
  const auto refused = [&](const std::string& scaling, const Words& words) {
    packer.Refused({}, With("\"rope_theta\": 1e4, \"rope_scaling\": " + scaling), words);
  };
  refused(R"({"type": "dynamic", "factor": 2.0})", {"rope_scaling.rope_type", "dynamic"});
  refused(R"({"rope_type": "longrope", "short_factor": [1]})", {"rope_type", "longrope"});
  refused(R"({"type": "mrope", "mrope_section": [1, 2]})", {"mrope"});
  refused(R"({"type": "linear", "rope_type": "yarn", "factor": 2.0})", {"rope_scaling.type"});
  refused(R"({"type": "linear"})", {"rope_scaling.factor", "above 0"});
  refused(R"({"factor": 2.0})", {"rope_scaling.factor", "default"});
  refused(R"({"type": "linear", "factor": "2"})", {"rope_scaling.factor", "above 0", "2"});
  refused(R"({"type": "linear", "factor": 0})", {"rope_scaling.factor", "above 0"});
  refused(R"({"type": "linear", "factor": 2, "finetuned": true})", {"rope_scaling.finetuned"});
  refused(R"({"type": 3})", {"rope_scaling.type", "a text", "3"});
  refused(R"("linear")", {"rope_scaling", "an object"});
  refused(R"({"type": "llama3", "factor": 8, "low_freq_factor": 1, "high_freq_factor": 4})",
          {"original_max_position_embeddings"});
  refused(R"({"type": "yarn", "factor": 8, "truncate": 1, "original_max_position_embeddings": 9})",
          {"rope_scaling.truncate"});
  packer.Packs(Rotary(Plain(), RopeStyle::kHalf, PlainFrequencies()),
               {"--ignore-config", "rope_scaling"},
               With(R"("rope_theta": 1e4, "rope_scaling": {"type": "dynamic"})"));
  packer.Refused({}, With(R"("rope_scaling": {"type": "linear", "factor": 2},
                             "rope_parameters": {"rope_type": "default"})"),
                 {"rope_scaling", "rope_parameters"});
}

TEST_CASE("rope options without rotary positions are refused, and so is a theta of 0") {
  const Packer packer;
  packer.Refused(kTwo + Words{"--rope-style", "half"}, "", {"--rope-style", "--rope-theta"});
  packer.Refused(kTwo + Words{"--rope-dims", "4"}, "", {"--rope-dims", "--rope-theta"});
  packer.Refused(kTwo + Words{"--rope-scaling", "linear:2"}, "", {"--rope-scaling"});
  for (const std::string bad : {"0", "-1", "inf", "nan"}) {
    packer.Refused(kTwo + Words{"--rope-theta", bad}, "", {"--rope-theta", "above 0"});
  }
  packer.Refused(kTwo + Words{"--rope-theta", "1", "--rope-style", "Half"}, "", {"--rope-style"},
                 {}, 2);
  packer.Refused(kTwo + Words{"--ignore-config", "x"}, "", {"--ignore-config", "--config"}, {}, 2);
  packer.Refused(kTwo + Words{"--norm-eps", "1e-5"}, "", {"--norm-eps", "q_norm"});
}

TEST_CASE("frequencies of the file are taken, unless they contradict theta or are ignored") {
  const Packer packer;
  const std::vector<float> own = {1.0f, 0.5f, 0.25f, 0.1f, 0.01f, 0.003f, 0.002f, 0.001f};
  const LayerData layer = Rotary(Plain(), RopeStyle::kHalf, own);
  const SavedTensor tensor = Floats("rotary_emb.inv_freq", {8}, own);
  packer.Packs(layer, kTwo, "",
               {std::string("positions: rotary, half, frequencies of ") + kPrefix +
                "rotary_emb.inv_freq, dims 16"},
               {tensor});
  std::vector<float> half = own;
  for (float& frequency : half) frequency *= 0.5f;
  packer.Packs(Rotary(Plain(), RopeStyle::kHalf, half), kTwo + Words{"--rope-scaling", "linear:2"},
               "", {}, {tensor});
  packer.Refused(kTwo + Words{"--rope-theta", "10000"}, "", {"inv_freq", "element 1", "10000"},
                 {tensor});
  packer.Packs(Rotary(Plain(), RopeStyle::kHalf, PlainFrequencies()),
               kTwo + Words{"--rope-theta", "1e4", "--ignore", "rotary_emb.*"}, "", {}, {tensor});
  Random random(93);
  packer.Packs(NormalLayer(Plain(), random), kTwo + Words{"--ignore", "rotary_emb.inv_freq"}, "",
               {}, {tensor});
  // Frequencies that a file holds in few bits are near those of theta, and are taken.
  std::vector<float> near = PlainFrequencies();
  for (float& frequency : near) frequency *= 1.003f;
  packer.Packs(Rotary(Plain(), RopeStyle::kHalf, near), kTwo + Words{"--rope-theta", "1e4"}, "", {},
               {Floats("rotary_emb.inv_freq", {8}, near)});
  packer.Packs(Rotary(Plain(), RopeStyle::kHalf, {1.0f, 0.5f}), kTwo, "", {},
               {Floats("rotary_emb.inv_freq", {2}, {1.0f, 0.5f})});
  packer.Refused(kTwo, "", {"inv_freq", "[8]", "[9]"},
                 {Floats("rotary_emb.inv_freq", {9}, std::vector<float>(9))});
  packer.Refused(kTwo + Words{"--rope-dims", "8"}, "", {"inv_freq", "[4]", "[8]"}, {tensor});
  packer.Refused(kTwo + Words{"--rope-dims", "-2"}, "", {"--rope-dims", "16", "-2"}, {tensor});
  packer.Refused(kTwo, "", {"inv_freq", "[1, 8]"}, {Floats("rotary_emb.inv_freq", {1, 8}, own)});
  const float infinity = std::numeric_limits<float>::infinity();
  packer.Refused(kTwo, "", {"finite", "inf"},
                 {Floats("rotary_emb.inv_freq", {2}, {1.0f, infinity})});
}

TEST_CASE("norms of each head's queries and keys are packed, and Gemma's with 1 added") {
  const Packer packer;
  Random random(94);
  LayerData layer = NormalLayer(WithNorms(0.0f), random);
  packer.Packs(layer, kTwo, "", {"norms: RMS of q and k, eps 1e-06 (nothing says so)"});
  layer.config.norm_eps = 1e-5f;
  packer.Packs(layer, kTwo + Words{"--norm-eps", "1e-5"}, "", {"norms: RMS of q and k, eps 1e-05"});
  for (const std::string key : {"rms_norm_eps", "layer_norm_eps", "layer_norm_epsilon"}) {
    packer.Packs(layer, {}, With("\"" + key + "\": 1e-05"));
    packer.Packs(layer, {"--norm-eps", "1e-5"}, With("\"" + key + "\": 1e-06"));
  }
  LayerData only_q = layer;
  only_q.config.k_norm = false;
  only_q.k_norm_weight.clear();
  packer.Packs(only_q, kTwo + Words{"--norm-eps", "1e-5"}, "", {"norms: RMS of q, eps 1e-05"});
  // Gemma's files hold the weights less 1.
  LayerData saved = layer;
  saved.config.rope_style = layer.config.rope_style = RopeStyle::kHalf;
  saved.rope_frequencies = layer.rope_frequencies = PlainFrequencies();
  for (std::vector<float>* weights : {&saved.q_norm_weight, &saved.k_norm_weight}) {
    for (float& weight : *weights) weight = static_cast<float>(random.Below(200)) / 64.0f - 1.0f;
  }
  for (size_t i = 0; i < kHeadDim; ++i) {
    layer.q_norm_weight[i] = 1.0f + saved.q_norm_weight[i];
    layer.k_norm_weight[i] = 1.0f + saved.k_norm_weight[i];
  }
  const Folder folder;
  const std::string in =
      folder.Write("in.safetensors", Safetensors(Saved(saved, Naming::kDecoder, kPrefix)));
  const auto pack = [&](const std::string& model_type) {
    const std::string config = folder.Write(
        "config.json", With("\"rms_norm_eps\": 1e-5, \"model_type\": \"" + model_type + "\""));
    HeedOk({"pack", in, folder.Path("out"), "--config", config});
    return folder.Read("out");
  };
  CHECK((pack("gemma3_text") == PackedByLibrary(layer)));
  CHECK((pack("qwen3") == PackedByLibrary(saved)));
}

TEST_CASE("norms of another shape or with a bias are refused, and may be left out") {
  const Packer packer;
  const std::vector<float> ones(32, 1.0f), few(16, 1.0f);
  packer.Refused(kTwo, "", {"q_norm.weight", "[16]", "[32]", "--ignore"},
                 {Floats("q_norm.weight", {32}, ones)});
  packer.Refused(kTwo, "", {"k_norm.weight", "[16]", "[2, 16]"},
                 {Floats("k_norm.weight", {2, 16}, ones)});
  packer.Refused(kTwo, "", {"q_norm.bias", "q_norm.weight", "2 more tensors"},
                 {Floats("q_norm.weight", {16}, few), Floats("q_norm.bias", {16}, few)});
  Random random(95);
  packer.Packs(NormalLayer(Plain(), random), kTwo + Words{"--ignore", "q_norm.*"}, "", {},
               {Floats("q_norm.weight", {32}, ones)});
}

TEST_CASE("heads, scale, softcap and window are read, and options come first") {
  Random random(96);
  AttentionConfig config = Plain();
  config.num_kv_heads = 1;
  config.scale = 0.125f;
  config.softcap = 50.0f;
  config.window = 7;
  const LayerData layer = NormalLayer(config, random);
  const Packer packer;
  const std::string keys = R"(, "num_key_value_heads": 1, "query_pre_attn_scalar": 64,
      "attn_logit_softcapping": 50.0, "sliding_window": 7, "head_dim": 16,
      "hidden_act": "silu", "tie_word_embeddings": true, "attention_bias": false})";
  packer.Packs(layer, {}, "{\"num_attention_heads\": 2" + keys,
               {"scale: 0.125", "softcap: 50", "window: 7", "positions: none"});
  for (const std::string heads : {"n_head", "num_heads", "encoder_attention_heads",
                                  "decoder_attention_heads"}) {
    packer.Packs(layer, {}, "{\"" + heads + "\": 2" + keys);
  }
  packer.Packs(layer, {}, With(R"("num_key_value_heads": 1, "attention_multiplier": 0.125,
                                  "attn_logit_softcapping": 50, "sliding_window": 7, "d_kv": 16)"));
  packer.Packs(layer, {"--scale", "0.125", "--softcap", "50", "--window", "7", "--kv-heads", "1",
                       "--heads", "2"},
               R"({"num_attention_heads": 4, "num_key_value_heads": 2, "sliding_window": 3,
                   "query_pre_attn_scalar": 3, "attn_logit_softcapping": 9})");
  packer.Refused({}, With("\"head_dim\": 8"), {"head_dim", "16", "8"});
  packer.Refused({}, With("\"n_head\": 4"), {"n_head", "num_attention_heads", "4"});
  packer.Refused({}, "{}", {"num_attention_heads", "--heads"});
  packer.Refused({}, R"({"num_attention_heads": 3})", {"divisor", "3"});
  packer.Refused({}, With(R"("query_pre_attn_scalar": 64, "attention_multiplier": 2)"),
                 {"query_pre_attn_scalar", "attention_multiplier"});
}

TEST_CASE("encoder and decoder may have different numbers of heads") {
  Random random(97);
  const LayerData layer = NormalLayer(Plain(), random);
  const std::string config = R"({"encoder_attention_heads": 2, "decoder_attention_heads": 4})";
  Packer("model.encoder.layers.0.self_attn.").Packs(layer, {}, config);
  Packer("model.decoder.layers.0.self_attn.")
      .Packs(layer, {}, R"({"encoder_attention_heads": 4, "decoder_attention_heads": 2})");
  Packer("layers.0.").Refused({}, config, {"encoder_attention_heads", "decoder"});
}

TEST_CASE("which layers have a sliding window, and positions of their own, goes by their number") {
  Random random(98);
  AttentionConfig sliding = Plain();
  sliding.window = 9;
  const LayerData full = NormalLayer(Plain(), random);
  const LayerData slides = [&] {
    LayerData layer = full;
    layer.config = sliding;
    return layer;
  }();
  const auto packs = [&](size_t number, bool is_sliding, const std::string& keys) {
    CAPTURE(number);
    Packer("model.layers." + std::to_string(number) + ".self_attn.")
        .Packs(is_sliding ? slides : full, {}, With("\"sliding_window\": 9" + keys));
  };
  packs(0, true, "");
  packs(3, false, R"(, "use_sliding_window": false)");
  packs(3, true, R"(, "use_sliding_window": true)");
  packs(3, false, R"(, "model_type": "qwen9")");
  packs(3, true, R"(, "model_type": "qwen9", "use_sliding_window": true, "max_window_layers": 3)");
  packs(2, false, R"(, "model_type": "qwen9", "use_sliding_window": true, "max_window_layers": 3)");
  for (const size_t number : {0, 4, 5, 6, 11}) {
    packs(number, number % 6 != 5, R"(, "sliding_window_pattern": 6)");
  }
  packs(1, false, R"(, "layer_types": ["sliding_attention", "full_attention"])");
  packs(0, true, R"(, "layer_types": ["sliding_attention", "full_attention"])");
  packs(7, true, R"(, "sliding_window_size": 9)");
  const auto rotary = [&](bool is_sliding, float ratio, size_t number, const std::string& keys) {
    std::vector<float> frequencies;
    for (double f = 1.0; frequencies.size() < 8; f *= static_cast<double>(ratio)) {
      frequencies.push_back(static_cast<float>(f));
    }
    LayerData layer = is_sliding ? slides : full;
    layer.config.rope_style = RopeStyle::kHalf;
    layer.rope_frequencies = frequencies;
    Packer("model.layers." + std::to_string(number) + ".self_attn.")
        .Packs(layer, {}, With("\"sliding_window\": 9, " + keys));
  };
  // theta 65536 and 256 with 16 dims: each frequency is a quarter or half of the one before.
  const std::string gemma = R"("rope_theta": 65536, "rope_local_base_freq": 256,
      "sliding_window_pattern": 6)";
  rotary(true, 0.5f, 4, gemma);
  rotary(false, 0.25f, 5, gemma);
  const std::string by_type = R"("layer_types": ["sliding_attention", "full_attention"],
      "rope_parameters": {"sliding_attention": {"rope_type": "default", "rope_theta": 256},
                          "full_attention": {"rope_type": "default", "rope_theta": 65536}})";
  rotary(true, 0.5f, 0, by_type);
  rotary(false, 0.25f, 1, by_type);
  const Packer packer;
  packer.Refused({}, With(R"("layer_types": ["sliding_attention", "full_attention"])"),
                 {"layer_types", "layer 5", "2 types"});
  packer.Refused({}, With(R"("layer_types": ["chunked_attention"])"), {"layer_types", "chunked"});
  packer.Refused({}, With(R"("layer_types": ["sliding_attention"])"), {"sliding_window", "none"});
  packer.Refused({}, With(R"("layer_types": 3)"), {"layer_types", "a list"});
  packer.Refused({}, With(R"("sliding_window": 9, "sliding_window_size": 8)"),
                 {"sliding_window_size", "8"});
  Packer("attn.").Refused({}, With(R"("sliding_window": 9, "sliding_window_pattern": 2)"),
                          {"sliding_window_pattern", "number", "attn."});
}

TEST_CASE("a key that may change attention and is not known is refused, unless it is ignored") {
  Random random(99);
  const LayerData layer = NormalLayer(Plain(), random);
  const Packer packer;
  for (const std::string key : {"attn_temperature_tuning", "use_rope", "NoRope", "attention_window",
                                "scale_qk", "qk_rope_head_dim", "xattn", "window"}) {
    for (const std::string value : {"1", "[]", "\"x\"", "false"}) {
      packer.Refused({}, With("\"" + key + "\": " + value), {key, "--ignore-config"});
    }
    packer.Packs(layer, {"--ignore-config", key}, With("\"" + key + "\": 1"));
    packer.Packs(layer, {}, With("\"" + key + "\": null"));
  }
  packer.Packs(layer, {}, With(R"("attn_pdrop": 0.1, "scale_attn_weights": true,
      "rope_scaling": null,
      "attention_dropout": 0.0, "_attn_implementation": "eager", "scale_embedding": true,
      "logit_scale": 0.1, "vocab_size": 5, "quantization_config": {"bits": 4},
      "use_bidirectional_attention": false)"));
  packer.Refused({}, With("\"scale_attn_weights\": false"), {"scale_attn_weights", "false"});
  packer.Refused({}, With("\"use_bidirectional_attention\": true"),
                 {"use_bidirectional_attention", "true"});
  packer.Packs(layer, {"--ignore-config", "scale_attn_weights"},
               With("\"scale_attn_weights\": false"));
  packer.Packs(layer, {"--ignore-config", "sliding_window"}, With("\"sliding_window\": 9"));
  packer.Packs(layer, {"--ignore-config", "rope_theta", "--ignore-config", "rope_scaling"},
               With(R"("rope_theta": 9, "rope_scaling": 3)"));
  packer.Refused({"--ignore-config", "vocab"}, With("\"vocab_size\": 9"),
                 {"--ignore-config", "vocab"});
  packer.Refused({}, With(R"("text_config": {"num_attention_heads": 2})"),
                 {"text_config", "a file of its own"});
  packer.Refused({}, With("\"model_type\": \"gemma3n_text\""), {"model_type", "gemma3n_text"});
}

TEST_CASE("a hostile config.json is refused in a sentence") {
  const Packer packer;
  const std::string deep = std::string(100000, '[');
  for (const std::string& text :
       {std::string(), std::string("[]"), std::string("{"), std::string("null"), std::string("{]"),
        std::string("{\"a\": NaN}"), std::string("{\"a\": 1e999}"),
        std::string("{\"a\": \"\x80\"}"),
        std::string("{\"a\": 1} x"), std::string("{\"a\": 1}\0", 9), "{\"a\": " + deep,
        "{\"a\": " + deep + std::string(100000, ']') + "}", std::string("\x89PNG"),
        "{\"" + std::string(50000, 'a') + "attn\": 1}"}) {
    packer.Refused(kTwo, text.empty() ? " " : text, {"config.json"});
  }
  packer.Refused(kTwo, R"({"head_dim": 16, "head_dim": 8})", {"head_dim", "twice"});
  for (const std::string value : {"0", "-1", "1.5", "true", "\"2\"", "[2]", "{}", "1048577",
                                  "18446744073709551615", "1e3"}) {
    packer.Refused({}, "{\"num_attention_heads\": " + value + "}", {"num_attention_heads"});
    packer.Refused(kTwo, "{\"sliding_window\": 9, \"sliding_window_pattern\": " + value + "}",
                   {"sliding_window_pattern"});
  }
  for (const std::string key : {"rope_theta", "query_pre_attn_scalar", "attn_logit_softcapping",
                                "rms_norm_eps", "rope_local_base_freq"}) {
    for (const std::string value : {"0", "-1", "true", "\"2\"", "[2]", "{}"}) {
      packer.Refused(kTwo, "{\"" + key + "\": " + value + "}", {key});
    }
  }
  packer.Refused(kTwo, R"({"attn_logit_softcapping": 1e300})", {"attn_logit_softcapping"});
  packer.Refused(kTwo, R"({"query_pre_attn_scalar": 1e-300})", {"query_pre_attn_scalar"});
  packer.Refused(kTwo, R"({"rms_norm_eps": 1e-300})", {"rms_norm_eps"});
  packer.Refused(kTwo, R"({"rope_theta": 1e-300})", {"finite", "theta"});
}

}  // namespace
}  // namespace heed::test
