// bench/peers/peers.cc: which peers there are, and what they share.
#include "bench/peers/peers.h"

#include <algorithm>
#include <utility>

#include "heed/detail/sizes.h"

namespace heed::bench {
namespace {

using Maker = std::unique_ptr<Contestant> (*)(const Problem& problem, size_t threads);

struct Peer {
  const char* name;
  Role role;
  Types types;
  bool can_be_held_to_avx2;
  Maker make;
  Maker make_step;  // null where it takes no part in steps
  std::string (*version)();
};
constexpr Types kF32, kInt8 = {WeightType::kInt8, CoreType::kF32};

const std::vector<Peer>& Peers() {
  static const std::vector<Peer> peers = {
#if defined(HEED_BENCH_ONEDNN)
    {kYardstick, Role::kPeer, kF32, true, MakeOneDnn, MakeOneDnnStep, OneDnnVersion},
    {"oneDNN-int8", Role::kPeer, kInt8, true, MakeOneDnnInt8, MakeOneDnnInt8Step, OneDnnVersion},
#endif
#if defined(HEED_BENCH_OPENBLAS)
    {"OpenBLAS", Role::kPeer, kF32, true, MakeOpenBlas, MakeOpenBlasStep, OpenBlasVersion},
#endif
#if defined(HEED_BENCH_XNNPACK)
    {"XNNPACK", Role::kPeer, kF32, false, MakeXnnpack, MakeXnnpackStep, XnnpackVersion},
    {"XNNPACK-int8", Role::kPeer, kInt8, false, MakeXnnpackInt8, MakeXnnpackInt8Step,
     XnnpackVersion},
    {"heed+XNNPACK", Role::kHeed, kF32, false, MakeHeedOnXnnpack, nullptr, XnnpackVersion},
#endif
  };
  return peers;
}

bool TakesPart(const Peer& peer, const Setting& setting) {
  return !setting.avx2 || peer.can_be_held_to_avx2;
}

}  // namespace

std::vector<Candidate> PeerCandidates(const Shape& shape, const Setting& setting) {
  std::vector<Candidate> candidates;
  if (shape.hides_nothing()) return candidates;
  for (const Peer& peer : Peers()) {
    if (!TakesPart(peer, setting)) continue;
    Candidate candidate;
    candidate.name = peer.name;
    candidate.role = peer.role;
    candidate.types = peer.types;
    const Maker make = shape.is_step() ? peer.make_step : peer.make;
    if (make == nullptr) continue;
    candidate.make = [&peer, &setting, make](const Problem& problem) {
      return MakeForShape(problem, peer.types, [&] { return make(problem, setting.threads); });
    };
    candidates.push_back(candidate);
  }
  return candidates;
}

std::string PeerVersions() {
  std::string text;
  for (const Peer& peer : Peers()) {
    if (peer.role != Role::kPeer || !(peer.types == kF32)) continue;
    text += (text.empty() ? "" : ", ") + peer.version();
  }
  return text.empty() ? "none" : text;
}

FusedProjection::FusedProjection(const Problem& problem)
    : columns(problem.shape().embed_dim + 2 * problem.shape().kv_dim()) {
  const size_t width = problem.shape().embed_dim, kv_dim = problem.shape().kv_dim();
  const LayerTensors& t = problem.tensors();
  const auto add = [&](const float* part, const float* part_bias, size_t part_columns) {
    weight.insert(weight.end(), part, part + part_columns * width);
    if (part_bias == nullptr) bias.insert(bias.end(), part_columns, 0.0f);
    if (part_bias != nullptr) bias.insert(bias.end(), part_bias, part_bias + part_columns);
  };
  add(t.q_weight, t.q_bias, width);
  add(t.k_weight, t.k_bias, kv_dim);
  add(t.v_weight, t.v_bias, kv_dim);
  out_bias.resize(width);
  if (t.out_bias != nullptr) out_bias.assign(t.out_bias, t.out_bias + width);
  const float scale = sizes::InverseSqrt(problem.shape().head_dim());
  for (size_t i = 0; i < width * width; ++i) weight[i] *= scale;
  for (size_t i = 0; i < width; ++i) bias[i] *= scale;
}

PeerCache::PeerCache(const Problem& problem)
    : keys(problem.PastKeys()), values(problem.PastValues()) {}

void PeerCache::Append(const Shape& shape, const float* qkv) {
  const size_t dim = shape.head_dim(), head_size = (size_t{shape.cached} + 1) * dim;
  const float* k = qkv + shape.embed_dim;
  const float* v = k + shape.kv_dim();
  for (size_t h = 0; h < shape.kv_heads(); ++h) {
    const size_t place = (h + 1) * head_size - dim;
    std::copy(k + h * dim, k + (h + 1) * dim, keys.data() + place);
    std::copy(v + h * dim, v + (h + 1) * dim, values.data() + place);
  }
}

Floats AdditiveMask(const Shape& shape) {
  const size_t len = shape.query_len;
  Floats mask;
  if (shape.mask == Mask::kPadding) {
    for (size_t j = 0; j < len; ++j) mask.push_back(j < shape.key_len() ? 0.0f : kHidden);
  }
  if (shape.mask == Mask::kCausal) {
    for (size_t i = 0; i < len; ++i) {
      for (size_t j = 0; j < len; ++j) mask.push_back(j <= i ? 0.0f : kHidden);
    }
  }
  return mask;
}

}  // namespace heed::bench
