// tests/cli/other_tensors_test.cc: no tensor of a layer goes unused in silence. What `heed pack`
// does not take is refused by name, told on stderr, or named by --ignore.
#include <doctest/doctest.h>

#include "tests/cli/files.h"
#include "tests/cli/program.h"

namespace heed::test {
namespace {

using heed::test::operator+;
using Tensors = std::vector<SavedTensor>;

const LayerData& Layer() {
  static const LayerData kLayer = [] {
    Random random(141);
    return ExactLayer(Shape(8, 2), random);
  }();
  return kLayer;
}

SavedTensor Extra(const std::string& name, const std::string& dtype = "F32") {
  const size_t bytes = dtype == "F32" ? 4 : dtype == "I64" || dtype == "F64" ? 8 : 1;
  return {name, dtype, {4}, std::string(4 * bytes, '\1')};
}

Tensors operator+(Tensors a, const Tensors& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}
Tensors operator+(Tensors a, const SavedTensor& b) { return a + Tensors{b}; }

class Packer {
 public:
  Words WordsFor(const Tensors& tensors, const Words& options = {}) const {
    return Words{"pack", folder_.Write("in.safetensors", Safetensors(tensors)),
                 folder_.Path("out"), "--heads", "2"} + options;
  }
  void Refused(const Tensors& tensors, const Words& words, const Words& options = {}) const {
    CheckRefused(folder_, WordsFor(tensors, options), 1, words, "out");
  }
  // Packs what the layer alone packs to, without a word on stderr.
  void Packs(const Tensors& tensors, const Words& options = {}) const {
    HeedOk(WordsFor(tensors, options));
    const AlignedBytes wanted = Pack(Layer());
    CHECK((folder_.Read("out") ==
           std::string(reinterpret_cast<const char*>(wanted.data()), wanted.size())));
  }
  // The same, with one line on stderr that contains each of `words`.
  void PacksWithNote(const Tensors& tensors, const Words& options, const Words& words) const {
    const Outcome outcome = Heed(WordsFor(tensors, options));
    INFO("stderr: ", outcome.err);
    CHECK(outcome.exit_code == 0);
    CHECK(outcome.err.rfind("heed: note: ", 0) == 0);
    CHECK(outcome.err.find('\n') == outcome.err.size() - 1);
    for (const std::string& word : words) CHECK(outcome.err.find(word) != std::string::npos);
  }

