// bench/peers/peers.cc: which peers there are, and what they share.
#include "bench/peers/peers.h"

#include <utility>

#include "heed/detail/sizes.h"

namespace heed::bench {
namespace {

struct Peer {
  const char* name;
  Role role;
  Types types;
  bool can_be_held_to_avx2;
  std::unique_ptr<Contestant> (*make)(const Problem& problem, size_t threads);
  std::string (*version)();
};
constexpr Types kF32, kInt8 = {WeightType::kInt8, CoreType::kF32};

const std::vector<Peer>& Peers() {
  static const std::vector<Peer> peers = {
#if defined(HEED_BENCH_ONEDNN)
    {kYardstick, Role::kPeer, kF32, true, MakeOneDnn, OneDnnVersion},
    {"oneDNN-int8", Role::kPeer, kInt8, true, MakeOneDnnInt8, OneDnnVersion},
#endif
#if defined(HEED_BENCH_OPENBLAS)
    {"OpenBLAS", Role::kPeer, kF32, true, MakeOpenBlas, OpenBlasVersion},
#endif
#if defined(HEED_BENCH_XNNPACK)
    {"XNNPACK", Role::kPeer, kF32, false, MakeXnnpack, XnnpackVersion},
    {"XNNPACK-int8", Role::kPeer, kInt8, false, MakeXnnpackInt8, XnnpackVersion},
    {"heed+XNNPACK", Role::kHeed, kF32, false, MakeHeedOnXnnpack, XnnpackVersion},
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
    candidate.make = [&peer, &setting](const Problem& problem) {
      return MakeForShape(problem, peer.types, [&] { return peer.make(problem, setting.threads); });
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

FusedProjection::FusedProjection(const Problem& problem) {
  const size_t width = problem.shape().embed_dim;
  const LayerTensors& t = problem.tensors();
  for (const float* part : {t.q_weight, t.k_weight, t.v_weight}) {
    weight.insert(weight.end(), part, part + width * width);
  }
  for (const float* part : {t.q_bias, t.k_bias, t.v_bias}) {
    bias.insert(bias.end(), part, part + width);
  }
  const float scale = sizes::InverseSqrt(problem.shape().head_dim());
  for (size_t i = 0; i < width * width; ++i) weight[i] *= scale;
  for (size_t i = 0; i < width; ++i) bias[i] *= scale;
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