 private:
  Folder folder_;
};

TEST_CASE("a tensor under the layer's prefix that no projection takes is refused by name") {
  const Packer packer;
  const std::string prefix = "model.layers.0.self_attn.";
  for (const std::string name :
       {"rotary_emb.inv_freqs", "q_norm.weights", "k_norm.bias", "sinks", "q_layernorm.weight",
        "q_proj.lora_A.weight", "v_proj.lora_B.default.weight", "k_proj.weight_scale",
        "q_proj.input_scale", "q_proj.weight.absmax", "o_proj.SCB", "k_scale",
        "relative_attention_bias.weight", "relative_position_bias_table",
        "relative_position_index", "gru_rel_pos_const", "gru_rel_pos_linear.weight",
        "inner_attn_ln.weight", "scale", "logit_scale", "g_proj.weight", "c_attn", "pos_bias_u",
        "linear_pos.weight", "bias", "masked_bias", "weights", "q_proj.weights", "alibi"}) {
    CAPTURE(name);
    const Tensors tensors = Saved(Layer(), Naming::kDecoder, prefix) + Extra(prefix + name);
    packer.Refused(tensors, {prefix + name, "--ignore"});
    packer.Packs(tensors, {"--ignore", name});
    packer.Packs(tensors, {"--ignore", prefix + name, "--prefix", prefix});
  }
  for (const std::string dtype : {"U8", "BOOL", "I8", "F8_E4M3", "I64", "F64"}) {
    packer.Refused(Saved(Layer(), Naming::kDecoder, prefix) + Extra(prefix + "x", dtype),
                   {prefix + "x"});
  }
}

TEST_CASE("it is refused in every naming, also without a prefix") {
  const Packer packer;
  for (const Naming naming : kNamings) {
    CAPTURE(static_cast<int>(naming));
    for (const std::string prefix : {"", "a.b."}) {
      const Tensors layer = Saved(Layer(), naming, prefix);
      packer.Packs(layer);
      for (const std::string name : {"norm", "deep.er.weight", "self.distance_embedding.weight"}) {
        packer.Refused(layer + Extra(prefix + name), {prefix + name, "1 more tensor"});
        packer.Packs(layer + Extra(prefix + name), {"--ignore", name});
      }
      // A part of one of the layer's own names, and names that go on after one.
      packer.Refused(layer + Extra(layer[0].name + ".scale"), {layer[0].name + ".scale"});
      packer.Refused(layer + Extra(layer[0].name + "_scale"), {layer[0].name + "_scale"});
    }
  }
}

TEST_CASE("the first few of many are named, and how many there are") {
  const Packer packer;
  Tensors tensors = Saved(Layer(), Naming::kEncoder, "a.");
  for (int i = 10; i < 30; ++i) tensors.push_back(Extra("a.extra" + std::to_string(i)));
  packer.Refused(tensors, {"20 more tensors", "a.extra10", "a.extra12", "20 in all"});
  packer.Refused(tensors, {"10 more tensors", "a.extra20"}, {"--ignore", "extra1*"});
  packer.Packs(tensors, {"--ignore", "extra1*", "--ignore", "a.extra2?"});
  packer.Packs(tensors, {"--ignore", "*ext*a*"});
}

TEST_CASE("tensors without elements, of other modules and of other layers do not count") {
  const Packer packer;
  const Tensors layer = Saved(Layer(), Naming::kTorch, "layers.0.self_attn.");
  SavedTensor empty = Extra("layers.0.self_attn._extra_state", "U8");
  empty.shape = {0};
  empty.data.clear();
  packer.Packs(layer + empty);
  packer.Packs(layer + Extra("layers.0.norm1.weight") + Extra("layers.0.linear1.weight") +
               Extra("layers.0.self_attn_layer_norm.weight") + Extra("pos_embed") +
               Extra("embed_positions.weight") + Extra("position_ids", "I64"));
  const Tensors two = layer + Saved(Layer(), Naming::kTorch, "layers.0.multihead_attn.");
  packer.Packs(two, {"--prefix", "layers.0.self_attn"});
  packer.Packs(two, {"--prefix", "layers.0.multihead_attn"});
  // One layer at the top, and others below it with all that stands beside them.
  const Tensors top = Saved(Layer(), Naming::kDecoder) + two + Extra("layers.0.norm1.weight");
  packer.Packs(top, {"--prefix", ""});
  packer.Refused(top + Extra("q_norms.weight"), {"q_norms.weight"}, {"--prefix", ""});
  // A part of a layer is none: an adapter with names of its own changes the layer that it is in.
  packer.Refused(Saved(Layer(), Naming::kDecoder, "a.") + Extra("a.adapter.q_proj.weight"),
                 {"a.adapter.q_proj.weight"}, {"--prefix", "a"});
}

TEST_CASE("BERT's norm after the layer is no part of it, and all else in its module is") {
  const Packer packer;
  const std::string prefix = "encoder.layer.0.attention.";
  const Tensors bert = Saved(Layer(), Naming::kBert, prefix) +
                       Extra(prefix + "output.LayerNorm.weight") +
                       Extra(prefix + "output.LayerNorm.bias") +
                       Extra("encoder.layer.0.intermediate.dense.weight");
  packer.Packs(bert);
  packer.Refused(bert + Extra(prefix + "self.distance_embedding.weight"), {"distance_embedding"});
  packer.Refused(bert + Extra(prefix + "output.adapters.0.weight"), {"output.adapters.0.weight"});
  packer.Refused(bert + Extra(prefix + "LayerNorm.weight"), {prefix + "LayerNorm.weight"});
  packer.Refused(Saved(Layer(), Naming::kDecoder, prefix) + Extra(prefix + "output.LayerNorm.bias"),
                 {"output.LayerNorm.bias"});
}

TEST_CASE("positions that a module above the layer keeps are refused as well") {
  const Packer packer;
  const Tensors layer = Saved(Layer(), Naming::kDecoder, "model.layers.7.self_attn.");
  for (const std::string name :
       {"model.rotary_emb.inv_freq", "rope.freqs", "model.alibi", "model.layers.alibi_slopes",
        "model.embed_positions.inv_freq", "model.relative_position.relative_attention_bias.weight",
        "model.layers.7.rel_pos_bias.weight", "rotary_emb.sin_cached", "freqs_cis",
        "model.rope_embeddings.periods", "model.rot_emb.freq", "model.inv-freq", "model.cos",
        "model.layers.sin", "model.alibi.slopes", "slopes", "model.rel_embeddings.weight",
        "model.layers.7.rel_bias", "model.attn.bias_table", "model.xpos.scale",
        "model.inv_timescale", "model.positional_bias", "model.cpb_mlp.0.weight",
        "model.layers.7.q_norm.weight", "model.layers.7.qk-norm.weight", "model.k_layernorm.bias",
        "model.layers.7.self_attn_q_norm.weight", "model.layers.7.sinks",
        "model.layers.7.attn_sinks"}) {
    CAPTURE(name);
    packer.Refused(layer + Extra(name), {name, "--ignore"});
    packer.Packs(layer + Extra(name), {"--ignore", name});
  }
  // The name of the whole model tells nothing of its tensors.
  const Tensors named = Saved(Layer(), Naming::kDecoder, "rotary_model.layers.7.self_attn.");
  packer.Packs(named + Extra("rotary_model.norm.weight") +
               Extra("rotary_model.layers.7.mlp.weight"));
  packer.Refused(named + Extra("rotary_model.rotary_emb.inv_freq"),
                 {"rotary_model.rotary_emb.inv_freq"});
}

TEST_CASE("names that only look like those are no reason to refuse") {
  const Packer packer;
  const Tensors layer = Saved(Layer(), Naming::kDecoder, "model.layers.7.self_attn.");
  packer.Packs(layer + Extra("model.layers.7.block_norm.weight") + Extra("model.maxpos") +
               Extra("model.cosine.weight") + Extra("model.layers.7.mask_norm.weight") +
               Extra("model.since") + Extra("model.layers.6.self_attn.q_norm.weight") +
               Extra("vision.attn.k_norm.weight") + Extra("vision.attn.sinks"));
}

TEST_CASE("RoFormer, whose layers are named as BERT's, keeps its rotation in embed_positions") {
  const Packer packer;
  const std::string prefix = "roformer.encoder.layer.0.attention.";
  packer.Refused(Saved(Layer(), Naming::kBert, prefix) +
                     Extra("roformer.encoder.embed_positions.weight"),
                 {"roformer.encoder.embed_positions.weight"});
  packer.Packs(Saved(Layer(), Naming::kBert, prefix) +
               Extra("roformer.embeddings.position_embeddings.weight"));
}

TEST_CASE("a layer inside of a projection's module does not hide what else is in that module") {
  const Packer packer;
  for (const std::string inner : {"a.q_proj.", "a.q_proj.weight."}) {
    const Tensors both = Saved(Layer(), Naming::kDecoder, "a.") +
                         Saved(Layer(), Naming::kTorch, inner) + Extra("a.q_proj.weight_scale");
    packer.Refused(both, {"a.q_proj.weight_scale"},
                   {"--prefix", "a", "--ignore", inner + "in_*", "--ignore", inner + "out_*"});
  }
}

TEST_CASE("positions of another module are told on stderr, unless the layer has its own") {
  const Packer packer;
  const Tensors layers = Saved(Layer(), Naming::kEncoder, "enc.0.attention.") +
                         Saved(Layer(), Naming::kEncoder, "enc.3.attention.");
  const Words choice = {"--prefix", "enc.3.attention"};
  for (const std::string name :
       {"enc.0.attention.rel_attn_embed.weight", "enc.0.attention.relative_attention_bias.weight",
        "vision.rotary_emb.inv_freq", "decoder.block.0.relative_attention_bias.weight"}) {
    packer.PacksWithNote(layers + Extra(name), choice, {name});
    packer.Packs(layers + Extra(name), choice + Words{"--ignore", name});
  }
  packer.Packs(layers + Extra("enc.0.attention.rotary.inv_freq") +
                   Extra("enc.3.attention.rotary.inv_freq"),
               choice + Words{"--ignore", "rotary.*"});
}

TEST_CASE("an --ignore that matches nothing, or what the layer takes, is refused") {
  const Packer packer;
  const Tensors tensors =
      Saved(Layer(), Naming::kDecoder, "a.") + Extra("a.rotary_emb.inv_freq") + Extra("b.x");
  const auto refused = [&](const std::string& pattern, const Words& words) {
    packer.Refused(tensors, words + Words{"--ignore", "'" + pattern + "'"}, {"--ignore", pattern});
  };
  for (const std::string none : {"rotary", "inv_freq", "rotary_emb.inv_freqs", "?.rotary",
                                 "A.rotary_emb.inv_freq", "a.rotary_emb.inv_freq.", "rotary_emb",
                                 "[ra]*", "??otary_emb.inv_fre"}) {
    refused(none, {"matches none"});
  }
  for (const std::string taken : {"*", "q_proj.weight", "a.*", "?_proj.bias", "*.weight", "**"}) {
    refused(taken, {"matches a.", "_proj."});
  }
  for (const std::string good : {"rotary_emb.inv_freq", "rotary_emb*", "*inv_freq", "a.rot*req",
                                 "rotary?emb.*", "r*y*f*q", "**inv*freq**"}) {
    CAPTURE(good);
    packer.Packs(tensors, {"--ignore", good});
  }
  packer.Refused(tensors, {"a.rotary_emb.inv_freq", "--ignore"}, {"--ignore", "b.x"});
  // A question mark is one character, of any number of bytes.
  const Tensors greek = Saved(Layer(), Naming::kDecoder, "a.") + Extra("a.\xce\xb1\xce\xb2");
  packer.Packs(greek, {"--ignore", "??"});
  packer.Refused(greek, {"matches none"}, {"--ignore", "???"});
}

TEST_CASE("each --ignore takes one value, which is not empty, and report has it too") {
  const Packer packer;
  const Folder folder;
  const Tensors tensors = Saved(Layer(), Naming::kDecoder) + Extra("q_layernorm.weight");
  const std::string in = folder.Write("in.safetensors", Safetensors(tensors));
  CheckRefused(folder, {"pack", in, folder.Path("out"), "--heads", "2", "--ignore", ""}, 2,
               {"--ignore"});
  CheckRefused(folder, {"pack", in, folder.Path("out"), "--heads", "2", "--ignore"}, 2,
               {"--ignore"});
  HeedOk({"pack", "--ignore", "q_layernorm.*", in, folder.Path("out"), "--heads", "2"});
  const std::string query =
      folder.Write("x.npy", NpyFloats({3, 8}, std::vector<float>(24, 0.5f)));
  CheckRefused(folder, {"report", in, "--heads", "2", "--query", query}, 1, {"q_layernorm.weight"});
  HeedOk({"report", in, "--heads", "2", "--query", query, "--ignore", "q_layernorm.weight"});
}

TEST_CASE("--list counts the tensors that pack would refuse") {
  const Folder folder;
  const Tensors tensors = Saved(Layer(), Naming::kDecoder, "a.") + Extra("a.sinks") +
                          Extra("a.q_layernorm.weight") + Saved(Layer(), Naming::kBert, "b.") +
                          Extra("b.output.LayerNorm.weight") + Extra("c.weight");
  const std::string out =
      HeedOk({"pack", folder.Write("in.safetensors", Safetensors(tensors)), "--list"});
  CHECK(out.find("biases=q,k,v,out others=2\n") != std::string::npos);
  CHECK(out.find("biases=q,k,v,out others=0\n") != std::string::npos);
}

}  // namespace
}  // namespace heed::test
